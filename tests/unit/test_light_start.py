"""What is heavy loads when it is used, not when the dashboard starts."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "bm25s",
    "docx",
    "kreuzberg",
    "lxml",
    "protego",
    "scipy",
    "Stemmer",
    "trafilatura",
    "typst",
)
SCRIPT = f"""
import sys
import pipeline.assembly, pipeline.cli, pipeline.doctor, pipeline.engine.own_documents, pipeline.export.bundle
import pipeline.knowledge.convert, pipeline.knowledge.uploads, pipeline.tools.web, pipeline.tools.web_search
import pipeline.web.routes
print([name for name in {HEAVY!r} if name in sys.modules])
"""


@pytest.mark.slow
def test_the_app_starts_without_what_only_some_runs_need() -> None:
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "[]"
