"""The SEO tab: the result as a search page would show it, the checks with their weights, the head.

Draws what `pipeline.content.seo` made. The score is code's; what the specialist thinks stands apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pandas as pd
import streamlit as st

from pages._text import escaped
from pipeline.content.seo.snippet import SITE, checked_on, devices
from pipeline.content.seo.structured import head_html
from pipeline.export.rendering import element, text

VERDICTS: Final = {True: "✓\u00a0good", False: "✕\u00a0improve", None: "○\u00a0not\u00a0checked"}


def draw_seo(view: Mapping[str, Any] | None) -> None:
    """`view` is what `seo_view` made; None when the run has no article."""
    if view is None:
        st.caption("This run made no article to check. The Agents tab says why.")
        return
    if not view["by_model"]:
        st.caption(
            "This run has no SEO specialist's report: title and slug are made from the article."
        )
    with st.container(key="snippets"):
        _snippets(view["snippets"])
    left, right = st.columns(2, gap="large")
    with left:
        _fields(view)
        _opinion(view)
    with right:
        _score(view)
    with st.expander("For your page's head (Open Graph, JSON-LD)", key="page_head"):
        st.caption(
            "Made by code from the article. Author, publisher, address and picture are not known "
            "here: add yours."
        )
        st.code(
            head_html(view["title"], view["meta_description"], view["open_graph"], view["json_ld"]),
            language=None,  # the light theme writes the signs of HTML too pale to read
            wrap_lines=True,
        )


def _snippets(snippets: Sequence[Mapping[str, Any]]) -> None:
    st.markdown("**In a search engine's results**")
    with st.container(horizontal=True, gap="large"):
        for snippet in snippets:
            with st.container(width=snippet["width_px"], gap="xsmall"):
                cut = " and ".join(snippet["cut"])
                said = (
                    f"{snippet['device']}: {cut} cut" if cut else f"{snippet['device']}: all fits"
                )
                st.caption(escaped(said))
                st.html(snippet_html(snippet))
    st.caption(
        f"Measured in Arial, with widths as of {escaped(checked_on())}. “{escaped(SITE)}” stands for "
        "your site. Engines may choose another title or passage."
    )


def snippet_html(snippet: Mapping[str, Any]) -> str:
    """The card. Every word in it is escaped; the sizes are numbers of our own data."""
    device = next(d for d in devices().values() if d.title == snippet["device"])
    description = snippet["description"] or "No description: the engine would choose a passage."
    lines = (
        element("div", text(snippet["breadcrumb"]), class_="snippet-crumb"),
        element(
            "div",
            text(snippet["title"]),
            class_="snippet-title",
            style=f"font-size:{device.title_size_px}px",
        ),
        element(
            "div",
            text(description),
            class_="snippet-text",
            style=f"font-size:{device.description_size_px}px",
        ),
    )
    return element("div", "".join(lines), class_="snippet")


def _fields(view: Mapping[str, Any]) -> None:
    for label, name in (
        ("Title", "title"),
        ("Meta description", "meta_description"),
        ("Slug", "slug"),
    ):
        st.markdown(f"**{label}**")
        st.code(view[name] or "–", language=None, wrap_lines=True)


def _opinion(view: Mapping[str, Any]) -> None:
    if not view["by_model"]:
        return
    with st.container(key="seo_opinion"):
        st.markdown("**What the SEO specialist thinks**")
        st.caption("A model's opinion. It has no part in the score.")
        st.markdown(f"Search intent: {escaped(view['search_intent'] or '–')}")
        st.markdown(f"Focus keyword: {escaped(view['focus_keyword'] or '–')}")
        for label, name in (("Other keywords", "secondary_keywords"), ("Tags", "tags")):
            if view[name]:
                st.markdown(f"{label}: {escaped(', '.join(view[name]))}")
        if view["suggestions"]:
            st.markdown("\n".join(f"- {escaped(line)}" for line in view["suggestions"]))


def _score(view: Mapping[str, Any]) -> None:
    with st.container(key="seo_checks"):
        if view["score"] is not None:
            st.metric("Score by code", f"{view['score']} / 100", border=True)
        st.caption(
            "The share of the weight of all checks that could be made. Guidelines, not ranking facts."
        )
        st.table(_checks(view["checks"]), border="horizontal", hide_index=True)


def _checks(checks: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    def found(check: Mapping[str, Any]) -> str:
        advice = f":orange[{escaped(check['advice'])}]" if check["ok"] is False else ""
        return " ".join(filter(None, (escaped(check["value"]), advice)))

    return pd.DataFrame(
        {
            "Check": [escaped(check["label"]) for check in checks],
            "Weight": [str(check["weight"]) for check in checks],
            "Result": [VERDICTS[check["ok"]] for check in checks],
            "Found": [found(check) for check in checks],
        }
    )
