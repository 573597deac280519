"""Keyword search over short passages: BM25 ranks, a relevance floor decides whether to answer.

BM25 always finds something that shares a word with the query; the floor makes "nothing found" a
possible answer. Built once, then read-only and safe to use from several threads.
"""

from __future__ import annotations

import math
import re
import threading
from collections import Counter
from collections.abc import Iterable

MIN_SHARE = 0.4  # of the query's weight that a passage must hold
SUBJECT_BOOST = 2  # a document's title and tags count like words said twice

_WORD = re.compile(r"[^\W_]+")
STOP_WORDS = """
a about above after again all also am an and any are as at be because been before being below
between both but by can could did do does doing down during each few for from further get gets had
has have having he her here him his how i if in into is it its itself just let like may me might
more most must my no nor not now of off on once one only or other our out over own per same she
should so some such than that the their them then there these they this those through to too under
until up very was we were what when where which while who whom why will with without would you your
"""
# words people put into queries about anything: they rank, but prove no relevance
GENERAL_WORDS = """
adult adults advice article avoid basic basics begin beginner beginners benefit benefits best better big buy
change changes check checklist choose common compare cost costs difference easy effect effects
everyday example examples explain explained fact facts first good guide help history home house
idea ideas important improve information introduction keep kind kinds know last learn less little
long look maintain maintenance make making many mistake mistakes modern need needs new old overview
people plan practical practice prepare price problem problems quality question questions reason
reasons review risk risks routine run running safe season seasons set short simple small start
starting step steps success team teams term thing things time tip tips tool tools type types use
useful using way ways well week work working works world year years
"""


class PassageIndex:
    """An index over (text, subject) pairs; positions are those of the pairs."""

    def __init__(self, passages: Iterable[tuple[str, str]]) -> None:
        # imported here: numpy and the stemmer cost half a second that most processes never need
        import bm25s
        import Stemmer

        self._lock = threading.Lock()  # a stemmer keeps state while it works
        self._stemmer = Stemmer.Stemmer("english")
        self._stop = frozenset(STOP_WORDS.split())
        self._general = frozenset(self._stemmer.stemWords(GENERAL_WORDS.split()))
        pairs = list(passages)
        self._subjects = [frozenset(self._terms(subject)) for _, subject in pairs]
        texts = [self._terms(text) for text, _ in pairs]
        counted = [
            text + sorted(subject) * SUBJECT_BOOST
            for text, subject in zip(texts, self._subjects, strict=True)
        ]
        self._words = [frozenset(terms) for terms in counted]
        self._found_in = Counter(term for words in self._words for term in words)
        self._bm25 = bm25s.BM25()
        if counted:
            self._bm25.index(counted, show_progress=False)

    def best(self, query: str, limit: int) -> list[int]:
        """Positions of the best passages above the floor, best first."""
        terms = self._terms(query)
        known = [term for term in terms if term in self._found_in]
        if not known:
            return []
        scores = self._bm25.get_scores(known)
        ranked = sorted(range(len(self._words)), key=lambda n: (-scores[n], n))
        specific = frozenset(terms) - self._general or frozenset(terms)
        return [n for n in ranked if scores[n] > 0 and self._is_about(n, specific)][:limit]

    def _is_about(self, position: int, terms: frozenset[str]) -> bool:
        """Whether a passage holds enough of the query, and its subject at least one word of it."""
        if not terms & self._subjects[position]:
            return False
        held = sum(self._weight(term) for term in terms & self._words[position])
        return held >= MIN_SHARE * sum(self._weight(term) for term in terms)

    def _weight(self, term: str) -> float:
        """Inverse document frequency; a word that stands nowhere weighs like the rarest."""
        return math.log(1 + len(self._words) / max(1, self._found_in[term]))

    def _terms(self, text: str) -> list[str]:
        words = [w for w in _WORD.findall(text.lower()) if w not in self._stop]
        with self._lock:
            return list(self._stemmer.stemWords(words))
