"""How providers name what went wrong: their codes, and their sentences where codes are missing.

Patterns only; `failures.py` decides with them, codes before sentences. A new wording of a known
failure is a change here and a line in its test.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

DROPPABLE = {  # our parameter → how endpoints name it, in `param` or in words
    "response_format": r"response_format|json_schema|json_object|structured[ _]outputs?|guided",
    "stream_options": r"stream_options|include_usage",
    "max_completion_tokens": r"max_completion_tokens",
    "max_tokens": r"max_tokens|max_new_tokens",
    "seed": r"seed",
    "temperature": r"temperature",
    "tools": r"tools|tool_choice|tool[ _]use|tool choice|function[ _]calling",
}

QUOTA_CODES = re.compile(
    r"insufficient_(quota|balance|funds)|exceeded_current_quota|budget_exceeded|billing|credit|payment_required|arrearage"
)
RATE_CODES = re.compile(r"rate_?limit|too_many_requests|throttl")
AUTH_CODES = re.compile(r"invalid_api_key|authentication|unauthorized|permission_denied")
MODEL_CODES = re.compile(
    r"model_?not_?(found|exist)|(invalid|unknown|unsupported)_?model|model_decommissioned|deploymentnotfound"
)
CONTEXT_CODES = re.compile(r"context_length|context_size|string_above_max_length|request_too_large")
PARAMETER_CODES = re.compile(
    r"unsupported_(parameter|value)|unknown_parameter|invalid_(parameter|value|type)|extra_forbidden"
)
FORMAT_CODES = re.compile(r"json_validate_failed")  # the model could not keep to the format
CONTENT_CODES = re.compile(r"content_(filter|policy)|moderation")

QUOTA_WORDS = re.compile(
    r"\bcredit balance\b|\b(insufficient|not enough|no|any|out of|negative) (account )?(balance|credits?|funds)\b|"
    r"\bused (all|up)\b.{0,30}\bcredits|exceeded your\b.{0,40}\bcredits|\bcredits?\b.{0,20}\b(exhausted|used up|depleted)|"
    r"\b(spending|spend|billing|budget|credit) (hard )?(limit|cap)\b|\bbudget\b.{0,30}\bexceeded|"
    r"\bsuspended\b.{0,60}\b(billing|balance|invoices?)|\baccount is in good standing|\bpast invoices|\bplease recharge|"
    r"余额不足|欠费",
    re.I,
)
LIMIT_AND_REQUESTED = re.compile(  # "Limit 600, Used 20, Requested 2400"
    r"\blimit:?\s*(\d[\d,]*)(?:,\s*used:?\s*\d[\d,]*)?,\s*requested:?\s*(\d[\d,]*)", re.I
)
CONTENT_WORDS = re.compile(
    r"\bflagged\b|\bmoderation\b|\bcontent (management )?polic|\bcontent filter|\busage polic", re.I
)
ADDRESS_WORDS = re.compile(  # the path is not there, whatever the model
    r"\A\W*((the )?(requested )?(resource|page|url|endpoint|path|route)\W+)?(was |is |could )?not (be )?found\W*\Z|"
    r"\binvalid url\b|\b(unexpected|unknown|no such) (endpoint|url|path|route)|\bcannot (post|get) /",
    re.I,
)
AUTH_WORDS = re.compile(
    r"\b(api[ _-]?key|access token)\b.*\b(in)?(valid|correct|missing|expired)|"
    r"\b(invalid|incorrect|missing|wrong)\b.*\b(api[ _-]?key|access token|authorization header)\b",
    re.I,
)
CONTEXT_WORDS = re.compile(
    r"(maximum|max\.?|available)\s+(context|prompt|input|sequence|model len)[ _-]?\w*|token limit exceeded|context (length|window|size)|"
    r"(prompt|input|request|message)\w*\b.{0,40}\b(too (long|large|many tokens)|exceed(s|ed)?\b(?!.{0,30}\brate\b).{0,30}\b(token|length|limit|context))|"
    r"input token count|too many (input )?tokens|reduce the length|"
    r"range of input length|tokens? .{0,30}must be <=|must have less than \d+ tokens",
    re.I,
)
MODEL_WORDS = re.compile(
    r"\bmodels?\b.{0,120}?\b((does(n't| not)|not) exist|not (be )?found|unknown|removed|deprecated|decommissioned|"
    r"not (a )?valid|invalid|not available|unavailable|no longer|"
    r"not supported by (the |this |any )?(selected )?provider)|"
    r"\bllm provider not provided|模型.{0,8}不存在|"
    r"\b(invalid|unknown|no such|unrecogni[sz]ed|unable to access|unsupported|not a valid)\s(the )?\bmodel\b(?! output)",
    re.I | re.S,
)
FORMAT_WORDS = re.compile(  # about the reply's format, though they may name tools or a schema's fields
    r"\bjson[ _-]mode\b.{0,60}\b(cannot|not|unsupported|only)\b|\b(not|n't) support(ed)?\b.{0,40}\bjson[ _-]mode\b|"
    r"\bjson[ _]schema\b.{0,40}\b(not supported|unsupported)|\bresponse[ _]mime[ _]?type|\bresponse_?(json_?)?schema|"
    r"\b(parse|compile|build|invalid|unsupported)\b.{0,30}\bgrammar\b|\bgrammar\b.{0,40}\b(not|cannot|invalid|failed)\b|"
    r"\bmust contain the word .?json|\bfailed to (generate|validate) json\b",
    re.I | re.S,
)
_NOT_TAKEN = (
    r"not (?:supported?|permitted|allowed|available|enabled|implemented)|unsupported|unavailable|"
    r"un(?:known|recogni[sz]ed|expected)|do(?:es)?(?:n't| not) support|no endpoints? found|extra|requires|"
    r"cannot (?:be )?used?|only (?:supported|available)"
)
_NOT_LIKE_THAT = r"invalid|too large|must be|should be|range|only"
REFUSAL = rf"(?:{_NOT_TAKEN}|{_NOT_LIKE_THAT})"


def _refused(names: Mapping[str, str], refusal: str) -> re.Pattern[str]:
    """A sentence with one of `names` and `refusal`, in either order. The group says which name."""
    before = "|".join(f"(?P<{ours}>{words})" for ours, words in names.items())
    after = before.replace("?P<", "?P<after_")
    return re.compile(
        rf"\b(?:{before})\b(?=[^.]{{0,120}}\b(?:{refusal})\b|\W{{1,3}}\d+ > \d+)|"
        rf"\b(?:{refusal})\b[^.]{{0,60}}?\b(?:{after})\b",
        re.I,
    )


# Without tools an agent works in another way altogether: a remark on how they are written is not
# enough. Nor is it where the server says it failed by itself.
PARAMETER_WORDS = _refused({n: w for n, w in DROPPABLE.items() if n != "tools"}, REFUSAL)
TOOLS_WORDS = _refused({"tools": DROPPABLE["tools"]}, _NOT_TAKEN)
OUTRIGHT_WORDS = _refused(DROPPABLE, _NOT_TAKEN)
