"""Whatever is wrong with foreign JSON is one exception, and what can be read is read."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.foreign_json import MAX_DEPTH, read_json


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a": "caf\xe9"}', {"a": "caf\ufffd"}),
        ('{"a": "one\ttwo\nthree\x01"}', {"a": "one\ttwo\nthree\x01"}),
        ('"\\ud83d"', "\ud83d"),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        ('\ufeff{"a": 1}', {"a": 1}),
        ("9" * 4_000, int("9" * 4_000)),
        ("-" + "9" * 5_000, float("-inf")),
        ("[" * MAX_DEPTH + "]" * MAX_DEPTH, json.loads("[" * MAX_DEPTH + "]" * MAX_DEPTH)),
    ],
)
def test_what_can_be_read_is_read(data: str | bytes, value: Any) -> None:
    assert read_json(data) == value


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 900, 50_000])
@pytest.mark.parametrize("pair", [("[", "]"), ('{"a":', "}")])
def test_nesting_nobody_can_work_on_is_refused(depth: int, pair: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json(pair[0] * depth + "1" * (pair[0] != "[") + pair[1] * depth)


@pytest.mark.parametrize("data", ["", b"", "[" * 50_000, "nonsense", b"\xff\xfe{"])
def test_what_is_no_json_is_a_value_error(data: str | bytes) -> None:
    with pytest.raises(ValueError):
        read_json(data)


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        read_json(data)
