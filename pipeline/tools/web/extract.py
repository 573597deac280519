"""Make a `WebPage` of what was read: inert, bounded text for a prompt.

HTML is taken apart in a child process, which is ended when it takes too long or too much memory; text
is taken as it stands.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import msgspec

from pipeline.extraction.page import Extracted, Question
from pipeline.isolation.parent import Allowance, ChildFailed, ask_child
from pipeline.tools.base import ToolError, WebPage

TEXT_MAX_CHARS = 200_000
TITLE_MAX_CHARS = 300
EXTRACT_S = 10.0
MEMORY_MB = 512
ANSWER_MAX_BYTES = 16 * 1024 * 1024  # a page of 2 MB cannot say more, however it is escaped
CHILD = "pipeline.extraction"

_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def page_from_text(text: str, url: str) -> WebPage:
    """A page that is plain text or Markdown already. Raises `ToolError` when it is empty."""
    first = next((line.strip("# \t") for line in text.splitlines() if line.strip()), "")
    return _page(url, Extracted(first, text))


async def page_from_html(html: str, url: str) -> WebPage:
    """The page's main text with its headings, its title, publisher and date.

    Title, publisher and date are the page's own words or guesses; nobody has checked them.
    Raises `ToolError` when there is no text on it, or it could not be found in time.
    """
    question = Question(html.encode("utf-8", "replace").decode(), url)
    allowance = Allowance(EXTRACT_S, MEMORY_MB, ANSWER_MAX_BYTES)
    try:
        answer = await ask_child(CHILD, msgspec.json.encode(question), allowance)
        found = msgspec.json.decode(answer, type=Extracted)
    except ChildFailed as error:
        raise took_too_long(EXTRACT_S) if error.failure == "timed_out" else _too_hard() from error
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise _too_hard() from error
    return _page(url, found)


def took_too_long(limit_s: float) -> ToolError:
    return ToolError(
        f"Reading the page took more than {limit_s:g} seconds.",
        "Try again later, or use another source.",
    )


def _page(url: str, found: Extracted) -> WebPage:
    text = _UNSEEN.sub("", found.text).strip()
    if not text:
        raise ToolError(
            "There is no readable text on this page.",
            "It may need a browser that runs scripts. Use another page.",
        )
    host = urlsplit(url).hostname or ""
    return WebPage(
        url=url,
        title=_line(found.title) or host,
        text=text[:TEXT_MAX_CHARS],
        publisher=_line(found.publisher) or host.removeprefix("www."),
        published=found.published if _ISO_DATE.fullmatch(found.published) else "",
    )


def _line(words: str) -> str:
    return " ".join(_UNSEEN.sub("", words).split())[:TITLE_MAX_CHARS]


def _too_hard() -> ToolError:
    return ToolError("The text of this page could not be found.", "Use another page.")
