"""The vocabulary: what is asked, who works on it, what comes out.

Plain values only. Imports nothing else of ours but what text people type may hold; everything else
may import this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pipeline.signs import STORED as STORED
from pipeline.signs import check_signs as check_signs
from pipeline.signs import control_characters as control_characters
from pipeline.signs import direction_controls as direction_controls
from pipeline.signs import has_visible as has_visible
from pipeline.signs import is_web_address
from pipeline.voice import Voice

TOPIC_MAX_CHARS = 2_000
FIELD_MAX_CHARS = 200
ADDITION_MAX_CHARS = 2_000
ADDITIONS_MAX = 40
INSTRUCTIONS_MAX_CHARS = 8_000  # of one agent, written by a person
URLS_MAX = 10
SEED_MAX = 2**31 - 1
LOCAL_OWNER = "local"  # the one owner on loopback without login; the command line too

DEMO_LABEL = "Offline demo, not written by a language model"
UNSOURCED_LABEL = "Unsourced draft: no source was found, nothing here has been checked"


class Mode(StrEnum):
    SEQUENTIAL = "sequential"  # one chain through all agents, in roster order
    PHASES = "phases"  # a phase starts when the phase before has settled
    DATAFLOW = "dataflow"  # an agent starts when its own inputs exist


class RunStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    WAITING_APPROVAL = "waiting_approval"
    NEEDS_KEY = "needs_key"  # a typed key is gone with its process; type it again to go on
    DONE = "done"
    DEGRADED = "degraded"  # done, with marks: something was substituted or left out
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in _FINAL_RUN


_FINAL_RUN = {RunStatus.DONE, RunStatus.DEGRADED, RunStatus.FAILED, RunStatus.CANCELLED}


class AgentState(StrEnum):
    WAITING = "waiting"  # for agents before it
    ADMISSION = "admission"  # inputs exist; waits for permission to make a call
    STREAMING = "streaming"  # a call is in flight
    TOOLS = "tools"  # function tools are running
    BACKOFF = "backoff"  # an attempt failed; waits before the next
    DONE = "done"
    SUBSTITUTED = "substituted"  # failed for good; code put something honest in its place
    ABSENT = "absent"  # failed for good; left out, marked
    FAILED = "failed"  # failed for good and the run stops
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in _FINAL_AGENT


_FINAL_AGENT = {
    AgentState.DONE,
    AgentState.SUBSTITUTED,
    AgentState.ABSENT,
    AgentState.FAILED,
    AgentState.CANCELLED,
}


class Importance(StrEnum):
    CRITICAL = "critical"
    IMPORTANT = "important"
    OPTIONAL = "optional"


class OnFailure(StrEnum):
    """What `settle` makes of an agent that failed for good."""

    STOP = "stop"
    ABSENT = "absent"
    SUBSTITUTE = "substitute"


class Length(StrEnum):
    SHORT = "short"
    STANDARD = "standard"
    LONG = "long"


WORDS: Mapping[Length, int] = {Length.SHORT: 400, Length.STANDARD: 700, Length.LONG: 1_200}

Provider = Literal["demo", "openai"]
Speed = Literal["instant", "fast", "realistic"]


@dataclass(frozen=True, slots=True)
class Need:
    """A data edge: `agent`'s output is rendered into the prompt.

    `kind` is `required`, `optional` (may be absent) or `any` (at least one of all the
    `any` needs of an agent must be present).
    """

    agent: str
    kind: Literal["required", "optional", "any"] = "required"


@dataclass(frozen=True, slots=True)
class Expansion:
    """How an agent becomes one agent per outline section, and a join, when `option` is on.

    It happens when `by` settles with an outline (`growth.py`). `needs` are those of each part:
    `{number}`, `{before}` and `{after}` in a name stand for the part's own number and its
    neighbours', and a neighbour that does not exist is left out. Parts that `write` share the
    findings out among themselves; parts that `edit` revise the text they need as `…/{number}`.
    """

    option: str  # a field of `RunOptions`
    by: str
    kind: Literal["write", "edit"]
    title: str  # of a part, with `{number}`; differs in its first 17 characters
    prompt_file: str  # begins with `Agent: name/{number}`
    needs: tuple[Need, ...]
    max_output_tokens: int = 3_000


@dataclass(frozen=True, slots=True)
class Speculation:
    """How an agent gets a forerunner that begins before its needs exist, when `option` is on.

    The forerunner has no needs and stands in `phase`; the agent itself then works by
    `top_up_prompt_file` and sees what the forerunner found.
    """

    option: str  # a field of `RunOptions`
    phase: str
    title: str
    prompt_file: str
    top_up_prompt_file: str


@dataclass(frozen=True, slots=True)
class Part:
    """Which share of an expanded agent's work is this one's: outline sections, by position."""

    of: str
    by: str  # whose outline
    kind: Literal["write", "edit"]
    number: int  # from 1
    split: tuple[tuple[int, ...], ...]  # the sections of every part

    @property
    def count(self) -> int:
        return len(self.split)

    @property
    def positions(self) -> tuple[int, ...]:
        return self.split[self.number - 1]


@dataclass(frozen=True, slots=True)
class Join:
    """What an expanded agent is afterwards: code that puts the parts' texts together."""

    by: str
    parts: tuple[Part, ...]
    drafts: tuple[str, ...] = ()  # what each part revised, for parts that edit

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(part_name(part.of, part.number) for part in self.parts)


def part_name(agent: str, part: int | str) -> str:
    return f"{agent}/{part}"


def family(name: str) -> str:
    """`content_writer/3` → `content_writer`; a name without a part is its own family."""
    return name.partition("/")[0]


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """One entry of the roster: everything Gantry knows about an agent.

    The last fields, from `part` on, are never written in a roster: `growth.py` sets them.
    """

    name: str
    title: str
    phase: str
    importance: Importance
    on_failure: OnFailure
    prompt_file: str
    needs: tuple[Need, ...] = ()
    tools: tuple[str, ...] = ()
    output: type[BaseModel] | None = None  # None: the text itself is the output (Markdown)
    facts: tuple[str, ...] = ()  # sections computed by code for the prompt: `computed`, `limits`
    max_output_tokens: int = 2_000
    model_setting: str = ""  # name under `agent_models`; empty: the agent's own name
    expansion: Expansion | None = None
    speculation: Speculation | None = None
    part: Part | None = None
    join: Join | None = None  # no model is asked
    forerunner_of: str = ""  # the agent this one speculates for
    forerunner: str = ""  # the agent that speculates for this one


class RunOptions(BaseModel):
    """What changes the calls of a run. Runs that differ here are compared only as measured."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    section_writing: bool = False  # one call per outline section, side by side, joined by code
    section_editing: bool = False  # the same for the editor
    speculative_research: bool = False  # a researcher starts from the topic while the plan is made
    approve_outline: bool = False  # stop after planning until a person has approved the outline

    @model_validator(mode="after")
    def _check_editing(self) -> RunOptions:
        if self.section_editing and not self.section_writing:
            raise ValueError("Editing by section needs writing by section. Switch both on.")
        return self

    @property
    def on(self) -> tuple[str, ...]:
        """The names of the options that are on."""
        return tuple(name for name, value in self if value)


NO_OPTIONS = RunOptions()


class RunSpec(BaseModel):
    """What is asked: the brief, how to run it, and on which provider. Stored with the run."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    topic: str
    audience: str = Field(default="General readers", max_length=FIELD_MAX_CHARS)
    tone: str = Field(default="Clear and factual", max_length=FIELD_MAX_CHARS)
    length: Length = Length.STANDARD
    language: str = Field(default="English", max_length=60)
    mode: Mode = Mode.PHASES
    switches: dict[str, bool] = Field(default_factory=dict)  # phase name → runs in parallel
    options: RunOptions = NO_OPTIONS
    allow_unsourced: bool = False
    provider: Provider = "demo"
    base_url: str | None = None  # None: the configured endpoint, or OpenAI's own
    model: str = ""
    agent_models: dict[str, str] = Field(default_factory=dict)
    fallback_model: str = ""  # takes over when an agent's model fails for good; empty: none
    fallback_models: dict[str, str] = Field(default_factory=dict)  # agent → its own fallback
    max_tokens: int | None = Field(default=None, ge=1)  # of the whole run, prompts and answers
    max_cost_usd: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    key_source: Literal["none", "configured", "typed"] = "none"  # never the key itself
    speed: Speed = "realistic"  # demo only
    seed: int = 1
    prompt_additions: dict[str, str] = Field(  # agent → what a person added to its prompt
        default_factory=dict, max_length=ADDITIONS_MAX
    )
    prompt_instructions: dict[str, str] = Field(  # agent → what a person wrote in their place
        default_factory=dict, max_length=ADDITIONS_MAX
    )
    outline_approved: bool = False  # a person has said yes: the stop is behind this run
    urls: tuple[str, ...] = ()  # pages the person gave, to be read before others
    voice: Voice | None = (
        None  # as it was when the run was asked for, whatever becomes of the preset
    )

    @field_validator("topic")
    @classmethod
    def _check_topic(cls, topic: str, info: ValidationInfo) -> str:
        return topic if info.context is STORED else clean_topic(topic)

    @field_validator("prompt_additions")
    @classmethod
    def _check_additions(cls, additions: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        if info.context is STORED:
            return additions
        return {name: clean_addition(text) for name, text in additions.items()}

    @field_validator("prompt_instructions")
    @classmethod
    def _check_instructions(cls, texts: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        if info.context is STORED:
            return texts
        return {name: clean_instructions(text) for name, text in texts.items()}

    @field_validator("urls")
    @classmethod
    def _check_urls(cls, urls: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        return urls if info.context is STORED else clean_urls(urls)

    @field_validator("audience", "tone", "language")
    @classmethod
    def _check_line(cls, line: str, info: ValidationInfo) -> str:
        if info.context is STORED:
            return line
        if bad := control_characters(line):
            raise ValueError(f"contains control characters ({bad}); remove them")
        if bad := direction_controls(line):
            raise ValueError(f"contains characters that turn text around ({bad}); remove them")
        return line.strip()

    @property
    def is_demo(self) -> bool:
        return self.provider == "demo"

    def model_for(self, agent: AgentSpec) -> str:
        return chosen_model(agent, self.agent_models, self.model)


def chosen_model(agent: AgentSpec, agent_models: Mapping[str, str], default: str) -> str:
    """The model of `agent`: chosen for it by name, else by its setting, else the run's."""
    return agent_models.get(
        agent.name, agent_models.get(agent.model_setting or agent.name, default)
    )


def clean_topic(topic: str) -> str:
    """Return `topic` trimmed; raise ValueError with a sentence a person can act on."""
    if not has_visible(topic):
        raise ValueError("The topic is empty. Type what the article should be about.")
    return _clean(topic, "topic", TOPIC_MAX_CHARS)


def clean_addition(text: str) -> str:
    """Return what is added to a prompt, trimmed; raise ValueError as `clean_topic` does."""
    if not has_visible(text):
        raise ValueError("The addition is empty. Type what the agent should also know or do.")
    return _clean(text, "addition", ADDITION_MAX_CHARS)


def clean_instructions(text: str) -> str:
    """Return an agent's instructions, trimmed; raise ValueError as `clean_topic` does."""
    if not has_visible(text):
        raise ValueError("The instructions are empty. Say what the agent should do.")
    return _clean(text, "text of the instructions", INSTRUCTIONS_MAX_CHARS)


def _clean(text: str, what: str, limit: int) -> str:
    text = text.strip()
    if len(text) > limit:
        raise ValueError(
            f"The {what} has {len(text):,} characters; the limit is {limit:,}. Shorten it."
        )
    check_signs(text, what)
    return text


def clean_urls(urls: Iterable[str]) -> tuple[str, ...]:
    """Addresses as a person gave them, each once. Raises `ValueError` for what is no web address.

    Which addresses may really be read is decided when one is connected to.
    """
    kept = tuple(dict.fromkeys(url.strip() for url in urls if url.strip()))
    if len(kept) > URLS_MAX:
        raise ValueError(f"{len(kept)} pages to read are too many; {URLS_MAX} is the limit.")
    for url in kept:
        if not is_web_address(url):
            raise ValueError(
                f"“{url[:80]}” is no address of a web page. Write it whole, with https:// in front."
            )
        if bad := control_characters(url) or direction_controls(url):
            raise ValueError(f"A page's address has characters that cannot be seen ({bad}).")
    return kept


@dataclass(frozen=True, slots=True)
class Source:
    """A passage an agent may cite, by `id`. Numbers exist only when the article is rendered."""

    id: str  # opaque, stable, e.g. "S3f9a1"
    title: str
    url: str  # empty when there is no address
    kind: Literal["sample", "web", "kb", "user"]
    passage: str
    publisher: str = ""
    published: str = ""  # the date its publisher gives, as found: unverified
    retrieved_at: str = ""  # UTC, ISO 8601
    document_id: str = ""  # of a passage from the owner's own documents
    page: int | None = None  # in a document that has pages, from 1
    section: str = ""  # the headings above the passage


TOKENS_MAX = 10_000_000  # of one call's prompt or reply; a larger count is an error, not a count
_TIMES_EXPECTED = 20.0
_EXPECTED_LEAST = 1_000.0


def plausible_tokens(told: float, expected: float) -> float:
    """A told count within what is possible, so that one odd figure does not hold everybody up."""
    return min(max(0.0, told), _TIMES_EXPECTED * max(expected, _EXPECTED_LEAST))


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one agent. `None` means the provider did not say; never shown as 0."""

    input_tokens: int | None = None
    output_tokens: int | None = None

    def plus(self, other: Usage) -> Usage:
        return Usage(
            _add(self.input_tokens, other.input_tokens),
            _add(self.output_tokens, other.output_tokens),
        )


def _add(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else a + b


class FlagKind(StrEnum):
    """What a check of citations found. Stored for years: add, never rename."""

    UNKNOWN_KEY = "unknown_key"  # an id of no source
    RAW_NUMBER = "raw_number"  # "[7]", as no agent may cite
    INVENTED_URL = "invented_url"  # an address that is no source's
    SOURCE_LIST = "source_list"  # a list of sources the model wrote
    MISPLACED_KEY = "misplaced_key"  # a citation where none may stand: a heading, a title, a post
    LOST_KEY = "lost_key"  # the claim is still there, its citation is not
    UNKNOWN_SOURCE = "unknown_source"  # a finding that names no passage that was retrieved
    WRONG_QUOTE = "wrong_quote"  # a quotation that does not stand in its passage


@dataclass(frozen=True, slots=True)
class Flag:
    """What was wrong at one place of an output, and what code did about it.

    `sentence` holds the words it stood in, as they are now; empty when they are gone as well.
    `detail` is what was found, as it was written.
    """

    kind: FlagKind
    sentence: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class AgentOutput:
    """What an agent hands to those after it; one JSON object in its checkpoint."""

    text: str  # what the model wrote; citations of nothing are taken out and stand in `flags`
    data: dict[str, Any] | None = None  # the validated fields, for agents with an output type
    sources: tuple[Source, ...] = ()
    prompt: str = ""  # system and user prompt, for the "prompts" tab
    response_model: str = ""  # what the provider says it used
    request_model: str = ""  # that wrote it: the fallback's name when the first failed
    mark: str = ""  # set when substituted: what a reader must know
    flags: tuple[Flag, ...] = ()  # faults of citation that were left after the last turn


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A finished agent. `key` hashes agent, prompt version, model and rendered inputs.

    `epoch` 0: offered by the run this one begins with, and not taken over yet. `edited`: a person
    wrote the output. It has no key until it is taken over: it stands whatever its inputs are then.
    """

    agent: str
    key: str
    epoch: int
    output: AgentOutput
    usage: Usage
    state: AgentState = AgentState.DONE  # done or substituted
    edited: bool = False

    @property
    def is_offered(self) -> bool:
        return self.epoch == 0

    @property
    def stands(self) -> bool:
        """True for what a person wrote for this run, and no run has taken over yet."""
        return self.edited and not self.key


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One row of `runs`, as pages and exports read it."""

    id: str
    owner: str
    status: RunStatus
    epoch: int
    spec: RunSpec
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: str = ""
    error_code: str = ""
    degraded: tuple[str, ...] = ()
    makespan_s: float | None = None
    saved_share: float | None = None
    priority: int = 0  # higher starts first
    parent_id: str = ""  # the run whose finished agents this one began with; it may be gone


@dataclass(frozen=True, slots=True)
class Settlement:
    """How an agent ended for the plan: a value, a substitute, absent, or the run stops."""

    agent: str
    state: AgentState  # done, substituted, absent, failed, cancelled
    output: AgentOutput | None = None
    mark: str = ""
    error: str = ""
    empty: bool = False  # a researcher that worked well and found nothing

    @property
    def has_value(self) -> bool:
        return self.output is not None


LimitUnit = Literal["requests", "tokens", "in_flight"]


@dataclass(frozen=True, slots=True)
class ToldLimit:
    """A limit as a provider told it; None for what it did not say. `reset_s`: until all is back."""

    unit: LimitUnit
    limit: float | None = None
    remaining: float | None = None
    reset_s: float | None = None
    period_s: float | None = None


KEYLESS = "not-needed"  # what an endpoint is sent when there is no key; the SDK wants a string


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where calls go. The key stays out of `repr`, logs and stored rows."""

    base_url: str | None
    api_key: str = field(repr=False)
    label: str = ""
