"""docs/faults.md and the tests name the same rows."""

from __future__ import annotations

import re
from pathlib import Path

from tests.faults import test_matrix, test_matrix_more

ROOT = Path(__file__).parents[2]
ROWS = re.compile(r"^\| (\d+) \| (.+?) \| (.+?) \| (.+?) \|$", re.M)
LATER = {25, 26, 32}  # embeddings, batches, web tools


def documented() -> dict[int, list[str]]:
    """Row → the files that test it."""
    page = (ROOT / "docs" / "faults.md").read_text("utf-8")
    return {
        int(number): re.findall(r"`(.+?)`", files) for number, _, _, files in ROWS.findall(page)
    }


def rows_here() -> set[int]:
    table = [*test_matrix.PASSING, *test_matrix.LASTING]
    alone = [name for name in vars(test_matrix_more) if name.startswith("test_")]
    return {int(name.split(" ")[0]) for name in table} | {int(n.split("_")[1]) for n in alone}


def test_every_row_of_the_matrix_is_documented() -> None:
    assert set(documented()) == set(range(1, 35)) - LATER


def test_every_documented_row_names_files_that_exist() -> None:
    for number, files in documented().items():
        assert files, number
        assert all((ROOT / file).is_file() for file in files), files


def test_the_rows_rows_here_and_those_that_say_so_are_the_same() -> None:
    said = {
        number
        for number, files in documented().items()
        if any(file.startswith("tests/faults/test_matrix") for file in files)
    }

    assert said == rows_here()
