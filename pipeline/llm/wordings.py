"""How providers name what went wrong: their codes, and their sentences where codes are missing.

Patterns only; `failures.py` decides with them, codes before sentences. A new wording of a known
failure is a change here and a line in its test.
"""

from __future__ import annotations

import re

DROPPABLE = {  # our parameter → how endpoints name it, in `param` or in words
    "response_format": r"response_format|json_schema|json_object|structured[ _]outputs?|guided",
    "stream_options": r"stream_options|include_usage",
    "max_completion_tokens": r"max_completion_tokens",
    "max_tokens": r"max_tokens|max_new_tokens",
    "seed": r"seed",
    "temperature": r"temperature",
    "tools": r"tools|tool_choice|tool[ _]use|tool choice|function[ _]calling",
}

QUOTA_CODES = re.compile(r"insufficient_(quota|balance|funds)|billing|credit|payment_required")
RATE_CODES = re.compile(r"rate_?limit|too_many_requests|throttl")
AUTH_CODES = re.compile(r"invalid_api_key|authentication|unauthorized|permission_denied")
MODEL_CODES = re.compile(
    r"model_?not_?(found|exist)|(invalid|unknown|unsupported)_?model|model_decommissioned|deploymentnotfound"
)
CONTEXT_CODES = re.compile(r"context_length|context_size|string_above_max_length|request_too_large")
PARAMETER_CODES = re.compile(
    r"unsupported_(parameter|value)|unknown_parameter|invalid_(parameter|value|type)|extra_forbidden"
)

AUTH_WORDS = re.compile(
    r"\b(api[ _-]?key|access token)\b.*\b(in)?(valid|correct|missing|expired)|"
    r"\b(invalid|incorrect|missing|wrong)\b.*\b(api[ _-]?key|access token)\b",
    re.I,
)
CONTEXT_WORDS = re.compile(
    r"(maximum|max\.?|available)\s+(context|prompt|input|sequence)[ _-]?\w*|context (length|window|size)|"
    r"(prompt|input|request|message)\w*\b.{0,40}\b(too (long|large|many tokens)|exceeds?\b.{0,30}\b(token|length|limit|context))|"
    r"input token count|too many (input )?tokens|reduce the length|"
    r"range of input length|tokens? .{0,30}must be <=|must have less than \d+ tokens",
    re.I,
)
MODEL_WORDS = re.compile(
    r"\bmodels?\b.{0,120}?\b(does(n't| not) exist|not (be )?found|unknown|removed|deprecated|decommissioned|"
    r"not (a )?valid|invalid|not available|unavailable|no longer)|"
    r"\b(invalid|unknown|no such|unrecogni[sz]ed|unable to access|unsupported|not a valid)\s(the )?\bmodel\b(?! output)",
    re.I | re.S,
)
REFUSAL = (
    r"(not (?:supported?|permitted|allowed|available|enabled|implemented)|unsupported|unavailable|un(?:known|recogni[sz]ed|expected)|"
    r"do(?:es)?(?:n't| not) support|no endpoints? found|extra|invalid|too large|requires|must be|only)"
)
_NAMES = "|".join(f"(?P<{ours}>{words})" for ours, words in DROPPABLE.items())
PARAMETER_WORDS = re.compile(
    rf"\b(?:{_NAMES})\b(?=[^.]{{0,120}}\b{REFUSAL}\b)|\b{REFUSAL}\b[^.]{{0,60}}?\b(?:{_NAMES.replace('?P<', '?P<after_')})\b",
    re.I,
)
