"""Settings from the environment, validated. Keys never leave `SecretStr`.

Programs read them with `load_settings`, whose one error says which variable is wrong and what it
takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from pipeline.agents.roster import ROSTER
from pipeline.base_url import check_base_url
from pipeline.budgets import Limits
from pipeline.errors import SpecError
from pipeline.logs import LogForm, LogLevel
from pipeline.models import KEYLESS, Endpoint, RunOptions, Speed
from pipeline.owners import Owners
from pipeline.plan import switchable_phases
from pipeline.prices import MICRO
from pipeline.redaction import remember_secret

Search = Literal["searxng", "brave", "tavily", "exa", "serper", "samples"]


class Settings(BaseSettings):
    """One instance per process. `GANTRY_` prefixes our own; provider names are the SDK's."""

    model_config = SettingsConfigDict(env_prefix="GANTRY_", extra="ignore", populate_by_name=True)

    openai_api_key: SecretStr | None = Field(default=None, validation_alias="OPENAI_API_KEY")
    openai_base_url: str | None = Field(default=None, validation_alias="OPENAI_BASE_URL")
    openai_model: str = Field(default="", validation_alias="OPENAI_MODEL")
    fallback_model: str = ""  # of agents whose model fails for good
    database_url: str | None = Field(default=None, validation_alias="DATABASE_URL")
    embedding_model: str = ""  # of the configured endpoint; empty: documents are ranked by words

    search: Search | None = None  # which service; None: none, and the samples for the demo
    search_url: str | None = None  # of one's own SearXNG, or a proxy before a service
    search_key: SecretStr | None = None

    data_dir: Path = Path("data")
    owners: Owners = Owners.AUTO  # who sees which runs
    parallel_phases: Annotated[tuple[str, ...] | None, NoDecode] = None  # None: all
    demo_speed: Speed = "realistic"
    max_in_flight: int = Field(default=16, ge=1, le=10_000)  # calls at once, per endpoint and model
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)  # prompt and answer together
    circuit_probe_s: float = Field(default=5.0, gt=0)  # how often a down endpoint is tried
    circuit_patience_s: float = Field(default=120.0, gt=0)  # how long a call waits for it
    hedge: bool = True  # a second request when the first token is far too late
    run_tokens: int | None = Field(default=None, ge=1)  # what a run may use, prompts and answers
    day_tokens: int | None = Field(default=None, ge=1)  # all runs of a UTC day together
    run_cost_usd: float | None = Field(default=None, gt=0)
    day_cost_usd: float | None = Field(default=None, gt=0)
    prices_file: Path | None = None  # another table than pipeline/prices.toml
    max_concurrent_runs: int = Field(default=50, ge=1, le=10_000)  # in a team: of all workers
    lease_s: float = Field(default=15.0, ge=2, le=600)  # a team's worker may be silent for so long
    first_token_timeout_s: float = Field(default=60.0, gt=0)
    idle_timeout_s: float = Field(default=30.0, gt=0)  # between two pieces of content
    call_timeout_s: float = Field(default=300.0, gt=0)
    log: LogForm | None = None  # None: text on a terminal, else JSON
    log_level: LogLevel | None = None  # None: what suits the program

    @field_validator("parallel_phases", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator(
        *("openai_api_key", "openai_base_url", "database_url", "log", "log_level"),
        *("search", "search_url", "search_key"),
        mode="before",
    )
    @classmethod
    def _blank_is_unset(cls, value: object) -> object:
        return None if isinstance(value, str) and not value.strip() else value

    @property
    def limits(self) -> Limits:
        """What runs may spend, unless they ask for less."""
        run_usd, day_usd = self.run_cost_usd, self.day_cost_usd
        return Limits(
            run_tokens=self.run_tokens,
            day_tokens=self.day_tokens,
            run_micro_usd=None if run_usd is None else int(run_usd * MICRO),
            day_micro_usd=None if day_usd is None else int(day_usd * MICRO),
        )

    @property
    def has_endpoint(self) -> bool:
        """True when a key or an endpoint is configured; only then is the demo not the default."""
        return self.openai_api_key is not None or self.openai_base_url is not None

    def configured_endpoint(self) -> Endpoint:
        key = self.openai_api_key.get_secret_value() if self.openai_api_key else KEYLESS
        return Endpoint(self.openai_base_url, key, "configured endpoint")

    def default_switches(self, switchable: tuple[str, ...]) -> dict[str, bool]:
        """Phase → on, for the phases that have a switch."""
        if self.parallel_phases is None:
            return dict.fromkeys(switchable, True)
        return {phase: phase in self.parallel_phases for phase in switchable}


def load_settings() -> Settings:
    """The settings of this process. Raises `SpecError` that names every variable it cannot use."""
    try:
        settings = Settings()
    except ValidationError as error:
        problems = [
            f"{_variable(e['loc'])}: {e['msg'].removeprefix('Value error, ')}."
            for e in error.errors()
        ]
        # without its cause: that holds the values, a key among them
        raise _refused(problems) from None
    if settings.openai_api_key is not None:
        remember_secret(settings.openai_api_key.get_secret_value())
    if settings.search_key is not None:
        remember_secret(settings.search_key.get_secret_value())
    if settings.database_url is not None and "@" in settings.database_url:
        # the password stands before the last `@`; whatever else is wrong with the address
        user = settings.database_url.rpartition("@")[0].partition("://")[2]
        remember_secret(unquote(user.partition(":")[2]))
    problems = [
        *_wrong_base_url(settings),
        *_incomplete_search(settings),
        *_unknown_phases(settings),
    ]
    if problems:
        raise _refused(problems)
    return settings


def _refused(problems: Sequence[str]) -> SpecError:
    return SpecError(
        "A setting cannot be used. " + " ".join(problems), "Correct or unset it, and start again."
    )


def _variable(location: tuple[int | str, ...]) -> str:
    """The environment variable a problem is about: a field's name with our prefix, or an alias."""
    name = str(location[0]) if location else "?"
    return f"GANTRY_{name.upper()}" if name in Settings.model_fields else name


def _wrong_base_url(settings: Settings) -> list[str]:
    if settings.openai_base_url is None:
        return []
    try:
        check_base_url(settings.openai_base_url)
    except SpecError as error:
        return [f"OPENAI_BASE_URL: {error}"]
    return []


def _incomplete_search(settings: Settings) -> list[str]:
    """A service that cannot be asked would fail in the middle of a run."""
    if settings.search_url is not None:
        try:
            check_base_url(settings.search_url)
        except SpecError:
            return ["GANTRY_SEARCH_URL: Write it like https://host, without user name and query."]
    if settings.search == "searxng" and settings.search_url is None:
        return ["GANTRY_SEARCH_URL: SearXNG needs the address of your instance."]
    needs_key = settings.search not in (None, "samples", "searxng")
    if needs_key and settings.search_key is None:
        return [f"GANTRY_SEARCH_KEY: {settings.search} needs a key."]
    return []


def _unknown_phases(settings: Settings) -> list[str]:
    """A misspelt phase would be switched off without a word."""
    every_option = RunOptions.model_validate(dict.fromkeys(RunOptions.model_fields, True))
    known = switchable_phases(ROSTER, every_option)
    unknown = [phase for phase in settings.parallel_phases or () if phase not in known]
    if not unknown:
        return []
    return [
        f"GANTRY_PARALLEL_PHASES: no parallel phase is called {', '.join(map(repr, unknown))}; "
        f"known are {', '.join(known)}."
    ]
