"""From options of a command line to a validated spec."""

from __future__ import annotations

from pipeline.agents.roster import ROSTER
from pipeline.cli.options import ProviderName, SpeedName
from pipeline.errors import SpecError
from pipeline.models import Mode, RunOptions, RunSpec
from pipeline.plan import make_plan, switchable_phases
from pipeline.settings import Settings
from pipeline.spec import make_spec


def spec_of(
    settings: Settings,
    *,
    mode: Mode,
    sequential_phases: list[str],
    provider: ProviderName | None,
    speed: SpeedName | None,
    model: str,
    agent_models: list[str],
    fallback_models: list[str],
    options: RunOptions,
    **brief: object,
) -> RunSpec:
    """Validate everything before anything is spent."""
    demo = provider is ProviderName.DEMO or (provider is None and not settings.has_endpoint)
    if not demo and not settings.has_endpoint:
        raise SpecError(
            "No endpoint is configured.",
            "Set OPENAI_API_KEY (and OPENAI_BASE_URL for another endpoint), or use --provider demo.",
        )
    switches = switches_of(settings, sequential_phases, options)
    make_plan(ROSTER, mode, switches, options)
    of_all = [one for one in fallback_models if "=" not in one]
    if len(of_all) > 1:
        raise SpecError("Only one fallback can be for all agents.", "Write AGENT=M for the others.")
    return make_spec(
        mode=mode,
        options=options,
        switches=switches,
        provider="demo" if demo else "openai",
        base_url=None if demo else settings.openai_base_url,
        model=model or ("" if demo else settings.openai_model),
        agent_models=_agent_models(agent_models),
        fallback_model=of_all[0] if of_all else "" if demo else settings.fallback_model,
        fallback_models=_agent_models([one for one in fallback_models if "=" in one]),
        key_source="none" if demo else "configured",
        speed=speed.value if speed else settings.demo_speed,
        **brief,
    )


def run_options(
    section_writing: bool,
    section_editing: bool,
    speculative_research: bool,
    approve_outline: bool,
) -> RunOptions:
    if section_editing and not section_writing:
        raise SpecError(
            "--section-editing edits what was written by section.", "Add --section-writing."
        )
    return RunOptions(
        section_writing=section_writing,
        section_editing=section_editing,
        speculative_research=speculative_research,
        approve_outline=approve_outline,
    )


def switches_of(
    settings: Settings, sequential_phases: list[str], options: RunOptions
) -> dict[str, bool]:
    switchable = switchable_phases(ROSTER, options)
    for phase in sequential_phases:
        if phase not in switchable:
            raise SpecError(
                f"There is no parallel phase `{phase}`.", f"Known: {', '.join(switchable)}."
            )
    switches = settings.default_switches(switchable)
    return switches | dict.fromkeys(sequential_phases, False)


def _agent_models(pairs: list[str]) -> dict[str, str]:
    names = [agent.name for agent in ROSTER]
    models = {}
    for pair in pairs:
        agent, _, model = pair.partition("=")
        if agent not in names or not model:
            raise SpecError(
                f"`{pair}` does not name a model for an agent.",
                f"Write AGENT=MODEL with one of: {', '.join(names)}.",
            )
        models[agent] = model
    return models
