"""Plan lab: take a finished run and see what another plan, other limits or a faster agent would do.

No call is made here. Figures are simulated from the chosen run by `pipeline/what_if.py` and say so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import pandas as pd
import streamlit as st

from pages._form import DATAFLOW_OFF_NOTE, MODE_LABELS, MODE_NOTES
from pages._owner import owner
from pages._runtime import get_runtime
from pages._state import RUN_PARAM, asked_run_id
from pages._text import clipped, escaped, seconds, share, told
from pipeline.errors import PlanError
from pipeline.export.bundle import Bundle
from pipeline.models import Mode, RunRecord, RunStatus
from pipeline.plan import Plan, switchable_phases
from pipeline.schedule import Schedule
from pipeline.simulate import Limits
from pipeline.timing import RunTiming
from pipeline.views.lab import (
    assumptions,
    chain_words,
    curve_figure,
    curve_words,
    lab_figures,
    lab_gantt,
    lab_rows,
    left_out,
    origin,
)
from pipeline.what_if import (
    SECTION_COUNTS,
    CurvePoint,
    Question,
    answer,
    concurrency_curve,
    plan_of,
)
from pipeline.workload import Workload, workloads_of

STUDIO: Final = "studio.py"
RECENT: Final = 100  # runs looked through for finished ones
CAPS: Final = tuple(range(1, 13))
RATES: Final = (3, 5, 10, 15, 20, 30, 60, 120, 500)
TOKEN_RATES: Final = (5_000, 10_000, 20_000, 40_000, 60_000, 100_000, 200_000, 500_000)
SPEEDUPS: Final = (0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
SECTIONS: Final = (None, *SECTION_COUNTS)  # None: as the run did it
COMPARED_SECTIONS: Final = 6
_SET_FOR: Final = "_lab_set_for"  # the run whose settings the controls hold


def plan_lab() -> None:
    st.title("Plan lab", anchor=False)
    st.caption(
        "What if the agents of a run had been planned or limited otherwise? Everything on this "
        "page is worked out from the times of one finished run; no call is made."
    )
    _lab()


@st.fragment
def _lab() -> None:
    """A fragment: a slider redraws the lab, not the page."""
    runs = _finished_runs()
    if not runs:
        st.info(
            "There is no finished run yet. Run a topic first; its times are the lab's material.",
            icon=":material/experiment:",
        )
        st.page_link(STUDIO, label="Start a run", icon=":material/bolt:")
        return
    lab = _Lab.of(_choose(runs))
    question = _controls(lab)
    try:
        schedule = answer(lab.plan, lab.workloads, question)
    except PlanError as error:
        st.error(told(error), icon=":material/error:")
        return
    _figures(lab, schedule, question)
    _gantt(lab, schedule)
    _curve(lab, schedule, question)


@dataclass(frozen=True)
class _Lab:
    """A finished run as material: its plan as it grew, and what its agents did."""

    run: RunRecord
    timing: RunTiming
    plan: Plan
    workloads: dict[str, Workload]

    @classmethod
    def of(cls, run: RunRecord) -> _Lab:
        bundle = Bundle(run, get_runtime().events(run.id, run.owner), {})
        return cls(run, bundle.timing, bundle.plan, workloads_of(bundle.timing))

    @property
    def titles(self) -> dict[str, str]:
        """Of the agents that did something."""
        return {a.name: a.title for a in self.plan.agents if self.workloads[a.name].steps}

    @property
    def knows_tokens(self) -> bool:
        return all(load.knows_tokens for load in self.workloads.values())

    def asked(self, question: Question) -> Plan:
        """The plan that a question is about."""
        return plan_of(self.plan, self.workloads, question)

    def phases(self, sections: int | None, *, edit: bool) -> tuple[str, ...]:
        """Those that have a switch; those of divided agents too."""
        question = Question(Mode.PHASES, sections=sections, edit_sections=edit)
        return switchable_phases(self.asked(question).agents)


def _finished_runs() -> dict[str, RunRecord]:
    """Id → run, newest first; the one the address asks for too, however old it is."""
    runtime = get_runtime()
    found = {run.id: run for run in runtime.runs(owner(), RECENT) if _is_finished(run)}
    asked = asked_run_id()
    if asked is not None and asked not in found:
        run = runtime.run(asked, owner())
        if run is not None and _is_finished(run):
            found[asked] = run
    return found


def _is_finished(run: RunRecord) -> bool:
    # one that began with agents of an earlier run has no times of theirs to simulate from
    return run.status in (RunStatus.DONE, RunStatus.DEGRADED) and not run.parent_id


def _choose(runs: dict[str, RunRecord]) -> RunRecord:
    if st.session_state.get("lab_run") not in runs:
        asked = asked_run_id()
        st.session_state["lab_run"] = asked if asked in runs else next(iter(runs))
    chosen = st.selectbox(
        "Run",
        list(runs),
        key="lab_run",
        format_func=lambda run_id: _run_label(runs[run_id]),
        on_change=_follow_choice,
    )
    return runs[chosen]


def _run_label(run: RunRecord) -> str:
    took = "" if run.makespan_s is None else f", took {seconds(run.makespan_s)}"
    mode = MODE_LABELS[run.spec.mode].lower()
    return f"{clipped(run.spec.topic, 70)} ({mode}{took}, {run.id[:8]})"


def _follow_choice() -> None:
    """The address names the chosen run, so that a reload and a link show the same."""
    st.query_params[RUN_PARAM] = st.session_state["lab_run"]


def _set_as_it_ran(lab: _Lab) -> None:
    """Put the controls to how the run was planned, without limits."""
    spec, phases = lab.run.spec, lab.phases(SECTION_COUNTS[-1], edit=True)
    defaults: dict[str, Any] = {
        "lab_mode": spec.mode,
        "lab_cap": None,
        "lab_rpm": None,
        "lab_tpm": None,
        "lab_agent": next(iter(lab.titles), None),
        "lab_speedup": 1.0,
        "lab_sections": None,
        "lab_edit_sections": spec.options.section_editing,
        **{f"lab_parallel_{p}": spec.switches.get(p, True) for p in phases},
    }
    st.session_state.update(defaults)
    st.session_state[_SET_FOR] = lab.run.id


def _controls(lab: _Lab) -> Question:
    if st.session_state.get(_SET_FOR) != lab.run.id or "lab_mode" not in st.session_state:
        _set_as_it_ran(lab)
    with st.container(border=True, key="lab_controls"):
        mode, switches = _plan_controls(lab)
        with st.grid(min_column_width=230, key="lab_sliders", vertical_alignment="bottom"):
            limits = _limit_controls(lab.knows_tokens)
            faster = _speed_controls(lab.titles)
            sections = st.select_slider(
                "Writing in sections (estimate)",
                SECTIONS,
                key="lab_sections",
                format_func=_sections_words,
                help="Equal parts written side by side: each with the writer's time to the first "
                "token and its rate, and with the whole input.",
            )
            edit = st.toggle(
                "Edit by section too",
                key="lab_edit_sections",
                disabled=sections is None or sections == 1,
            )
        st.button(
            "As it ran",
            key="lab_reset",
            icon=":material/restart_alt:",
            on_click=_set_as_it_ran,
            args=(lab,),
        )
    return Question(mode, switches, limits, faster, sections, edit)


def _sections_words(sections: int | None) -> str:
    return {None: "as it ran", 1: "one call"}.get(sections, str(sections))


def _speed_controls(titles: dict[str, str]) -> dict[str, float]:
    agent: str | None = st.selectbox(
        "One agent", tuple(titles), key="lab_agent", format_func=titles.__getitem__
    )
    factor = st.select_slider(
        f"{escaped(titles[agent])}: times as fast" if agent else "Times as fast",
        SPEEDUPS,
        key="lab_speedup",
        format_func=lambda factor: f"{factor:g}×",
    )
    return {agent: factor} if agent else {}


def _plan_controls(lab: _Lab) -> tuple[Mode, dict[str, bool]]:
    sections, edit = st.session_state["lab_sections"], st.session_state["lab_edit_sections"]
    phases = lab.phases(sections, edit=edit)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="lab_how"):
        mode = st.segmented_control(
            "Mode",
            list(Mode),
            required=True,
            format_func=MODE_LABELS.__getitem__,
            key="lab_mode",
        )
        mode = mode or Mode.PHASES
        with st.container(key="lab_switches", width="content", gap="xsmall"):
            off = mode is Mode.SEQUENTIAL
            st.caption("Run in parallel (not in this mode)" if off else "Run in parallel")
            with st.container(horizontal=True, gap="medium", vertical_alignment="center"):
                switches = {
                    phase: st.toggle(phase.capitalize(), key=f"lab_parallel_{phase}", disabled=off)
                    for phase in phases
                }
    all_off = mode is Mode.DATAFLOW and not any(switches.values())
    st.caption(f"{MODE_NOTES[mode]} {DATAFLOW_OFF_NOTE}" if all_off else MODE_NOTES[mode])
    return mode, switches


def _limit_controls(knows_tokens: bool) -> Limits:
    cap = st.select_slider("Calls at once", (*CAPS, None), key="lab_cap", format_func=_or_no_limit)
    requests = st.select_slider(
        "Requests per minute",
        (*RATES, None),
        key="lab_rpm",
        format_func=_or_no_limit,
        help="Paced evenly: one call, then a pause of a minute divided by this number.",
    )
    tokens = st.select_slider(
        "Tokens per minute",
        (*TOKEN_RATES, None),
        key="lab_tpm",
        format_func=_or_no_limit,
        disabled=not knows_tokens,
        help="Input and output. A minute's tokens may be used in one go, then they come back evenly."
        if knows_tokens
        else "The provider of this run did not tell how many tokens its calls took.",
    )
    return Limits(cap, requests, tokens if knows_tokens else None)


def _or_no_limit(value: int | None) -> str:
    return "no limit" if value is None else f"{value:,}"


def _figures(lab: _Lab, schedule: Schedule, question: Question) -> None:
    with st.grid(min_column_width=205, key="lab_figures"):
        for figure in lab_figures(schedule, lab.timing):
            value = seconds(figure.value_s)
            st.metric(
                f"{figure.label} ({figure.kind})",
                value if figure.share is None else f"{value} · {share(figure.share)}",
                border=True,
                help=figure.note or None,
            )
    notes = [f"{origin(lab.run.id)}.", assumptions(question), left_out(lab.timing)]
    st.caption(" ".join(escaped(note) for note in notes if note))


def _gantt(lab: _Lab, schedule: Schedule) -> None:
    with st.container(key="lab_gantt", border=True):
        st.plotly_chart(
            lab_gantt(schedule, lab.run.id),
            key="lab_gantt_chart",
            config={"displayModeBar": False},
            alt=f"Gantt chart. {origin(lab.run.id)}: {len(schedule.agents)} agents would take "
            f"{seconds(schedule.makespan_s)}. The table below holds every figure.",
        )
        st.caption(f"Critical path: {escaped(chain_words(schedule))}.")
        with st.expander("The same in numbers", key="lab_table"):
            st.table(
                pd.DataFrame(lab_rows(schedule)).map(_cell), border="horizontal", hide_index=True
            )


def _curve(lab: _Lab, schedule: Schedule, question: Question) -> None:
    points = concurrency_curve(lab.plan, lab.workloads, question, CAPS)
    words = " ".join(_curve_words(lab, points, question))
    with st.container(key="lab_curve", border=True):
        st.header("How many calls at once are worth having?", anchor=False)
        st.plotly_chart(
            curve_figure(points, schedule, question.limits),
            key="lab_curve_chart",
            config={"displayModeBar": False},
            alt="Makespan against calls at once, from 1 to 12, in the three modes. " + words,
        )
        st.write(words)
        with st.expander("The curve in numbers", key="lab_curve_table"):
            rows = [
                {"Calls at once": cap}
                | {
                    f"{point.mode.value.capitalize()} (s)": round(point.makespan_s, 2)
                    for point in points
                    if point.max_in_flight == cap
                }
                for cap in CAPS
            ]
            st.table(pd.DataFrame(rows).map(_cell), border="horizontal", hide_index=True)


def _curve_words(lab: _Lab, points: list[CurvePoint], question: Question) -> tuple[str, str]:
    now = replace(question, mode=Mode.DATAFLOW)
    plan, whole = lab.asked(now), lab.asked(replace(now, sections=1))
    if plan.names == whole.names:
        other = lab.asked(replace(now, sections=COMPARED_SECTIONS))
        return curve_words(points, plan, other, f"the writing in {COMPARED_SECTIONS} sections")
    return curve_words(points, plan, whole, "writing and editing in one call each")


def _cell(value: object) -> str:
    if value is None or value != value:  # NaN: a missing number in a column of numbers
        return "–"
    return f"{value:,.2f}" if isinstance(value, float) else escaped(str(value))


plan_lab()
