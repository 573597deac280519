"""A demo on a real socket, the SDK as its client, and the published schemas to judge it by."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from pipeline.llm.demo.server import DemoServer

SCHEMAS = Path(__file__).parents[2] / "data" / "openai-chat-schemas.json"

Fits = Callable[[str, Any], None]


@pytest.fixture
async def demo() -> AsyncIterator[DemoServer]:
    async with DemoServer(speed="instant") as server:
        yield server


@pytest.fixture
async def client(demo: DemoServer) -> AsyncIterator[AsyncOpenAI]:
    endpoint = demo.endpoint
    async with AsyncOpenAI(
        base_url=endpoint.base_url,
        api_key=endpoint.api_key,
        max_retries=0,
        timeout=20,
        http_client=DefaultAsyncHttpxClient(verify=False),  # no TLS on loopback: saves 50 ms
    ) as sdk:
        yield sdk


@pytest.fixture
def fits() -> Fits:
    """`fits(name, value)` fails unless `value` validates against the published schema `name`."""

    def check(name: str, value: Any) -> None:
        _validator(name).validate(value)

    return check


@cache
def _validator(name: str) -> Draft202012Validator:
    document = json.loads(SCHEMAS.read_text(encoding="utf-8"))
    return Draft202012Validator({**document, "$ref": f"#/components/schemas/{name}"})
