"""Recognise citations however a model wrote them: the scanner behind `citation_check.py`.

Decides what a pair of brackets, a superscript or a bare id cites: source ids, numbers, or nothing.
What becomes of it is decided there. Only prose is to be given; every pattern is bounded, so that no
text is slow to read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Container
from dataclasses import dataclass


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


MADE_ID = re.compile(r"S[0-9a-f]{10}")  # as the tools make them; no word looks like one

_OPEN = r"(?:\\?\[|&(?:#0{0,5}91|#[xX]0{0,5}5[bB]|lbrack|lsqb);|[［【〔〚⟦])"
_CLOSE = r"(?:\\?\]|&(?:#0{0,5}93|#[xX]0{0,5}5[dD]|rbrack|rsqb);|[］】〕〛⟧])"
_INNER = r"(?:[^\[\]［］【】〔〕〚〛⟦⟧\n&\\]|&(?![#lr])|\n(?!\s*\n)){1,160}?"
GROUP = re.compile(
    rf"(?P<before>[^\W_]{{0,2}})(?P<space>[ \t\u00a0\u202f]{{0,4}})\^?(?P<opens>(?:{_OPEN}\s?){{1,3}})"
    rf"(?P<inner>{_INNER})(?P<closes>(?:\s?{_CLOSE}){{1,3}})\^?"
)
_SIGNS = {"[": re.compile(_OPEN), "]": re.compile(_CLOSE)}
_ROUND = r"(?P<space>[ \t]{0,4})[({](?P<inner>[^(){}\n]{2,80})[)}]"
_BARE = r"(?P<gap>[ \t]{0,4})(?<![\w/#.\-=&?%:@])[Ss][0-9A-Fa-f]{1,12}(?![\w/@=-])"
_LOOSE = re.compile(f"{_ROUND}|{_BARE}")
# After a word "²" and "³" are units and "⁻¹" is one too; after a full stop they are notes.
_SUPERSCRIPT = re.compile(
    r"(?<=[.,;:!?”»\"])[⁰¹²³⁴-⁹]{1,3}(?!\w)|(?<=[^\W\d_]{4})[¹⁴-⁹][⁰¹²³⁴-⁹]{0,2}(?!\w)"
)
_SUP_TAG = re.compile(
    r"(?:(?<=[.,;:!?”»\"])|(?<=[^\W\d_]{4}))[ \t]{0,2}<sup[^<>]{0,200}>\s{0,4}(?:<a[^<>]{0,400}>)?\s{0,4}\[?\d{1,3}"
    r"(?:\s?[,;–-]\s?\d{1,3}){0,9}\]?\s{0,4}(?:</a>)?\s{0,4}</sup>",
    re.IGNORECASE,
)
_OTHER_TOOLS = re.compile(  # what chat products put in for their own lists of sources
    r":?contentReference\[oaicite:\d{1,4}\](?:\{index=\d{1,4}\})?"
    r"|[\ue200-\ue2ff]?cite(?:[\ue200-\ue2ff]?turn\d{1,3}[a-z]{3,10}\d{1,3}){1,9}[\ue200-\ue2ff]?"
    r"|\[?citation needed\]?",
    re.IGNORECASE,
)
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_TOKENS = re.compile(r"[^\s,;|/&+]+")
_EDGES = "^#*_~\"'`:.()<>†‡§¶“”‘’{}"
_KEY = re.compile(r"[Ss](?=[0-9a-fA-F]*[0-9]|[0-9a-fA-F]{5})[0-9a-fA-F]{1,12}")
_NUMBER = re.compile(
    r"(?:(?:source|ref|reference|note|fn|quelle|fuente|fonte|nr|no)[.:_-]?)?"
    r"\d{1,3}(?:[-–—‐‑−]\d{1,3})?(?::\d{1,3})?(?:†.{0,60})?",
    re.IGNORECASE,
)
_OTHER_KEY = re.compile(
    r"@[\w:.-]{2,60}|[A-Za-z]{3,20}(?:19|20)\d\d[a-z]?|oaicite:\d+|turn\d+[a-z]+\d+"
)
_JUNK = _set(
    "source sources ref refs reference references note notes fn footnote id ids cite cites citation key "
    "quelle quellen fuente fuentes fonte fonti see cf vgl siehe voir vedi ver and und et y e o p pp s "
    "page pages seite seiten - – — •"
)


@dataclass(frozen=True, slots=True)
class Cited:
    """What one group cites, in order: ids as they are known, ids of nobody, other signs."""

    known: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    raw: tuple[str, ...] = ()

    @property
    def is_clean(self) -> bool:
        return bool(self.known) and not self.unknown and not self.raw


NOTHING = Cited()
Write = Callable[[Cited, str], str]  # what is cited, as it was written → what stands instead


def rewrite_citations(prose: str, known: Container[str], write: Write) -> str:
    """`prose` with every citation, in whatever form, replaced by what `write` says."""

    def bracket(match: re.Match[str]) -> str:
        cited = cited_in(match["inner"], known)
        if cited == NOTHING or _is_index(match, cited):
            return match[0]
        written = write(cited, match[0][len(match["before"]) :].strip())
        opens, closes = (
            [sign[0] for sign in _SIGNS[side].finditer(match[name])]
            for side, name in (("[", "opens"), ("]", "closes"))
        )
        pairs = min(len(opens), len(closes))  # what belongs to other brackets stays
        left, right = "".join(opens[pairs:]), "".join(closes[pairs:])
        space = match["space"] if cited.known or left else ""
        return f"{match['before']}{space}{left}{written}{right}"

    def round_bracket(match: re.Match[str]) -> str:
        cited = _in_round(match["inner"], known)
        if cited == NOTHING:
            return match[0]
        written = write(cited, match[0].strip())
        return match["space"] + written if cited.known else written

    def bare(match: re.Match[str]) -> str:
        key = _as_known(match[0].strip(), known)
        if key in known:
            return match["gap"] + write(Cited(known=(key,)), match[0].strip())
        if MADE_ID.fullmatch(key):
            return write(Cited(unknown=(key,)), match[0].strip())
        return match[0]

    def loose(match: re.Match[str]) -> str:
        return bare(match) if match["inner"] is None else round_bracket(match)

    def number(match: re.Match[str]) -> str:
        return write(Cited(raw=(match[0].strip(),)), match[0].strip())

    prose = _OTHER_TOOLS.sub(number, prose)
    prose = _SUP_TAG.sub(number, prose)
    prose = _SUPERSCRIPT.sub(number, prose)
    parts = _split_groups(prose, bracket)
    return "".join(part if is_group else _LOOSE.sub(loose, part) for part, is_group in parts)


def _split_groups(prose: str, write: Callable[[re.Match[str]], str]) -> list[tuple[str, bool]]:
    """Rewritten groups, and the prose between them, in which bare ids may stand."""
    parts: list[tuple[str, bool]] = []
    position = 0
    for match in GROUP.finditer(prose):
        written = write(match)
        if written != match[0] or _KEY.search(match["inner"]):
            parts += [(prose[position : match.start()], False), (written, True)]
            position = match.end()
    parts.append((prose[position:], False))
    return parts


def cited_in(inner: str, known: Container[str]) -> Cited:
    """What the inside of square brackets cites; `NOTHING` when they are words.

    Words beside a known or unmistakable id are taken for its trimmings ("p. 7", "see").
    """
    inner = _INVISIBLE.sub("", unicodedata.normalize("NFKC", inner))
    if inner.startswith("^"):  # a footnote
        return NOTHING if re.search(r"[-\\]", inner) else Cited(raw=(inner[:60],))
    ids: list[str] = []
    raw: list[str] = []
    words = 0
    for token in _TOKENS.findall(inner):
        bare = token.strip(_EDGES)
        if _KEY.fullmatch(bare):
            ids.append(_as_known(bare, known))
        elif _NUMBER.fullmatch(bare) or _OTHER_KEY.fullmatch(token.strip("[]()^")):
            raw.append(bare)
        elif bare.casefold() not in _JUNK and bare:
            words += 1
    ids = list(dict.fromkeys(ids))
    sure = [key for key in ids if key in known or MADE_ID.fullmatch(key)]
    if words and not sure:
        return NOTHING
    if ids:  # numbers beside an id are pages
        return Cited(
            known=tuple(key for key in ids if key in known),
            unknown=tuple(key for key in ids if key not in known),
            raw=tuple(raw if not words and not _has_page(inner) else ()),
        )
    # no list of sources begins at nought: "[0, 1]" is an interval
    if words or not raw or any(re.fullmatch(r"0+", number) for number in raw):
        return NOTHING
    return Cited(raw=tuple(raw))


def _has_page(inner: str) -> bool:
    return bool(re.search(r"\b(?:pp?|pages?|S|Seiten?)\b\.?\s?\d", inner))


def _as_known(key: str, known: Container[str]) -> str:
    """The id as it is known, whatever the case of its letters."""
    lower = "S" + key[1:].lower()
    return key if key in known else lower


def _is_index(match: re.Match[str], cited: Cited) -> bool:
    """`x[1]` is no citation: what stands right after a single letter is an index."""
    if match["space"] or cited.known or cited.unknown or len(match["before"]) != 1:
        return False
    start = match.start()
    return start == 0 or not match.string[start - 1].isalnum()


def _in_round(inner: str, known: Container[str]) -> Cited:
    """Round brackets cite only where they hold an id, or say "source" beside a number."""
    cited = cited_in(inner, known)
    if cited.known or any(MADE_ID.fullmatch(key) for key in cited.unknown):
        return cited
    named = re.fullmatch(r"\s*(?:sources?|refs?\.?|references?|quellen?|fuentes?|fonti|fonte)\W{0,3}\d{1,3}"
                         r"(?:\W{1,3}\d{1,3}){0,9}\s*", inner, re.IGNORECASE)  # fmt: skip
    return Cited(raw=(inner.strip(),)) if named else NOTHING
