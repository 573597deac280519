"""The brief: what is asked and how to run it.

Decides what the form offers and what it starts with; whether a brief can be run is decided by
`RunSpec`. The widgets' keys are what tests and outside checks go by, so they never change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import streamlit as st

from pages._owner import owner
from pages._provider import chosen_provider, provider_panel, restore_provider
from pages._runtime import get_runtime
from pages._state import (
    clear_form_error,
    form_error,
    form_note,
    note_page_change,
    open_run,
    set_form_error,
    take_page_change,
)
from pages._text import clipped, escaped, told
from pages._voice_choice import chosen_voice, draw_voice_choice, restore_voice
from pipeline.agents.roster import ROSTER
from pipeline.errors import GantryError
from pipeline.models import (
    FIELD_MAX_CHARS,
    SEED_MAX,
    URLS_MAX,
    WORDS,
    Length,
    Mode,
    RunOptions,
    RunRecord,
    RunSpec,
)
from pipeline.plan import switchable_phases
from pipeline.settings import Settings, load_settings
from pipeline.spec import make_spec

EVERY_OPTION: Final = RunOptions.model_validate(dict.fromkeys(RunOptions.model_fields, True))
PHASES: Final = switchable_phases(ROSTER, EVERY_OPTION)  # all that may ever have a switch
OPTION_LABELS: Final = {
    "section_writing": "Write by section",
    "section_editing": "Edit by section",
    "speculative_research": "Research ahead of the plan",
    "approve_outline": "Approve the outline first",
}
OPTION_HELP: Final = {
    "section_writing": "One call per section of the outline (3 to 8), side by side; code joins them "
    "in order and the editor smooths the seams.",
    "section_editing": "The editor works by section too, each with its neighbours' seams in view. "
    "Needs writing by section.",
    "speculative_research": "An early researcher searches from the topic while the planner works; the web "
    "researcher tops it up. What turns out to be of no use is shown. Not in sequential mode.",
    "approve_outline": "The run stops after planning until you approve or edit the outline. Waiting costs "
    "nothing and survives a restart.",
}
SAMPLE_TOPICS: Final = (
    "Heat pumps in old buildings",
    "How small teams can run useful code reviews",
    "Urban beekeeping for beginners",
)
TONES: Final = ("Clear and factual", "Friendly", "Professional", "Persuasive", "Playful")
LANGUAGES: Final = ("English", "German", "French", "Spanish", "Italian", "Dutch", "Portuguese")
MODE_LABELS: Final = {
    Mode.SEQUENTIAL: "Sequential",
    Mode.PHASES: "Phases",
    Mode.DATAFLOW: "Dataflow",
}
MODE_NOTES: Final = {
    Mode.SEQUENTIAL: "One agent after another, in order. The baseline; nothing runs in parallel.",
    Mode.PHASES: "Phase after phase; inside a phase the agents run side by side where its switch is on.",
    Mode.DATAFLOW: "Every agent starts as soon as its own inputs exist, whatever its phase.",
}
DATAFLOW_OFF_NOTE: Final = (
    "With every switch off, dataflow is still not sequential: only agents of the same phase wait "
    "for each other."
)
BRIEF: Final = "brief"  # the form, open or folded
_FOLDED_FOR: Final = "brief_folded_for"  # the run it was folded for, and whether it was over
KEEP: Final = "session"  # what was typed survives a visit to another page


def form_defaults(settings: Settings) -> dict[str, Any]:
    """Key → what the form starts with. `topic` stays empty: the samples are one click away."""
    switches = settings.default_switches(PHASES)
    return {
        "topic": "",
        "audience": RunSpec.model_fields["audience"].default,
        "tone": TONES[0],
        "length": Length.STANDARD,
        "language": LANGUAGES[0],
        "mode": Mode.PHASES,
        "allow_unsourced": False,
        "urls": "",
        "seed": 1,
        "max_tokens": settings.run_tokens,
        "max_cost_usd": settings.run_cost_usd,
        "demo_speed": settings.demo_speed,
        **dict.fromkeys(RunOptions.model_fields, False),
        **{f"parallel_{phase}": on for phase, on in switches.items()},
    }


def prefill(spec: RunSpec) -> str:
    """Put an earlier brief into the form; returns what is missing to run it, in a sentence."""
    values: dict[str, Any] = {
        "topic": spec.topic,
        "audience": spec.audience,
        "tone": spec.tone,
        "length": spec.length,
        "language": spec.language,
        "mode": spec.mode,
        "allow_unsourced": spec.allow_unsourced,
        "urls": "\n".join(spec.urls),
        "seed": spec.seed,
        "max_tokens": spec.max_tokens,
        "max_cost_usd": spec.max_cost_usd,
        "demo_speed": spec.speed,
        **spec.options.model_dump(),
    }
    values |= {f"parallel_{p}": spec.switches.get(p, True) for p in PHASES}
    for key, value in values.items():
        st.session_state[key] = value
    return " ".join(note for note in (restore_provider(spec), restore_voice(spec)) if note)


def is_new_session() -> bool:
    """True before the form was ever drawn in this browser session."""
    return "topic" not in st.session_state


def brief_form(run: RunRecord | None, *, is_free: bool) -> bool:
    """Draw the form; True when a run was just started or cancelled and the page must follow.

    `run` is the one on screen. While there is one the form is a line that opens, so that the run has
    the screen; until it `is_free` for another, Cancel is offered and Run is not.
    """
    for key, value in form_defaults(load_settings()).items():
        st.session_state.setdefault(key, value)
    if run is None:
        with st.container(border=True, key=BRIEF):
            _fields(can_run=True, by_keyboard=True)
    else:
        _one_line(run, is_free=is_free)
    return take_page_change()


def _one_line(run: RunRecord, *, is_free: bool) -> None:
    """Opened by a person, or by a brief that was refused; a run that begins or ends folds it again."""
    if st.session_state.get(_FOLDED_FOR) != (run.id, is_free):
        st.session_state[_FOLDED_FOR] = (run.id, is_free)
        st.session_state[BRIEF] = False
    if is_free and (form_error() or form_note()):
        st.session_state[BRIEF] = True
    line = f"**{escaped(clipped(run.spec.topic))}** · {MODE_LABELS[run.spec.mode]}"
    with st.container(horizontal=True, vertical_alignment="top", key="brief_line"):
        with st.expander(
            "Run again with changes" if is_free else line,
            key=BRIEF,
            on_change="rerun",
        ):
            _fields(can_run=is_free, by_keyboard=bool(st.session_state[BRIEF]))
        if not is_free:
            st.button(
                "Cancel",
                key="cancel",
                icon=":material/stop_circle:",
                on_click=_cancel,
                args=(run.id,),
            )
    if not is_free:
        _say()


def _fields(*, can_run: bool, by_keyboard: bool) -> None:
    """`by_keyboard`: the shortcut runs the brief; not while nobody sees the form."""
    st.text_area(
        "Topic",
        key="topic",
        height=80,
        placeholder="What should the article be about?",
        persist_state=KEEP,
    )
    _how_to_run()
    _details()
    _say()
    _actions(can_run=can_run, by_keyboard=by_keyboard)


def _say() -> None:
    """What stands in the way, beside the button that was pressed."""
    if error := form_error():
        st.error(told(error), icon=":material/error:")
    if note := form_note():
        st.info(escaped(note), icon=":material/key:")


def _how_to_run() -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="how"):
        mode = st.segmented_control(
            "Mode",
            list(Mode),
            required=True,
            format_func=MODE_LABELS.__getitem__,
            key="mode",
            persist_state=KEEP,
        )
        sequential = mode == Mode.SEQUENTIAL
        phases = switchable_phases(ROSTER, _options(_form_state()))
        with st.container(key="switches", width="content", gap="xsmall"):
            st.caption(
                "Run in parallel" if not sequential else "Run in parallel (not in this mode)"
            )
            with st.container(horizontal=True, gap="medium", vertical_alignment="center"):
                for phase in phases:
                    st.toggle(
                        phase.capitalize(),
                        key=f"parallel_{phase}",
                        disabled=sequential,
                        persist_state=KEEP,
                    )
    note = MODE_NOTES[mode or Mode.PHASES]
    off = not any(st.session_state[f"parallel_{phase}"] for phase in phases)
    st.caption(f"{note} {DATAFLOW_OFF_NOTE}" if mode == Mode.DATAFLOW and off else note)


def _details() -> None:
    left, right = st.columns(2, gap="small")
    with left, st.expander(_details_label(), key="details"):
        st.text_input("Audience", key="audience", max_chars=FIELD_MAX_CHARS, persist_state=KEEP)
        st.selectbox("Tone", TONES, key="tone", accept_new_options=True, persist_state=KEEP)
        st.segmented_control(
            "Length, in words",
            list(Length),
            required=True,
            format_func=lambda length: f"{length.value.capitalize()} · {WORDS[length]:,}",
            key="length",
            persist_state=KEEP,
        )
        st.selectbox(
            "Language", LANGUAGES, key="language", accept_new_options=True, persist_state=KEEP
        )
        draw_voice_choice(KEEP)
        st.text_area(
            "Pages to read first",
            key="urls",
            height=68,
            placeholder="https://… one per line",
            help=f"At most {URLS_MAX} public web pages. The web researcher reads them before it searches.",
            persist_state=KEEP,
        )
        st.number_input(
            "Seed",
            min_value=0,
            max_value=SEED_MAX,
            key="seed",
            help="The same seed gives the same demo text and the same demo latencies.",
            persist_state=KEEP,
        )
        _budget_fields()
        _option_toggles()
    with right:
        provider_panel()


def _budget_fields() -> None:
    with st.container(horizontal=True, gap="small", key="budget"):
        st.number_input(
            "Budget in tokens",
            min_value=1,
            step=1000,
            key="max_tokens",
            placeholder="None",
            help="Prompts and answers of the whole run. It stops before a call that may pass this; "
            "what is finished is kept.",
            persist_state=KEEP,
        )
        st.number_input(
            "Budget in USD",
            min_value=0.0001,
            step=0.1,
            format="%.4g",
            key="max_cost_usd",
            placeholder="None",
            help="At the list prices of the price table; needs a model whose price is known.",
            persist_state=KEEP,
        )


def _option_toggles() -> None:
    """What changes the calls. An option that cannot take effect now rests."""
    state = st.session_state
    rests = {
        "section_editing": not state["section_writing"],
        "speculative_research": state["mode"] == Mode.SEQUENTIAL,
    }
    for name, label in OPTION_LABELS.items():
        st.toggle(
            label,
            key=name,
            help=OPTION_HELP[name],
            disabled=rests.get(name, False),
            persist_state=KEEP,
        )


def _options(state: Mapping[str, Any]) -> RunOptions:
    """The options that take effect: those that rest are off."""
    writing = bool(state["section_writing"])
    return RunOptions(
        section_writing=writing,
        section_editing=writing and bool(state["section_editing"]),
        speculative_research=bool(state["speculative_research"])
        and state["mode"] != Mode.SEQUENTIAL,
        approve_outline=bool(state["approve_outline"]),
    )


def _details_label() -> str:
    length = st.session_state["length"] or Length.STANDARD
    return f"Details: {length.value}, {escaped(str(st.session_state['language']))}"


def _actions(*, can_run: bool, by_keyboard: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="actions"):
        st.toggle(
            "Allow an unsourced draft",
            key="allow_unsourced",
            help="When no source is found, write anyway. The article is labelled as unsourced.",
            persist_state=KEEP,
        )
        st.space("stretch")
        st.button(
            "Run",
            key="run",
            type="primary",
            icon=":material/play_arrow:",
            shortcut="Mod+Enter" if by_keyboard else None,
            on_click=start_run,
            disabled=not can_run,
        )


def spec_from(state: Mapping[str, Any], **over: Any) -> RunSpec:
    """What the form says, validated. Raises `SpecError` with one sentence per problem."""
    options = _options(state)
    phases = switchable_phases(ROSTER, options)
    brief = {
        "topic": state["topic"] or "",
        "audience": state["audience"] or "",
        "tone": state["tone"] or TONES[0],
        "length": state["length"] or Length.STANDARD,
        "language": state["language"] or LANGUAGES[0],
        "mode": state["mode"] or Mode.PHASES,
        "switches": {phase: bool(state[f"parallel_{phase}"]) for phase in phases},
        "options": options,
        "allow_unsourced": state["allow_unsourced"],
        "urls": tuple((state["urls"] or "").splitlines()),
        "seed": state["seed"],
        "max_tokens": state["max_tokens"],
        "max_cost_usd": state["max_cost_usd"],
        "speed": state["demo_speed"],
    }
    return make_spec(**(brief | over))


def start_run(topic: str | None = None) -> None:
    """Start what the form says (callback). A refused brief leaves the form as it is, with a message."""
    if topic is not None:
        st.session_state["topic"] = topic
    clear_form_error()
    try:
        provider, endpoint = chosen_provider()
        spec = spec_from(_form_state(), voice=chosen_voice(), **provider)
        open_run(get_runtime().submit(spec, owner(), endpoint))
        note_page_change()
    except GantryError as error:
        set_form_error(str(error))
        # the message may be below the screen of who pressed Ctrl+Enter
        st.toast("Not started. The message above Run says why.", icon=":material/error:")


def _form_state() -> dict[str, Any]:
    return {key: st.session_state[key] for key in form_defaults(load_settings())}


def _cancel(run_id: str) -> None:
    try:
        get_runtime().cancel(run_id, owner())
        note_page_change()
    except GantryError as error:
        set_form_error(str(error))
