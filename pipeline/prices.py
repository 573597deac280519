"""What tokens cost: a dated table that anybody may edit. A price that is not in it is unknown.

`prices.toml` says where its figures come from. Money is counted in millionths of a US dollar,
which is what a token costs at one dollar per million.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import SpecError

PRICES_FILE = Path(__file__).with_name("prices.toml")
MICRO = 1_000_000  # of a dollar


class Price(BaseModel):
    """US dollars per million tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: float = Field(ge=0, allow_inf_nan=False)
    output: float = Field(ge=0, allow_inf_nan=False)

    def micro_usd(self, input_tokens: int, output_tokens: int) -> int:
        """What so many tokens cost, rounded up."""
        return math.ceil(input_tokens * self.input + output_tokens * self.output)


@dataclass(frozen=True)
class PriceTable:
    date: str  # ISO 8601
    source: str
    models: Mapping[str, Price]

    def of(self, model: str) -> Price | None:
        """The price of `model`; None when the table does not say."""
        exact = self.models.get(model)
        if exact is not None:
            return exact
        fitting = [name for name in self.models if "*" in name and fnmatchcase(model, name)]
        return self.models[max(fitting, key=len)] if fitting else None


@lru_cache(maxsize=4)
def load_prices(path: Path | None = None) -> PriceTable:
    """The table in `path`, else the one that comes with Gantry. Raises `SpecError`."""
    path = path or PRICES_FILE
    try:
        table = tomllib.loads(path.read_text("utf-8"))
        models = {str(name): Price(**price) for name, price in table["models"].items()}
        return PriceTable(str(table["date"]), str(table["source"]), models)
    except OSError as error:
        problem = error.strerror or type(error).__name__
    except ValidationError as error:
        problem = f"{error.errors()[0]['loc']}: {error.errors()[0]['msg']}"
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        problem = str(error)
    raise SpecError(
        f"The price table {path} cannot be used: {problem}.",
        "Correct it (pipeline/prices.toml shows the form), or unset GANTRY_PRICES_FILE.",
    )


def money(micro_usd: int) -> str:
    """`$1.20`, and small sums with as many places as they need."""
    usd = micro_usd / MICRO
    return f"${usd:,.2f}" if usd >= 1 or micro_usd == 0 else f"${usd:.6f}".rstrip("0")
