import json
import re
from dataclasses import replace

import pytest

from pipeline.export.gantt_svg import gantt_svg, ticks
from pipeline.export.html import POLICY, file_name
from pipeline.export.json_report import json_safe
from pipeline.export.markdown import WORD_JOINER, safe_markdown
from pipeline.models import DEMO_LABEL
from pipeline.views.bars import PHASE_PALETTE
from tests.unit.export.samples import bundle

TOP = {
    "run_id", "status", "topic", "mode", "switches", "provider", "model", "demo", "degraded",
    "agents", "timing", "article", "sources", "seo", "metrics", "summary", "posts", "voice", "series", "events",
}  # fmt: skip
AGENT = {
    "agent", "phase", "status", "importance", "attempts", "started_s", "admitted_s",
    "first_token_s", "finished_s", "input_tokens", "output_tokens", "segments", "calls", "text",
    "output", "error",
}  # fmt: skip
SEGMENTS = {"waiting_s", "admission_s", "backoff_s", "first_token_s", "generation_s", "tools_s"}
TIMING = {
    "makespan_s", "sequential_s", "sequential_kind", "bound_s", "saved_s", "saved_share", "phases",
}  # fmt: skip
PHASE = {"phase", "wall_s", "summed_s", "overlap_share", "peak_in_flight"}


def test_the_report_has_every_field_others_rely_on() -> None:
    report = json.loads(bundle().json())

    assert report.keys() >= TOP
    assert report["schema_version"] == 1
    assert len(report["agents"]) == 10
    for agent in report["agents"]:
        assert agent.keys() >= AGENT
        assert agent["segments"].keys() == SEGMENTS
        assert agent["calls"][0].keys() >= {
            "attempt", "sent_s", "first_token_s", "finished_s", "outcome",
        }  # fmt: skip
    assert report["timing"].keys() >= TIMING
    assert all(phase.keys() == PHASE for phase in report["timing"]["phases"])
    assert report["events"][0]["kind"] == "run_started"


def test_an_agents_times_are_those_of_its_first_call() -> None:
    report = bundle().report

    writer = next(a for a in report["agents"] if a["agent"] == "content_writer")
    assert (writer["started_s"], writer["first_token_s"], writer["finished_s"]) == (3.1, 3.4, 4.0)
    assert sum(writer["segments"].values()) == pytest.approx(4.0)


def test_an_absent_agent_has_null_and_its_error_and_no_empty_text_of_a_result() -> None:
    report = bundle().report

    absent = next(a for a in report["agents"] if a["agent"] == "kb_researcher")
    assert (absent["status"], absent["output"]) == ("absent", None)
    assert absent["error"].startswith("It failed")


def test_results_are_in_the_report_with_numbers_by_code() -> None:
    report = bundle().report

    assert report["article"]["title"] == "Warm roofs"
    assert "Insulate now." in report["article"]["markdown"]
    assert report["sources"][0]["number"] == 1
    assert report["metrics"]["computed"]["numbers"]["paragraphs"] >= 2
    assert report["metrics"]["reading"]["interpretation"] == "Easy "
    assert report["posts"][0]["count"]["limit"] == 280
    assert report["seo"]["slug"] == "roofs"
    assert report["summary"]["tldr"] == "Insulate "


def test_the_demo_says_so_in_every_export() -> None:
    made = bundle()

    assert made.report["demo"] is True
    assert DEMO_LABEL in made.report["article"]["markdown"]
    assert DEMO_LABEL in made.markdown()
    assert f'<meta name="generator" content="Gantry: {DEMO_LABEL}">' in made.html()
    assert DEMO_LABEL not in bundle(demo=False).html()


def test_marks_travel_into_every_export() -> None:
    made = bundle(marks=("This text was not edited",))

    assert made.report["degraded"] == ["This text was not edited"]
    assert "> **This text was not edited**" in made.markdown()
    assert "<li>This text was not edited</li>" in made.html()


def test_markdown_begins_with_front_matter_that_is_valid() -> None:
    head, _, rest = bundle().markdown().removeprefix("---\n").partition("\n---\n")

    fields = {k: json.loads(v) for k, _, v in (line.partition(": ") for line in head.split("\n"))}
    assert fields["title"] == "Warm roofs"
    assert (fields["run"], fields["date"], fields["demo"]) == ("run-1", "2026-05-04", True)
    assert (fields["seo_title"], fields["description"]) == ("Roofs", "About roofs")
    assert (fields["slug"], fields["keywords"]) == ("roofs", ["roof", "heat"])
    assert rest.startswith("\n# Warm roofs\n")


def test_the_head_of_the_page_is_what_the_seo_specialist_proposed() -> None:
    page = bundle().html()
    structured = re.search(r'<script type="application/ld\+json">(.*?)</script>', page, re.DOTALL)

    assert "<title>Roofs</title>" in page
    assert '<meta name="description" content="About roofs">' in page
    assert '<meta property="og:title" content="Roofs">' in page
    assert structured is not None
    assert json.loads(structured[1])["dateCreated"] == "2026-05-04T12:00:00+00:00"


def test_without_a_specialist_the_article_alone_is_checked() -> None:
    made = bundle()
    left = {k: v for k, v in made.checkpoints.items() if k != "seo_specialist"}

    report = replace(made, checkpoints=left).report

    assert report["seo"]["by_model"] is False
    assert report["seo"]["title"] == "Warm roofs"
    assert report["seo"]["score"] is not None
    assert "seo_title" not in replace(made, checkpoints=left).markdown()


def test_the_page_and_the_report_say_what_the_publisher_changed() -> None:
    made = bundle()

    assert "<ins>Insulate now. </ins>" in made.html() or "<ins>now" in made.html()
    changes = made.report["changes"]
    assert (changes["headline_before"], changes["headline"]) == ("Roof insulation", "Warm roofs")
    assert changes["advice"][0] == {
        "name": "SEO 1",
        "text": "Shorten",
        "outcome": "not_mentioned",
        "said": "",
    }


def test_the_page_loads_nothing_and_forbids_to() -> None:
    page = bundle().html()

    assert POLICY.startswith("default-src 'none'")
    assert 'http-equiv="Content-Security-Policy"' in page
    data = page.count('<script type="application/ld+json">')  # data: no browser runs or loads it
    assert page.count("<script") == data == 1
    assert not re.search(r"<(link|img)\b|@import|url\(", page)
    assert 'href="https://example.org/roofs" rel="noopener noreferrer nofollow"' in page


def test_the_page_shows_every_part_of_a_run() -> None:
    page = bundle().html()

    for heading in ("Sources", "Summary", "Posts", "Search", "Metrics", "Timing"):
        assert f"<h2>{heading}</h2>" in page
    assert '<a href="#source-1"' in page
    assert 'id="source-1"' in page


def test_the_gantt_has_a_lane_per_agent_and_a_sequential_strip() -> None:
    drawing = gantt_svg(bundle().timing)

    assert drawing.count("<g data-agent=") == 10
    assert drawing.count('<rect class="strip') == 9  # the absent agent served nothing
    assert 'class="s-generation p0' in drawing
    assert 'class="s-generation p6' in drawing  # colour is the phase, as on the page


def test_the_exported_chart_has_the_colours_of_the_page() -> None:
    page = bundle().html()

    for number, colour in enumerate(PHASE_PALETTE):
        assert f".p{number} {{ fill: {colour}; background: {colour}; }}" in page
    assert "Planning</span>" in page


def test_ticks_are_round_numbers_up_to_the_horizon() -> None:
    assert ticks(10.0) == [0, 2, 4, 6, 8, 10]
    assert ticks(0.035)[:3] == [0, 0.005, 0.01]
    assert len(ticks(61.3)) <= 9


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("../../etc/passwd", "etc-passwd.md"),
        ("con", "con-article.md"),
        ("", "article.md"),
        ("Über <b>Dächer</b>", "uber-b-dacher-b.md"),
    ],
)
def test_download_names_are_safe(title: str, name: str) -> None:
    assert file_name(title, "md") == name


def test_values_json_cannot_hold_are_replaced() -> None:
    value = {"a\ud800": ("x\udfff", float("nan"), 1 / 3)}

    assert json_safe(value) == {"a�": ["x�", None, 0.333333]}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (":material/close:", "&#58;material/close&#58;"),
        (":red[x] and \\:smile:", "&#58;red[x] and &#58;smile&#58;"),
        (":streamlit:", f"&#58;{WORD_JOINER}streamlit&#58;"),
        (":::note", "&#58;&#58;&#58;note"),
        ("| a |\n|:-:|\n| :x[b] |", "| a |\n|:-:|\n| &#58;x[b] |"),
        ("costs $5 or \\$6 $$x$$", r"costs \$5 or \$6 \$\$x\$\$"),
        ("`:red[x] $a$`", "`:red[x] $a$`"),
        ("at 10:30 [a](https://b.example/c)", "at 10&#58;30 [a](https://b.example/c)"),
        (
            "see http://127.0.0.1:80/v1: no",
            f"see http&#58;{WORD_JOINER}//127.0.0.1&#58;80/v1&#58; no",
        ),
        ("[a](http://b.example:80/c)", "[a](http://b.example&#58;80/c)"),
        ("see https://b.example/c for more", "see https://b.example/c for more"),
        ("![a](https://b.example/c)", "(picture left out&#58; a)"),
    ],
)
def test_streamlits_own_language_is_shown_as_text(text: str, shown: str) -> None:
    assert safe_markdown(text) == shown
