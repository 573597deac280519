"""A better answer is asked for twice at most, and a valid one is never lost over it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from pipeline.agents.chat_agent import AgentReply, ChatAgent
from pipeline.agents.outputs import SocialPosts
from pipeline.budgets import Limits
from pipeline.content.social import finished_posts, platforms, review_posts
from pipeline.errors import OutputInvalid
from pipeline.journal import Journal
from pipeline.llm.budget import Budget, MemoryLedger
from pipeline.llm.client import make_client
from pipeline.prices import PriceTable
from tests.fault_server import Answer, FaultServer, completion, error

LONG = "One sentence here. " * 20


@pytest.fixture
async def server() -> AsyncIterator[FaultServer]:
    async with FaultServer() as server:
        yield server


def posts(*, x: str = "Short.", mastodon: str = "Short.", leave: int = 14) -> str:
    """A whole reply of the promoter; variant A of two networks as asked, the first `leave` posts."""
    texts = {"x": x, "mastodon": mastodon}
    written = [
        {
            "platform": platform,
            "variant": variant,
            "text": texts.get(platform, "Short.") if variant == "a" else "Short.",
            "hashtags": [],
        }
        for platform in platforms()
        for variant in "ab"
    ]
    return json.dumps({"posts": written[:leave]})


async def promote(
    server: FaultServer, *answers: Answer, journal: Journal | None = None, fallback: str = ""
) -> AgentReply:
    server.script = list(answers)
    agent = ChatAgent(
        "social_promoter", "Agent: social_promoter", "m", output=SocialPosts,
        fallback_model=fallback, review=review_posts,
    )  # fmt: skip
    async with asyncio.timeout(60), make_client(server.endpoint) as client:
        return await agent.run_async(client, "Posts, please.", journal=journal)


def x_of(reply: AgentReply) -> str:
    assert reply.output.data is not None
    return str(reply.output.data["posts"][0]["text"])


def last_turn(server: FaultServer) -> str:
    return str(server.requests[-1].json["messages"][-1]["content"])


async def test_posts_that_fit_are_asked_for_once(server: FaultServer) -> None:
    await promote(server, completion(posts()))

    assert len(server.requests) == 1


async def test_a_long_post_is_named_with_its_length_and_its_limit(server: FaultServer) -> None:
    journal = Journal("r")

    reply = await promote(
        server, completion(posts(x=LONG)), completion(posts(x="Shorter.")), journal=journal
    )

    assert x_of(reply) == "Shorter."
    assert "- x, variant a: 379, the limit is 280 (weighted)" in last_turn(server)
    assert [m["role"] for m in server.requests[1].json["messages"]] == [
        "system", "user", "assistant", "user",
    ]  # fmt: skip
    assert [event.kind for event in journal.events].count("remarks_made") == 1
    assert reply.usage.output_tokens == 4  # of both calls


async def test_there_are_two_turns_and_the_best_answer_is_kept_and_cut(server: FaultServer) -> None:
    longer, better = LONG + LONG, LONG[:-19]
    journal = Journal("r")

    reply = await promote(
        server,
        completion(posts(x=LONG)),
        completion(posts(x=better)),
        completion(posts(x=longer)),
        journal=journal,
    )

    assert x_of(reply) == better
    assert len(server.requests) == 3
    assert journal.text("social_promoter") == posts(x=better)
    assert finished_posts(reply.output.data)[0]["notes"] == ["Cut to fit: it had 360, X takes 280."]


async def test_a_reply_with_the_shortened_posts_alone_is_not_kept(server: FaultServer) -> None:
    reply = await promote(
        server,
        completion(posts(mastodon="Long. " * 100)),
        completion(posts(leave=1)),
        completion(posts(mastodon="Shorter.")),
    )

    assert reply.output.data is not None
    assert len(reply.output.data["posts"]) == 14
    assert "nine tenths" in last_turn(server)


@pytest.mark.parametrize("bad", ["not JSON", '{"posts": []}', ""])
async def test_an_invalid_reply_takes_its_turn_and_loses_nothing(
    server: FaultServer, bad: str
) -> None:
    reply = await promote(
        server, completion(posts(x=LONG)), completion(bad), completion(posts(x="Shorter."))
    )

    assert x_of(reply) == "Shorter."
    assert bad == "" or bad not in json.dumps(server.requests[2].json["messages"])


async def test_two_invalid_replies_leave_the_first_answer(server: FaultServer) -> None:
    journal = Journal("r")

    reply = await promote(
        server, completion(posts(x=LONG)), completion("no"), completion("no"), journal=journal
    )

    assert x_of(reply) == LONG
    assert journal.text("social_promoter") == posts(x=LONG)


@pytest.mark.parametrize("status", [400, 401, 404])
async def test_a_call_that_fails_for_good_leaves_the_first_answer_and_asks_no_other_model(
    server: FaultServer, status: int
) -> None:
    refused = error(status, {"error": {"message": "no"}})

    reply = await promote(server, completion(posts(x=LONG)), refused, fallback="other")

    assert x_of(reply) == LONG
    assert len(server.requests) == 2


async def test_a_budget_that_is_spent_leaves_the_first_answer(server: FaultServer) -> None:
    server.script = [completion(posts(x=LONG), sent=10, written=2_000)]
    agent = ChatAgent(
        "s", "Agent: s", "m", output=SocialPosts, max_output_tokens=2_500, review=review_posts
    )
    budget = Budget(MemoryLedger(), Limits(run_tokens=3_500), PriceTable("2026-11-27", "none", {}))

    async with asyncio.timeout(60), make_client(server.endpoint) as client:
        reply = await agent.run_async(client, "Posts.", budget=budget)

    assert x_of(reply) == LONG
    assert len(server.requests) == 1


async def test_repair_turns_are_counted_apart(server: FaultServer) -> None:
    reply = await promote(
        server,
        completion("no"),
        completion("no"),
        completion(posts(x=LONG)),
        completion(posts(x="Shorter.")),
    )

    assert x_of(reply) == "Shorter."

    with pytest.raises(OutputInvalid):
        await promote(server, *(completion("no") for _ in range(3)))
