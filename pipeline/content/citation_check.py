"""Find what is wrong with the citations of one text, and take it out.

`mended` is what every text passes: after it only ids of known sources are cited, in one form, and no
address stands in the text but those of sources. `lost_citations` compares an edited text with its
draft. What a model is told about it is `citation_review.py`'s matter, what readers are told
`article.py`'s.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.content.addresses import canonical, unlink
from pipeline.content.citation_forms import Cited, cited_in, rewrite_citations
from pipeline.content.citations import drop_markers
from pipeline.content.claim_words import ClaimWords, claim_words
from pipeline.content.prose import map_prose, map_unfenced
from pipeline.content.source_lists import cut_source_lists
from pipeline.content.statements import cut, plain_words, statements, text_blocks
from pipeline.models import Flag, FlagKind, Source

DETAIL_MAX_CHARS = 200
SENTENCE_MAX_CHARS = 600
PASSES_MAX = 8
SAME_CLAIM = 0.6  # of the draft sentence's words, for a sentence that still says the same

# Characters that are none, and that no text may hold: they mark places while a text is rewritten.
_BEGIN, _FIRST_DIGIT, _BASE = 0xFDD0, 0xFDD1, 31
_PLACE = re.compile("\ufdd0([\ufdd1-\ufdef]+)")
_ANY_PLACE = re.compile("[\ufdd0-\ufdef]")
_CODE = re.compile(r"(?<!`)(`{1,2})(?!`)\s?([^`\n]{2,120}?)\s?\1(?!`)")
_HEADING = re.compile(
    r"^ {0,3}#{1,6}[ \t].*$|^(?! {0,3}[#>*+\-|])\S.*(?=\n {0,3}(?:=+|-{2,})[ \t]*$)", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Mended:
    """A text whose citations and addresses are all of known sources, and what was not so before."""

    text: str
    flags: tuple[Flag, ...]


def mended(
    text: str,
    sources: Iterable[Source],
    own_pages: Iterable[str] = (),
    *,
    may_cite: bool = True,
) -> Mended:
    """`text` without citations and addresses of nothing. Mending twice changes nothing more.

    `own_pages` are addresses that may stand in it beside those of sources.

    With `may_cite` False no citation stays at all: each is misplaced (titles, summaries, posts).
    """
    known = {source.id: source for source in sources}
    urls = {canonical(url) for url in (*own_pages, *(s.url for s in known.values())) if url}
    places = _Places()
    text = _ANY_PLACE.sub("", text)
    for _ in range(PASSES_MAX):
        before, text = text, _once(text, known, urls, places, may_cite=may_cite)
        if text == before:
            break
    return Mended(_PLACE.sub("", text), places.flags(text))


def _once(
    text: str,
    known: Mapping[str, Source],
    urls: Container[str],
    places: _Places,
    *,
    may_cite: bool,
) -> str:
    """One pass. What it takes away may bring two brackets together, so there may be another."""
    text, labels = cut_source_lists(_uncode(text, known), places.note_list)
    text = unlink(
        text,
        lambda url: canonical(url) in urls,
        lambda url: places.mark(FlagKind.INVENTED_URL, url),
        labels,
    )
    write = places.writer(may_cite=may_cite)
    text = map_prose(text, lambda prose: rewrite_citations(prose, known, write))
    return map_unfenced(text, lambda block: _HEADING.sub(places.clean_heading, block))


class _Places:
    """What was found, and signs in the text for where; the order of finding is not the text's."""

    def __init__(self) -> None:
        self._found: list[tuple[FlagKind, str]] = []

    def mark(self, kind: FlagKind, detail: str) -> str:
        number, digits = len(self._found), ""
        self._found.append((kind, _PLACE.sub("", detail).strip()[:DETAIL_MAX_CHARS]))
        while number or not digits:
            number, digit = divmod(number, _BASE)
            digits += chr(_FIRST_DIGIT + digit)
        return chr(_BEGIN) + digits

    def note_list(self, block: str) -> None:
        """A list stands in no sentence: it is noted, and leaves no sign."""
        self.mark(FlagKind.SOURCE_LIST, block)

    def writer(self, *, may_cite: bool) -> Callable[[Cited, str], str]:
        def write(cited: Cited, written: str) -> str:
            marks = [self.mark(FlagKind.UNKNOWN_KEY, key) for key in cited.unknown]
            if cited.raw:
                marks.append(self.mark(FlagKind.RAW_NUMBER, written))
            if cited.known and not may_cite:
                marks.append(self.mark(FlagKind.MISPLACED_KEY, written))
            kept = f"[{', '.join(cited.known)}]" if cited.known and may_cite else ""
            return kept + "".join(marks)

        return write

    def clean_heading(self, match: re.Match[str]) -> str:
        """Headings cite nothing: they claim nothing, and tables of contents repeat them."""
        heading = match[0]
        bare = drop_markers(heading)
        return heading if bare == heading else bare + self.mark(FlagKind.MISPLACED_KEY, heading)

    def flags(self, marked: str) -> tuple[Flag, ...]:
        """The flags in the text's order, each with the sentence it stands in."""
        if not self._found:
            return ()
        left = dict(enumerate(self._found))
        flags = []
        for kind, marked_line in text_blocks(marked):
            if chr(_BEGIN) not in marked_line:
                continue
            line, places = _without_places(marked_line)
            for number, sentence in _sentences_at(places, line, cut(kind, line)):
                if found := left.pop(number, None):
                    flags.append(Flag(found[0], sentence, found[1]))
        return (*flags, *(Flag(kind, "", detail) for kind, detail in left.values()))


def _without_places(marked: str) -> tuple[str, list[tuple[int, int]]]:
    """The line without signs, and for each sign where it stood and its number."""
    parts, places, length, position = [], [], 0, 0
    for match in _PLACE.finditer(marked):
        parts.append(marked[position : match.start()])
        length += len(parts[-1])
        places.append((length, _number(match[1])))
        position = match.end()
    return "".join([*parts, marked[position:]]), places


def _sentences_at(
    places: Sequence[tuple[int, int]], line: str, parts: Sequence[str]
) -> Iterator[tuple[int, str]]:
    """The number of each place, and the words of the sentence it stands in or right behind."""
    end, waiting = 0, list(places)
    for part in parts:
        end = line.find(part, end) + len(part)
        while waiting and (waiting[0][0] <= end or part is parts[-1]):
            yield waiting.pop(0)[1], plain_words(part)[:SENTENCE_MAX_CHARS]


def _number(digits: str) -> int:
    return sum((ord(digit) - _FIRST_DIGIT) * _BASE**power for power, digit in enumerate(digits))


def _uncode(text: str, known: Container[str]) -> str:
    """A marker that was written as code (`` `[S1a2b]` ``) is a marker."""

    def plain(match: re.Match[str]) -> str:
        inner = match[2].strip("[]【】 ")
        cited = cited_in(inner, known)
        return match[2] if cited.known or cited.unknown else match[0]

    return map_unfenced(text, lambda block: _CODE.sub(plain, block))


def lost_citations(draft: str, edited: str) -> tuple[Flag, ...]:
    """Claims of the draft that the edited text still makes, without the source they had.

    A claim that was cut took its citation along, which an editor may do. A claim is still made where
    a sentence has most of its words and all its numbers; its citation may stand anywhere in that
    paragraph.
    """
    after = [s for s in statements(edited) if s.kind != "heading"]
    words = [claim_words(s.text) for s in after]
    having: dict[str, list[int]] = defaultdict(list)
    kept: dict[int, set[str]] = defaultdict(set)
    for at, statement in enumerate(after):
        kept[statement.block] |= set(statement.keys)
        for stem in words[at].stems:
            having[stem].append(at)
    flags = []
    for claim in statements(draft):
        if not claim.keys or claim.kind == "heading":
            continue
        place = _same_claim(claim_words(claim.text), words, having)
        if place is not None and not kept[after[place].block] & set(claim.keys):
            sentence = after[place].text[:SENTENCE_MAX_CHARS]
            flags.append(Flag(FlagKind.LOST_KEY, sentence, ", ".join(claim.keys)))
    return tuple(dict.fromkeys(flags))


def _same_claim(
    claim: ClaimWords, words: Sequence[ClaimWords], having: Mapping[str, Sequence[int]]
) -> int | None:
    """Which sentence still makes the claim, if one does."""
    counts = Counter(at for stem in claim.stems for at in having.get(stem, ()))
    for at, count in counts.most_common(3):
        if count >= SAME_CLAIM * len(claim.stems) and claim.numbers <= words[at].numbers:
            return at
    return None
