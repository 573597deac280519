r"""The Markdown download, and the form of model text that may be given to Streamlit.

A file may be opened by any renderer, so its text is inert by itself (`content/inert.py`). Streamlit
adds a language of its own on top (icons, colours, formulas, short codes); `safe_markdown` makes
that appear as the text it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.content.article import Article, plain_line
from pipeline.content.inert import WORD_JOINER, inert_markdown, without_links
from pipeline.content.prose import map_prose
from pipeline.models import DEMO_LABEL, RunRecord

# A colon begins all of them (":red[…]", ":material/close:", ":::note"); written as an entity it looks
# the same and begins nothing. Streamlit's logo is put in later still: an invisible character stops it.
_COLON = re.compile(  # the first: a table's alignment
    r"^[ \t>|:\-]+$|(?<!\\)(\\*):(?!//)", re.MULTILINE
)
_LOGO = re.compile(r"(?<=&#58;)(?=streamlit)")
# A bare address is made a link before its entities and escapes are read: one with such a sign in it
# would be shown garbled, so it stays text. In a link's target, after `](`, they are read.
_SPOILT_ADDRESS = re.compile(
    r"(?<!\]\()(?<!\]\(<)\b(?:https?://|www\.)[^\s<:$]{0,2000}[:$][^\s<]*", re.IGNORECASE
)
_DOLLAR = re.compile(r"(?<!\\)((?:\\\\)*)\$")


def to_markdown(
    run: RunRecord,
    article: Article,
    edited: Sequence[str] = (),
    seo: Mapping[str, Any] | None = None,
) -> str:
    """Front matter and the whole article with its labels and sources.

    `edited` names the agents whose output a person edited. `seo` is what `seo_view` made: its title,
    description, slug and words for search go into the front matter, each where there is one.
    """
    fields = {
        "title": article.title,
        **_for_search(seo),
        "topic": plain_line(run.spec.topic),
        "date": run.created_at.date().isoformat(),
        "run": run.id,
        "status": run.status.value,
        "language": run.spec.language,
        "demo": run.spec.is_demo,
        "generator": f"Gantry: {DEMO_LABEL}" if run.spec.is_demo else "Gantry",
        "labels": list(article.labels),
        **({"edited_by_a_person": list(edited)} if edited else {}),
    }
    lines = [f"{name}: {_yaml(value)}" for name, value in fields.items()]
    return "\n".join(["---", *lines, "---", "", article.markdown])


def _for_search(seo: Mapping[str, Any] | None) -> dict[str, object]:
    """Under the names that site generators know."""
    if seo is None:
        return {}
    keywords = [seo["focus_keyword"], *seo["secondary_keywords"]]
    found = {
        "seo_title": seo["title"] if seo["by_model"] else "",
        "description": seo["meta_description"],
        "slug": seo["slug"],
        "keywords": [word for word in keywords if word],
        "tags": seo["tags"],
    }
    return {name: value for name, value in found.items() if value}


def safe_markdown(text: str) -> str:
    """Model text as `st.markdown` may draw it: formatting stays, everything active is text."""
    return map_prose(inert_markdown(text), _without_directives)


def _without_directives(prose: str) -> str:
    prose = _SPOILT_ADDRESS.sub(lambda m: without_links(m[0]), prose)
    prose = _DOLLAR.sub(r"\1\\$", prose)
    return _LOGO.sub(WORD_JOINER, _COLON.sub(_colon, prose))


def _colon(match: re.Match[str]) -> str:
    if match[1] is None:
        return match[0]
    return match[1][: len(match[1]) // 2 * 2] + "&#58;"


def _yaml(value: object) -> str:
    """JSON, which is YAML; signs that a renderer without front matter would act on are escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("<", r"\u003c").replace("![", r"\u0021[").replace("](", r"]\u0028")
