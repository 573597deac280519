"""Decide which terms a text is found by: its words, without the commonest, as their stems.

A term is a number, the same in every process and on every database, so that rows of one can be
ranked by another: whoever changes how they are made adds a migration that makes stored ones anew.
Writing without spaces between words is cut into pairs of characters. Pure; the stemmers behind it
keep state, hence the lock.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

from pipeline.tools.search import GENERAL_WORDS, STOP_WORDS

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_LANGUAGE: Final = "english"
SAMPLE_WORDS: Final = 2_000  # of a document, to tell its language from
WORD_MAX_CHARS: Final = 64  # what is longer is no word anybody looks for

_STOP_LISTS: Final = {
    "danish": "STOPWORDS_DANISH",
    "dutch": "STOPWORDS_DUTCH",
    "french": "STOPWORDS_FRENCH",
    "german": "STOPWORDS_GERMAN",
    "italian": "STOPWORDS_ITALIAN",
    "norwegian": "STOPWORDS_NORWEGIAN",
    "portuguese": "STOPWORDS_PORTUGUESE",
    "russian": "STOPWORDS_RUSSIAN",
    "spanish": "STOPWORDS_SPANISH",
    "swedish": "STOPWORDS_SWEDISH",
    "turkish": "STOPWORDS_TURKISH",
}
LANGUAGES: Final = (DEFAULT_LANGUAGE, *_STOP_LISTS)

# Chinese, Japanese, Korean, Thai: no spaces between words
_UNSPACED: Final = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_TOKEN = re.compile(rf"[{_UNSPACED}]+|[^\W_{_UNSPACED}]+")
_IS_UNSPACED = re.compile(rf"[{_UNSPACED}]")
_stemming = threading.Lock()


def words_of(text: str) -> list[tuple[int, int, str]]:
    """Every word with where it stands: start, end, the word in lower case."""
    found: list[tuple[int, int, str]] = []
    for match in _TOKEN.finditer(text):
        start, end = match.span()
        if not _IS_UNSPACED.match(match[0]):
            found.append((start, end, match[0].lower()))
        elif end - start == 1:
            found.append((start, end, match[0]))
        else:
            found += [(at, at + 2, text[at : at + 2]) for at in range(start, end - 1)]
    return found


def language_of(text: str) -> str:
    """The language with most of its commonest words in `text`; English when none has many.

    A vote of lists of stop words: sure for a page of prose, a guess for a line.
    """
    words = Counter(word for _, _, word in words_of(text[: SAMPLE_WORDS * 12])[:SAMPLE_WORDS])
    votes = {
        language: sum(count for word, count in words.items() if word in _stop_words(language))
        for language in LANGUAGES
    }
    best = max(LANGUAGES, key=lambda language: votes[language])
    return best if votes[best] > votes[DEFAULT_LANGUAGE] else DEFAULT_LANGUAGE


def terms_of(text: str, language: str) -> list[int]:
    """The terms of `text` in their order, repeated as they are in it."""
    stop = _stop_words(language)
    words = [word for _, _, word in words_of(text) if _counts(word, stop)]
    return [term_id(stem) for stem in _stems(words, language)]


def query_terms(query: str, languages: Iterable[str]) -> list[frozenset[int]]:
    """For each word of `query` the terms it may stand under: one for every language's stem of it.

    A word that is common in one of the languages is looked for in the others.
    """
    words = [word for _, _, word in words_of(query)]
    found: list[set[int]] = [set() for _ in words]
    for language in sorted(set(languages)):
        stop = _stop_words(language)
        for at, stem in enumerate(_stems(words, language)):
            if _counts(words[at], stop):
                found[at].add(term_id(stem))
    return [frozenset(terms) for terms in found if terms]


@cache
def general_terms() -> frozenset[int]:
    """Terms that stand in questions about anything: they rank, but prove no relevance."""
    return frozenset(terms_of(GENERAL_WORDS, DEFAULT_LANGUAGE))


@lru_cache(maxsize=200_000)
def term_id(stem: str) -> int:
    """64 bits of a hash: among a million stems two are alike once in 37 million collections."""
    digest = hashlib.blake2b(stem.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def matches(text: str, query: str, languages: Iterable[str]) -> list[tuple[int, int]]:
    """Where words of `query` stand in `text`, in whatever form: start and end, in order."""
    languages = tuple(sorted(set(languages))) or (DEFAULT_LANGUAGE,)
    wanted = frozenset[int]().union(*query_terms(query, languages))
    places = words_of(text)
    words = [word for _, _, word in places]
    hits = [False] * len(words)
    for language in languages:
        for at, stem in enumerate(_stems(words, language)):
            hits[at] = hits[at] or term_id(stem) in wanted
    return _joined([(start, end) for hit, (start, end, _) in zip(hits, places, strict=True) if hit])


def _joined(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Pairs of characters overlap: what touches is one."""
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _counts(word: str, stop: frozenset[str]) -> bool:
    """Whether a text is found by `word`. Single letters are not words; single digits and signs are."""
    is_letter = len(word) == 1 and word.isalpha() and not _IS_UNSPACED.match(word)
    return word not in stop and not is_letter and len(word) <= WORD_MAX_CHARS


@cache
def _stop_words(language: str) -> frozenset[str]:
    if language == DEFAULT_LANGUAGE:
        return frozenset(STOP_WORDS.split())
    from bm25s import stopwords  # with numpy and scipy: only where documents are read

    return frozenset(getattr(stopwords, _STOP_LISTS[language]))


@cache
def _stemmer(language: str) -> Callable[[list[str]], list[str]]:
    from Stemmer import Stemmer

    stemmer = Stemmer(language)
    stemmer.maxCacheSize = 50_000
    return stemmer.stemWords  # type: ignore[no-any-return]


def _stems(words: list[str], language: str) -> list[str]:
    with _stemming:
        return _stemmer(language)(words)
