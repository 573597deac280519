"""Turn whatever was typed as a topic into words that fit into sentences.

A topic may be a phrase, a question, an order ("write about …"), a paragraph, another script or
nonsense. Templates get three forms that are always grammatical: `title` (a headline), `about`
(after "looks at") and `core` (a short noun phrase, only ever used as an object).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

TITLE_MAX_CHARS = 90
CORE_MAX_WORDS = 5
ODD_SHARE = 0.8  # a topic that loses more than the rest to tidying is quoted, not used as words
NAMELESS = "An unusual topic"
NO_CORE = "this topic"

_TAG = re.compile(r"<[^<>]*>")
_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]{1,20}://|www\.|javascript:|data:)\S*", re.IGNORECASE)
_MARKUP = re.compile(r"[<>\[\](){}*_`|~\\^=\"“”$@]+|(?<![A-Za-z])#+")
_ORDER = re.compile(
    r"^(?:please\s+|can you\s+|could you\s+|i want (?:you )?to\s+|i need\s+)*"
    r"(?:(?:write|create|make|give|draft|prepare|produce|explain|describe|discuss|tell|show)\b"
    r"(?:\s+(?:me|us))?"
    r"(?:\s+(?:an?|the|some))?(?:\s+(?:short|long|brief|detailed|good))?"
    r"(?:\s+(?:article|post|essay|guide|text|overview|introduction|story|piece|blog post))?"
    r"(?:\s+(?:about|on|of|for|to))?\s+)(?=\w)",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"^(?:how|why|what|when|where|which|who|whether)\b", re.IGNORECASE)
_INVERTED = re.compile(
    r"^(?:(?:how|why|what|when|where|which|who)\s+(?:\w+\s+)?)?"
    r"(?:is|are|was|were|do|does|did|can|could|should|will|would|has|have|may|must)\s",
    re.IGNORECASE,
)
_OBJECT = re.compile(
    r"\b(?:can|should|could|may|might|must|will|would|to)\s+(?:\w+ly\s+)?\w+\s+(.+)$", re.IGNORECASE
)
_CUT = re.compile(
    r"\s+(?:for|in|with|on|at|from|without|during|under|when|where|while|that|which|after|before"
    r"|and why|and how|by|as|into|since|between|through|if)\s",
    re.IGNORECASE,
)
_LEADING = re.compile(r"^(?:the|a|an|your|my|our|their|some|more|better)\s+", re.IGNORECASE)
_FRAME = re.compile(
    r"^(?:(?:an?|the)\s+)?(?:(?:top|best|short|practical)\s+)*(?:\d+\s+)?"
    r"(?:tips|practices|ideas|ways|reasons|guide|introduction|basics|overview)"
    r"\s+(?:for|to|of|on|about)\s+",
    re.IGNORECASE,
)
_PROPER_TEXT = """
africa african america american asia asian australia bach beethoven berlin britain british
canada china chinese christmas dutch easter einstein england english europe european excel
france french german germany greek i india indian ireland irish islam italian italy japan
japanese java javascript kubernetes latin linux london mars moon mozart paris postgresql python
roman rome rust scotland shakespeare spain spanish sweden swedish venus wales windows january
february april june july august september october november december monday tuesday wednesday
thursday friday saturday sunday
"""
_PROPER = frozenset(_PROPER_TEXT.split())
_STOP_WORDS_TEXT = """
a about after all also an and any are as at be because been before being between both but by can
could did do does during each for from had has have having how i if in into is it its just like
make makes many may me might more most much must my need no not of off on one only or other our
out over own per same should small so some such than that the their them then there these they
this those through to too under until up use used useful very was way we were what when where
which while who why will with without would you your beginners beginner guide tips run get
getting start starting
"""
STOP_WORDS = frozenset(_STOP_WORDS_TEXT.split())


@dataclass(frozen=True, slots=True)
class Topic:
    title: str
    about: str
    core: str
    keywords: tuple[str, ...]  # content words, lower case, at least one

    @property
    def has_core(self) -> bool:
        return self.core != NO_CORE

    @property
    def core_title(self) -> str:
        return self.core[:1].upper() + self.core[1:]


def read_topic(raw: str) -> Topic:
    """Total: any text gives a topic that can be put into templates and Markdown."""
    text = tidy(raw[:4_000])
    if not _has_words(text):
        return Topic(NAMELESS, "the topic as it was typed", NO_CORE, ("topic",))
    text = _ORDER.sub("", text) if _has_words(_ORDER.sub("", text)) else text
    headline = _headline(text)
    if headline.lower().startswith("how to "):
        headline = headline.rstrip("?")
    is_odd = len(tidy(raw[:TITLE_MAX_CHARS])) < ODD_SHARE * len(raw[:TITLE_MAX_CHARS].strip())
    title = headline[:1].upper() + headline[1:]
    words = keywords(headline) or (headline.split()[0].lower(),)
    about = f"the topic “{headline}”" if is_odd else _about(headline)
    return Topic(title, about, NO_CORE if is_odd else _core(headline), words)


def keywords(text: str) -> tuple[str, ...]:
    """Content words of `text`, lower case, each once."""
    words = re.findall(r"[^\W_][\w'’-]*", text.lower())
    return tuple(dict.fromkeys(w for w in words if w not in STOP_WORDS and len(w) > 1))[:12]


def lower_first(text: str) -> str:
    """Lower the first letter, unless the first word is a name or abbreviation or All Is In Capitals."""
    words = text.split()
    if not words or _is_name(words[0]) or any(c.isupper() or c.isdigit() for c in words[0][1:]):
        return text
    later = [word for word in words[1:] if len(word) > 3 and not _is_name(word)]
    if later and all(word[0].isupper() for word in later):
        return text
    return text[:1].lower() + text[1:]


def _is_name(word: str) -> bool:
    return word.lower().strip(",.:?'’").removesuffix("'s").removesuffix("’s") in _PROPER


def tidy(raw: str) -> str:
    text = unicodedata.normalize("NFC", raw)
    text = _MARKUP.sub(" ", _ADDRESS.sub(" ", _TAG.sub(" ", text)))
    text = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in text)
    # two strokes or dots in a row mean something in Markdown or typography, never in a title
    text = re.sub(r"([^\w\s+])\1+", r"\1", " ".join(text.split()))
    return text.strip(" -–—:;,.!'’/&%")


def _has_words(text: str) -> bool:
    return any(c.isalpha() for c in text)


def _headline(text: str) -> str:
    """The first sentence, cut at a word's end when it is long."""
    first = re.split(r"(?<=[.!?])\s+(?=\S)|[。！？]", text, maxsplit=1)[0].strip(" .!,;:")
    first = first if _has_words(first) else text
    if len(first) <= TITLE_MAX_CHARS:
        return first
    cut = first[: TITLE_MAX_CHARS + 1]
    at = max((cut.rfind(mark) for mark in (", ", "; ", ": ", " – ")), default=-1)
    if at < TITLE_MAX_CHARS // 3:
        at = cut.rfind(" ")
    return cut[: at if at > TITLE_MAX_CHARS // 3 else TITLE_MAX_CHARS].rstrip(" ,;:–-")


def _is_latin(text: str) -> bool:
    letters = [c for c in text if c.isalpha()]
    return sum(c < "\u0250" for c in letters) > len(letters) / 2


def _about(headline: str) -> str:
    if headline.endswith("?") or _INVERTED.match(headline):
        return f"the question “{headline}”"
    if not _is_latin(headline) or len(headline.split()) > 12 or not headline[0].isalpha():
        return f"the topic “{headline}”"
    return lower_first(headline)


def _core(headline: str) -> str:
    """A short noun phrase out of the headline; "this topic" when none can be had safely."""
    text = headline.rstrip("?")
    if not _is_latin(text) or headline.endswith("?") or _INVERTED.match(text):
        return NO_CORE
    if match := _OBJECT.search(text) if _CLAUSE.match(text) else None:
        text = match[1]
    elif _CLAUSE.match(text):
        return NO_CORE
    text = _FRAME.sub("", text)
    text = _LEADING.sub("", _CUT.split(re.split(r"[:;,–(]", text)[0], maxsplit=1)[0]).strip()
    words = text.split()
    if not 1 <= len(words) <= CORE_MAX_WORDS or not text[0].isalpha() or len(text) > 60:
        return NO_CORE
    return lower_first(text)
