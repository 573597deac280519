"""The design Gantry replaces: `asyncio.gather` per phase over streaming `AsyncOpenAI` calls.

Nothing is added to make it slow and nothing left out: it reads the chunks as the SDK gives them,
keeps text and usage, and waits for each phase as a whole. With a cap all calls share a semaphore.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import httpx2
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from openai.types.chat import ChatCompletionMessageParam

from benchmarks.adapters import KEY, MAX_CONNECTIONS, Body, Config
from benchmarks.machine import new_event_loop
from benchmarks.workload import MODEL, PHASES, Script, instructions, user_message


def run(config: Config, body: Body) -> dict[str, Any]:
    factory = new_event_loop if config.uvloop else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(_run(config, body))


async def _run(config: Config, body: Body) -> dict[str, Any]:
    limits = httpx2.Limits(
        max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS
    )
    http = DefaultAsyncHttpxClient(limits=limits)
    async with AsyncOpenAI(api_key=KEY, base_url=config.base_url, http_client=http) as client:
        return await body(PlainGather(client, config.cap))


class PlainGather:
    def __init__(self, client: AsyncOpenAI, cap: int = 0) -> None:
        self._client = client
        self._slot: AbstractAsyncContextManager[Any] = (
            asyncio.Semaphore(cap) if cap else nullcontext()
        )

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
        messages: list[ChatCompletionMessageParam] = [
            {"role": "system", "content": instructions(agent)},
            {"role": "user", "content": prompt},
        ]
        async with self._slot:
            stream = await self._client.chat.completions.create(
                model=MODEL, messages=messages, stream=True, stream_options={"include_usage": True}
            )
            parts = [
                chunk.choices[0].delta.content
                async for chunk in stream
                if chunk.choices and chunk.choices[0].delta.content
            ]
        return "".join(parts)
