"""Read a PDF: the text of each page, with its headings where they can be told. Runs in the child process.

kreuzberg gives the characters of a page exactly, and apart from them Markdown in which headings are
guessed by size but characters may be lost. So the words come from the pages, and a line is marked
as a heading where the Markdown has that very line as one.
"""

from __future__ import annotations

import io
import mmap
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import kreuzberg
from PIL import Image

from pipeline.errors import DocumentError
from pipeline.knowledge.convert.model import Converted, Limits, PageText
from pipeline.knowledge.convert.page_lines import Headings, Margins, page_markdown
from pipeline.knowledge.convert.text import clean, one_line, title_of

PAGES_WITH_HEADINGS = 1_000  # of more, headings are not looked for: it takes three times as long
LOOKED_AT = 50  # wordless pages that are drawn, to tell an empty page from a picture of one
NAMED = 20  # pages in a warning
LETTERS_MIN = 3  # on a page with fewer there are no words, a number at most
STAMP_LETTERS_MAX = 100  # on a page with more there is text, whatever repeats
STAMPED = 0.5  # a line on so many of at least `STAMP_PAGES` pages is a stamp, not text
STAMP_PAGES = 3
DPI = 72  # the least it draws
DRAWN_MAX_POINTS = (
    2_500.0  # a page higher or wider is not drawn: it would take its square in memory
)

_DIGITS = re.compile(r"\d+")
_ENCRYPTED = b"/Encrypt"
# A date that is no date breaks kreuzberg 4.10 (metadata.rs cuts it inside a character). Nobody asks for it.
_ODD_DATE = re.compile(
    rb"/(?:CreationDate|ModDate)(?=\s*(?:<|\([^()]{0,100}?(?:[\x80-\xff]|\\[23][0-7]{2})))"
)
_PICTURE = re.compile(rb"/Subtype\s*/Image\b")  # stands in the open in every file that has one


def read_pdf(path: Path, data: bytes, name: str, limits: Limits) -> Converted:
    """Every page; those that are pictures are empty and named in a warning. Raises `DocumentError`."""
    try:
        count = _page_count(path)
        if count > limits.max_pages:
            raise _too_many(count, limits)
        found = _extracted(_without_odd_dates(data), markdown=count <= PAGES_WITH_HEADINGS)
        contents = {page["page_number"]: page["content"] for page in found.pages or []}
        texts = [clean(contents.get(number, "")) for number in range(1, count + 1)]
        wordless = _wordless(texts, has_pictures=_PICTURE.search(data) is not None)
        scanned = _scanned(path, wordless, _large_pages(found))
    except (kreuzberg.KreuzbergError, RuntimeError) as error:  # what draws pages raises the latter
        raise _unreadable(data) from error
    if scanned and len(wordless) == len(texts):
        raise _needs_ocr()
    headings = Headings(found.content if count <= PAGES_WITH_HEADINGS else "")
    margins = Margins(texts)
    pages = [PageText(n, page_markdown(text, headings, margins)) for n, text in enumerate(texts, 1)]
    title = found.metadata.get("title")
    return Converted(
        title=one_line(title if isinstance(title, str) else "") or title_of(name),
        kind="pdf",
        pages=tuple(pages),
        warnings=_warnings(scanned, count),
    )


def _page_count(path: Path) -> int:
    with kreuzberg.PdfPageIterator(str(path), dpi=DPI) as pages:
        return len(pages)


def _without_odd_dates(data: bytes) -> bytes:
    """Their keys renamed, no byte more or less: a PDF names its objects by their places."""
    return _ODD_DATE.sub(lambda key: key[0][:-1] + b"_", data)


def _extracted(data: bytes, *, markdown: bool) -> kreuzberg.ExtractionResult:
    config = kreuzberg.ExtractionConfig(
        output_format="markdown" if markdown else "plain",
        use_cache=False,
        disable_ocr=True,  # type: ignore[call-arg]  # the library has it, its stubs do not
        enable_quality_processing=False,
        concurrency=kreuzberg.ConcurrencyConfig(max_threads=1),
        pages=kreuzberg.PageConfig(extract_pages=True),
    )
    return kreuzberg.extract_bytes_sync(data, "application/pdf", config=config)


def _scanned(path: Path, wordless: Sequence[int], large: set[int]) -> tuple[int, ...]:
    """Those of the pages without words that show something; not looked at, a page is taken to."""
    looked_at = set(wordless[:LOOKED_AT]) - large
    return tuple(n for n in wordless if n not in looked_at or _shows_something(path, n))


def _large_pages(found: kreuzberg.ExtractionResult) -> set[int]:
    """Numbers of the pages that are not drawn, also those whose size is not told."""
    told = found.metadata.get("pages") or {}
    sizes = {page["number"]: page.get("dimensions") for page in told.get("pages") or []}
    numbers = range(1, len(found.pages or []) + 1)
    return {n for n in numbers if max(sizes.get(n) or (DRAWN_MAX_POINTS * 2,)) > DRAWN_MAX_POINTS}


def _wordless(texts: Sequence[str], *, has_pictures: bool) -> tuple[int, ...]:
    """Numbers of the pages without words of their own.

    In a file with pictures a line that stands on half of the pages may be a stamp on scans.
    """
    lines = [{_DIGITS.sub("", line.strip()) for line in text.split("\n")} for text in texts]
    spread = Counter(line for on_page in lines for line in on_page)
    enough = max(len(texts) * STAMPED, STAMP_PAGES)
    stamps = {line for line, pages in spread.items() if has_pictures and pages >= enough}
    return tuple(
        number
        for number, (text, on_page) in enumerate(zip(texts, lines, strict=True), 1)
        if _letters("".join(on_page - stamps)) < LETTERS_MIN and _letters(text) < STAMP_LETTERS_MAX
    )


def _letters(text: str) -> int:
    return sum(map(str.isalpha, text))


def _shows_something(path: Path, number: int) -> bool:
    """Whether the page, drawn, has more than one colour."""
    png = kreuzberg.render_pdf_page(str(path), number - 1, dpi=DPI)
    with Image.open(io.BytesIO(png)) as picture:
        low, high = picture.convert("L").getextrema()
    return low != high


def _warnings(scanned: Sequence[int], count: int) -> tuple[str, ...]:
    told: list[str] = []
    if scanned:
        named = ", ".join(map(str, scanned[:NAMED])) + (" and more" if scanned[NAMED:] else "")
        told.append(
            f"Pages without text, which are pictures or scans: {named}. What they say is not found"
            " until text recognition (OCR) was run on the file."
        )
    if count > PAGES_WITH_HEADINGS:
        told.append(
            f"It has more than {PAGES_WITH_HEADINGS:,} pages, so its headings were not looked for."
        )
    return tuple(told)


def _too_many(count: int, limits: Limits) -> DocumentError:
    return DocumentError(
        "too_many_pages",
        f"The document has {count:,} pages; at most {limits.max_pages:,} are read.",
        "Split it, or upload only the part you need.",
    )


def _needs_ocr() -> DocumentError:
    return DocumentError(
        "scanned_only",
        "The pages are pictures: there is no text in the file.",
        "Run text recognition (OCR) on it, in your scanner's program for example, and upload the result.",
    )


def _unreadable(data: bytes) -> DocumentError:
    if not _may_load_programs():
        return DocumentError(
            "unsupported",
            "This server cannot read PDFs: its folder for temporary files forbids programs (noexec).",
            "Whoever runs it sets TMPDIR to a folder that allows them, or mounts that one with exec.",
        )
    # The library has one error for all of these; an encrypted file says so in a dictionary of its own.
    if _ENCRYPTED in data:
        return DocumentError(
            "encrypted",
            "The document is protected by a password.",
            "Remove the password (print it to a new PDF, for example), and upload it again.",
        )
    return DocumentError(
        "broken",
        "The PDF is damaged or was not saved completely.",
        "Save it again from the program it was made with.",
    )


def _may_load_programs() -> bool:
    """Whether the library that kreuzberg unpacks into the folder for temporary files can be loaded."""
    if sys.platform == "win32":
        return True
    with tempfile.TemporaryFile() as file:
        file.write(b"x")
        file.flush()
        try:
            mmap.mmap(file.fileno(), 1, prot=mmap.PROT_READ | mmap.PROT_EXEC).close()
        except PermissionError:
            return False
    return True
