"""A knowledge base on a real database, and an endpoint that makes vectors."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from openai import AsyncOpenAI

from pipeline.knowledge.service import Knowledge
from pipeline.llm.client import make_client
from pipeline.llm.embeddings import EndpointEmbedder
from pipeline.models import Endpoint
from pipeline.settings import Settings
from pipeline.store import Store, database_url

MODEL = "tiny-embedding"
# Each word names a direction; a text's vector is the sum of those of its words.
MEANINGS = {"cat": 0, "kitten": 0, "tiger": 0, "car": 1, "lorry": 1, "tram": 1}


@dataclass
class Embeddings:
    """What the endpoint was asked, and what it should answer instead of vectors."""

    asked: list[list[str]] = field(default_factory=list)
    status: int = 200
    body: Any = None  # instead of the right answer

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.asked.append(body["input"])
        if self.status != 200 or self.body is not None:
            return web.json_response(self.body or {}, status=self.status)
        data = [
            {"object": "embedding", "index": at, "embedding": _vector(text)}
            for at, text in enumerate(body["input"])
        ]
        data.reverse()  # the order is in `index`
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return web.json_response({"object": "list", "data": data, "model": MODEL, "usage": usage})


def _vector(text: str) -> Sequence[float]:
    vector = [0.0, 0.0, 0.1]
    for word in text.lower().replace(".", "").split():
        if word in MEANINGS:
            vector[MEANINGS[word]] += 1
    return [part / math.hypot(*vector) * 3 for part in vector]  # not of length 1


@pytest.fixture
def embeddings() -> Embeddings:
    return Embeddings()


@pytest.fixture
async def client(embeddings: Embeddings) -> AsyncIterator[AsyncOpenAI]:
    app = web.Application()
    app.router.add_post("/v1/embeddings", embeddings.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    client = make_client(Endpoint(f"http://127.0.0.1:{port}/v1", "sk-test", "test"))
    yield client
    await client.close()
    await runner.cleanup()


@pytest.fixture
def embedder(client: AsyncOpenAI) -> EndpointEmbedder:
    async def get() -> AsyncOpenAI:
        return client

    return EndpointEmbedder(MODEL, get)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(database_url(Settings(data_dir=tmp_path, database_url=None)))
    yield store
    await store.aclose()


@pytest.fixture
async def knowledge(store: Store) -> AsyncIterator[Knowledge]:
    knowledge = Knowledge(store.documents)
    yield knowledge
    await knowledge.aclose()
