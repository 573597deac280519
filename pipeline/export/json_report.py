"""The JSON report: one run, whole, under field names that other programs rely on.

Field names and meanings are stable within a `schema_version`; new fields may be added. Times are
seconds since the run started. Nothing here is secret: keys and addresses of endpoints stay out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pipeline.content.article import Article
from pipeline.content.changes import Changes
from pipeline.content.citations import NumberedSource
from pipeline.content.evidence import Evidence, evidence_report
from pipeline.content.readability import computed_metrics
from pipeline.content.seo import seo_view
from pipeline.content.social import finished_posts, finished_series
from pipeline.content.voice_review import voice_view
from pipeline.costs import RunCost
from pipeline.events import AgentFinished, AnyEvent, to_dict
from pipeline.models import (
    DEMO_LABEL,
    AgentOutput,
    AgentSpec,
    AgentState,
    Checkpoint,
    Flag,
    RunRecord,
)
from pipeline.plan import Plan
from pipeline.prices import MICRO
from pipeline.timing import AgentTiming, CallTiming, RunTiming, ToolSpan

SCHEMA_VERSION = 1


def build_report(
    run: RunRecord,
    plan: Plan,
    events: Sequence[AnyEvent],
    checkpoints: Mapping[str, Checkpoint],
    timing: RunTiming,
    texts: Mapping[str, str],
    *,
    cost: RunCost,
    article: Article | None,
    evidence: Sequence[Evidence] | None,
    changes: Changes | None,
) -> dict[str, Any]:
    """The report as JSON values.

    `texts` is what agents without a checkpoint wrote so far; marked `text_is_partial`. Article,
    evidence and changes are what `Bundle` made of the run: None where there is none.
    """
    outputs = {name: checkpoint.output for name, checkpoint in checkpoints.items()}
    errors = errors_of(events)
    report = {
        "schema_version": SCHEMA_VERSION,
        "run_id": run.id,
        "parent_run_id": run.parent_id or None,
        "status": run.status.value,
        "error": run.error or None,
        "created_at": run.created_at.isoformat(),
        "topic": run.spec.topic,
        "mode": run.spec.mode.value,
        "switches": dict(plan.switches),
        "options": run.spec.options.model_dump(),
        "provider": run.spec.provider,
        "model": run.spec.model or _model_seen(outputs),
        "seed": run.spec.seed,
        "demo": run.spec.is_demo,
        "demo_label": DEMO_LABEL if run.spec.is_demo else None,
        "degraded": list(run.degraded),
        "edited": [agent.agent for agent in timing.agents if agent.edited],  # by a person
        "prompt_additions": dict(run.spec.prompt_additions),
        "prompt_instructions": dict(run.spec.prompt_instructions),
        "agents": [
            _agent(plan, agent, outputs.get(agent.agent), errors, texts) for agent in timing.agents
        ],
        "timing": _timing(timing),
        **_cost(run, cost),
        "speculation": _speculation(timing),
        "article": {"title": article.title, "markdown": article.markdown} if article else None,
        "labels": list(article.labels) if article else [],
        "evidence": evidence_report(evidence) if evidence is not None else None,
        "sources": [_source(entry) for entry in article.sources] if article else [],
        **_results(run, outputs, checkpoints, article),
        "changes": _changes(changes),
        "events": [to_dict(event) for event in events],
    }
    return {name: json_safe(value) for name, value in report.items()}


def errors_of(events: Sequence[AnyEvent]) -> dict[str, str]:
    """What went wrong last, by agent; empty of one that finished well."""
    return {event.agent: event.error for event in events if isinstance(event, AgentFinished)}


def json_safe(value: Any) -> Any:
    """The value with only what JSON holds: lone surrogates become U+FFFD, no NaN, plain lists."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {json_safe(str(key)): json_safe(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(inner) for inner in value]
    return value


def _agent(
    plan: Plan,
    timing: AgentTiming,
    output: AgentOutput | None,
    errors: Mapping[str, str],
    texts: Mapping[str, str],
) -> dict[str, Any]:
    return {
        "agent": timing.agent,
        "phase": timing.phase,
        "part_of": _part_of(plan.agent(timing.agent)),
        "status": timing.state.value,
        "taken_over": timing.taken_over,
        "edited": timing.edited,
        "importance": plan.agent(timing.agent).importance.value,
        "attempts": timing.attempts,
        "model": timing.model or None,
        "started_s": timing.started_s,
        "admitted_s": timing.admitted_s,
        "first_token_s": timing.first_token_s,
        "finished_s": timing.finished_s,
        "input_tokens": timing.usage.input_tokens,
        "output_tokens": timing.usage.output_tokens,
        "segments": asdict(timing.segments),
        "calls": [_call(call) for call in timing.calls],
        "tool_calls": [_tool_call(tool) for tool in timing.tools],
        "text": output.text if output else texts.get(timing.agent, ""),
        "text_is_partial": output is None and bool(texts.get(timing.agent)),
        "output": output.data if output else None,
        "flags": [_flag(flag) for flag in output.flags] if output else [],
        "error": errors.get(timing.agent) or None,
    }


def _flag(flag: Flag) -> dict[str, str]:
    """Without what was taken out: an address that is no source's must not leave by this door."""
    return {"kind": flag.kind.value, "sentence": flag.sentence}


def _part_of(agent: AgentSpec) -> str | None:
    """The agent whose work this one shares, when the plan has grown."""
    return agent.part.of if agent.part else None


def _cost(run: RunRecord, cost: RunCost | None) -> dict[str, Any]:
    """Tokens as the provider told them, and dollars at the table's prices; null: unknown."""
    if cost is None:
        return {"usage": None, "cost": None}
    usd = None if cost.micro_usd is None else cost.micro_usd / MICRO
    return {
        "usage": {
            "input_tokens": cost.input_tokens,
            "output_tokens": cost.output_tokens,
            "calls": cost.calls,
            "calls_without_usage": cost.untold,
            "discarded_attempts": cost.discarded,
        },
        "cost": {
            "usd": usd,
            "priced_on": cost.priced_on,
            "unpriced_models": list(cost.unpriced),
            "max_tokens": run.spec.max_tokens,
            "max_cost_usd": run.spec.max_cost_usd,
        },
    }


def _speculation(timing: RunTiming) -> dict[str, Any] | None:
    """What the forerunner found and how much of it was of use; None without one, or before that.

    `wasted_share` is that of findings; `wasted_tokens` estimates the tokens by the same share.
    """
    return next(
        ({"agent": a.agent, **asdict(a.speculation)} for a in timing.agents if a.speculation), None
    )


def _call(call: CallTiming) -> dict[str, Any]:
    return {
        "call": call.call,
        "attempt": call.attempt,
        "model": call.model or None,
        "sent_s": call.sent_s,
        "first_token_s": call.first_token_s,
        "finished_s": call.finished_s,
        "outcome": call.outcome or None,
    }


def _tool_call(tool: ToolSpan) -> dict[str, Any]:
    return {
        "number": tool.number,
        "tool": tool.tool,
        "about": tool.about,
        "started_s": tool.start_s,
        "finished_s": tool.end_s,
        "passages": tool.passages,
        "error": tool.error or None,
        "used": tool.used,
    }


def _timing(timing: RunTiming) -> dict[str, Any]:
    return {
        "makespan_s": timing.makespan_s,
        "sequential_s": timing.sequential_s,
        "sequential_kind": timing.sequential_kind,
        "bound_s": timing.bound_s,
        "saved_s": timing.saved_s,
        "saved_share": timing.saved_share,
        "interrupted": timing.interrupted,
        "derived": timing.derived,
        "critical_path": list(timing.critical),
        "phases": [asdict(phase) for phase in timing.phases],
    }


def _source(entry: NumberedSource) -> dict[str, Any]:
    return {"number": entry.number, **asdict(entry.source)}


def _results(
    run: RunRecord,
    outputs: Mapping[str, AgentOutput],
    checkpoints: Mapping[str, Checkpoint],
    article: Article | None,
) -> dict[str, Any]:
    """What the finishing agents made; None (or no posts) for one that is absent."""
    seo = _data(outputs, "seo_specialist")
    return {
        "seo": seo_view(seo, article, language=run.spec.language, created=run.created_at)
        if article
        else None,
        "metrics": _metrics(run, outputs, checkpoints),
        "summary": _data(outputs, "summary_writer"),
        "posts": finished_posts(_data(outputs, "social_promoter")),
        "voice": voice_of(run, outputs, article),
        "series": finished_series(_data(outputs, "social_promoter")),
    }


def _changes(changes: Changes | None) -> dict[str, Any] | None:
    """Edits and advice with what became of them; the words that changed are counted only."""
    if changes is None:
        return None
    return {
        "headline_before": changes.headline_before,
        "headline": changes.headline,
        "standfirst": changes.standfirst,
        "edits": [asdict(edit) for edit in changes.edits],
        "advice": [asdict(advice) for advice in changes.advice],
        "not_applied": list(changes.left),
        "words_added": changes.text.words("added"),
        "words_removed": changes.text.words("removed"),
    }


def _metrics(
    run: RunRecord, outputs: Mapping[str, AgentOutput], checkpoints: Mapping[str, Checkpoint]
) -> dict[str, Any] | None:
    """The numbers by code, and the model's reading of them where there is one."""
    edited = outputs.get("editor")
    if edited is None:
        return None
    checkpoint = checkpoints.get("metrics_analyzer")
    read = checkpoint is not None and checkpoint.state is AgentState.DONE
    return {
        "computed": computed_metrics(edited.text, run.spec.language).to_dict(),
        "reading": _data(outputs, "metrics_analyzer") if read else None,
    }


def voice_of(
    run: RunRecord, outputs: Mapping[str, AgentOutput], article: Article | None
) -> dict[str, Any] | None:
    """What code found of the brand voice; None for a run without one."""
    if run.spec.voice is None:
        return None
    text = None
    if article is not None:
        text = "\n\n".join((article.title, article.standfirst, article.body_markdown))
    return voice_view(run.spec.voice, text, _data(outputs, "social_promoter"))


def _data(outputs: Mapping[str, AgentOutput], name: str) -> dict[str, Any] | None:
    output = outputs.get(name)
    return output.data if output else None


def _model_seen(outputs: Mapping[str, AgentOutput]) -> str:
    """What the provider says it used, when the run named no model."""
    return next((o.response_model for o in outputs.values() if o.response_model), "")
