"""Only a word known to mean so says that a reply is whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.llm.endings import Ending, ending_of


@pytest.mark.parametrize(
    ("word", "ending"),
    [
        ("stop", Ending.COMPLETE),
        ("STOP", Ending.COMPLETE),
        ("tool_calls", Ending.COMPLETE),
        ("tool_use", Ending.COMPLETE),
        ("end_turn", Ending.COMPLETE),
        ("endTurn", Ending.COMPLETE),
        ("eos", Ending.COMPLETE),
        ("EOS_TOKEN", Ending.COMPLETE),
        ("length", Ending.CUT),
        ("MAX_TOKENS", Ending.CUT),
        ("max-tokens", Ending.CUT),
        ("maxTokens", Ending.CUT),
        ("model_length", Ending.CUT),
        ("model_context_window_exceeded", Ending.CUT),
        ("content_filter", Ending.DECLINED),
        ("Content Filter", Ending.DECLINED),
        ("SAFETY", Ending.DECLINED),
        ("sensitive", Ending.DECLINED),
        ("network_error", Ending.BROKEN),
        ("insufficient_system_resource", Ending.BROKEN),
        ("abort", Ending.BROKEN),
        ("", Ending.UNKNOWN),
        ("OTHER", Ending.UNKNOWN),
        ("FINISH_REASON_UNSPECIFIED", Ending.UNKNOWN),
    ],
)
def test_words_of_many_endpoints(word: str, ending: Ending) -> None:
    assert ending_of(word) is ending


@given(st.text())
def test_any_word_has_an_ending(word: str) -> None:
    assert ending_of(word) in Ending
