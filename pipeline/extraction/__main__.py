"""The child process: one page in, its text out. Started by `tools/web/extract.py`, never by a person."""

from __future__ import annotations

import msgspec

from pipeline.extraction.page import Question, extracted
from pipeline.isolation.child import serve


def answer(question: bytes) -> bytes:
    asked = msgspec.json.decode(question, type=Question)
    return msgspec.json.encode(extracted(asked.html, asked.url))


serve(answer)
