"""Everything about one run in one value, as pages, downloads and the command line need it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pipeline.agents.roster import ROSTER
from pipeline.content.article import Article, article_of
from pipeline.content.changes import Changes, changes_of
from pipeline.content.evidence import Evidence, evidence_of
from pipeline.costs import RunCost, run_cost
from pipeline.events import AnyEvent
from pipeline.export.archive import to_zip
from pipeline.export.html import to_html
from pipeline.export.json_report import build_report, errors_of, json_safe, voice_of
from pipeline.export.markdown import to_markdown
from pipeline.export.pdf import to_pdf
from pipeline.export.posts import to_posts_markdown
from pipeline.export.word import to_docx
from pipeline.models import AgentOutput, AgentSpec, Checkpoint, RunRecord
from pipeline.plan import Plan, grown_plan
from pipeline.prices import PriceTable, load_prices
from pipeline.timing import RunTiming, run_timing
from pipeline.views.posts import post_cards


@dataclass(frozen=True)
class Bundle:
    """A run with its facts and outputs. What follows from them is computed once, when asked.

    `texts` is what agents without a checkpoint wrote so far: unfinished, for people to read.
    """

    run: RunRecord
    events: Sequence[AnyEvent]
    checkpoints: Mapping[str, Checkpoint]
    roster: Sequence[AgentSpec] = ROSTER
    texts: Mapping[str, str] = field(default_factory=dict)
    prices: PriceTable = field(default_factory=load_prices)

    @cached_property
    def plan(self) -> Plan:
        return grown_plan(self.roster, self.run.spec, self.events)

    @cached_property
    def timing(self) -> RunTiming:
        return run_timing(self.plan, self.events)

    @cached_property
    def cost(self) -> RunCost:
        return run_cost(self.timing, self.prices)

    @property
    def outputs(self) -> dict[str, AgentOutput]:
        return {name: checkpoint.output for name, checkpoint in self.checkpoints.items()}

    @cached_property
    def article(self) -> Article | None:
        """The article as far as the run got; None before there is a draft."""
        return article_of(self.run.spec, self.outputs, self.run.degraded)

    @cached_property
    def changes(self) -> Changes | None:
        """What the publisher made of the edited text; None when there is no publisher's output."""
        return changes_of(self.run.spec, self.outputs)

    @cached_property
    def evidence(self) -> tuple[Evidence, ...] | None:
        """Each statement of the article with what speaks for it; None without an article."""
        return evidence_of(self.article, self.run.spec.language) if self.article else None

    @property
    def errors(self) -> dict[str, str]:
        """What went wrong, by agent."""
        told = errors_of(self.events).items()
        return {name: str(json_safe(error)) for name, error in told if error}

    @property
    def voice(self) -> dict[str, Any] | None:
        """What code found of the brand voice; None for a run without one."""
        view = voice_of(self.run, self.outputs, self.article)
        return None if view is None else dict(json_safe(view))

    @cached_property
    def report(self) -> dict[str, Any]:
        return build_report(
            self.run,
            self.plan,
            self.events,
            self.checkpoints,
            self.timing,
            self.texts,
            cost=self.cost,
            article=self.article,
            evidence=self.evidence,
            changes=self.changes,
        )

    def json(self) -> str:
        return json.dumps(self.report, ensure_ascii=False, indent=2)

    def markdown(self) -> str:
        """The article with its front matter; empty when there is none."""
        if self.article is None:
            return ""
        return to_markdown(self.run, self.article, self.edited, self.report["seo"])

    @property
    def edited(self) -> tuple[str, ...]:
        """Agents whose output a person edited, in roster order."""
        return tuple(agent.agent for agent in self.timing.agents if agent.edited)

    def html(self) -> str:
        """One self-contained page: article, SEO, summary, posts, timing, Gantt."""
        return to_html(self)

    def docx(self) -> bytes:
        """The article as a Word document; empty when there is none."""
        return to_docx(self.run, self.article) if self.article else b""

    def pdf(self) -> bytes:
        """The article as a PDF; empty when there is none."""
        return to_pdf(self.run, self.article) if self.article else b""

    def posts_markdown(self) -> str:
        """The social posts, each ready to be copied; empty when there are none."""
        cards = post_cards(self.report["posts"], self.report["series"])
        title = self.article.title if self.article else self.run.spec.topic
        labels = self.article.labels if self.article else ()
        return to_posts_markdown(self.run, title, cards, labels) if cards else ""

    def zip(self) -> bytes:
        """Everything that can be downloaded, in one archive."""
        return to_zip(self)
