"""What the benchmark's pipeline is, in plain values that every adapter shares.

Ten agents in seven phases with the roster's data edges, and how long each of their calls takes:
a `Script` travels in the topic of every prompt, and the mock server does what it says. Imports
nothing of Gantry's: the peers run this in environments of their own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

PHASES: tuple[tuple[str, ...], ...] = (
    ("topic_planner",),
    ("web_researcher", "kb_researcher"),
    ("content_writer",),
    ("editor",),
    ("seo_specialist", "metrics_analyzer"),
    ("publisher",),
    ("summary_writer", "social_promoter"),
)
AGENTS: tuple[str, ...] = tuple(agent for phase in PHASES for agent in phase)
NEEDS: Mapping[str, tuple[str, ...]] = {
    "topic_planner": (),
    "web_researcher": ("topic_planner",),
    "kb_researcher": (),
    "content_writer": ("topic_planner", "web_researcher", "kb_researcher"),
    "editor": ("content_writer", "web_researcher", "kb_researcher"),
    "seo_specialist": ("editor",),
    "metrics_analyzer": ("editor",),
    "publisher": ("editor", "seo_specialist", "metrics_analyzer"),
    "summary_writer": ("editor",),
    "social_promoter": ("editor",),
}
SECTIONS = 6  # of the outline, where the article is written section by section
MODEL = "bench-model"  # one name for all agents, so that they share one gate

_PROMPTS = Path(__file__).parent.parent / "pipeline" / "agents" / "prompts"
_SCRIPT = re.compile(rb"\[\[bench ([^\]]*)\]\]")
_AGENT = re.compile(rb"Agent: ([a-z_]+(?:/\d+)?)")


@dataclass(frozen=True, slots=True)
class Pace:
    """How the server answers one call. Rate 0: everything in one write."""

    first_token_s: float = 0.0
    tokens: int = 20
    tokens_per_s: float = 0.0

    @property
    def duration_s(self) -> float:
        """From the request to the finish reason."""
        return self.first_token_s + (self.tokens / self.tokens_per_s if self.tokens_per_s else 0.0)

    def scaled(self, factor: float) -> Pace:
        """The same call, `factor` times as long: fewer tokens at the same rate."""
        tokens = max(1, round(self.tokens * factor))
        return replace(self, first_token_s=self.first_token_s * factor, tokens=tokens)

    def __str__(self) -> str:
        return f"{self.first_token_s:g}/{self.tokens}/{self.tokens_per_s:g}"

    @classmethod
    def parse(cls, text: str) -> Pace:
        first_token_s, tokens, rate = text.split("/")
        return cls(float(first_token_s), int(tokens), float(rate))


@dataclass(frozen=True, slots=True)
class Script:
    """What a run's calls do. `tag` names the run in the server's log.

    `fault` (`truncate`, `malformed` or `stall`) spoils the first request of every agent;
    `sections` is how many sections the planner's outline has.
    """

    pace: Pace = Pace()
    paces: Mapping[str, Pace] = field(default_factory=dict)
    tag: str = "run"
    fault: str = ""
    sections: int = 2

    def of(self, agent: str) -> Pace:
        """The pace of `agent`; parts of an agent (`editor/3`) share that of `editor/`."""
        name, slash, _ = agent.partition("/")
        return self.paces.get(name + slash, self.pace)

    def scaled(self, factor: float) -> Script:
        paces = {agent: pace.scaled(factor) for agent, pace in self.paces.items()}
        return replace(self, pace=self.pace.scaled(factor), paces=paces)

    def tagged(self, tag: str) -> Script:
        return replace(self, tag=tag)

    def __str__(self) -> str:
        words = [self.tag, f"*={self.pace}", *(f"{a}={p}" for a, p in self.paces.items())]
        if self.fault:
            words.append(f"fault={self.fault}")
        return f"[[bench {' '.join(words)} sections={self.sections}]]"

    @classmethod
    def find(cls, body: bytes) -> Script | None:
        """The script in a request's body; None when there is none."""
        found = _SCRIPT.search(body)
        return _parse(found[1]) if found else None

    @property
    def phases_s(self) -> float:
        """The least a run with barriers between phases can take."""
        return sum(max(self.of(agent).duration_s for agent in phase) for phase in PHASES)

    @property
    def sequential_s(self) -> float:
        return sum(self.of(agent).duration_s for agent in AGENTS)

    @property
    def tokens(self) -> int:
        return sum(self.of(agent).tokens for agent in AGENTS)


@cache
def _parse(words: bytes) -> Script:
    tag, *pairs = words.decode("ascii").split()
    values = dict(pair.split("=", 1) for pair in pairs)
    fault, sections = values.pop("fault", ""), int(values.pop("sections", "2"))
    paces = {agent: Pace.parse(text) for agent, text in values.items()}
    return Script(paces.pop("*", Pace()), paces, tag, fault, sections)


def agent_in(body: bytes) -> str:
    """Who asks, by the first line of its system message; "" when nobody says."""
    found = _AGENT.search(body)
    return found[1].decode() if found else ""


@cache
def instructions(agent: str) -> str:
    """The system message every adapter sends."""
    return (_PROMPTS / f"{agent}.md").read_text(encoding="utf-8")


def user_message(agent: str, topic: str, outputs: Mapping[str, str]) -> str:
    """The brief and what the agent needs, as large as Gantry's own prompt."""
    brief = {
        "topic": topic,
        "audience": "General readers",
        "tone": "Clear and factual",
        "length": "standard",
        "words": 700,
        "language": "English",
        "date": "2026-01-01",
        "unsourced": False,
    }
    parts = [("brief", json.dumps(brief, ensure_ascii=False, indent=1))]
    parts += [(need, outputs[need]) for need in NEEDS[agent]]
    return "\n\n".join(f'<section name="{name}">\n{text}\n</section>' for name, text in parts)


def fixed_workload() -> Script:
    """The fixed workload of the benchmark: full-size tokens, 60 tokens/s, first token 0.4 s."""
    tokens = (250, 350, 250, 900, 900, 250, 180, 150, 250, 300)
    paces = {agent: Pace(0.4, n, 60.0) for agent, n in zip(AGENTS, tokens, strict=True)}
    parts = dict.fromkeys(("content_writer/", "editor/"), Pace(0.4, 900 // SECTIONS, 60.0))
    return Script(paces=paces | parts, sections=SECTIONS)


def short_workload() -> Script:
    """A tenth of the fixed workload's tokens, first token after 90 ms: 5.80 s with barriers."""
    paces = {
        agent: replace(pace.scaled(0.1), first_token_s=0.09)
        for agent, pace in fixed_workload().paces.items()
        if agent in AGENTS
    }
    return Script(paces=paces)
