"""Vectors from an endpoint: in order, of length 1, or an error that says what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.errors import CallError
from pipeline.llm.embeddings import EndpointEmbedder
from tests.unit.knowledge.conftest import Embeddings, client, embedder, embeddings

__all__ = ["client", "embedder", "embeddings"]


async def test_each_text_gets_its_own_vector_of_length_1(embedder: EndpointEmbedder) -> None:
    matrix = await embedder.embed(["cat", "car", "cat"])

    assert np.allclose(np.linalg.norm(matrix, axis=1), 1)
    assert np.allclose(matrix[0], matrix[2])
    assert matrix[0] @ matrix[1] < 0.1


@pytest.mark.parametrize(
    "body",
    [
        {"data": []},
        {"data": [{"index": 0, "embedding": []}]},
        {"data": [{"index": 1, "embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": [0.0, 0.0]}]},
        {"data": [{"index": 0, "embedding": [1e308, 1e308]}]},
        {"data": [{"index": 0, "embedding": ["a"]}]},
        {"data": "x"},
        {"error": {"message": "no"}},
        [1],
    ],
)
async def test_an_odd_answer_is_an_error_and_never_a_vector(
    embedder: EndpointEmbedder, embeddings: Embeddings, body: Any
) -> None:
    embeddings.body = body

    with pytest.raises(CallError, match="GANTRY_EMBEDDING_MODEL"):
        await embedder.embed(["cat"])


@pytest.mark.parametrize("status", [400, 401, 404])
async def test_a_refusal_is_told(
    embedder: EndpointEmbedder, embeddings: Embeddings, status: int
) -> None:
    embeddings.status = status

    with pytest.raises(CallError):
        await embedder.embed(["cat"])
