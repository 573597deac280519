"""Documents go through a child process: each kind comes back as text, each bad one as one clear error."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import psutil
import pytest

from pipeline.knowledge.convert import Converted, DocumentError, Limits, convert
from pipeline.knowledge.convert.model import Answer
from pipeline.knowledge.convert.process import _checked
from pipeline.knowledge.convert.reading import read_document
from pipeline.knowledge.convert.text import clean
from tests.children import isolated_children
from tests.unit.knowledge import files
from tests.unit.knowledge.hostile import HOSTILE_LINES

pytestmark = pytest.mark.slow


async def converted(
    folder: Path, data: bytes, name: str, limits: Limits | None = None
) -> Converted:
    """As an upload is: under a name of ours, and the person's name told apart from it."""
    path = folder / "upload"
    path.write_bytes(data)
    return await convert(path, name, limits or Limits())


def read(folder: Path, data: bytes, name: str) -> Converted:
    """What the child does, here: starting one for each of many files takes its time."""
    path = folder / "upload"
    path.write_bytes(data)
    return read_document(path, name, Limits())


async def reason(folder: Path, data: bytes, name: str, limits: Limits | None = None) -> str:
    with pytest.raises(DocumentError) as refused:
        await converted(folder, data, name, limits)
    assert refused.value.message.endswith(".") and refused.value.hint.endswith(".")
    return refused.value.reason


async def first_child() -> psutil.Process:
    """The child, as soon as there is one."""
    while not (found := isolated_children()):  # noqa: ASYNC110 - nobody tells us
        await asyncio.sleep(0.005)
    return found[0]


@cache
def good(name: str) -> bytes:
    match name.rpartition(".")[2]:
        case "pdf":
            return files.pdf("= Boilers\nThey are hot.", title="A report")
        case "docx":
            return files.docx(("Heading 1", "Boilers"), "They are hot.")
        case "pptx":
            return files.pptx(("Boilers", "They are hot."))
        case "html":
            return b"<!doctype html><title>T</title><h1>Boilers</h1><p>They are hot."
        case _:
            return b"# Boilers\n\nThey are hot."


def noise() -> bytes:
    return bytes(range(256)) * 40


def picture() -> bytes:
    return b"\x89PNG\r\n\x1a\n" + bytes(100)


def bomb() -> bytes:
    return files.with_part(good("x.docx"), "word/document.xml", b" " * 300_000_000)


@pytest.mark.parametrize(
    "name", [f"report.{kind}" for kind in ("pdf", "docx", "pptx", "html", "md", "txt")]
)
async def test_every_kind_is_read_with_its_heading_and_text(tmp_path: Path, name: str) -> None:
    found = await converted(tmp_path, good(name), name)

    text = found.pages[0].markdown
    assert found.kind == name.rpartition(".")[2]
    assert text.replace("## ", "# ") == "# Boilers\n\nThey are hot."
    assert found.pages[0].number == (1 if found.kind in ("pdf", "pptx") else None)
    assert found.warnings == ()


BAD: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "a password (AES)": ("x.pdf", lambda: files.encrypted_pdf("secret"), "encrypted"),
    "a password (RC4)": ("x.pdf", lambda: files.encrypted_pdf("secret", "RC4-128"), "encrypted"),
    "an office password": ("x.docx", lambda: files.ENCRYPTED_OFFICE, "encrypted"),
    "half a PDF": ("x.pdf", lambda: good("x.pdf")[:2_000], "broken"),
    "a PDF's header and noise": ("x.pdf", lambda: b"%PDF-1.7\n" + noise(), "broken"),
    "half a DOCX": ("x.docx", lambda: good("x.docx")[:9_000], "broken"),
    "half a PPTX": ("x.pptx", lambda: good("x.pptx")[:9_000], "broken"),
    "scans": ("x.pdf", lambda: files.scanned_pdf(pages=3), "scanned_only"),
    "numbered scans": ("x.pdf", lambda: files.scanned_pdf(pages=4, stamp="Page"), "scanned_only"),
    "an empty PDF": ("x.pdf", lambda: files.pdf(""), "empty"),
    "an empty DOCX": ("x.docx", files.docx, "empty"),
    "no bytes": ("x.txt", bytes, "empty"),
    "only a script": ("x.html", lambda: b"<html><script>alert(1)</script>", "empty"),
    "a picture named PDF": ("x.pdf", picture, "mislabelled"),
    "an old document named DOCX": ("x.docx", lambda: files.OLD_OFFICE, "mislabelled"),
    "an archive named DOCX": ("x.docx", lambda: files.zipped({"a.txt": b"a"}), "mislabelled"),
    "an archive": ("x.zip", lambda: files.zipped({"a.txt": b"a"}), "unsupported"),
    "an old document": ("x.doc", lambda: files.OLD_OFFICE, "unsupported"),
    "a picture": ("x.png", picture, "unsupported"),
    "noise named text": ("x.txt", noise, "unsupported"),
    "a bomb": ("x.docx", bomb, "bomb"),
}


@pytest.mark.parametrize(("name", "data", "wanted"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_read_is_told_in_one_word_and_what_to_do(
    tmp_path: Path, name: str, data: Callable[[], bytes], wanted: str
) -> None:
    with pytest.raises(DocumentError) as refused:
        read(tmp_path, data(), name)

    assert refused.value.reason == wanted
    assert refused.value.message.endswith(".") and refused.value.hint.endswith(".")


async def test_what_the_child_refuses_is_told_in_its_words(tmp_path: Path) -> None:
    assert await reason(tmp_path, files.encrypted_pdf("secret"), "x.pdf") == "encrypted"


MISNAMED = [
    ("x.docx", "html"),
    ("x.txt", "pdf"),
    ("x.docx", "pptx"),
    ("x.pdf", "docx"),
    ("x.pdf", "txt"),
]


@pytest.mark.parametrize(("name", "kind"), MISNAMED)
def test_a_wrong_name_is_said_and_the_file_read_as_what_it_is(
    tmp_path: Path, name: str, kind: str
) -> None:
    found = read(tmp_path, good(f"x.{kind}"), name)

    assert found.kind == kind
    assert "They are hot." in found.pages[0].markdown
    assert len(found.warnings) == 1
    assert found.warnings[0].startswith(f"It is named {Path(name).suffix}, but is ")


async def test_too_large_a_file_is_not_opened(tmp_path: Path) -> None:
    assert await reason(tmp_path, good("report.pdf"), "x.pdf", Limits(max_bytes=100)) == "too_large"


@pytest.mark.parametrize("kind", ["pdf", "pptx"])
async def test_too_many_pages_are_not_read(tmp_path: Path, kind: str) -> None:
    data = files.pdf(*["page"] * 5) if kind == "pdf" else files.pptx(*[("t", "x")] * 5)

    assert await reason(tmp_path, data, f"x.{kind}", Limits(max_pages=4)) == "too_many_pages"


async def test_too_much_text_is_refused(tmp_path: Path) -> None:
    assert await reason(tmp_path, b"x" * 101, "x.txt", Limits(max_text_chars=100)) == "too_large"


async def test_a_document_that_takes_too_long_is_given_up_and_its_process_is_gone(
    tmp_path: Path,
) -> None:
    before = time.monotonic()

    told = await reason(tmp_path, good("report.pdf"), "x.pdf", Limits(timeout_s=0.05))

    assert told == "timed_out"
    assert time.monotonic() - before < 5
    assert isolated_children() == []


@pytest.mark.slow
async def test_a_document_that_needs_too_much_memory_is_given_up(tmp_path: Path) -> None:
    """A page of two million words as one element: more than the little memory given."""
    page = b"<html><p>" + b"<b>word</b> " * 2_000_000

    assert await reason(tmp_path, page, "x.html", Limits(memory_mb=200)) == "out_of_memory"


async def test_a_cancelled_conversion_leaves_no_process(tmp_path: Path) -> None:
    task = asyncio.create_task(converted(tmp_path, files.pdf(*["page"] * 300), "x.pdf"))
    await first_child()

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert isolated_children() == []


async def test_several_ask_at_once_and_one_is_converted_at_a_time(tmp_path: Path) -> None:
    paths = [tmp_path / str(n) for n in range(3)]
    for path in paths:
        path.write_bytes(b"They are hot.")
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, len(isolated_children()))
            await asyncio.sleep(0.002)

    watching = asyncio.create_task(watch())
    found = await asyncio.gather(*(convert(path, "x.txt") for path in paths))
    watching.cancel()

    assert [c.pages[0].markdown for c in found] == ["They are hot."] * 3
    assert most == 1


async def test_the_child_sees_no_key_of_ours_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-the-child")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    task = asyncio.create_task(converted(tmp_path, files.pdf(*["page"] * 100), "x.pdf"))
    child = await first_child()

    seen = child.environ()
    await task

    assert "OPENAI_API_KEY" not in seen
    assert set(seen) <= {
        *("HOME", "TMPDIR", "PYTHONPATH", "PYTHONUTF8", "PYTHONDONTWRITEBYTECODE"),
        *("MALLOC_ARENA_MAX", "TOKIO_WORKER_THREADS", "RAYON_NUM_THREADS", "LC_CTYPE"),
    }
    assert os.listdir(tmp_path / "temporary") == []  # noqa: PTH208


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd.txt",
        "/etc/passwd",
        "a\x00.txt",
        "\ud800.md",
        "x" * 10_000,
        "$(id).txt",
        "",
    ],
)
def test_a_hostile_name_is_only_words(tmp_path: Path, name: str) -> None:
    found = read(tmp_path, b"They are hot.", name)

    assert found.pages[0].markdown == "They are hot."
    assert "/" not in found.title and len(found.title) <= 300


def test_hostile_lines_as_names_are_titles_and_no_paths(tmp_path: Path) -> None:
    """A person may call a file anything; it is read from where we put it, and called what they say."""
    for line in HOSTILE_LINES:
        found = read(tmp_path, b"They are hot.", f"{line}.txt")

        assert found.pages[0].markdown == "They are hot."
        assert found.title in " ".join(clean(line).split()) or found.title == "Untitled document"
    assert [path.name for path in tmp_path.iterdir()] == ["upload"]


async def test_a_name_of_half_characters_reaches_the_child(tmp_path: Path) -> None:
    found = await converted(tmp_path, b"They are hot.", "\ud800.md")

    assert found.title == "\ufffd"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"{}",
        b"[1]",
        b"\xff",
        b'{"converted": {"title": "x", "kind": "exe", "pages": []}}',
        b'{"error": {"reason": "other", "message": "", "hint": ""}}',
    ],
)
def test_an_odd_answer_of_the_child_is_a_broken_document(answer: bytes) -> None:
    with pytest.raises(DocumentError) as refused:
        _checked(answer, Limits())

    assert refused.value.reason == "broken"
    assert Answer() == Answer(None, None)


def test_no_library_that_opens_documents_is_loaded_by_the_server() -> None:
    script = (
        "import sys, pipeline.knowledge.convert, pipeline.knowledge.chunks;"
        "print([m for m in ('kreuzberg', 'lxml', 'docx', 'PIL', 'pydantic') if m in sys.modules])"
    )

    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert told.stdout.strip() == "[]"
