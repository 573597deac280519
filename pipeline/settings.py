"""Settings from the environment, read once and validated. Keys never leave `SecretStr`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from pipeline.models import Endpoint, Speed

KEYLESS = "not-needed"  # what a local endpoint without keys is sent; the SDK wants a string


class Settings(BaseSettings):
    """One instance per process. `GANTRY_` prefixes our own; provider names are the SDK's."""

    model_config = SettingsConfigDict(env_prefix="GANTRY_", extra="ignore", populate_by_name=True)

    openai_api_key: SecretStr | None = Field(default=None, validation_alias="OPENAI_API_KEY")
    openai_base_url: str | None = Field(default=None, validation_alias="OPENAI_BASE_URL")
    openai_model: str = Field(default="", validation_alias="OPENAI_MODEL")
    database_url: str | None = Field(default=None, validation_alias="DATABASE_URL")

    data_dir: Path = Path("data")
    parallel_phases: Annotated[tuple[str, ...] | None, NoDecode] = None  # None: all
    demo_speed: Speed = "realistic"
    max_in_flight: int = Field(default=16, ge=1, le=10_000)  # calls at once, per endpoint and model
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)  # prompt and answer together
    hedge: bool = True  # a second request when the first token is far too late
    max_concurrent_runs: int = Field(default=50, ge=1, le=10_000)
    first_token_timeout_s: float = Field(default=60.0, gt=0)
    idle_timeout_s: float = Field(default=30.0, gt=0)  # between two pieces of content
    call_timeout_s: float = Field(default=300.0, gt=0)

    @field_validator("parallel_phases", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("openai_api_key", "openai_base_url", "database_url", mode="before")
    @classmethod
    def _blank_is_unset(cls, value: object) -> object:
        return None if isinstance(value, str) and not value.strip() else value

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
