"""The results of a run in tabs: article, evidence, SEO, metrics, changes, summary, posts, agents.

Model text is drawn as inert Markdown or as plain code blocks, whose corner copies them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pandas as pd
import streamlit as st

from pages._changes_tab import draw_changes
from pages._editing import draw_editor, edit_button
from pages._evidence_tab import draw_evidence
from pages._posts_tab import draw_posts
from pages._seo_tab import draw_seo
from pages._text import escaped
from pages._timing import draw_timing_tables
from pages._voice_checks import draw_voice_checks
from pipeline.content.flags import flag_line
from pipeline.content.readability import figure_words
from pipeline.export.bundle import Bundle
from pipeline.export.markdown import safe_markdown
from pipeline.models import AgentState, Flag
from pipeline.views.tables import agent_line

READING_WIDTH: Final = 760  # pixels; lines longer than that are hard to read
PANEL_HEIGHT: Final = 320
AGENT_ICONS: Final = {
    AgentState.DONE: ":material/check_circle:",
    AgentState.SUBSTITUTED: ":material/swap_horiz:",
    AgentState.ABSENT: ":material/do_not_disturb_on:",
    AgentState.FAILED: ":material/error:",
    AgentState.CANCELLED: ":material/stop_circle:",
}


def draw_tabs(bundle: Bundle, *, read_only: bool = False) -> None:
    """`read_only`: without what acts on the run."""
    titles = (
        "Article", "Evidence", "SEO", "Metrics", "Changes", "Summary", "Social posts", "Agents", "Timing",
    )  # fmt: skip
    article, evidence, seo, metrics, changes, summary, posts, agents, timing = st.tabs(
        titles, key="result_tabs"
    )
    report = bundle.report
    with article:
        _article(bundle)
    with evidence:
        draw_evidence(bundle.evidence)
    with seo:
        draw_seo(report["seo"])
    with metrics:
        _metrics(report["metrics"])
    with changes:
        publisher = bundle.checkpoints.get("publisher")
        replaced = publisher is not None and publisher.state is AgentState.SUBSTITUTED
        draw_changes(bundle.changes, substituted=replaced)
    with summary:
        _summary(report["summary"])
    with posts:
        if report["posts"]:
            draw_posts(bundle)
        else:
            _absent("social posts")
    with agents:
        draw_agents(bundle, read_only=read_only)
    with timing:
        draw_timing_tables(bundle)


def _absent(what: str) -> None:
    st.caption(f"This run made no {what}. The Agents tab says why.")


def _article(bundle: Bundle) -> None:
    if bundle.article is None:
        _absent("article")
        return
    with st.container(width=READING_WIDTH, key="article"):
        st.markdown(safe_markdown(bundle.article.markdown))
        draw_voice_checks(bundle.report["voice"])


def _metrics(metrics: Mapping[str, Any] | None) -> None:
    if metrics is None:
        _absent("metrics")
        return
    computed = metrics["computed"]
    reading = metrics["reading"]
    left, right = st.columns(2, gap="large")
    with left:
        st.caption("Computed by code, the same for every run.")
        if computed["note"]:
            st.caption(escaped(computed["note"]))
        st.table(_numbers(computed["metrics"]), border="horizontal", hide_index=True)
    with right:
        if reading is None:
            _absent("reading of these numbers")
            return
        st.caption("What the metrics analyzer makes of them.")
        st.markdown(safe_markdown(reading["interpretation"]))
        st.markdown(f"**For this audience** {safe_markdown(reading['audience_fit'])}")
        for advice in reading["recommendations"]:
            st.markdown(f"**{escaped(advice['issue'])}** {safe_markdown(advice['fix'])}")
            st.caption(safe_markdown(advice["evidence"]))


def _numbers(metrics: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    rows = list(metrics.values())
    return pd.DataFrame(
        {
            "Measure": [escaped(row["label"]) for row in rows],
            "Value": [escaped(figure_words(row)) for row in rows],
            "How": [escaped(row["note"] or row["formula"]) for row in rows],
        }
    )


def _summary(summary: Mapping[str, Any] | None) -> None:
    if summary is None:
        _absent("summary")
        return
    with st.container(width=READING_WIDTH):
        st.markdown("**In one breath**")
        _copyable(summary["tldr"])
        st.markdown("**Abstract**")
        _copyable(summary["abstract"])
        st.markdown("**Key points**")
        _copyable("\n".join(f"- {point}" for point in summary["key_points"]))


def _unfinished(text: str) -> None:
    if not text:
        st.caption("Nothing was kept of this agent.")
        return
    st.caption("Unfinished: what it had written when it stopped. No other agent was given it.")
    st.code(text, None, wrap_lines=True, height=PANEL_HEIGHT)


def draw_agents(bundle: Bundle, *, read_only: bool = False) -> None:
    st.caption(
        "What each agent was asked and what it answered, word for word. Service time: from its first "
        "request to its result, without waits and discarded attempts."
    )
    errors = {agent["agent"]: agent["error"] for agent in bundle.report["agents"]}
    for agent in bundle.timing.agents:
        checkpoint = bundle.checkpoints.get(agent.agent)
        icon = AGENT_ICONS.get(agent.state, ":material/schedule:")
        if agent.edited:
            icon = ":material/edit:"
        with st.expander(agent_line(agent, bundle.timing), icon=icon, key=f"agent_{agent.agent}"):
            if errors[agent.agent]:
                st.error(escaped(errors[agent.agent]))
            if not read_only:
                edit_button(bundle, agent.agent)
            if checkpoint is None:
                _unfinished(bundle.texts.get(agent.agent, ""))
                continue
            st.caption(f"Prompt, for {escaped(checkpoint.output.response_model or 'the model')}")
            st.code(checkpoint.output.prompt, None, wrap_lines=True, height=PANEL_HEIGHT)
            st.caption(
                "Edited by you; what the agent itself wrote stands in the earlier run"
                if agent.edited and bundle.run.parent_id
                else "Edited by you"
                if agent.edited
                else "Raw output"
            )
            st.code(checkpoint.output.text, None, wrap_lines=True, height=PANEL_HEIGHT)
            _flags(checkpoint.output.flags)
    if not read_only:
        draw_editor(bundle)


def _flags(flags: Sequence[Flag]) -> None:
    """What code took out of this output, or found missing, after the agent's own last turn."""
    if flags:
        st.caption("Found by the check of citations, and mended or marked by code:")
        st.markdown("\n".join(f"- {escaped(flag_line(flag))}" for flag in flags))


def _copyable(text: str) -> None:
    """Plain text with a copy button in its corner."""
    st.code(text or "–", language=None, wrap_lines=True)
