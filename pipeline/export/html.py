"""The HTML download: one file with everything a reader may ask for, that loads nothing.

A content security policy forbids scripts and requests even if a layer below failed. Sections for
what a run does not have are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.content.article import Article, first_words, plain_line, source_name
from pipeline.content.citations import render_links
from pipeline.content.languages import language_code
from pipeline.content.readability import figure_words
from pipeline.content.seo import make_slug
from pipeline.content.seo.structured import data_block, meta_properties
from pipeline.content.social import platforms
from pipeline.content.voice_review import voice_headline, voice_lines
from pipeline.export.changes_html import changes_html
from pipeline.export.evidence_html import evidence_section
from pipeline.export.gantt_svg import AXIS_WORDS, gantt_svg, phase_class
from pipeline.export.rendering import article_html, element, link, listing, table, text
from pipeline.models import DEMO_LABEL
from pipeline.timing import RunTiming
from pipeline.views.bars import SEGMENT_WORDS, ChartClock
from pipeline.views.tables import speculation_line, state_words

if TYPE_CHECKING:
    from pipeline.export.bundle import Bundle

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_CSS = Path(__file__).with_name("page.css")


def to_html(bundle: Bundle) -> str:
    """The page. Without an article it still shows how far the run got."""
    report, article = bundle.report, bundle.article
    title = article.title if article else plain_line(bundle.run.spec.topic)
    body = [
        _article(article) if article else element("h1", text(title)),
        _section("Evidence", evidence_section(bundle.evidence)) if bundle.evidence else "",
        _summary(report["summary"]),
        _posts(report["posts"], report["series"]),
        _seo(report["seo"]),
        _metrics(report["metrics"]),
        _voice(report["voice"]),
        _section("Changes", changes_html(bundle.changes)) if bundle.changes else "",
        _timing(bundle.timing),
        _facts(report),
    ]
    language = language_code(bundle.run.spec.language)
    return "\n".join(
        [
            "<!doctype html>",
            element("html", _head(title, report) + element("body", "\n".join(body)), lang=language),
        ]
    )


def file_name(title: str, extension: str) -> str:
    """A name for a download that is safe on every system: ASCII words, hyphens, the extension."""
    slug = make_slug(title)
    reserved = {"con", "prn", "aux", "nul"} | {f"{d}{n}" for d in ("com", "lpt") for n in range(10)}
    return f"{slug}-article.{extension}" if slug in reserved else f"{slug}.{extension}"


@cache
def _css() -> str:
    return _CSS.read_text(encoding="utf-8")


def _head(title: str, report: Mapping[str, Any]) -> str:
    """`title` is the article's; the one for search, where there is one, is what a browser shows."""
    seo = report["seo"]
    generator = f"Gantry: {DEMO_LABEL}" if report["demo"] else "Gantry"
    description = (seo or {}).get("meta_description") or report["topic"]
    metas = {"generator": generator, "description": plain_line(description)[:300]}
    return element(
        "head",
        '<meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{text(POLICY)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        + "".join(f'<meta name="{name}" content="{text(value)}">' for name, value in metas.items())
        + element("title", text(seo["title"] if seo else title))
        + (meta_properties(seo["open_graph"]) + data_block(seo["json_ld"]) if seo else "")
        + element("style", _css()),
    )


def _article(article: Article) -> str:
    parts = [element("h1", text(article.title)), _labels(article)]
    if article.standfirst:
        parts.append(element("p", text(article.standfirst), class_="standfirst"))
    parts.append(article_html(render_links(article.cited_markdown, article.sources)))
    if article.sources:
        parts.append(element("h2", "Sources"))
        parts.append(element("ol", "".join(_sources(article))))
    return element("article", "\n".join(parts))


def _labels(article: Article) -> str:
    if not article.labels:
        return ""
    items = "".join(element("li", text(label)) for label in article.labels)
    return element("ul", items, class_="labels")


def _sources(article: Article) -> Iterator[str]:
    for entry in article.sources:
        source = entry.source
        said = text(f": “{first_words(source)}”") if source.passage else ""
        name = link(source.url, source_name(source))
        yield element("li", name + said, id=f"source-{entry.number}")


def _summary(summary: Mapping[str, Any] | None) -> str:
    if not summary:
        return ""
    return _section(
        "Summary",
        element("p", element("strong", text(summary["tldr"])))
        + element("p", text(summary["abstract"]))
        + listing(summary["key_points"]),
    )


def _posts(posts: list[dict[str, Any]], series: list[dict[str, Any]]) -> str:
    if not posts:
        return ""
    shown = "".join(_post(post) for post in posts)
    return _section("Posts", shown + "".join(_series(one) for one in series))


def _voice(view: Mapping[str, Any] | None) -> str:
    if not view:
        return ""
    said = element("p", text(f"{view['name']}: {voice_headline(view)}."))
    return _section("Brand voice", said + listing(voice_lines(view)))


def _series(series: Mapping[str, Any]) -> str:
    posts = "".join(
        element("div", text(post["text"]))
        + element(
            "div", text(f"{post['count']['used']} of {post['count']['limit']}"), class_="facts"
        )
        for post in series["posts"]
    )
    title = f"{_post_title(series)}, as a series"
    return element("div", element("h3", text(title)) + posts, class_="post")


def _post_title(post: Mapping[str, Any]) -> str:
    return f"{platforms()[post['platform']].title}, variant {post['variant'].upper()}"


def _post(post: Mapping[str, Any]) -> str:
    count = post["count"]
    said = f"{count['used']} of {count['limit']} ({count['method']})"
    title = _post_title(post)
    lines = "".join(element("div", text(line), class_="facts") for line in (said, *post["notes"]))
    return element(
        "div",
        element("h3", text(title)) + element("div", text(post["text"])) + lines,
        class_="post",
    )


def _seo(seo: Mapping[str, Any] | None) -> str:
    if not seo:
        return ""
    given = (
        ("Title", seo["title"]),
        ("Description", seo["meta_description"]),
        ("Slug", seo["slug"]),
        ("Focus keyword", seo["focus_keyword"]),
        ("Other keywords", ", ".join(seo["secondary_keywords"])),
        ("Search intent", seo["search_intent"]),
        ("Tags", ", ".join(seo["tags"])),
    )
    checks = [
        (c["label"], _verdict(c["ok"]), c["value"], str(c["weight"]), c["advice"])
        for c in seo["checks"]
    ]
    score = "not scored" if seo["score"] is None else f"{seo['score']} of 100"
    return _section(
        "Search",
        table(
            ("Field", "Value"),
            [row for row in given if row[1]],
            "Written by the SEO specialist" if seo["by_model"] else "Made by code from the article",
        )
        + table(
            ("Check", "Result", "Value", "Weight", "Advice"),
            checks,
            f"Checked by code: {score}. The thresholds are guidelines.",
        )
        + listing(seo["suggestions"]),
    )


def _verdict(ok: bool | None) -> str:
    return "not checked" if ok is None else "ok" if ok else "look at this"


def _metrics(metrics: Mapping[str, Any] | None) -> str:
    if not metrics:
        return ""
    computed, reading = metrics["computed"], metrics["reading"]
    rows = [
        (
            m["label"],
            figure_words(m),
            m["formula"],
            m["note"],
        )
        for m in computed["metrics"].values()
    ]
    parts = [
        table(
            ("Measure", "Value", "How", "Note"),
            rows,
            f"Counted: {computed['counted']}. {computed['note']}",
        )
    ]
    if reading:
        parts.append(element("p", text(reading["interpretation"])))
        parts.append(element("p", text(reading["audience_fit"])))
        parts.append(
            listing(
                [f"{r['issue']}: {r['fix']} ({r['evidence']})" for r in reading["recommendations"]]
            )
        )
    return _section("Metrics", "".join(parts))


def _timing(timing: RunTiming) -> str:
    clock = ChartClock(timing.gaps)
    rows = [
        (
            agent.title,
            state_words(agent, timing),
            _seconds(clock.or_none(agent.started_s)),
            _seconds(clock.or_none(agent.finished_s)),
            _seconds(agent.service_s),
            *(_seconds(getattr(agent.segments, f"{kind.value}_s")) for kind in SEGMENT_WORDS),
        )
        for agent in timing.agents
    ]
    head = ("Agent", "Ended as", "Started", "Finished", "Service", *SEGMENT_WORDS.values())
    phases = {agent.phase: phase_class(timing, agent) for agent in timing.agents}
    keys = [(look, phase.capitalize()) for phase, look in phases.items()]
    keys += [(f"s-{kind.value}", words) for kind, words in SEGMENT_WORDS.items()]
    legend = "".join(
        element("span", element("i", "", class_=look) + text(words)) for look, words in keys
    )
    return _section(
        "Timing",
        element("p", text(_headline(timing)), class_="facts")
        + (element("p", text(said), class_="facts") if (said := speculation_line(timing)) else "")
        + element("div", gantt_svg(timing), class_="scroll")
        + element("p", legend + "<span>● critical path</span>", class_="facts legend")
        + table(head, rows, f"Measured, in {AXIS_WORDS}"),
    )


def _headline(timing: RunTiming) -> str:
    parts = []
    if timing.makespan_s is not None:
        parts.append(f"Makespan {timing.makespan_s:.2f} s (measured)")
    parts.append(f"one after another {timing.sequential_s:.2f} s ({timing.sequential_kind})")
    if timing.bound_s is not None:
        parts.append(f"no schedule below {timing.bound_s:.2f} s (bound)")
    if timing.saved_s is not None and timing.saved_share is not None:
        word = "saved" if timing.saved_s >= 0 else "longer by"
        parts.append(f"{word} {abs(timing.saved_s):.2f} s, {abs(timing.saved_share):.0%}")
    if timing.interrupted:
        parts.append("the run was interrupted; the gap counts nowhere")
    if timing.derived:
        parts.append("only what ran here: it began with agents of an earlier run")
    return "; ".join(parts) + "."


def _facts(report: Mapping[str, Any]) -> str:
    facts = (
        ("Run", report["run_id"]),
        ("Status", report["status"]),
        ("Topic", report["topic"]),
        ("Mode", report["mode"]),
        ("Options", ", ".join(name for name, on in report["options"].items() if on) or "none"),
        *([("Begins with run", report["parent_run_id"])] if report["parent_run_id"] else []),
        *([("Edited by a person", ", ".join(report["edited"]))] if report["edited"] else []),
        ("Model", DEMO_LABEL if report["demo"] else report["model"]),
        ("Asked for", report["created_at"]),
    )
    return element("footer", table(("Fact", "Value"), facts, "About this run"))


def _section(title: str, content: str) -> str:
    return element("section", element("h2", text(title)) + content)


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
