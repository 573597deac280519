"""A chat-completions server that does what each request's script says, and writes down when.

    python -m benchmarks.mock_server [--port 0] [--core N]

Prints one line, its base URL. The truth of a benchmark is measured here: `GET /bench/log` gives
for every request when it arrived, when its first byte and its end were written (seconds of the
machine's monotonic clock). `POST /bench/reset` empties the log and sets a hidden rate limit.
"""
