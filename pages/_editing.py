"""Edit one agent of a finished run and run again from there: what would run is said first."""

from __future__ import annotations

from typing import Final

import streamlit as st

from pages._outline import outline_form, typed_outline
from pages._owner import owner
from pages._provider import endpoint_to_continue, key_field
from pages._runtime import get_runtime
from pages._state import edit_agent, edited_agent, open_run
from pages._text import escaped, told
from pipeline.agents.edited_output import editable_text, edited_fields, edited_output
from pipeline.agents.prompting import prompt_file
from pipeline.base_url import address
from pipeline.derived import COMPLETE, Edit, Parent, preview
from pipeline.errors import GantryError, SpecError
from pipeline.export.bundle import Bundle
from pipeline.growth import OUTLINE
from pipeline.models import ADDITION_MAX_CHARS, INSTRUCTIONS_MAX_CHARS, AgentOutput, AgentSpec
from pipeline.views.rerun import preview_lines

EDITOR_HEIGHT: Final = 320
OUTPUT, PROMPT = "Its output", "Its prompt"
NOTHING_CHANGED: Final = SpecError(
    "Nothing is changed.", "Edit the output, or choose “Its prompt” to ask the agent again."
)


def edit_button(bundle: Bundle, agent: str) -> None:
    """The way into the editor, for runs that are over."""
    if bundle.run.status.is_final and _choices(bundle, agent):
        st.button(
            "Edit and re-run from here",
            key=f"edit_{agent}",
            icon=":material/edit:",
            help="A new run takes over what is not touched. This run stays as it is.",
            on_click=_open,
            args=(bundle, agent),
        )


def draw_editor(bundle: Bundle) -> None:
    """The editor, when it is open: it stays so, whatever else redraws the page."""
    agent = edited_agent(bundle.run.id)
    if agent in bundle.plan.names and bundle.run.status.is_final:
        _editor(bundle, agent)


def _open(bundle: Bundle, agent: str) -> None:
    _forget(bundle, agent)
    edit_agent(bundle.run.id, agent)


def _close(bundle: Bundle) -> None:
    edit_agent(bundle.run.id, "")


def _forget(bundle: Bundle, agent: str) -> None:
    """Begin with what the agent wrote: what was typed before, and given up, is gone."""
    for field in ("what", "outline", "output", "addition", "instructions"):
        for key in [k for k in st.session_state if str(k).startswith(_key(bundle, agent, field))]:
            del st.session_state[key]


def _choices(bundle: Bundle, agent: str) -> list[str]:
    choices = [OUTPUT] if agent in bundle.checkpoints else []
    return choices if bundle.plan.agent(agent).join else [*choices, PROMPT]


@st.dialog("Edit and re-run from here", width="large", dismissible=False, icon=":material/edit:")
def _editor(bundle: Bundle, agent: str) -> None:
    """Not dismissible: a click beside it must not throw away what was typed."""
    spec = bundle.plan.agent(agent)
    choices = _choices(bundle, agent)
    st.markdown(f"**{escaped(spec.title)}**")
    what = st.segmented_control(
        "What to change",
        choices,
        default=choices[0],
        required=True,
        key=_key(bundle, agent, "what"),
    )
    if what == OUTPUT:
        _output_fields(bundle, spec)
    else:
        _prompt_fields(bundle, spec)
    _key_field(bundle)
    parent = Parent(bundle.run, bundle.events, bundle.checkpoints)
    with st.container(key="rerun_preview"):
        try:
            for line in preview_lines(preview(parent, {agent: _edit(bundle, spec)})):
                st.caption(escaped(line))
        except GantryError as error:
            st.warning(told(error), icon=":material/edit_off:")
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Keep it as it is", key="rerun_no", on_click=_close, args=(bundle,)):
            st.rerun()
        go = st.button("Run again from here", key="rerun", type="primary", icon=":material/replay:")
    if go:
        _run_again(bundle, spec)


def _output_fields(bundle: Bundle, agent: AgentSpec) -> None:
    before = bundle.checkpoints[agent.name].output
    if _is_outline(agent, before):
        outline_form(_key(bundle, agent.name, "outline"), before.data or {})
        return
    key = _key(bundle, agent.name, "output")
    st.session_state.setdefault(key, editable_text(before))
    st.text_area(
        f"Output of the {agent.title.lower()}, "
        + ("as Markdown" if agent.output is None else "as JSON"),
        key=key,
        height=EDITOR_HEIGHT,
    )
    if agent.output is not None:
        st.caption("The fields stay as they are named; what does not fit is said below.")


def _prompt_fields(bundle: Bundle, agent: AgentSpec) -> None:
    spec = bundle.run.spec
    key = _key(bundle, agent.name, "addition")
    st.session_state.setdefault(key, spec.prompt_additions.get(agent.name, ""))
    st.text_area(
        f"Add to the prompt of the {agent.title.lower()}",
        key=key,
        height=120,
        max_chars=ADDITION_MAX_CHARS,
        placeholder="What it should also know or do, for example: Write for landlords.",
    )
    st.caption(
        "It stands at the end of the prompt. Nothing changed: the agent is asked the same again."
    )
    file = prompt_file(agent)
    told = _key(bundle, agent.name, "instructions")
    st.session_state.setdefault(told, spec.prompt_instructions.get(agent.name) or file.body)
    with st.expander("What it is told to do", key=f"{told}panel"):
        st.text_area(
            f"Instructions of the {agent.title.lower()}",
            key=told,
            height=EDITOR_HEIGHT,
            max_chars=INSTRUCTIONS_MAX_CHARS,
        )
        st.button(
            "Back to Gantry's own",
            key=f"{told}reset",
            icon=":material/undo:",
            on_click=_put,
            args=(told, file.body),
            disabled=st.session_state[told] == file.body,
        )
        st.caption("These always stand behind it, and the inputs after them:")
        st.code(file.rules, language=None, wrap_lines=True)


def _put(key: str, text: str) -> None:
    st.session_state[key] = text


def _key_field(bundle: Bundle) -> None:
    run = bundle.run
    if run.spec.key_source != "typed":
        return
    if run.status in COMPLETE:
        key_field(run)
    else:
        where = escaped(address(run.spec.base_url))
        st.caption(f"The key for {where} is the one typed beside “Continue from here”.")


def _edit(bundle: Bundle, agent: AgentSpec) -> Edit:
    """What the fields say. Raises `SpecError` when it cannot be used, or is what there was."""
    name, state = agent.name, st.session_state
    if state.get(_key(bundle, name, "what")) == PROMPT:
        told = str(state.get(_key(bundle, name, "instructions")) or "").strip()
        return Edit(
            addition=str(state.get(_key(bundle, name, "addition")) or "").strip(),
            instructions="" if told == prompt_file(agent).body else told,
        )
    before = bundle.checkpoints[name].output
    if _is_outline(agent, before):
        typed = typed_outline(_key(bundle, name, "outline"), before.data or {})
        output = edited_fields(agent, before, typed)
    else:
        output = edited_output(agent, before, str(state.get(_key(bundle, name, "output")) or ""))
    same = output.text == before.text.strip() if before.data is None else output.data == before.data
    if same:
        raise NOTHING_CHANGED
    return Edit(output=output)


def _run_again(bundle: Bundle, agent: AgentSpec) -> None:
    try:
        edits = {agent.name: _edit(bundle, agent)}
        typed = bundle.run.spec.key_source == "typed"
        endpoint = endpoint_to_continue(bundle.run) if typed else None
        run_id = get_runtime().rerun(bundle.run.id, edits, owner(), typed_endpoint=endpoint)
    except GantryError as error:
        st.error(told(error), icon=":material/error:")
        return
    _close(bundle)
    open_run(run_id)
    st.rerun()


def _is_outline(agent: AgentSpec, before: AgentOutput) -> bool:
    return agent.output is not None and OUTLINE in agent.output.model_fields and bool(before.data)


def _key(bundle: Bundle, agent: str, field: str) -> str:
    return f"edit_{field}_{bundle.run.id}_{agent}."
