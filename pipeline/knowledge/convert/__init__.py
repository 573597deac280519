"""Make text of an uploaded document: the one way in is `convert`.

Nothing of a document is opened in this process: a child process reads it and can be killed. What is
taken, what is refused and what that protects from: docs/documents.md.
"""

from pipeline.errors import DocumentError
from pipeline.knowledge.convert.model import (
    LIMITS,
    Converted,
    Kind,
    Limits,
    PageText,
)
from pipeline.knowledge.convert.process import convert

__all__ = [
    "LIMITS",
    "Converted",
    "DocumentError",
    "Kind",
    "Limits",
    "PageText",
    "convert",
]
