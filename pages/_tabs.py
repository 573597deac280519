"""The results of a run in tabs: article, evidence, SEO, metrics, changes, summary, posts, agents.

The article is drawn first. Another tab is drawn when it is opened, and from then on with the others,
so that its widgets keep their state. Model text is drawn as inert Markdown or as plain code blocks, whose corner copies them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import pandas as pd
import streamlit as st

from pages._changes_tab import draw_changes
from pages._editing import draw_editor, edit_button
from pages._evidence_tab import draw_evidence
from pages._posts_tab import draw_posts
from pages._seo_tab import draw_seo
from pages._state import note_opened_tab, opened_tabs
from pages._text import escaped, told
from pages._timing import draw_timing
from pages._voice_checks import draw_voice_checks
from pipeline.content.flags import flag_line
from pipeline.content.readability import figure_words
from pipeline.derived import COMPLETE
from pipeline.export.bundle import Bundle
from pipeline.export.markdown import safe_markdown
from pipeline.export.page import page_markdown, page_sources
from pipeline.models import AgentState, Flag, RunStatus
from pipeline.timing import AgentTiming
from pipeline.views.tables import agent_line

READING_WIDTH: Final = 760  # pixels; lines longer than that are hard to read
PANEL_HEIGHT: Final = 320
AGENT_SIGNS: Final = {  # behind the words; an icon before them would take the arrow's place
    AgentState.DONE: "",
    AgentState.SUBSTITUTED: ":material/swap_horiz:",
    AgentState.ABSENT: ":material/do_not_disturb_on:",
    AgentState.FAILED: ":material/error:",
    AgentState.CANCELLED: ":material/stop_circle:",
}


def draw_tabs(bundle: Bundle, may_read: Callable[[], bool], *, read_only: bool = False) -> None:
    """`read_only`: without what acts on the run. Nothing at all of a run in which nothing happened.

    `may_read` is asked again whenever a tab is opened: the page may stand open for hours.
    """
    if tabs := _tabs(bundle, read_only=read_only):
        _opened_tabs(tabs, bundle, may_read)


@st.fragment
def _opened_tabs(
    tabs: Mapping[str, Callable[[], None]], bundle: Bundle, may_read: Callable[[], bool]
) -> None:
    """A fragment: opening a tab draws that tab, not the page."""
    if not may_read():
        st.rerun()  # the page says what became of the run
    run_id = bundle.run.id
    places = dict(
        zip(tabs, st.tabs(list(tabs), key=f"result_tabs_{run_id}", on_change="rerun"), strict=True)
    )
    for title, place in places.items():
        if place.open:
            note_opened_tab(run_id, title)
    opened = opened_tabs(run_id)
    for title, place in sorted(places.items(), key=lambda item: not item[1].open):
        if title in opened:
            with place:
                tabs[title]()
    draw_editor(bundle)


def _tabs(bundle: Bundle, *, read_only: bool) -> dict[str, Callable[[], None]]:
    """Title and what draws it. A run that did not come to its end has those that hold something."""
    all_of_them, made = bundle.run.status in COMPLETE, bundle.outputs
    # not `bundle.report`: it takes longer than all of the first view, and only tabs need it
    tabs: tuple[tuple[str, object, Callable[[], None]], ...] = (
        ("Article", bundle.article, partial(_article, bundle)),
        ("Evidence", bundle.article, lambda: draw_evidence(bundle.evidence)),
        ("SEO", bundle.article, lambda: draw_seo(bundle.report["seo"])),
        ("Metrics", "editor" in made, partial(_metrics, bundle)),
        ("Changes", "publisher" in made, partial(_changes, bundle)),
        ("Summary", "summary_writer" in made, partial(_summary, bundle)),
        ("Social posts", "social_promoter" in made, partial(_posts, bundle)),
        ("Agents", begun(bundle), partial(draw_agents, bundle, read_only=read_only)),
        ("Timing", has_timing(bundle), partial(draw_timing, bundle)),
    )
    return {title: draw for title, there_is, draw in tabs if all_of_them or there_is}


def _absent(bundle: Bundle, what: str) -> None:
    why = (
        "It was cancelled before."
        if bundle.run.status is RunStatus.CANCELLED
        else "The Agents tab says why."
    )
    st.caption(f"This run made no {what}. {why}")


def _article(bundle: Bundle) -> None:
    article = bundle.article
    if article is None:
        _absent(bundle, "article")
        return
    with st.container(width=READING_WIDTH, key="article"):
        st.markdown(page_markdown(article))
        if article.sources:
            st.header("Sources", anchor=False)
            st.html(page_sources(article.sources))
        draw_voice_checks(bundle.voice)


def _changes(bundle: Bundle) -> None:
    publisher = bundle.checkpoints.get("publisher")
    replaced = publisher is not None and publisher.state is AgentState.SUBSTITUTED
    draw_changes(bundle.changes, substituted=replaced)


def _posts(bundle: Bundle) -> None:
    if bundle.report["posts"]:
        draw_posts(bundle)
    else:
        _absent(bundle, "social posts")


def _metrics(bundle: Bundle) -> None:
    metrics = bundle.report["metrics"]
    if metrics is None:
        _absent(bundle, "metrics")
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
            _absent(bundle, "reading of these numbers")
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


def _summary(bundle: Bundle) -> None:
    summary = bundle.report["summary"]
    if summary is None:
        _absent(bundle, "summary")
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
    errors = bundle.errors
    shown = begun(bundle) if bundle.run.status.is_final else bundle.timing.agents
    for agent in shown:
        checkpoint = bundle.checkpoints.get(agent.agent)
        line = f"{agent_line(agent, bundle.timing)} {_sign(agent)}".rstrip()
        with st.expander(line, key=f"agent_{agent.agent}"):
            if error := errors.get(agent.agent):
                st.error(told(error))
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
    if idle := len(bundle.timing.agents) - len(shown):
        st.caption(f"{idle} {'agent' if idle == 1 else 'agents'} had not begun.")


def _sign(agent: AgentTiming) -> str:
    return ":material/edit:" if agent.edited else AGENT_SIGNS.get(agent.state, "")


def begun(bundle: Bundle) -> list[AgentTiming]:
    """Agents that came to work, or of which there is something to say."""
    known = bundle.errors.keys() | bundle.checkpoints.keys() | bundle.texts.keys()
    return [a for a in bundle.timing.agents if a.agent in known or a.started_s is not None]


def has_timing(bundle: Bundle) -> bool:
    """Whether a call was of any use: else every figure is nought and the chart is empty."""
    return bundle.timing.sequential_s > 0


def _flags(flags: Sequence[Flag]) -> None:
    """What code took out of this output, or found missing, after the agent's own last turn."""
    if flags:
        st.caption("Found by the check of citations, and mended or marked by code:")
        st.markdown("\n".join(f"- {escaped(flag_line(flag))}" for flag in flags))


def _copyable(text: str) -> None:
    """Plain text with a copy button in its corner."""
    st.code(text or "–", language=None, wrap_lines=True)
