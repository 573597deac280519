"""The provider panel: the offline demo, the configured endpoint, or one typed for this session.

Decides which choices exist and what the person is told about them. A typed key stays in this
browser session and in the memory of this process; it is never stored, logged or sent elsewhere.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import streamlit as st

from pages._runtime import get_runtime
from pages._text import escaped, seconds
from pipeline.base_url import address, check_base_url, same_base_url
from pipeline.errors import GantryError, SpecError
from pipeline.llm.client import make_client
from pipeline.llm.endpoint import ConnectionReport, test_connection
from pipeline.models import DEMO_LABEL, Endpoint, RunRecord, RunStatus
from pipeline.settings import KEYLESS, Settings, load_settings

Choice = Literal["demo", "configured", "typed"]
LABELS: Final[dict[str, str]] = {
    "demo": "Offline demo",
    "configured": "Configured endpoint",
    "typed": "My own endpoint",
}
TYPED: Final = "typed for this session"
TEST_TIMEOUT_S: Final = 45.0
SPEEDS: Final = ("instant", "fast", "realistic")
KEEP: Final = "session"
_MODELS: Final = "_models"  # what the endpoint listed
_RESULT: Final = "_connection_result"


def provider_panel() -> None:
    """Draw the panel. The configured endpoint, where there is one, comes first and is chosen."""
    settings = load_settings()
    choices: list[Choice] = ["demo", "typed"]
    if settings.has_endpoint:
        choices.insert(0, "configured")
    st.session_state.setdefault("provider", choices[0])
    with st.expander(
        f"Provider: {LABELS[st.session_state['provider'] or choices[0]]}",
        icon=":material/dns:",
        key="provider_panel",
    ):
        choice = st.segmented_control(
            "Where the agents' calls go",
            choices,
            required=True,
            format_func=LABELS.__getitem__,
            key="provider",
            persist_state=KEEP,
        )
        if choice == "demo":
            _demo_choice()
        else:
            _endpoint_choice(settings, typed=choice == "typed")


def _demo_choice() -> None:
    st.caption(
        f"{DEMO_LABEL}. Text is composed on this machine from a small bundled collection; it needs "
        "no key and no network, and shows how the agents work together."
    )
    st.segmented_control("Demo speed", SPEEDS, required=True, key="demo_speed", persist_state=KEEP)


def _endpoint_choice(settings: Settings, *, typed: bool) -> None:
    if typed:
        st.text_input(
            "Base URL",
            key="endpoint_url",
            placeholder="https://api.openai.com/v1",
            help="Any OpenAI-compatible endpoint. Empty means OpenAI's own.",
            persist_state=KEEP,
        )
        st.text_input(
            "API key",
            key="endpoint_key",
            type="password",
            help="Used for this session only and never stored. A local endpoint may need none.",
            persist_state=KEEP,
        )
    else:
        where = address(settings.openai_base_url)
        st.caption(f"{escaped(where)}, with the key of this installation.")
    _model_choice(settings)
    st.button(
        "Test connection", key="test_connection", icon=":material/cable:", on_click=_test_connection
    )
    _connection_result()


def _model_choice(settings: Settings) -> None:
    st.session_state.setdefault("endpoint_model", settings.openai_model or None)
    models = list(st.session_state.get(_MODELS, ()))
    chosen = st.session_state["endpoint_model"]
    if chosen and chosen not in models:
        models.insert(0, chosen)
    st.selectbox(
        "Model",
        models,
        key="endpoint_model",
        placeholder="Type a name, or test the connection to list them",
        accept_new_options=True,
        persist_state=KEEP,
    )


def chosen_provider() -> tuple[dict[str, Any], Endpoint | None]:
    """The provider's fields of a `RunSpec`, and the endpoint when it was typed for this session."""
    state, settings = st.session_state, load_settings()
    choice = state.get("provider") or ("configured" if settings.has_endpoint else "demo")
    if choice == "demo":
        return {"provider": "demo"}, None
    model = (state.get("endpoint_model") or settings.openai_model or "").strip()
    if choice == "configured":
        fields = {"base_url": settings.openai_base_url, "key_source": "configured"}
        return {"provider": "openai", "model": model, **fields}, None
    endpoint = typed_endpoint()
    if not model:
        raise SpecError(
            "No model is named for this endpoint.",
            "Open the provider panel and name one; “Test connection” lists what there is.",
        )
    fields = {"base_url": endpoint.base_url, "key_source": "typed"}
    return {"provider": "openai", "model": model, **fields}, endpoint


def typed_endpoint() -> Endpoint:
    """The endpoint typed into the panel. Raises `SpecError` when address or key cannot be used."""
    url, key = _panel("endpoint_url") or None, _panel("endpoint_key")
    if url is not None:
        url = check_base_url(url)
    elif not key:
        raise SpecError(
            "No API key is typed.", "Open the provider panel and type one, or use the offline demo."
        )
    return Endpoint(url, key or KEYLESS, TYPED)


def endpoint_to_continue(run: RunRecord) -> Endpoint | None:
    """Where a run on a typed key goes on: always its own address, with the key typed for that.

    A key in the panel counts only while the panel names the same address; one key never goes to
    another's host. None: no key is typed now, and the one typed before may still be known.
    Raises `SpecError` when it is known to be gone.
    """
    url, key = run.spec.base_url, _panel(resume_key(run.id))
    if not key and same_base_url(_panel("endpoint_url"), url):
        key = _panel("endpoint_key")
    if key:
        return Endpoint(url, key, TYPED)
    if run.status is not RunStatus.NEEDS_KEY:
        return None
    if url is None:
        raise SpecError("No API key is typed.", "Type it beside Continue.")
    return Endpoint(url, KEYLESS, TYPED)  # a local endpoint may need none


def resume_key(run_id: str) -> str:
    """The widget's key, one per run: what is typed for one run must not stand in another's field."""
    return f"resume_key_{run_id}"


def _panel(key: str) -> str:
    return (st.session_state.get(key) or "").strip()


def _test_connection() -> None:
    """Ask the chosen endpoint (callback); the answer stays on the panel."""
    settings, state = load_settings(), st.session_state
    try:
        typed = state["provider"] == "typed"
        endpoint = typed_endpoint() if typed else settings.configured_endpoint()
        model = (state.get("endpoint_model") or "").strip()
        report = get_runtime().call(_ask(endpoint, model), TEST_TIMEOUT_S)
    except GantryError as error:
        report = ConnectionReport(False, error.message, error.hint)
    state[_RESULT] = report
    state[_MODELS] = report.models


async def _ask(endpoint: Endpoint, model: str) -> ConnectionReport:
    client = make_client(endpoint)
    try:
        return await test_connection(client, model)
    finally:
        await client.close()


def _connection_result() -> None:
    report: ConnectionReport | None = st.session_state.get(_RESULT)
    if report is None:
        return
    if report.ok:
        took = f" Answered in {seconds(report.latency_s)}." if report.latency_s is not None else ""
        st.success(escaped(report.message) + took, icon=":material/check_circle:")
    else:
        st.error(escaped(f"{report.message} {report.hint}"), icon=":material/error:")
