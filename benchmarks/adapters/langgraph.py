"""The pipeline as a LangGraph graph with langchain-openai's streaming chat model in its nodes.

One node per agent, an edge from every agent of a phase to every agent of the next, outputs merged
into the state: as its documentation builds it. No checkpointer, no tracing.
"""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Annotated, Any, TypedDict

import httpx2
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from openai import DefaultAsyncHttpxClient

from benchmarks.adapters import KEY, MAX_CONNECTIONS, Body, Config
from benchmarks.workload import MODEL, PHASES, Script, instructions, user_message


class State(TypedDict):
    topic: str
    outputs: Annotated[dict[str, str], operator.or_]


class FanState(TypedDict):
    prompt: str
    texts: Annotated[list[str], operator.add]


def run(config: Config, body: Body) -> dict[str, Any]:
    return asyncio.run(_run(config, body))


async def _run(config: Config, body: Body) -> dict[str, Any]:
    limits = httpx2.Limits(
        max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS
    )
    async with DefaultAsyncHttpxClient(limits=limits) as http:
        model = ChatOpenAI(
            model=MODEL,
            api_key=KEY,
            base_url=config.base_url,
            http_async_client=http,
            streaming=True,
            stream_usage=True,
        )
        return await body(LangGraph(model))


class LangGraph:
    def __init__(self, model: Any) -> None:
        self._model = model
        self._pipeline = self._pipeline_graph()
        self._fans: dict[int, Any] = {}

    async def pipeline(self, script: Script) -> None:
        await self._pipeline.ainvoke({"topic": str(script), "outputs": {}})

    async def fan(self, script: Script, count: int) -> int:
        if count not in self._fans:  # built once, like the graph of the pipeline
            self._fans[count] = self._fan_graph(count)
        state = await self._fans[count].ainvoke({"prompt": str(script), "texts": []})
        return len(state["texts"])

    async def _ask(self, agent: str, prompt: str) -> str:
        messages = [SystemMessage(instructions(agent)), HumanMessage(prompt)]
        return "".join([chunk.content async for chunk in self._model.astream(messages)])

    def _pipeline_graph(self) -> Any:
        graph = StateGraph(State)
        for phase in PHASES:
            for agent in phase:
                graph.add_node(agent, self._node(agent))
        for agent in PHASES[0]:
            graph.add_edge(START, agent)
        for before, after in pairwise(PHASES):
            for agent in after:
                graph.add_edge(list(before), agent)
        for agent in PHASES[-1]:
            graph.add_edge(agent, END)
        return graph.compile()

    def _node(self, agent: str) -> Callable[[State], Awaitable[dict[str, Any]]]:
        async def node(state: State) -> dict[str, Any]:
            prompt = user_message(agent, state["topic"], state["outputs"])
            return {"outputs": {agent: await self._ask(agent, prompt)}}

        return node

    def _fan_graph(self, count: int) -> Any:
        async def node(state: FanState) -> dict[str, Any]:
            return {"texts": [await self._ask("editor", state["prompt"])]}

        graph = StateGraph(FanState)
        for number in range(count):
            name = f"agent{number}"
            graph.add_node(name, node)
            graph.add_edge(START, name)
            graph.add_edge(name, END)
        return graph.compile()
