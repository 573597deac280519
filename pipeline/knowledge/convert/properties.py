"""The title an office document gives itself."""

from __future__ import annotations

from pipeline.knowledge.convert.archive import Package
from pipeline.knowledge.convert.text import one_line

CORE = "docProps/core.xml"
# What programs write into every new document says nothing.
SAYS_NOTHING = {"powerpoint presentation", "word document", "untitled", "presentation", "document"}


def title_in(package: Package) -> str:
    """Empty where it has none, or only the program's own words."""
    if not package.has(CORE):
        return ""
    title = one_line(package.tree(CORE).findtext("{http://purl.org/dc/elements/1.1/}title") or "")
    return "" if title.lower() in SAYS_NOTHING else title
