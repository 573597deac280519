"""The researchers: real tool calls first, then findings that quote what the tools returned."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import ValidationError

from pipeline.agents.outputs import Finding, Findings
from pipeline.llm.demo.compose.prose import sentences, stands_alone, word_count
from pipeline.llm.demo.compose.reading import Passage, Task, dicts, text_of
from pipeline.llm.demo.compose.topic import Topic
from pipeline.llm.demo.compose.writing import stems
from pipeline.llm.demo.latency import stable_random
from pipeline.llm.demo.wire import CalledFunction, CalledTool

SHELVES: Mapping[str, str] = {"web_researcher": "web", "kb_researcher": "knowledge"}
SEARCHES = ("web_search", "kb_search")
QUERIES = 2
QUOTE_WORDS = range(10, 40)


def tool_calls(task: Task) -> tuple[CalledTool, ...]:
    """What to call next; empty when it is time to answer.

    Given pages and searches go out together unless the caller forbids parallel calls; where no page
    was given, the one behind the best passage is read then.
    """
    if task.request.tool_choice == "none":
        return ()
    offered = {tool.function.name for tool in task.request.tools}
    search = next((name for name in SEARCHES if name in offered), "")
    wanted = [(search, {"query": query}) for query in _queries(task)] if search else []
    if "fetch_page" in offered:
        wanted = [("fetch_page", {"url": url}) for url in _given(task)] + wanted
    done = [result.call.function for result in task.results]
    if left := wanted[len(done) :]:
        together = 1 if task.request.parallel_tool_calls is False else len(left)
        return tuple(
            called(task, index, name, arguments)
            for index, (name, arguments) in enumerate(left[:together])
        )
    if _tops_up(task) or "fetch_page" not in offered:
        return ()
    best = next((passage.url for passage in task.passages if passage.url), "")
    if best and all(f.name != "fetch_page" for f in done):
        return (called(task, 0, "fetch_page", {"url": best}),)
    return ()


def called(task: Task, index: int, name: str, arguments: Mapping[str, object]) -> CalledTool:
    """A tool call whose id is the same for the same seed, agent, call and index."""
    rng = stable_random(task.request.seed or 0, task.agent, task.call, index, name)
    text = json.dumps(arguments, ensure_ascii=False)
    return CalledTool(
        id=f"call_{rng.getrandbits(64):016x}", function=CalledFunction(name=name, arguments=text)
    )


def findings(task: Task) -> str:
    topic = task.brief.topic
    passages = task.passages[: _wanted(task.brief.words)]
    kept = _served(task)
    seen = {finding.source_id for finding in _early(task)} if _tops_up(task) else set()
    passages = [p for p in passages if p.id not in seen][: max(0, len(passages) - len(kept))]
    found = kept + [
        Finding(
            claim=_claim(quote),
            quote=quote,
            source_id=passage.id,
            confidence="high" if rank < 3 else "medium",
        )
        for rank, passage in enumerate(passages)
        if (quote := best_sentence(passage, topic))
    ]
    return Findings(findings=found, gaps=_gaps(task, bool(found)), conflicts=[]).model_dump_json(
        indent=1
    )


def best_sentence(passage: Passage, topic: Topic) -> str:
    """The sentence of the passage that says most about the topic, letter for letter."""
    options = [
        s for s in sentences(passage.text) if word_count(s) in QUOTE_WORDS and stands_alone(s)
    ]
    words = {word[:5] for word in topic.keywords}
    return max(
        options or sentences(passage.text)[:1],
        key=lambda s: sum(word.strip(".,;:")[:5].lower() in words for word in s.split()),
        default="",
    )


def _queries(task: Task) -> list[str]:
    """The plan's first queries where there is a plan, else the topic from two sides."""
    planned = dicts(task.data("topic_planner").get("search_queries"))
    queries = [query for item in planned if (query := text_of(item.get("query"), 300))]
    if _tops_up(task):
        return queries[-1:]  # the plan's special side; the topic itself was searched
    words = " ".join(task.brief.topic.keywords[:6])[:200]
    own = [words, f"{words} maintenance in practice every"]
    return (queries if len(queries) >= QUERIES else own)[:QUERIES]


def _given(task: Task) -> list[str]:
    """The pages the person wants read first."""
    try:
        urls = json.loads(task.text("pages") or "[]")
    except ValueError:
        return []
    return [url for url in urls if isinstance(url, str)][:8] if isinstance(urls, list) else []


def _early(task: Task) -> list[Finding]:
    """What a colleague found before there was a plan."""
    found = []
    for item in dicts(task.data("web_researcher/early").get("findings")):
        try:
            found.append(Finding.model_validate(item))
        except ValidationError:
            continue
    return found


def _tops_up(task: Task) -> bool:
    return task.agent == "web_researcher" and bool(_early(task))


def _served(task: Task) -> list[Finding]:
    """The colleague's findings that say something about a section, not about the topic alone."""
    outline = dicts(task.data("topic_planner").get("outline"))
    wanted = stems(" ".join(f"{s.get('goal')} {s.get('key_questions')}" for s in outline))
    wanted -= stems(task.brief.topic.about)
    early = _early(task) if _tops_up(task) else []
    return [finding for finding in early if stems(finding.quote) & wanted]


def _wanted(words: int) -> int:
    return 5 if words <= 450 else 7 if words <= 900 else 11


def _claim(quote: str) -> str:
    """The main clause of a quoted sentence."""
    for mark in ("; ", ", because ", ", which ", ", so that ", ": "):
        head, _, tail = quote.partition(mark)
        if tail and word_count(head) >= 6:
            return f"{head}."
    return quote


def _gaps(task: Task, found: bool) -> list[str]:
    where = f"the “{SHELVES.get(task.family, 'sample')}” shelf of the sample collection"
    if not found:
        searched = "; ".join(
            text_of(_argument(result.call, "query"), 120)
            for result in task.results
            if result.call.function.name in SEARCHES
        )
        looked = f" Searched for: {searched}." if searched else ""
        return [f"Nothing about {task.brief.topic.about} was found on {where}.{looked}"]
    return [f"Prices, rules and figures for a particular place are not on {where}."]


def _argument(call: CalledTool, name: str) -> object:
    try:
        arguments = json.loads(call.function.arguments)
    except ValueError:
        return None
    return arguments.get(name) if isinstance(arguments, dict) else None
