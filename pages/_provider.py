"""The provider panel: the offline demo, the configured endpoint, or one typed for this session.

Decides which choices exist and what the person is told about them. A typed key stays in this
browser session and in the memory of this process; it is never stored, logged or sent elsewhere.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final, Literal

import streamlit as st

from pages._runtime import get_runtime
from pages._state import form_note
from pages._text import escaped, seconds
from pipeline.base_url import address, check_base_url, same_base_url
from pipeline.errors import GantryError, SpecError
from pipeline.llm.client import make_client
from pipeline.llm.endpoint import ConnectionReport, list_models, test_connection
from pipeline.models import DEMO_LABEL, KEYLESS, Endpoint, RunRecord, RunSpec, RunStatus
from pipeline.settings import Settings, load_settings

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
KEY_LIVE: Final = "0ms"  # leaving the field by Tab does not count as leaving: the eye is part of it
LIST_TIMEOUT_S: Final = 15.0
_TESTED: Final = "_tested"


@dataclass(frozen=True, slots=True)
class _Tested:
    """What an endpoint said when it was asked. `place` names address and key, not in the clear."""

    place: str
    model: str
    report: ConnectionReport


def provider_panel() -> None:
    """Draw the panel. The configured endpoint, where there is one, comes first and is chosen."""
    settings = load_settings()
    choices: list[Choice] = ["demo", "typed"]
    if settings.has_endpoint:
        choices.insert(0, "configured")
    st.session_state.setdefault("provider", choices[0])
    with st.expander(
        f"Provider: {LABELS[st.session_state['provider'] or choices[0]]}",
        key="provider_panel",
        expanded=bool(form_note()),  # something is missing here
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
            live=KEY_LIVE,
            persist_state=KEEP,
        )
    else:
        where = address(settings.openai_base_url)
        st.caption(f"{escaped(where)}, with the key of this installation.")
    tested = _tested(settings)
    _model_choice(settings, tested.report.models if tested else ())
    _fallback_choice(settings)
    st.button(
        "Test connection", key="test_connection", icon=":material/cable:", on_click=_test_connection
    )
    if tested and tested.model == _panel("endpoint_model"):
        _connection_result(tested.report)


def _model_choice(settings: Settings, listed: tuple[str, ...]) -> None:
    st.session_state.setdefault("endpoint_model", settings.openai_model or None)
    models = list(listed)
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


def _fallback_choice(settings: Settings) -> None:
    st.session_state.setdefault("endpoint_fallback", settings.fallback_model)
    st.text_input(
        "Fallback model",
        key="endpoint_fallback",
        placeholder="None",
        help="Takes over for an agent whose model is overloaded, too slow, missing, or too small for "
        "the prompt after its last attempt. Empty: the agent fails then.",
        persist_state=KEEP,
    )


def chosen_provider() -> tuple[dict[str, Any], Endpoint | None]:
    """The provider's fields of a `RunSpec`, and the endpoint when it was typed for this session.

    Raises `SpecError` when the panel does not say enough to make a call.
    """
    settings = load_settings()
    choice = _choice(settings)
    if choice == "demo":
        return {"provider": "demo"}, None
    endpoint = _endpoint(settings)
    model = _panel("endpoint_model") or settings.openai_model.strip() or _only_model(endpoint)
    fields = {"provider": "openai", "model": model, "base_url": endpoint.base_url}
    fields["fallback_model"] = _fallback(settings)
    if choice == "configured":
        return {**fields, "key_source": "configured"}, None
    return {**fields, "key_source": "typed"}, endpoint


def restore_provider(spec: RunSpec) -> str:
    """Put a run's provider into the panel; returns what is missing to use it, in a sentence.

    A key is never stored. One that is typed stays only where the address stays the same.
    """
    state, settings = st.session_state, load_settings()
    if spec.is_demo:
        state["provider"] = "demo"
        return ""
    state["endpoint_model"] = spec.model or None
    state["endpoint_fallback"] = spec.fallback_model
    at_home = settings.has_endpoint and same_base_url(spec.base_url, settings.openai_base_url)
    if spec.key_source != "typed" and at_home:
        state["provider"] = "configured"
        return ""
    if not same_base_url(_panel("endpoint_url"), spec.base_url):
        state["endpoint_key"] = ""
    state["provider"], state["endpoint_url"] = "typed", spec.base_url or ""
    if _panel("endpoint_key"):
        return ""
    return (
        f"That run used {address(spec.base_url)}. Its key is not kept: type it again in the "
        "provider panel, if the endpoint needs one."
    )


def model_to_continue(run: RunRecord) -> str:
    """The model to offer for what is left of a run: the panel's, when it names the run's endpoint."""
    settings = load_settings()
    typed = run.spec.key_source == "typed"
    if _choice(settings) == ("typed" if typed else "configured"):
        url = _panel("endpoint_url") if typed else settings.openai_base_url
        if same_base_url(url or None, run.spec.base_url):
            return _panel("endpoint_model") or run.spec.model
    return run.spec.model


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


def key_field(run: RunRecord) -> None:
    """Where the key to go on with is typed; the address stands below, not in what is read out."""
    st.text_input("API key", key=resume_key(run.id), type="password", live=KEY_LIVE, width=360)
    st.caption(
        f"For {escaped(address(run.spec.base_url))}. Empty: the key typed before, while this process "
        "still knows it."
    )


def resume_key(run_id: str) -> str:
    """The widget's key, one per run: what is typed for one run must not stand in another's field."""
    return f"resume_key_{run_id}"


def _fallback(settings: Settings) -> str:
    """What the panel says; what is configured, when the panel was never drawn."""
    if "endpoint_fallback" in st.session_state:
        return _panel("endpoint_fallback")
    return settings.fallback_model


def _panel(key: str) -> str:
    return (st.session_state.get(key) or "").strip()


def _choice(settings: Settings) -> str:
    default = "configured" if settings.has_endpoint else "demo"
    return str(st.session_state.get("provider") or default)


def _endpoint(settings: Settings) -> Endpoint:
    """The endpoint the panel names. Raises `SpecError` when it names none that can be asked."""
    return typed_endpoint() if _choice(settings) == "typed" else settings.configured_endpoint()


def _only_model(endpoint: Endpoint) -> str:
    """The one model the endpoint lists. Raises `SpecError` when a person must choose."""
    try:
        models = get_runtime().call(_models(endpoint), LIST_TIMEOUT_S)
    except GantryError as error:
        raise SpecError(f"No model is named, and none could be listed. {error}") from error
    if len(models) == 1:
        return models[0]
    raise SpecError(
        "No model is named for this endpoint.",
        "Open the provider panel and name one; “Test connection” lists what there is.",
    )


def _tested(settings: Settings) -> _Tested | None:
    """What the endpoint said, as long as the panel still names that endpoint with that key."""
    tested = st.session_state.get(_TESTED)
    return tested if tested is not None and tested.place == _place(settings) else None


def _place(settings: Settings) -> str:
    """Address and key in one word that tells neither."""
    if _choice(settings) == "typed":
        url, key = _panel("endpoint_url"), _panel("endpoint_key")
    else:
        endpoint = settings.configured_endpoint()
        url, key = endpoint.base_url or "", endpoint.api_key
    return hashlib.sha256(f"{url.rstrip('/')}\x1f{key}".encode()).hexdigest()


def _test_connection() -> None:
    """Ask the chosen endpoint (callback); the answer stays while the panel says the same."""
    settings, model = load_settings(), _panel("endpoint_model")
    try:
        report = get_runtime().call(_ask(_endpoint(settings), model), TEST_TIMEOUT_S)
    except GantryError as error:
        report = ConnectionReport(False, error.message, error.hint)
    st.session_state[_TESTED] = _Tested(_place(settings), model, report)


async def _models(endpoint: Endpoint) -> list[str]:
    client = make_client(endpoint)
    try:
        return await list_models(client)
    finally:
        await client.close()


async def _ask(endpoint: Endpoint, model: str) -> ConnectionReport:
    client = make_client(endpoint)
    try:
        return await test_connection(client, model)
    finally:
        await client.close()


def _connection_result(report: ConnectionReport) -> None:
    if report.ok:
        took = f" Answered in {_latency(report.latency_s)}." if report.latency_s is not None else ""
        st.success(escaped(report.message) + took, icon=":material/check_circle:")
    else:
        st.error(escaped(f"{report.message} {report.hint}"), icon=":material/error:")


def _latency(latency_s: float) -> str:
    return f"{1000 * latency_s:.0f} ms" if latency_s < 1 else seconds(latency_s)
