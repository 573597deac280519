"""The phases' colours: none looks like trouble, and colour-blind people can tell them apart."""

from __future__ import annotations

import re
import tomllib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from pipeline.agents.roster import ROSTER
from pipeline.models import Mode
from pipeline.plan import make_plan
from pipeline.views.bars import PHASE_PALETTE, phase_colours
from pipeline.views.gantt import ALERT
from tests.test_packaging import contrast

ROOT = Path(__file__).parents[3]
COLOURS = phase_colours(make_plan(ROSTER, Mode.PHASES))
LIKE_TROUBLE = 0.15  # in OKLab, where 0.02 is just seen; a red beside ALERT has 0.04
TOLD_APART = 0.1

# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB
SIGHT = {
    "usual": np.eye(3),
    "protan": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deutan": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritan": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
# Ottosson (2020)
LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def seen(colour: str, sight: str) -> np.ndarray:
    """A colour such as `#8A6040` in OKLab, as somebody with that sight sees it."""
    rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return OKLAB @ np.cbrt(LMS @ np.clip(SIGHT[sight] @ linear, 0, 1))


def distance(one: str, other: str, sight: str = "usual") -> float:
    return float(np.linalg.norm(seen(one, sight) - seen(other, sight)))


def test_no_phase_looks_like_what_failed() -> None:
    assert {p: d for p, c in COLOURS.items() if (d := distance(c, ALERT)) < LIKE_TROUBLE} == {}


@pytest.mark.parametrize("sight", SIGHT)
def test_phases_after_one_another_are_told_apart(sight: str) -> None:
    assert min(distance(a, b, sight) for a, b in pairwise(COLOURS.values())) > TOLD_APART


@pytest.mark.parametrize("sight", SIGHT)
def test_writing_is_told_from_every_other_phase(sight: str) -> None:
    writing = COLOURS["writing"]

    others = [colour for colour in COLOURS.values() if colour != writing]
    assert min(distance(writing, other, sight) for other in others) > TOLD_APART
    look = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text("utf-8"))["theme"]
    for theme in ("light", "dark"):
        assert contrast(writing, look[theme]["backgroundColor"]) >= 3


def test_the_exported_page_has_the_same_colours() -> None:
    rules = (ROOT / "pipeline" / "export" / "page.css").read_text("utf-8")

    exported = re.findall(r"^\.p\d \{ fill: (#\w+); background: (#\w+); \}$", rules, re.MULTILINE)
    assert exported == [(colour, colour) for colour in PHASE_PALETTE]
