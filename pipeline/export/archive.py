"""The ZIP download: every form of the article and its posts, under names that are the same always."""

from __future__ import annotations

import zipfile
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.export.bundle import Bundle


def to_zip(bundle: Bundle) -> bytes:
    """Article as Markdown, HTML, DOCX and PDF, the posts, the JSON report; only what the run has."""
    files: dict[str, str | bytes] = {"report.json": bundle.json()}
    if bundle.article is not None:
        files |= {
            "article.md": bundle.markdown(),
            "article.html": bundle.html(),
            "article.docx": bundle.docx(),
            "article.pdf": bundle.pdf(),
        }
    if posts := bundle.posts_markdown():
        files["posts.md"] = posts
    at = bundle.run.created_at.timetuple()[:6]
    written = BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, (at[0], at[1], at[2], at[3], at[4], at[5]))
            entry.compress_type = zipfile.ZIP_DEFLATED
            data = content.encode("utf-8", "replace") if isinstance(content, str) else content
            archive.writestr(entry, data)
    return written.getvalue()
