"""When tokens are due: the same for the same seed, and never drifting."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import AsyncOpenAI

from pipeline.llm.demo.latency import (
    FIRST_TOKEN_S,
    TOKENS_PER_S,
    WRITE_EVERY_S,
    Pace,
    draw_pace,
    schedule,
    tokenize,
)

AGENTS = st.sampled_from(["topic_planner", "editor", ""])


@given(st.integers(), AGENTS, st.integers(1, 20))
def test_a_pace_depends_on_seed_agent_and_call_alone(seed: int, agent: str, call: int) -> None:
    pace = draw_pace("realistic", seed, agent, call)

    assert pace == draw_pace("realistic", seed, agent, call)
    assert pace != draw_pace("realistic", seed, agent, call + 1)
    assert pace != draw_pace("realistic", seed + 1, agent, call)


@given(st.integers(), AGENTS, st.integers(1, 20))
def test_realistic_stays_in_its_range_and_fast_is_ten_times_quicker(
    seed: int, agent: str, call: int
) -> None:
    realistic = draw_pace("realistic", seed, agent, call)
    fast = draw_pace("fast", seed, agent, call)

    assert realistic.tokens_per_s is not None and fast.tokens_per_s is not None
    assert FIRST_TOKEN_S[0] <= realistic.first_token_s <= FIRST_TOKEN_S[1]
    assert TOKENS_PER_S[0] <= realistic.tokens_per_s <= TOKENS_PER_S[1]
    assert fast.first_token_s * 10 == pytest.approx(realistic.first_token_s)
    assert fast.tokens_per_s == pytest.approx(realistic.tokens_per_s * 10)


@given(st.text())
def test_tokens_joined_are_the_text_again(text: str) -> None:
    assert "".join(tokenize(text)) == text


@given(st.lists(st.just("x"), max_size=500), st.floats(20, 2_000), st.integers(0, 50))
def test_every_token_is_due_when_the_rate_says_so(
    tokens: list[str], rate: float, sent: int
) -> None:
    pace = Pace(0.5, rate)
    count = 0
    for due_s, group in schedule(tokens, pace, sent=sent):
        assert due_s == pytest.approx(0.5 + (sent + count) / rate)
        assert len(group) <= max(1, rate * WRITE_EVERY_S + 1)
        count += len(group)
    assert count == len(tokens)


async def test_a_model_name_chooses_the_pace_and_the_wire_keeps_it(client: AsyncOpenAI) -> None:
    pace = draw_pace("realistic", 5, "", 1)
    started = time.monotonic()
    async with asyncio.timeout(10):
        reply = await client.chat.completions.create(
            model="gantry-demo-realistic",
            messages=[{"role": "user", "content": "Hello"}],
            seed=5,
            max_tokens=10,
        )
    took_s = time.monotonic() - started

    assert reply.usage is not None
    assert took_s >= pace.due_s(reply.usage.completion_tokens)
