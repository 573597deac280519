"""PDFs that mean harm are read without it, or refused in words; the server goes on."""

from __future__ import annotations

import socket
import zlib
from pathlib import Path

import pytest

from pipeline.knowledge.convert import Converted, DocumentError, Limits, convert
from tests.unit.knowledge.files import pdf_text, raw_pdf

SMALL = Limits(memory_mb=200, timeout_s=60)


async def read(folder: Path, data: bytes) -> Converted:
    path = folder / "x.pdf"
    path.write_bytes(data)
    return await convert(path, "x.pdf", SMALL)


def packed(part: bytes, times: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(part) for _ in range(times)) + packer.flush()


@pytest.mark.parametrize(
    ("part", "times"),
    [(b" " * 10_000_000, 100), (pdf_text(b"Hello") * 100_000, 40)],
    ids=["of white space", "of words"],
)
@pytest.mark.slow
async def test_a_page_that_unpacks_to_gigabytes_is_refused(
    tmp_path: Path, part: bytes, times: int
) -> None:
    with pytest.raises(DocumentError) as refused:
        await read(tmp_path, raw_pdf(packed(part, times), packed=True))

    assert refused.value.reason in ("out_of_memory", "broken", "too_large")


@pytest.mark.parametrize(
    ("pages", "reason"),
    [
        (b"/Kids[2 0 R 2 0 R]/Count 1000000", "too_many_pages"),
        (b"/Kids[3 0 R]/Count 2000000000", "empty"),
        (b"/Kids[9 0 R]/Count 1", "broken"),
    ],
    ids=["a circle of pages", "pages that are not there", "a page that is not there"],
)
async def test_pages_that_are_not_what_is_said_are_refused(
    tmp_path: Path, pages: bytes, reason: str
) -> None:
    with pytest.raises(DocumentError) as refused:
        await read(tmp_path, raw_pdf(pages=pages))

    assert refused.value.reason == reason


@pytest.mark.parametrize("size", [14_000, 1_000_000])
async def test_a_huge_page_is_not_drawn(tmp_path: Path, size: int) -> None:
    with pytest.raises(DocumentError) as refused:
        await read(tmp_path, raw_pdf(b"0 0 10 10 re f", media=b"[0 0 %d %d]" % (size, size)))

    assert refused.value.reason == "scanned_only"


async def test_what_a_pdf_wants_to_do_when_it_opens_is_not_done(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        address = b"http://127.0.0.1:%d/" % server.getsockname()[1]
        for action in (b"/S/URI/URI(%b)", b"/S/JavaScript/JS(app.launchURL\\('%b'\\))"):
            data = raw_pdf(pdf_text(b"Hello"), catalog=b"/OpenAction<<%b>>" % (action % address))

            assert (await read(tmp_path, data)).pages[0].markdown == "Hello"

        with pytest.raises(TimeoutError):
            server.accept()


async def test_control_characters_of_a_page_are_left_out(tmp_path: Path) -> None:
    found = await read(tmp_path, raw_pdf(pdf_text(b"He\\000llo\\007 \\033there")))

    assert found.pages[0].markdown == "Hello there"


async def test_brackets_without_end_are_read_in_time(tmp_path: Path) -> None:
    with pytest.raises(DocumentError) as refused:
        await read(tmp_path, raw_pdf(b"[" * 3_000_000))

    assert refused.value.reason == "empty"
