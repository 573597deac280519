"""What the demo provider answers in a whole run, recorded to be played by other servers."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from pipeline.chat_orchestrator import ChatOrchestrator
from pipeline.llm.client import make_client
from pipeline.models import RunStatus
from pipeline.tools.samples import sample_research
from tests.fault_front import FaultFront, agent_of, chunks_of, text_of
from tests.fault_server import Request

MODEL = "gantry-demo-instant"
TOPIC = "Heat pumps in old buildings"


@dataclass(frozen=True, slots=True)
class Recording:
    """`streams[agent]` are the answers to its calls, in order, as they went over the wire."""

    streams: dict[str, list[bytes]]

    def meant(self, agent: str) -> str:
        """The text an agent must end with: its last answer, the others ask for tools."""
        return text_of(self.streams[agent][-1]).strip()


def tool_calls_of(stream: bytes) -> list[dict[str, str]]:
    """The calls of a recorded stream, put together: id, name, arguments as JSON text."""
    calls: dict[int, dict[str, str]] = {}
    for chunk in chunks_of(stream):
        deltas: list[Any] = [d for c in chunk["choices"] for d in c["delta"].get("tool_calls", [])]
        for delta in deltas:
            call = calls.setdefault(delta["index"], {"id": "", "name": "", "arguments": ""})
            call["id"] += delta.get("id", "")
            call["name"] += delta["function"].get("name", "")
            call["arguments"] += delta["function"].get("arguments", "")
    return [calls[index] for index in sorted(calls)]


class _Recorder(FaultFront):
    def __init__(self) -> None:
        super().__init__()
        self.streams: dict[str, list[bytes]] = defaultdict(list)

    async def _good(self, request: Request) -> bytes:
        answer = await super()._good(request)
        self.streams[agent_of(request.json)].append(answer)
        return answer


async def record() -> Recording:
    """One run of the ten agents on the demo."""
    async with _Recorder() as recorder, make_client(recorder.endpoint) as client:
        orchestrator = ChatOrchestrator(client, model=MODEL, research=sample_research())
        result = await orchestrator.run_pipeline(TOPIC)
    assert result.status is RunStatus.DONE, result.error
    assert len(recorder.streams) == 10
    return Recording(dict(recorder.streams))
