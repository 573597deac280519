"""Cut a document's pages into chunks: what is indexed, found and shown as one passage.

Pure. markdown-it tells the blocks of a page apart; only its block rules run, so that the time grows
with the length of the text whatever is in it. A chunk keeps the document's characters. It never
spans pages, so that its page number is true, and does not end on a heading while text follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from markdown_it import MarkdownIt

from pipeline.knowledge.convert.model import PageText
from pipeline.knowledge.splitting import split_code, split_lines, split_prose, split_table

TINY = 1 / 4  # of the target: a section or a page's rest below it is joined with its neighbour
LINES_MAX = (
    100_000  # of a document; what follows is cut between lines, without a look at its structure
)
HEADING_MAX_CHARS = 300  # a longer "heading" is text
PATH_PART_MAX_CHARS = 120
BETWEEN = "\n\n"

# Without link definitions, which cost quadratic time in number, and without anything inside blocks.
_parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("reference")
_parser.core.ruler.enableOnly(["block"])
_SPLITTERS = {
    "fence": split_code,
    "code_block": split_lines,
    "table_open": split_table,
    "bullet_list_open": split_lines,
    "ordered_list_open": split_lines,
    "blockquote_open": split_lines,
    "lines": split_lines,
}
_HEADING_MARKS = re.compile(r"^ {0,3}#{1,6}[ \t]+|[ \t]+#+[ \t]*$|\n {0,3}(?:=+|-+)[ \t]*$")
_EMPHASIS = re.compile(r"[*`]|\\(?=[^\w\s])")


@dataclass(frozen=True, slots=True)
class Chunk:
    """`path` names the headings above the text, outermost first: "Safety › Boilers"."""

    path: str
    page: int | None
    text: str


@dataclass(frozen=True, slots=True)
class _Block:
    path: tuple[str, ...]
    page: int | None
    text: str
    is_heading: bool = False


@dataclass(slots=True)
class _Group:
    """Blocks that will be one chunk, and their size in characters."""

    blocks: list[_Block] = field(default_factory=list)
    size: int = 0
    body: _Block | None = None  # the first one that is no heading

    def add(self, block: _Block) -> None:
        self.blocks.append(block)
        self.size += len(block.text) + len(BETWEEN)
        if self.body is None and not block.is_heading:
            self.body = block

    def is_full_for(self, block: _Block, target_chars: int) -> bool:
        """Whether `block` has to begin the next chunk."""
        if self.size + len(block.text) > target_chars:
            # A few headings may stand above a block that fills the target alone.
            return self.body is not None or self.size > target_chars / 2
        if self.body is None:
            return False
        return self.body.page != block.page or (
            block.is_heading and self.size >= target_chars * TINY
        )

    def cut(self) -> tuple[_Group, _Group]:
        """This group without the headings at its end, and those; all of it when it is nothing else."""
        tail = list(takewhile(lambda block: block.is_heading, reversed(self.blocks)))
        if len(tail) == len(self.blocks):
            return self, _Group()
        head, rest = _Group(), _Group()
        for block in self.blocks[: len(self.blocks) - len(tail)]:
            head.add(block)
        for block in reversed(tail):
            rest.add(block)
        return head, rest

    def chunk(self) -> Chunk:
        body = self.body or self.blocks[-1]
        texts = [block.text for block in self.blocks]
        return Chunk(" › ".join(_common_path(self.blocks)), body.page, BETWEEN.join(texts))


def chunks_of(pages: Sequence[PageText], target_chars: int = 1_200) -> list[Chunk]:
    """The chunks of a document in its order, about `target_chars` each and at most twice that.

    Headings stand in the text above what they head and, shortened, in `path`. A table that is cut
    repeats its header, a code fence its fence. Time grows with the length of the text.
    """
    chunks: list[Chunk] = []
    for group in _groups(_blocks(pages, target_chars), target_chars):
        chunk = group.chunk()
        if chunks and _is_rest_of(chunk, chunks[-1], target_chars):
            before = chunks.pop()
            chunk = Chunk(before.path, before.page, f"{before.text}{BETWEEN}{chunk.text}")
        chunks.append(chunk)
    return chunks


def _is_rest_of(chunk: Chunk, before: Chunk, target_chars: int) -> bool:
    """Too little to stand alone, and on the same page and in the same section as what is before."""
    return (
        len(chunk.text) < target_chars * TINY
        and (chunk.page, chunk.path) == (before.page, before.path)
        and len(before.text) <= target_chars * 3 / 2
    )


def _groups(blocks: Iterator[_Block], target_chars: int) -> Iterator[_Group]:
    group = _Group()
    for block in blocks:
        if group.is_full_for(block, target_chars):
            done, group = group.cut()
            yield done
        group.add(block)
    if group.blocks:
        yield group


def _blocks(pages: Sequence[PageText], target_chars: int) -> Iterator[_Block]:
    path: dict[int, str] = {}  # level of a heading → its words
    lines = 0
    for page in pages:
        text = page.markdown.replace("\r\n", "\n").replace("\r", "\n")
        lines += text.count("\n") + 1
        sources = _sources(text) if lines <= LINES_MAX else [("lines", 0, text)]
        for kind, level, source in sources:
            if level and len(source) <= HEADING_MAX_CHARS:
                path = {above: title for above, title in path.items() if above < level}
                path[level] = _title(source)
                yield _Block(_parts(path), page.number, source, is_heading=True)
                continue
            for piece in _SPLITTERS.get(kind, split_prose)(source, target_chars):
                yield _Block(_parts(path), page.number, piece)


def _sources(text: str) -> Iterator[tuple[str, int, str]]:
    """The outermost blocks of a Markdown text: kind, level of a heading or 0, the text as it stands.

    Lines that belong to no block are given as paragraphs: nothing is lost.
    """
    lines = text.split("\n")
    at = 0
    for token in _parser.parse(text):
        if token.level or token.map is None or token.nesting < 0:
            continue
        start, end = max(token.map[0], at), token.map[1]
        yield from _paragraph(lines[at:start])
        source = "\n".join(lines[start:end]).strip("\n").rstrip()
        if source.strip():
            yield token.type, int(token.tag[1]) if token.type == "heading_open" else 0, source
        at = max(at, end)
    yield from _paragraph(lines[at:])


def _paragraph(lines: list[str]) -> Iterator[tuple[str, int, str]]:
    text = "\n".join(lines).strip()
    if text:
        yield "paragraph_open", 0, text


def _title(source: str) -> str:
    words = _EMPHASIS.sub("", _HEADING_MARKS.sub("", source))
    return " ".join(words.split())[:PATH_PART_MAX_CHARS]


def _parts(path: dict[int, str]) -> tuple[str, ...]:
    return tuple(title for _, title in sorted(path.items()) if title)


def _common_path(blocks: Sequence[_Block]) -> tuple[str, ...]:
    """What the paths of a chunk's blocks share; where that is nothing, the path of the first text."""
    paths = [block.path for block in blocks if not block.is_heading] or [blocks[-1].path]
    shared: list[str] = []
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return tuple(shared) or paths[0]
