r"""The article as the dashboard's page shows it: under the page's own heading, citations as links.

A citation leads to its entry in the list of sources. Both ends are made by code, after the model's
text was made inert: a link into the page that a model wrote stays text, and no heading of its own
gets an anchor with an underscore in it (Streamlit makes those of letters, digits and hyphens).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from pipeline.content.article import Article, first_words, markdown_head, source_name
from pipeline.content.citations import NumberedSource, render_links
from pipeline.content.prose import map_prose, map_unfenced
from pipeline.export.markdown import safe_markdown
from pipeline.export.rendering import element, link, text

ANCHOR: Final = "cited_source_"
_HEADING = re.compile(r"^( {0,3})(#{1,5})(?=[ \t])", re.MULTILINE)
# A line of text that "===" or "---" below it makes a heading; lists, quotes and tables are none.
_UNDERLINED = re.compile(r"^ {0,3}(?![-+*>#|\d])(\S[^\n|]*)\n {0,3}(?:=+|-+)[ \t]*$", re.MULTILINE)
_INTO_PAGE = re.compile(r"(?<!\\)((?:\\\\)*)\](?=\(<?#)")


def page_markdown(article: Article) -> str:
    """Title, labels, standfirst and text as `st.markdown` may draw them; the title on level two.

    The list of sources stands apart: `page_sources`.
    """
    head = markdown_head(article.title, article.labels, article.standfirst)
    safe = safe_markdown(f"{head}\n\n{article.cited_markdown}\n")
    own = map_unfenced(map_prose(safe, _without_inner_links), _lower_headings)
    return render_links(own, article.sources, ANCHOR)


def page_sources(sources: Sequence[NumberedSource]) -> str:
    """The numbered list as HTML, each entry with the anchor its citations lead to."""
    return element("ol", "".join(_entry(source) for source in sources), class_="sources")


def _entry(numbered: NumberedSource) -> str:
    source = numbered.source
    said = text(f": “{first_words(source)}”") if source.passage else ""
    name = link(source.url, source_name(source), target="_blank")
    return element("li", name + said, id=f"{ANCHOR}{numbered.number}")


def _without_inner_links(prose: str) -> str:
    return _INTO_PAGE.sub(r"\1\\]", prose)


def _lower_headings(prose: str) -> str:
    """One level down: the page has a first-level heading of its own."""
    return _HEADING.sub(r"\1#\2", _UNDERLINED.sub(r"## \1", prose))
