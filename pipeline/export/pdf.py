"""The PDF download: the article set by Typst, which brings its own fonts.

All words go in as data, so that nothing a model wrote is read as markup; the root is an empty
folder, so that nothing could be read from this machine either.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.content.article import Article, first_words, source_name
from pipeline.content.citations import NumberedSource
from pipeline.content.inert import SAFE_TARGET
from pipeline.export.blocks import blocks_of, printable
from pipeline.models import DEMO_LABEL, RunRecord

TEMPLATE = Path(__file__).with_name("article.typ")
NAMED_MAX = 8  # signs without a glyph that are named
_MISSING = re.compile(r'the text `"(.{1,200}?)"` could not be displayed', re.DOTALL)
_ESCAPE = re.compile(r"\\u\{([0-9a-f]{1,6})\}")  # how Typst writes what is not printable


def to_pdf(run: RunRecord, article: Article) -> bytes:
    """The article as a PDF with an outline: title, labels, standfirst, text, numbered sources.

    Signs that no font here has are left out by the typesetter; a label then names them.
    """
    given = _given(run, article)
    if missing := missing_signs(given):
        names = ", ".join(f"U+{ord(sign):04X}" for sign in missing)
        given["labels"].append(f"Left out, as no font here can show them: {names}")
    return _compile(json.dumps(given))


def missing_signs(given: Mapping[str, Any]) -> str:
    """The first few characters no font here can show, each once; empty when all can be shown.

    PDF/A forbids such text, so asking for it names what a plain PDF drops without a word.
    """
    import typst

    text, found = json.dumps(given, ensure_ascii=False), ""
    for _ in range(NAMED_MAX):
        try:
            _compile(text, pdf_standards=["a-2b"])
        except typst.TypstError as error:
            missing = _MISSING.search(str(error))
            if missing is None:
                break  # it refuses something else; what a plain PDF makes of that will be seen
            named = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), missing[1])
            if named not in text:
                break
            found, text = found + named, text.replace(named, "")
        else:
            break
    return "".join(dict.fromkeys(found))


def _compile(article_json: str, **options: Any) -> bytes:
    import typst  # 80 MB that only this download needs

    with TemporaryDirectory(prefix="gantry-pdf-") as empty:
        made = typst.compile(
            TEMPLATE.read_bytes(), root=empty, sys_inputs={"article": article_json}, **options
        )
    if not isinstance(made, bytes):
        raise TypeError("Typst made no single document.")
    return made


def _given(run: RunRecord, article: Article) -> dict[str, Any]:
    at = run.created_at
    return {
        "title": printable(article.title),
        "author": f"Gantry: {DEMO_LABEL}" if run.spec.is_demo else "Gantry",
        "date": [at.year, at.month, at.day],
        "labels": [printable(label) for label in article.labels],
        "standfirst": printable(article.standfirst),
        "blocks": [asdict(block) for block in blocks_of(article.body_markdown)],
        "sources_title": "Sources",
        "sources": [_source(entry) for entry in article.sources],
    }


def _source(entry: NumberedSource) -> dict[str, Any]:
    source, said = entry.source, first_words(entry.source)
    return {
        "number": entry.number,
        "words": printable(source_name(source)),
        "url": printable(source.url) if SAFE_TARGET.match(source.url) else "",
        "said": printable(f": “{said}”") if said else "",
    }
