"""What text that people type may hold. Pure; imports nothing else of ours."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from urllib.parse import urlsplit

URL_MAX_CHARS = 2_000
STORED: Mapping[str, str] = {"from": "store"}  # validation context: what was taken once can be read


def check_signs(text: str, what: str) -> None:
    """Raise ValueError, naming them, for signs that nobody sees and that change what is read."""
    if bad := control_characters(text):
        raise ValueError(
            f"The {what} contains control characters ({bad}). Remove them and try again."
        )
    if bad := direction_controls(text):
        raise ValueError(
            f"The {what} contains invisible characters that turn text around ({bad}). "
            "Remove them and try again."
        )


def has_visible(text: str) -> bool:
    """True when a reader sees something: a letter, number, punctuation mark or symbol."""
    return any(unicodedata.category(c)[0] in "LNPS" and c not in _BLANK for c in text)


_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # letters and a symbol by name, blank by look


def direction_controls(text: str) -> str:
    """Name the characters that make text read other than it is (embeddings, overrides, isolates)."""
    bad = {c for c in text if "\u202a" <= c <= "\u202e" or "\u2066" <= c <= "\u2069"}
    return ", ".join(sorted(f"U+{ord(c):04X}" for c in bad))


def is_web_address(url: str) -> bool:
    """True for a whole http or https address of bearable length. Where it leads is not asked."""
    try:
        parts = urlsplit(url)
        is_web = parts.scheme.lower() in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_web = False
    return is_web and len(url) <= URL_MAX_CHARS and not any(c.isspace() for c in url)


def control_characters(text: str) -> str:
    """Name the control characters and lone surrogates in `text`; line breaks and tabs are fine."""
    bad = {c for c in text if c not in "\n\r\t" and unicodedata.category(c) in ("Cc", "Cs")}
    return ", ".join(sorted(f"U+{ord(c):04X}" for c in bad))
