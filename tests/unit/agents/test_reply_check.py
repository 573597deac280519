"""What is taken as an agent's answer, and what is sent back for repair."""

import json

import pytest

from pipeline.agents.outputs import Summary
from pipeline.agents.reply_check import check_reply

GOOD = {"tldr": "Short.", "abstract": "Longer.", "key_points": ["a", "b", "c"]}


@pytest.mark.parametrize(
    "wrapped",
    [
        "{}",
        "```json\n{}\n```",
        "<think>hm { not this }</think>\n{}",
        "hm { not this }\n</think>\n\n{}",
        "<thought>hm { not this }</thought><think>nor { this }</think>```json\n{}\n```",
        "Here it is:\n{}\nAnything else?",
    ],
)
def test_json_is_found_in_what_models_wrap_around_it(wrapped: str) -> None:
    checked = check_reply(wrapped.replace("{}", json.dumps(GOOD)), "stop", Summary)

    assert (checked.data, checked.problem) == (GOOD, "")


def test_a_field_that_does_not_fit_is_named_in_the_problem() -> None:
    checked = check_reply(json.dumps(GOOD | {"tldr": "x" * 281}), "stop", Summary)

    assert checked.data is None
    assert "tldr" in checked.problem
    assert "280" in checked.problem


@pytest.mark.parametrize(
    "text", ["", "   \n", "<think>only thoughts</think>", "only\n</think>\n", "<think>cut"]
)
def test_an_empty_answer_never_passes(text: str) -> None:
    assert check_reply(text, "stop", None).problem == "It was empty."


@pytest.mark.parametrize(
    "text",
    [
        "<think>a\nb</think>\n\n# Title",
        "<thinking>a</thinking># Title",
        "<THOUGHT>a</THOUGHT>\n# Title",
        "a\nb\n</think>\n\n# Title",
        "a</think>b</think># Title",
        "a</thinking>\n# Title",
        "<think>a</think>\n\n<think>b</think>\n# Title",
        "<think>I must write </think> first.</think>\n# Title",
    ],
)
def test_thoughts_never_become_the_article(text: str) -> None:
    assert check_reply(text, "stop", None).text == "# Title"


@pytest.mark.parametrize(
    "text",
    [
        "# Tags\n\nA model opens <think> and closes it with </think> again.",
        "# Tags\n\nThe template ends with `</think>`, always.",
        "# Title\n\n<thinking>Out loud.</thinking> She laughed.",
    ],
)
def test_an_article_may_mention_the_tags(text: str) -> None:
    assert check_reply(text, "stop", None).text == text


def test_json_may_mention_the_tags() -> None:
    good = GOOD | {"tldr": "What </think> means."}

    assert check_reply(json.dumps(good), "stop", Summary).data == good


@pytest.mark.parametrize("output", [None, Summary])
def test_an_answer_cut_by_the_length_limit_never_passes(output: type[Summary] | None) -> None:
    assert "length limit" in check_reply(json.dumps(GOOD), "length", output).problem


def test_an_ending_nobody_knows_passes_only_where_the_answer_shows_that_it_is_whole() -> None:
    assert "“OTHER”" in check_reply("# A title\n\nHalf a", "OTHER", None).problem
    assert check_reply(json.dumps(GOOD), "OTHER", Summary).data == GOOD
    assert check_reply(json.dumps(GOOD)[:-9], "OTHER", Summary).problem


@pytest.mark.parametrize("reason", ["stop", "length"])
def test_an_answer_beyond_all_measure_is_sent_back_in_short(reason: str) -> None:
    checked = check_reply("word " * 100_000, reason, None)

    assert "499,999 characters" in checked.problem and "briefly" in checked.problem
    assert len(checked.text) < 3_000


def test_thoughts_do_not_count_as_the_answer() -> None:
    assert not check_reply("hm " * 100_000 + "</think># Title", "stop", None).problem


def test_markdown_keeps_its_text_without_the_fence_around_it() -> None:
    text = "# Title\n\nSee `code` and\n\n```py\nx = 1\n```"

    assert check_reply(f"```markdown\n{text}\n```", "stop", None).text == text
    assert check_reply(text, "stop", None).text == text


@pytest.mark.parametrize("deep", ["[" * 50_000 + "]" * 50_000, "[" * 900 + "]" * 900])
def test_an_answer_nested_without_end_is_sent_back(deep: str) -> None:
    checked = check_reply(f'{{"tldr": {deep}}}', "stop", Summary)

    assert "nested too deeply" in checked.problem


def test_line_breaks_inside_the_strings_of_an_answer_are_taken() -> None:
    checked = check_reply(json.dumps(GOOD).replace("Longer.", "One.\n\tTwo."), "stop", Summary)

    assert checked.data == GOOD | {"abstract": "One.\n\tTwo."}


def test_text_that_is_no_json_says_so() -> None:
    assert "not one JSON object" in check_reply("I cannot do that.", "stop", Summary).problem
