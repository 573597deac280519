"""Rows of hostile text, and a reader that finds whatever is active in HTML."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

DATA = Path(__file__).parents[2] / "data"


def rows() -> list[str]:
    """Every payload of the three collections, without its label."""
    found = []
    for name in ("xss.txt", "blns.txt", "inject.txt"):
        for line in (DATA / name).read_text(encoding="utf-8").split("\n"):
            if line and not line.startswith("# "):
                found.append(line.partition("\t")[2] or line)
    return found


class ActiveContent(HTMLParser):
    """Collects what could run or fetch: elements, handlers, and addresses."""

    FORBIDDEN = frozenset(
        [
            "script",
            "iframe",
            "object",
            "embed",
            "img",
            "image",
            "video",
            "audio",
            "source",
            "form",
            "input",
            "button",
            "link",
            "base",
            "textarea",
            "select",
            "math",
            "foreignobject",
            "animate",
            "set",
            "use",
        ]
    )

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script" and attrs == [("type", "application/ld+json")]:
            return  # data, which no browser runs; what closed it early would be seen after it
        if tag in self.FORBIDDEN:
            self.found.append(tag)
        for name, value in attrs:
            address = "".join((value or "").split()).lower()
            if name.startswith("on") or name in ("src", "srcset", "style", "action", "background"):
                self.found.append(f"{tag} {name}={value}")
            if name == "href" and not address.startswith(
                ("https://", "http://", "mailto:", "#source-")
            ):
                self.found.append(f"{tag} {name}={value}")


def active_content(html: str) -> list[str]:
    reader = ActiveContent()
    reader.feed(html)
    reader.close()
    return reader.found
