"""An owner's passages, ranked by the words of a query: BM25 over the terms that are stored.

Built once from rows, then read-only and safe to use from several threads. Whether a passage is about
the query at all is decided beside the rank: BM25 alone always finds something that shares a word.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.knowledge.terms import general_terms, query_terms

if TYPE_CHECKING:
    import numpy.typing as npt

    from pipeline.store.documents import Contents, Place

K1, B = 1.5, 0.75  # BM25's usual values; benchmarks/retrieval.py compares others
MIN_SHARE = 0.28  # of a query's weight that a passage must hold
# A small collection says little about how rare a word is: this many passages of nobody's stand
# behind it, and any word in this many of them.
BACKGROUND, BACKGROUND_HOLDING = 1_000, 5

_STORED = np.dtype("<u8")


@dataclass(frozen=True, slots=True)
class Ranked:
    """A passage's place and its score; scores of one query compare, others' do not."""

    place: Place
    score: float


def to_bytes(terms: Sequence[int]) -> bytes:
    """Terms as they are stored: 8 bytes each, little-endian."""
    return np.asarray(terms, dtype=_STORED).tobytes()


def from_bytes(stored: bytes) -> npt.NDArray[np.uint64]:
    return np.frombuffer(stored, dtype=_STORED)


class OwnerIndex:
    """The passages of one owner at one revision."""

    def __init__(
        self,
        revision: int,
        places: Sequence[Place],
        terms: Sequence[npt.NDArray[np.uint64]],
        languages: Iterable[str],
    ) -> None:
        """`terms` has one array for each of `places`."""
        self.revision = revision
        self.places = tuple(places)
        self.languages = frozenset(languages)
        self._number: dict[int, int] = {}
        self._bm25: Any = None
        if sum(map(len, terms)):
            self._build(terms)

    def __len__(self) -> int:
        return len(self.places)

    def best(self, query: str, limit: int) -> list[Ranked]:
        """The passages that are about `query`, best first, at most `limit`."""
        words = query_terms(query, self.languages)
        asked = [self._number[term] for word in words for term in word if term in self._number]
        if not asked:
            return []
        scores = self._bm25.get_scores_from_ids(asked)
        fitting = np.flatnonzero((scores > 0) & self._is_about(words))
        order = fitting[np.lexsort((fitting, -scores[fitting]))][:limit]
        return [Ranked(self.places[at], float(scores[at])) for at in order]

    def _build(self, terms: Sequence[npt.NDArray[np.uint64]]) -> None:
        import bm25s  # with scipy: only where documents are searched

        flat = np.concatenate(terms)
        known, dense = np.unique(flat, return_inverse=True)
        cuts = np.cumsum([len(one) for one in terms])[:-1]
        self._number = {int(term): at for at, term in enumerate(known)}
        self._bm25 = bm25s.BM25(k1=K1, b=B)
        corpus = bm25s.tokenization.Tokenized(
            ids=[part.tolist() for part in np.split(dense, cuts)],
            vocab={str(at): at for at in range(len(known))},
        )
        self._bm25.index(corpus, show_progress=False)

    def _is_about(self, words: Sequence[frozenset[int]]) -> npt.NDArray[np.bool_]:
        """For each passage: whether it holds enough of the query, by weight of its telling words."""
        distinct = list(dict.fromkeys(words))
        telling = [word for word in distinct if not word & general_terms()] or distinct
        held = np.zeros(len(self.places))
        total = 0.0
        for word in telling:
            holding = self._holding(word)
            rarity = (len(self.places) + BACKGROUND) / (len(holding) + BACKGROUND_HOLDING)
            weight = math.log(1 + rarity)
            held[holding] += weight
            total += weight
        return held >= MIN_SHARE * total

    def _holding(self, word: frozenset[int]) -> npt.NDArray[np.intp]:
        """The passages that have `word` under any of its terms."""
        starts, rows = self._bm25.scores["indptr"], self._bm25.scores["indices"]
        numbers = [self._number[term] for term in word if term in self._number]
        parts = [rows[starts[at] : starts[at + 1]] for at in numbers]
        return np.unique(np.concatenate(parts)).astype(np.intp) if parts else np.array([], np.intp)


def index_of(
    contents: Contents, known: Mapping[str, tuple[npt.NDArray[np.uint64], ...]]
) -> tuple[OwnerIndex, dict[str, tuple[npt.NDArray[np.uint64], ...]]]:
    """The index of `contents`, and the terms it is made of, by document, to pass in next time.

    `known` are terms of documents whose chunks were left out of `contents`.
    """
    terms = {
        document.id: known[document.id]
        if document.id in known
        else tuple(from_bytes(chunk.terms) for chunk in contents.chunks[document.id])
        for document in contents.documents
    }
    places = [(name, at) for name, arrays in terms.items() for at in range(len(arrays))]
    flat = [array for arrays in terms.values() for array in arrays]
    languages = {document.language for document in contents.documents}
    return OwnerIndex(contents.revision, places, flat, languages), terms
