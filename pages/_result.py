"""One run that is over, or waits for a person: what it made and how long everything took.

Decides the order on the page; the figures come from `pipeline.timing`, the article from
`pipeline.content`, and nothing here computes either.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import streamlit as st

from pages._approval import draw_approval
from pages._downloads import draw_downloads
from pages._links import draw_links
from pages._outcome import draw_outcome
from pages._owner import owner
from pages._runtime import get_runtime
from pages._state import RUN_PARAM, close_run, open_run
from pages._tabs import draw_agents, draw_tabs, has_timing
from pages._text import clipped, escaped
from pages._timing import draw_headline, draw_small_chart
from pipeline.derived import COMPLETE
from pipeline.export.bundle import Bundle
from pipeline.export.public import public_bundle
from pipeline.models import DEMO_LABEL, Mode, RunRecord, RunStatus
from pipeline.prices import load_prices
from pipeline.views.tables import Headline, headlines

PLAN_LAB: Final = "plan_lab.py"

Colour = Literal["red", "orange", "blue", "green", "gray"]
STATUS_LOOK: Final[dict[RunStatus, tuple[str, Colour, str]]] = {
    RunStatus.QUEUED: ("Queued", "gray", ":material/schedule:"),
    RunStatus.RUNNING: ("Running", "blue", ":material/play_circle:"),
    RunStatus.WAITING_APPROVAL: ("Waits for approval", "orange", ":material/pan_tool:"),
    RunStatus.NEEDS_KEY: ("Needs its key", "orange", ":material/key:"),
    RunStatus.DONE: ("Done", "green", ":material/check_circle:"),
    RunStatus.DEGRADED: ("Done, with gaps", "orange", ":material/rule:"),
    RunStatus.FAILED: ("Failed", "red", ":material/error:"),
    RunStatus.CANCELLED: ("Cancelled", "gray", ":material/stop_circle:"),
}

OPTION_WORDS: Final = {  # beside the mode: runs that differ in one made other calls
    "section_writing": "by section",
    "section_editing": "edited by section",
    "speculative_research": "researched ahead",
    "approve_outline": "with outline approval",
}


def is_over(run: RunRecord) -> bool:
    """True when nothing more comes by itself: the run has ended, or waits for a person."""
    return run.status.is_final or run.status in (RunStatus.NEEDS_KEY, RunStatus.WAITING_APPROVAL)


def tab_title(run: RunRecord) -> str:
    """What the browser's tab says of a run that is over."""
    words = {
        RunStatus.DONE: "✓ Done",
        RunStatus.DEGRADED: "✓ Done, with gaps",
        RunStatus.FAILED: "✕ Failed",
        RunStatus.CANCELLED: "■ Cancelled",
    }
    return f"{words.get(run.status, '… Waiting')} – {clipped(run.spec.topic, 60)} – Gantry"


def draw_header(run: RunRecord, *, read_only: bool = False) -> None:
    """Which run this is: topic (of a run under way the form's line says it), how it ran, its links."""
    with st.container(key="run_header", gap="xsmall"):
        if is_over(run):
            st.title(escaped(clipped(run.spec.topic, 140)), anchor=False)
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            # while agents work, the live view says how the run stands
            if run.status.is_final or run.status is RunStatus.WAITING_APPROVAL:
                word, colour, icon = STATUS_LOOK[run.status]
                st.badge(word, color=colour, icon=icon)
            st.badge(", ".join(how_it_ran(run)), color="violet", icon=":material/account_tree:")
            if run.spec.is_demo:
                st.badge(DEMO_LABEL, color="gray", icon=":material/wifi_off:")
            elif run.spec.model:
                st.badge(escaped(run.spec.model), color="gray", icon=":material/dns:")
            if run.spec.allow_unsourced:
                st.badge("Unsourced draft allowed", color="gray")
            if read_only:
                return
            if run.parent_id:
                _parent_link(run)
            draw_links(run)
            if is_over(run):
                st.button(
                    "New run",
                    key="new_run",
                    icon=":material/add:",
                    type="tertiary",
                    help="Back to the start. This run stays in the history.",
                    on_click=_new_run,
                    args=(run,),
                )


def draw_ended(run: RunRecord, may_read: Callable[[], bool], *, read_only: bool = False) -> None:
    """The finished page: what happened, the figures, the article and everything beside it.

    Of a run that came to nothing: what went wrong and the way on. `may_read` asks the store, whenever
    something is taken along or opened, whether that is still allowed.
    """
    bundle = _bundle(run)
    if read_only:
        bundle = public_bundle(bundle)
    draw_outcome(bundle, read_only=read_only)
    if run.status is RunStatus.WAITING_APPROVAL:
        if not read_only:
            draw_approval(bundle)
        draw_small_chart(bundle)
        draw_agents(bundle, read_only=read_only)
        return
    if run.status in COMPLETE or has_timing(bundle):
        draw_headline(bundle, _figures(bundle))
        draw_small_chart(bundle)
    with st.container(horizontal=True, vertical_alignment="center", key="downloads"):
        draw_downloads(bundle, may_read)
        if run.status in COMPLETE and not read_only and not run.parent_id:
            st.page_link(
                PLAN_LAB,
                label="What if? Open in Plan lab",
                icon=":material/experiment:",
                query_params={RUN_PARAM: bundle.run.id},
            )
    draw_tabs(bundle, may_read, read_only=read_only)


def _figures(bundle: Bundle) -> list[Headline]:
    """All four of a run that came to its end; else those there are."""
    complete = bundle.run.status in COMPLETE
    return [f for f in headlines(bundle.timing) if complete or f.value_s is not None]


def _bundle(run: RunRecord) -> Bundle:
    """`run` was read for somebody who may see it; its facts are asked for as its owner's."""
    runtime = get_runtime()
    return Bundle(
        run,
        runtime.events(run.id, run.owner),
        runtime.checkpoints(run.id, run.owner),
        texts=runtime.texts(run.id),
        prices=load_prices(runtime.settings.prices_file),
    )


def how_it_ran(run: RunRecord) -> list[str]:
    """Mode, options and what was switched off, for a label."""
    mode = run.spec.mode
    off = [phase for phase, on in run.spec.switches.items() if not on]
    parts = [mode.value.capitalize(), *(OPTION_WORDS[name] for name in run.spec.options.on)]
    if mode is not Mode.SEQUENTIAL and off:
        parts.append(f"{escaped(', '.join(off))} off")
    return parts


def _parent_link(run: RunRecord) -> None:
    """Which run this one began with; it may have been deleted since."""
    if get_runtime().run(run.parent_id, owner()) is None:
        st.badge("Began with a run that has been deleted", color="gray")
        return
    st.button(
        "Began with an earlier run",
        key="open_parent",
        icon=":material/history:",
        type="tertiary",
        help="Opens the run whose finished agents this one took over.",
        on_click=open_run,
        args=(run.parent_id,),
    )


def _new_run(run: RunRecord) -> None:
    """Leave the run (callback). A topic that was typed since stays in the form."""
    close_run()
    if st.session_state.get("topic") == run.spec.topic:
        st.session_state["topic"] = ""
