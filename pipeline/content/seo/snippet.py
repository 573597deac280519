"""A result as a search page would show it: what fits of title and description. Pure.

The measures are data (`result_page.toml`); how it is drawn is the page's matter.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from pipeline.content.seo.pixels import cut_to, width

SITE: Final = "your-site.example"  # nobody knows yet where the article will stand
_DATA: Final = Path(__file__).with_name("result_page.toml")


@dataclass(frozen=True, slots=True)
class Device:
    """Sizes in pixels; `title_px` and `description_px` are over all lines."""

    title: str
    width_px: int
    title_size_px: int
    title_px: int
    description_size_px: int
    description_px: int


@dataclass(frozen=True, slots=True)
class Snippet:
    """`cut` names what did not fit whole: "title", "description"."""

    device: str
    width_px: int
    breadcrumb: str
    title: str
    description: str
    cut: tuple[str, ...]


@cache
def devices() -> Mapping[str, Device]:
    return {name: Device(**row) for name, row in _data().items() if isinstance(row, dict)}


def checked_on() -> str:
    return str(_data()["checked_on"])


def snippets(title: str, description: str, slug: str) -> list[Snippet]:
    """One for each device; an empty description stays empty, the engine would choose a passage."""
    return [_snippet(device, title, description, slug) for device in devices().values()]


def title_width(title: str) -> float:
    return width(title, devices()["desktop"].title_size_px)


def description_width(description: str) -> float:
    return width(description, devices()["desktop"].description_size_px)


def _snippet(device: Device, title: str, description: str, slug: str) -> Snippet:
    shown_title = cut_to(title, device.title_size_px, device.title_px)
    shown = cut_to(description, device.description_size_px, device.description_px)
    cut = [
        name
        for name, whole, part in (
            ("title", title, shown_title),
            ("description", description, shown),
        )
        if whole != part
    ]
    return Snippet(
        device=device.title,
        width_px=device.width_px,
        breadcrumb=f"{SITE} › {slug}",
        title=shown_title,
        description=shown,
        cut=tuple(cut),
    )


@cache
def _data() -> Mapping[str, object]:
    with _DATA.open("rb") as file:
        return tomllib.load(file)
