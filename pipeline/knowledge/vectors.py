"""Passages ranked by the nearness of their vectors, and the fusion of that rank with another. Pure.

Exact cosine over all of an owner's passages: up to tens of thousands that is quicker than asking a
server.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from pipeline.store.documents import Place, StoredVector

RRF_K: Final = 60  # Cormack, Clarke, Buettcher 2009: "Reciprocal Rank Fusion outperforms Condorcet"
MIN_COSINE: Final = 0.25  # below it nothing is near, whatever the model
STORED: Final = np.dtype("<f4")


class Embedder(Protocol):
    """Makes vectors from texts with the model `model`."""

    @property
    def model(self) -> str: ...

    async def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """One row of length 1 for each text. Raises `CallError` when the endpoint does not give them."""
        ...


def nearest(
    vector: npt.NDArray[np.float32], stored: Sequence[StoredVector], limit: int
) -> list[Place]:
    """The places of vectors nearest to `vector`, nearest first; what is not near is left out.

    All have length 1 and as many numbers as `vector`.
    """
    if not stored:
        return []
    matrix = np.frombuffer(b"".join(one.vector for one in stored), dtype=STORED)
    cosines = matrix.reshape(len(stored), -1) @ vector
    order = np.lexsort((np.arange(len(stored)), -cosines))[:limit]
    return [
        (stored[at].document_id, stored[at].position) for at in order if cosines[at] >= MIN_COSINE
    ]


def fused(rankings: Iterable[Sequence[Place]], limit: int) -> list[Place]:
    """One ranking from several: each gives 1 / (60 + rank) to what it lists. Ties: first seen first."""
    scores: dict[Place, float] = defaultdict(float)
    for ranking in rankings:
        for rank, place in enumerate(ranking, start=1):
            scores[place] += 1 / (RRF_K + rank)
    return sorted(scores, key=lambda place: -scores[place])[:limit]
