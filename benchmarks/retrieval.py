"""Measure the search of own documents: how good its ranking is, and how fast it stays.

    python -m benchmarks.retrieval [--cranfield FOLDER] [--chunks 10000]

Quality: nDCG@10 of the keyword leg on a test set in the form of Cranfield's (`cran.all.1400.xml`,
`cran.qry.xml`, `cranqrel.trec.txt`; binary gains), through the index that answers researchers. The
set is not part of Gantry, because its licence is not stated. "With the floor" is what a researcher
gets: passages that hold too little of the query are left out.

Speed: documents of 200 passages each, of made-up words with the frequencies of a language (Zipf),
in a real SQLite database: terms and rows made; the first query, which builds the index; the first
query after a document came and after one went; 500 queries after that, of three words and of eight.
`DATABASE_URL` measures PostgreSQL instead.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import random
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path

from pipeline.knowledge import index as ranking
from pipeline.knowledge.index import OwnerIndex, from_bytes, to_bytes
from pipeline.knowledge.service import Knowledge
from pipeline.knowledge.terms import terms_of
from pipeline.settings import Settings
from pipeline.store import Store, database_url
from pipeline.store.documents import Document, StoredChunk

CUT = 10
IN_A_DOCUMENT = 200
WORDS_IN_A_CHUNK = 190  # about 1,200 characters
VOCABULARY = 60_000
QUERIES = 500
OWNER = "benchmark"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--cranfield", type=Path, help="folder with the three files of the set")
    parser.add_argument("--chunks", type=int, default=10_000)
    arguments = parser.parse_args()
    if arguments.cranfield:
        quality(arguments.cranfield)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), database_url=os.environ.get("DATABASE_URL"))
        asyncio.run(speed(settings, arguments.chunks))


def quality(folder: Path) -> None:
    texts = _cranfield_texts(folder)
    queries = re.findall(
        r"<num>\s*\d+</num>\s*<title>(.*?)</title>",
        (folder / "cran.qry.xml").read_text(encoding="utf-8"),
        re.DOTALL,
    )
    relevant = _judgements(folder)
    names = list(texts)
    terms = [from_bytes(to_bytes(terms_of(text, "english"))) for text in texts.values()]
    index = OwnerIndex(1, [(name, 0) for name in names], terms, {"english"})
    floor = ranking.MIN_SHARE
    for said, share in (("ranking alone", 0.0), ("with the floor", floor)):
        ranking.MIN_SHARE = share
        gains = [
            _ndcg([one.place[0] for one in index.best(query, CUT)], relevant[number])
            for number, query in enumerate(queries, start=1)  # as judged: by position
            if relevant.get(number)
        ]
        print(f"nDCG@{CUT} {said:15} {statistics.fmean(gains):.4f}  ({len(gains)} queries)")
    ranking.MIN_SHARE = floor


def _cranfield_texts(folder: Path) -> dict[str, str]:
    raw = (folder / "cran.all.1400.xml").read_text(encoding="utf-8")
    found = {}
    for document in re.findall(r"<doc>.*?</doc>", raw, re.DOTALL):
        parts = [
            match[1] if (match := re.search(rf"<{tag}>(.*?)</{tag}>", document, re.DOTALL)) else ""
            for tag in ("docno", "title", "text")
        ]
        found[parts[0].strip()] = f"{parts[1]}\n{parts[2]}"
    return found


def _judgements(folder: Path) -> dict[int, set[str]]:
    relevant: dict[int, set[str]] = {}
    for line in (folder / "cranqrel.trec.txt").read_text(encoding="utf-8").splitlines():
        query, _, document, gain = line.split()
        if int(gain) > 0:
            relevant.setdefault(int(query), set()).add(document)
    return relevant


def _ndcg(found: Sequence[str], relevant: set[str]) -> float:
    gain = sum(1 / math.log2(rank + 1) for rank, one in enumerate(found, 1) if one in relevant)
    best = sum(1 / math.log2(rank + 1) for rank in range(1, min(CUT, len(relevant)) + 1))
    return gain / best


async def speed(settings: Settings, chunks: int) -> None:
    draw = random.Random(7)
    words = _vocabulary(draw)
    url = database_url(settings)
    store = await Store.open(url)
    knowledge = Knowledge(store.documents)
    try:
        await knowledge.documents.delete_all(OWNER)
        documents = [_document(draw, words, n) for n in range(chunks // IN_A_DOCUMENT)]
        started_s = time.perf_counter()
        for name, texts in documents:
            await _add(knowledge, name, texts)
        added_s = time.perf_counter() - started_s
        query = _querier(draw, words)
        first_s = await _timed(knowledge, query(8))
        print(f"{url.get_backend_name()}, {chunks:,} passages of {len(documents)} documents")
        print(f"  terms and rows     {added_s:7.2f} s")
        print(f"  first query        {first_s:7.2f} s, builds the index")
        print(f"  both: the index    {added_s + first_s:7.2f} s")
        await _add(knowledge, *_document(draw, words, len(documents)))
        print(f"  after an addition  {await _timed(knowledge, query(8)):7.2f} s")
        await knowledge.documents.delete(OWNER, "d0")
        print(f"  after a deletion   {await _timed(knowledge, query(8)):7.2f} s")
        for length in (3, 8):
            took = sorted([await _timed(knowledge, query(length)) for _ in range(QUERIES)])
            p50, p95 = took[len(took) // 2] * 1e3, took[int(len(took) * 0.95)] * 1e3
            print(
                f"  {length} words            p50 {p50:5.1f} ms, p95 {p95:5.1f} ms, n = {QUERIES}"
            )
        await knowledge.documents.delete_all(OWNER)
    finally:
        await knowledge.aclose()
        await store.aclose()


async def _timed(knowledge: Knowledge, query: str) -> float:
    started_s = time.perf_counter()
    await knowledge.find(OWNER, query, 5)
    return time.perf_counter() - started_s


async def _add(knowledge: Knowledge, name: str, texts: Sequence[str]) -> None:
    parts = [
        StoredChunk(at, "", None, text, to_bytes(terms_of(text, "english")))
        for at, text in enumerate(texts)
    ]
    now = datetime.now(UTC)
    document = Document(name, name, name, "txt", "english", 1, None, len(parts), (), name, now)
    await knowledge.documents.add(OWNER, document, parts)


def _vocabulary(draw: random.Random) -> tuple[list[str], list[float]]:
    letters = "etaoinshrdlcumwfgypbvk"
    words = ["".join(draw.choices(letters, k=draw.randint(3, 10))) for _ in range(VOCABULARY)]
    weights = list(accumulate(1 / rank for rank in range(1, VOCABULARY + 1)))
    return words, weights


def _document(
    draw: random.Random, words: tuple[list[str], list[float]], number: int
) -> tuple[str, list[str]]:
    texts = [
        " ".join(draw.choices(words[0], cum_weights=words[1], k=WORDS_IN_A_CHUNK))
        for _ in range(IN_A_DOCUMENT)
    ]
    return f"d{number}", texts


def _querier(draw: random.Random, words: tuple[list[str], list[float]]) -> Callable[[int], str]:
    return lambda length: " ".join(draw.choices(words[0], cum_weights=words[1], k=length))


if __name__ == "__main__":
    main()
