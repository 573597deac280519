"""A Markdown text as the blocks that a word processor or a typesetter knows. Pure.

What may be a link or an element is decided where the HTML is made (`rendering.py`); here the same
tokens become values, so that no writer meets markup again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from markdown_it.token import Token

from pipeline.content.inert import SAFE_TARGET
from pipeline.export.rendering import parse

Kind = Literal["heading", "paragraph", "item", "quote", "code", "rule", "table"]
# what XML 1.0 has no way to write
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Span:
    """Words in one look. `url` is empty, or an address a page may offer."""

    text: str
    bold: bool = False
    italic: bool = False
    strike: bool = False
    code: bool = False
    url: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """`level`: of a heading from 1; else how many lists the block is in.

    `number` is an item's own, None for a bullet; `first` says that its list begins here. `rows` are
    a table's, the heading first, each cell its spans.
    """

    kind: Kind
    spans: tuple[Span, ...] = ()
    level: int = 0
    number: int | None = None
    first: bool = False
    rows: tuple[tuple[tuple[Span, ...], ...], ...] = ()


def blocks_of(markdown: str) -> list[Block]:
    """The blocks of a text by a model, in order, whatever it holds."""
    return list(_Reader(parse(markdown)).blocks())


def printable(text: str) -> str:
    """`text` as XML can hold it; what it cannot becomes a replacement character."""
    return _NOT_XML.sub("\ufffd", text)


@dataclass(slots=True)
class _List:
    number: int | None  # of the next item
    fresh: bool = True


class _Reader:
    """Walks the tokens once, with the lists and quotes that are open."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._lists: list[_List] = []
        self._quotes = 0
        self._item: tuple[int | None, bool] | None = None  # an item whose text comes next

    def blocks(self) -> Iterator[Block]:
        position = 0
        while position < len(self._tokens):
            token = self._tokens[position]
            if self._item is not None and token.type not in ("paragraph_open", "inline"):
                yield self._begun_item(())  # it has no words of its own before what follows
            if token.type == "table_open":
                end = _close_of(self._tokens, position, "table_close")
                yield Block("table", rows=tuple(_rows(self._tokens[position:end])))
                position = end
            elif block := self._block(token, position):
                yield block
            position += 1

    def _block(self, token: Token, position: int) -> Block | None:
        match token.type:
            case "bullet_list_open":
                self._lists.append(_List(None))
            case "ordered_list_open":
                self._lists.append(_List(int(token.attrGet("start") or 1)))
            case "bullet_list_close" | "ordered_list_close":
                self._lists.pop()
            case "list_item_open":
                self._begin_item()
            case "blockquote_open":
                self._quotes += 1
            case "blockquote_close":
                self._quotes -= 1
            case "hr":
                return Block("rule")
            case "fence" | "code_block":
                text = printable(token.content.rstrip("\n"))
                return Block("code", (Span(text, code=True),), len(self._lists))
            case "inline":
                return self._text(token, self._tokens[position - 1])
            case _:
                pass  # the rest only closes what is read already
        return None

    def _begin_item(self) -> None:
        here = self._lists[-1]
        self._item = (here.number, here.fresh)
        here.fresh = False
        if here.number is not None:
            here.number += 1

    def _text(self, token: Token, opening: Token) -> Block:
        spans = tuple(_spans(token.children or ()))
        if opening.type == "heading_open":
            return Block("heading", spans, int(opening.tag[1]))
        if self._item is not None:
            return self._begun_item(spans)
        return Block("quote" if self._quotes else "paragraph", spans, len(self._lists))

    def _begun_item(self, spans: tuple[Span, ...]) -> Block:
        number, first = self._item or (None, False)
        self._item = None
        return Block("item", spans, len(self._lists), number, first)


def _close_of(tokens: Sequence[Token], start: int, kind: str) -> int:
    return next(n for n in range(start, len(tokens)) if tokens[n].type == kind)


def _rows(tokens: Sequence[Token]) -> Iterator[tuple[tuple[Span, ...], ...]]:
    row: list[tuple[Span, ...]] = []
    for token in tokens:
        if token.type == "inline":
            row.append(tuple(_spans(token.children or ())))
        elif token.type == "tr_close":
            yield tuple(row)
            row = []


def _spans(children: Sequence[Token]) -> Iterator[Span]:
    look = Span("")
    for token in children:
        match token.type:
            case "strong_open" | "strong_close":
                look = replace(look, bold=token.type == "strong_open")
            case "em_open" | "em_close":
                look = replace(look, italic=token.type == "em_open")
            case "s_open" | "s_close":
                look = replace(look, strike=token.type == "s_open")
            case "link_open":
                target = str(token.attrGet("href") or "")
                look = replace(look, url=target if SAFE_TARGET.match(target) else "")
            case "link_close":
                look = replace(look, url="")
            case "softbreak":
                yield replace(look, text=" ")
            case "hardbreak":
                yield replace(look, text="\n")
            case "code_inline":
                yield replace(look, text=printable(token.content), code=True)
            case _:
                if token.content:
                    yield replace(look, text=printable(token.content))
