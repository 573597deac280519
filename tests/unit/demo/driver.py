"""Drive the ten agents over the wire with the real prompts and tools, without the orchestrator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from openai import AsyncOpenAI

from pipeline.agents.prompting import instructions, user_prompt
from pipeline.agents.roster import ROSTER
from pipeline.models import AgentOutput, AgentSpec, RunSpec, Source
from pipeline.tools import run_context, run_tool, tool_definitions
from pipeline.tools.samples import sample_research


@dataclass
class Run:
    outputs: dict[str, AgentOutput] = field(default_factory=dict)
    completion_tokens: dict[str, list[int]] = field(default_factory=dict)  # one per call

    @property
    def sources(self) -> dict[str, Source]:
        return {s.id: s for output in self.outputs.values() for s in output.sources}

    def data(self, agent: str) -> Mapping[str, Any]:
        data = self.outputs[agent].data
        assert data is not None
        return data

    @property
    def found(self) -> bool:
        return any(self.data(r)["findings"] for r in ("web_researcher", "kb_researcher"))


async def run_agents(client: AsyncOpenAI, spec: RunSpec, *, tools: bool = True) -> Run:
    """All agents in roster order; every answer validated against its output type."""
    run = Run()
    for agent in ROSTER:
        is_after_research = "kb_researcher" in run.outputs
        inputs = {n.agent: run.outputs[n.agent] for n in agent.needs if n.agent in run.outputs}
        prompt = user_prompt(
            agent, spec, inputs, date="2026-11-24", unsourced=is_after_research and not run.found
        )
        run.outputs[agent.name] = await _converse(client, agent, spec, prompt, run, tools)
    return run


async def _converse(
    client: AsyncOpenAI, agent: AgentSpec, spec: RunSpec, prompt: str, run: Run, tools: bool
) -> AgentOutput:
    messages: list[Any] = [
        {"role": "system", "content": instructions(agent)},
        {"role": "user", "content": prompt},
    ]
    offered: dict[str, Any] = (
        {"tools": tool_definitions(agent.tools)} if tools and agent.tools else {}
    )
    sources: dict[str, Source] = {}
    context = run_context(sample_research(), owner="local", topic=spec.topic, language="English")
    while True:
        completion = await client.chat.completions.create(
            model="gantry-demo", messages=messages, seed=spec.seed, **offered
        )
        assert completion.usage is not None
        run.completion_tokens.setdefault(agent.name, []).append(completion.usage.completion_tokens)
        message = completion.choices[0].message
        if not message.tool_calls:
            break
        messages.append(message.model_dump(exclude_none=True))
        for call in message.tool_calls:
            result = await run_tool(call.function.name, call.function.arguments, context)
            sources |= {source.id: source for source in result.sources}
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result.content})
    text = message.content or ""
    data = agent.output.model_validate_json(text).model_dump(mode="json") if agent.output else None
    return AgentOutput(text=text, data=data, sources=tuple(sources.values()))
