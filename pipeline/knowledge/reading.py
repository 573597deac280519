"""From a file to what is stored of it: converted, cut into passages, terms made."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pipeline.knowledge.chunks import chunks_of
from pipeline.knowledge.convert import Converted, DocumentError, convert
from pipeline.knowledge.terms import language_of, terms_of
from pipeline.store.documents import Document, StoredChunk

TITLE_MAX_CHARS: Final = 200
NAME_MAX_CHARS: Final = 200


async def read_document(path: Path, name: str) -> tuple[Document, list[StoredChunk]]:
    """The document in the file `path`, which its owner calls `name`, with its passages.

    Raises `DocumentError` for a file that cannot be read, with what to do.
    """
    converted = await convert(path, name)
    return await asyncio.to_thread(_prepared, converted, path, name)


def _prepared(converted: Converted, path: Path, name: str) -> tuple[Document, list[StoredChunk]]:
    from pipeline.knowledge.index import to_bytes  # with numpy: only where documents are read

    cut = chunks_of(converted.pages)
    if not cut:
        raise DocumentError("empty", f"“{name}” has no text.")
    language = language_of("\n".join(chunk.text for chunk in cut[:40]))
    title = (converted.title.strip() or Path(name).stem)[:TITLE_MAX_CHARS]
    title_terms = terms_of(title, language)
    parts = [
        StoredChunk(
            position,
            chunk.path,
            chunk.page,
            chunk.text,
            to_bytes(
                [*title_terms, *terms_of(chunk.path, language), *terms_of(chunk.text, language)]
            ),
        )
        for position, chunk in enumerate(cut)
    ]
    numbered = any(page.number is not None for page in converted.pages)
    document = Document(
        id=secrets.token_urlsafe(16),
        name=name[:NAME_MAX_CHARS],
        title=title,
        kind=converted.kind,
        language=language,
        size=path.stat().st_size,
        pages=len(converted.pages) if numbered else None,
        chunk_count=len(parts),
        warnings=converted.warnings,
        digest=_digest(path),
        added_at=datetime.now(UTC),
    )
    return document, parts


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
