"""The pipeline with a pydantic-ai `Agent` per step, streamed, phases gathered.

Text agents without output types or tools: less than Gantry checks, and the fastest it has. Its
documented way to run agents side by side is `asyncio.gather`. No instrumentation.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from benchmarks.adapters import KEY, MAX_CONNECTIONS, Body, Config
from benchmarks.workload import AGENTS, MODEL, PHASES, Script, instructions, user_message


def run(config: Config, body: Body) -> dict[str, Any]:
    return asyncio.run(_run(config, body))


async def _run(config: Config, body: Body) -> dict[str, Any]:
    limits = httpx2.Limits(
        max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS
    )
    http = DefaultAsyncHttpxClient(limits=limits)
    async with AsyncOpenAI(api_key=KEY, base_url=config.base_url, http_client=http) as client:
        model = OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=client))
        return await body(PydanticAI(model))


class PydanticAI:
    def __init__(self, model: OpenAIChatModel) -> None:
        self._agents = {name: Agent(model, system_prompt=instructions(name)) for name in AGENTS}

    async def pipeline(self, script: Script) -> None:
        topic, outputs = str(script), dict[str, str]()
        for phase in PHASES:
            work = [self._ask(agent, user_message(agent, topic, outputs)) for agent in phase]
            outputs.update(zip(phase, await asyncio.gather(*work), strict=True))

    async def fan(self, script: Script, count: int) -> int:
        work = [self._ask("editor", str(script)) for _ in range(count)]
        results = await asyncio.gather(*work, return_exceptions=True)
        return sum(isinstance(result, str) for result in results)

    async def _ask(self, agent: str, prompt: str) -> str:
        async with self._agents[agent].run_stream(prompt) as result:
            # debounce_by=None: no task and no timer of its own for every chunk
            return "".join(
                [text async for text in result.stream_text(delta=True, debounce_by=None)]
            )
