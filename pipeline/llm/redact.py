"""Make foreign text fit to be stored and shown: no secrets, not too long."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.redaction import redact

PROVIDER_TEXT_MAX_CHARS = 500
_READ_MAX_CHARS = 10_000


def as_sentence(words: str) -> str:
    """`words` with a full stop, unless they end in a mark of their own."""
    return words if words.endswith((".", "!", "?", "…")) else f"{words}."


def provider_words(text: str, secrets: Iterable[str] = ()) -> str:
    """What a provider said, on one line, redacted, at most 500 characters."""
    line = " ".join(text.split())
    if len(line) > _READ_MAX_CHARS:  # patterns may take the square of a text's length
        line = line[:_READ_MAX_CHARS].rpartition(" ")[0]  # nothing that is cut: half a key
    line = redact(line, secrets).encode("utf-8", "replace").decode()
    if len(line) <= PROVIDER_TEXT_MAX_CHARS:
        return line
    return line[: PROVIDER_TEXT_MAX_CHARS - 1] + "…"
