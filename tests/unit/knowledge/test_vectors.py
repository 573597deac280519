"""Ranks by vectors, and several ranks made one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.knowledge.vectors import fused, nearest
from pipeline.store.documents import StoredVector


def stored(*vectors: tuple[float, float]) -> list[StoredVector]:
    return [
        StoredVector("d", at, np.asarray(vector, "<f4").tobytes())
        for at, vector in enumerate(vectors)
    ]


def test_the_nearest_comes_first_and_what_is_far_is_left_out() -> None:
    query = np.asarray([1, 0], np.float32)

    assert nearest(query, stored((0.6, 0.8), (1, 0), (0, 1)), 5) == [("d", 1), ("d", 0)]
    assert nearest(query, stored((0.6, 0.8), (1, 0)), 1) == [("d", 1)]
    assert nearest(query, [], 5) == []


def test_what_both_rankings_name_stands_before_what_one_names_first() -> None:
    words = [("a", 0), ("b", 0)]
    vectors = [("c", 0), ("b", 0)]

    assert fused([words, vectors], 3) == [("b", 0), ("a", 0), ("c", 0)]


PLACES = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), unique=True)


@given(PLACES, PLACES)
def test_fusion_keeps_everything_once(
    one: list[tuple[str, int]], two: list[tuple[str, int]]
) -> None:
    assert sorted(fused([one, two], 100)) == sorted({*one, *two})
    assert fused([one], 100) == one
