"""The offline demo provider: an OpenAI-compatible server that needs no key and no network.

`server.py` speaks the protocol, `latency.py` decides how long an answer takes, `compose/` what
it says, `process.py` owns the child process the server runs in. It never claims to be a model.
"""

HOST = "127.0.0.1"
LABEL = "Offline demo"
