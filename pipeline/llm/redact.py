"""Make foreign text fit to be stored and shown: no secrets, not too long."""

from __future__ import annotations

import re
from collections.abc import Iterable

PROVIDER_TEXT_MAX_CHARS = 500
_READ_MAX_CHARS = 10_000
_HIDDEN = "[hidden]"
_SECRET_MIN_CHARS = 6  # shorter "keys" are placeholders, and would blank out ordinary words
_SECRETS = re.compile(
    r"""(?ix)
    \b(?:bearer|basic)\s+[\w.~+/=*-]{6,}
    | \beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?            # JSON web token
    | \b(?:sk|pk|rk|gsk|xai|pplx|hf|nvapi|r8|ghp)[-_][\w*.-]*[\w*]
    | \bAIza[\w-]{8,}
    | \bAKIA[A-Z0-9]{12,}
    """
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` without the values in `secrets` and without anything that looks like a key."""
    for secret in secrets:
        if len(secret) >= _SECRET_MIN_CHARS:
            text = text.replace(secret, _HIDDEN)
    return _SECRETS.sub(_HIDDEN, text)


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
