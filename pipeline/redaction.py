"""Keep keys out of whatever is stored, shown or logged: by value where it is known, by look else.

`redact` is for short texts that people read (errors, log lines). `without_known` takes only known
values out and is meant for everything that is stored: it changes nothing else. A process learns
values with `remember_secret` where a key comes in (settings, a typed key); it never tells them.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable
from typing import TypeVar

HIDDEN = "[hidden]"
_SECRET_MIN_CHARS = 6  # shorter "keys" are placeholders, and would blank out ordinary words
_KNOWN_MIN_CHARS = 12  # what is taken out of articles too must not be a word somebody typed
_PLAIN_MIN_CHARS = 20
_SECRETS = re.compile(
    r"""(?ix)
    \b(?:bearer|basic)\s+[\w.~+/=*-]{6,}
    | \beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?            # JSON web token
    | \b(?:sk|pk|rk|gsk|xai|pplx|hf|nvapi|r8|ghp)[-_][\w*.-]*[\w*]
    | \bAIza[\w-]{8,}
    | \bAKIA[A-Z0-9]{12,}
    """
)
# what opens a run, in an address: a link others were given, a socket's token
_PASSES = re.compile(r"(?<=[?&])(token|shared)=[^&\s\"'<>]+")
# user and password of an address end at the last `@` before the host's end
_CREDENTIALS = re.compile(r"(?<=://)[^\s/?#\"'<>]*@")

T = TypeVar("T", str, bytes)


class _Known:
    """Values this process was given, longest first, as text and as they stand in JSON."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.texts: tuple[str, ...] = ()
        self.payloads: tuple[bytes, ...] = ()

    def add(self, secret: str) -> None:
        with self._lock:
            if secret in self.texts:
                return
            texts = sorted({*self.texts, secret}, key=len, reverse=True)
            forms = {form for text in texts for form in (text, _in_json(text))}
            self.texts = tuple(texts)
            self.payloads = tuple(
                form.encode("utf-8", "replace") for form in sorted(forms, key=len, reverse=True)
            )

    def __repr__(self) -> str:
        return f"<{len(self.texts)} secrets>"


_known = _Known()


def remember_secret(secret: str) -> None:
    """From now on `secret` is hidden by everything here, until the process ends.

    Placeholders and short words are no secrets and are left alone: a value counts from twenty
    characters, from twelve when a digit is among them.
    """
    secret = secret.strip()
    enough = _KNOWN_MIN_CHARS if any(sign.isdigit() for sign in secret) else _PLAIN_MIN_CHARS
    if len(secret) >= enough:
        _known.add(secret)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without known values, those in `secrets` and anything that looks like a key.

    Of addresses, user, password and whatever opens a run go too.
    """
    for secret in secrets:
        if len(secret) >= _SECRET_MIN_CHARS:
            text = text.replace(secret, HIDDEN)
    text = _SECRETS.sub(HIDDEN, without_known(text))
    return _CREDENTIALS.sub(f"{HIDDEN}@", _PASSES.sub(rf"\1={HIDDEN}", text))


def without_known(text: T) -> T:
    """`text`, or JSON in UTF-8, without the values this process knows to be keys."""
    if isinstance(text, bytes):
        for payload in _known.payloads:
            if payload in text:
                text = text.replace(payload, HIDDEN.encode())
        return text
    for secret in _known.texts:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    return text


def _in_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]
