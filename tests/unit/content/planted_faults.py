"""Faults of citation to be planted into real articles: every kind, in every form we know.

A form is a template: `{k}` an id of nobody, `{K}` one as the tools make them, `{n}` a number, `{h}` a
host of nobody, `{g}` the id of a source there is. `{needle}` is what no export may hold afterwards.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Literal

from pipeline.models import FlagKind

Place = Literal["end of a sentence", "inside a sentence", "own block", "heading"]


@dataclass(frozen=True, slots=True)
class Form:
    kind: FlagKind
    template: str
    needle: str
    place: Place = "end of a sentence"


@dataclass(frozen=True, slots=True)
class Planted:
    """A text with one fault in it."""

    kind: FlagKind
    text: str
    needle: str
    fault: str  # as it was written


_KEYS = [
    Form(FlagKind.UNKNOWN_KEY, template, "{k}")
    for template in (
        " [{k}]", " [{g}; {k}]", " [{k}, {g}]", " [ {k} ]", "[{k}]", " ［{k}］", " 【{k}】", " [[{k}]]", " 〔{k}〕",
        " \\[{k}\\]", " &#91;{k}&#93;", " &lsqb;{k}&rsqb;", " [{g},\n{k}]", " [{k}, p. 4]", " [Source: {k}]",
        " [{g}][{k}]", " *[{k}]*", " **[{k}]**", " [{k}](https://{h}/a)", " [{k} and {g}]", " [see [{k}]]",
    )
] + [
    Form(FlagKind.UNKNOWN_KEY, template, "{K}")
    for template in (
        " ({K})", " {K}", " `[{K}]`", " `{K}`", " [see {K}]", " (see {K} there)", " {{{K}}}", " [{K} is my source]",
        " \u200b[{K}]",
    )
]  # fmt: skip
_NUMBERS = [
    Form(FlagKind.RAW_NUMBER, template, "{n}")
    for template in (
        " [{n}]", " [{n}, 3]", " [2–{n}]", "[{n}]", " 【{n}】", " 【{n}†source】", " ［{n}］", " [[{n}]]", " [^{n}]",
        " \\[{n}\\]", " &#91;{n}&#93;", " &lbrack;{n}&rbrack;", " [{n}](https://{h}/a)", " (Source {n})",
        " [Source {n}]", " [ref. {n}]", " [{g}, {n}]", " [1][{n}]", " [@smith{n}]", " ^[{n}]^",
        " :contentReference[oaicite:{n}]{{index=0}}", " \ue200cite\ue202turn0search{n}\ue201", " **[{n}]**",
        " [{n};4]",
    )
] + [
    Form(FlagKind.RAW_NUMBER, "<sup>{n}</sup>", "{n}"),
    Form(FlagKind.RAW_NUMBER, "<sup>[{n}]</sup>", "{n}"),
    Form(FlagKind.RAW_NUMBER, '<sup><a href="#fn">{n}</a></sup>', "{n}"),
    Form(FlagKind.RAW_NUMBER, "{up}", "{up}"),
]  # fmt: skip
_ADDRESSES = [
    Form(FlagKind.INVENTED_URL, template, "{h}")
    for template in (
        " https://{h}/a", " http://{h}", " www.{h}/a", " <https://{h}/a>", " [words](https://{h}/a)",
        " [words](<https://{h}/a>)", ' [words](https://{h}/a "title")', " [words](//{h}/a)", " ![picture](https://{h}/a.png)",
        " [![a](https://{h}/i.png)](https://{h}/x)", ' <a href="https://{h}/a">words</a>', " <img src=https://{h}/a>",
        " https%3A%2F%2F{h}%2Fa", " https&#58;//{h}/a", " https&colon;&sol;&sol;{h}/a", " {h}/a", " hxxps://{h}/a",
        " ftp://{h}/a", " https://example.org@{h}/a", " https\\://{h}/a", " HTTPS://{h}/A", " https://xn--{h}/a",
        " https://ünïcode.{h}/a", " (https://{h}/a)", " “https://{h}/a”", " https://{h}:8443/a?b=c#d",
        " [words [{g}]](https://{h}/a)", " **https://{h}/a**", " 【https://{h}/a】",
    )
] + [
    Form(FlagKind.INVENTED_URL, " doi:10.1234/{h}", "{h}"),
    Form(FlagKind.INVENTED_URL, " 10.1234/{h}", "{h}"),
    Form(FlagKind.INVENTED_URL, "| a | b |\n|---|---|\n| x | https://{h}/a |", "{h}", "own block"),
    Form(FlagKind.INVENTED_URL, "- one\n- https://{h}/a", "{h}", "own block"),
    Form(FlagKind.INVENTED_URL, "> said at https://{h}/a", "{h}", "own block"),
]  # fmt: skip
_LISTS = [
    Form(FlagKind.SOURCE_LIST, f"{title}\n\n1. Author{{n}}, A book, 2021.\n2. Other{{n}}, 2022.", "Author{n}", "own block")
    for title in (
        "## Sources", "### References", "## Quellen", "## Literaturverzeichnis", "## Références", "## Fuentes",
        "## Fonti e riferimenti", "## Bibliografía", "## Bronnen", "## Źródła", "## Источники", "## 参考文献", "## 出典",
        "## 참고문헌", "## Works cited", "## 📚 Sources used", "**Sources:**", "Sources:", "__Quellen__", "Sources\n-------",
        "## 7. References",
    )
] + [
    Form(FlagKind.SOURCE_LIST, template, "Author{n}", "own block")
    for template in (
        "[1] Author{n}. A book. 2021.\n[2] Other{n}. 2022.", "[^5]: Author{n}, A book.", "[5]: https://{h}/a \"Author{n}\"",
        "Sources: Author{n} (2021), https://{h}/a", "- [{g}] Author{n}, 2021.\n- [1] Other{n}, 2022.",
        "**References**\n- Author{n}, https://{h}/a", "[{g}]: Author{n}, A book.",
    )
]  # fmt: skip
_MISPLACED = [
    Form(FlagKind.MISPLACED_KEY, "## Planted{n} heading [{g}]", "Planted{n} heading [", "heading"),
    Form(FlagKind.MISPLACED_KEY, "### Planted{n} heading ({G})", "Planted{n} heading [", "heading"),
    Form(
        FlagKind.MISPLACED_KEY, "Planted{n} heading [{g}]\n-----", "Planted{n} heading [", "heading"
    ),
]
FORMS = (*_KEYS, *_NUMBERS, *_ADDRESSES, *_LISTS, *_MISPLACED)


def shows(words: str, planted: Planted, *, instead_of: str = "") -> bool:
    """True when `words` hold what was planted; for a number, more often than `instead_of` does."""
    if not planted.needle.isdecimal():
        return planted.needle in words
    number = re.compile(rf"(?<![\w.#]){planted.needle}(?![\w.])")
    return len(number.findall(words)) > len(number.findall(instead_of))


def plant(text: str, form: Form, known: str, number: int, rng: random.Random) -> Planted:
    """The text with the fault of that form at a place that `rng` chooses; `number` tells it from others."""
    names = {
        "k": f"S9{number:03x}",
        "K": f"Sdead{number:06x}"[:11],
        "n": str(300 + number),
        "h": f"planted{number}.example",
        "g": known,
        "G": known,
        "up": str(300 + number).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")),
    }
    fault = form.template.format(**names)
    return Planted(
        form.kind, _put(text, fault, form.place, rng), form.needle.format(**names), fault
    )


def _put(text: str, fault: str, place: Place, rng: random.Random) -> str:
    if place in ("own block", "heading"):
        blocks = text.strip().split("\n\n")
        at = rng.randrange(2, len(blocks) + (place == "own block"))
        return "\n\n".join([*blocks[:at], fault, *blocks[at:]]) + "\n"
    ends = [m.start() for m in re.finditer(r"(?<=[a-z\]])\.(?= [A-Z]|\n)", text)]
    at = rng.choice(ends)
    behind = fault.startswith("<sup>") or (not fault.isascii() and len(fault) == 3)
    return text[: at + behind] + fault + text[at + behind :]
