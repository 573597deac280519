"""The child process: read one document, answer with its text or with what is wrong with it.

Started by `process.py`, never by a person. Only here are the libraries imported that open documents.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from pipeline.errors import DocumentError
from pipeline.isolation.child import serve
from pipeline.knowledge.convert.model import Answer, Question, Refusal
from pipeline.knowledge.convert.reading import read_document


def answer(question: bytes) -> bytes:
    asked = msgspec.json.decode(question, type=Question)
    try:
        reply = Answer(converted=read_document(Path(asked.path), asked.name, asked.limits))
    except DocumentError as error:
        reply = Answer(error=Refusal(error.reason, error.message, error.hint))
    except MemoryError:
        reply = Answer(
            error=Refusal(
                "out_of_memory",
                f"Reading the document took more than {asked.limits.memory_mb} MB of memory.",
                "Split it, or upload only the part you need.",
            )
        )
    return msgspec.json.encode(reply)


serve(answer)
