"""What a `finish_reason` says of a reply. Pure.

OpenAI's specification knows `stop`, `length`, `tool_calls`, `content_filter` and `function_call`;
endpoints that speak its protocol pass on the words of whatever stands behind them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Ending(StrEnum):
    COMPLETE = "complete"
    CUT = "cut"  # by a limit on tokens, context or time
    DECLINED = "declined"  # by the model, or a filter around it
    BROKEN = "broken"  # the endpoint failed while it was writing
    UNKNOWN = "unknown"  # nobody can say whether the reply is whole


_WORDS: Final = {
    Ending.COMPLETE: (
        "stop tool_calls function_call tool_call tool_use stop_sequence stop_token end_turn "
        "eos eos_token end endoftext end_of_text complete completed finish finished done normal"
    ),
    Ending.CUT: (
        "length max_length max_tokens max_output_tokens max_new_tokens max_output max_tokens_reached "
        "model_length token_limit output_limit error_limit not_finished incomplete "
        "context context_length context_window model_context_window_exceeded "
        "context_length_exceeded context_window_exceeded time_limit"
    ),
    Ending.DECLINED: (
        "content_filter content_filtered contentfilter filtered refusal refused safety sensitive "
        "moderation recitation blocklist prohibited_content spii guardrail_intervened guardrail "
        "language image_safety error_toxic"
    ),
    Ending.BROKEN: (
        "error failed failure network_error server_error internal_error engine_error "
        "insufficient_system_resource overloaded timeout abort aborted cancelled canceled "
        "disconnect malformed_function_call unexpected_tool_call"
    ),
}
_ENDINGS: Final = {word: ending for ending, words in _WORDS.items() for word in words.split()}


def ending_of(finish_reason: str) -> Ending:
    """Case and the joints of the words do not count: `MAX_TOKENS`, `max-tokens` and `maxTokens` are one."""
    return _ENDINGS.get(_snake(finish_reason), Ending.UNKNOWN)


def _snake(word: str) -> str:
    if not word.isupper():
        word = "".join(f"_{c}" if c.isupper() else c for c in word)
    return "_".join(word.lower().replace("-", " ").replace("_", " ").split())
