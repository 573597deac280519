"""A run that executes in another process, as far as it has told us.

What travels are facts and pieces of text, in messages small enough for NOTIFY. Messages may get
lost; each says where its pieces belong, so a gap is seen and filled (facts from the store, text by
asking again). Pure but for the clock; `live_link.py` carries the messages.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from pipeline import events as facts
from pipeline.events import AnyEvent
from pipeline.journal import Journal, LiveText

MAX_BYTES = 7_500  # NOTIFY refuses 8,000
PIECE_CHARS = 1_000  # of text at once; at most six bytes each, as JSON
ATTEMPTS_PER_EPOCH = 100_000  # a generation of text counts within its epoch; here over the run
FACTS_AGAIN = 30  # to somebody new: the last ones may not be stored yet


class Piece(msgspec.Struct, array_like=True):
    """Text of one agent, from its character `at` on."""

    agent: str
    generation: int
    at: int
    text: str


class LiveMessage(msgspec.Struct, array_like=True):
    """What is new of one run. `facts` are JSON objects in order, without gaps."""

    run_id: str
    epoch: int
    now_s: float
    facts: list[msgspec.Raw] = []
    pieces: list[Piece] = []
    finished: bool = False


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[LiveMessage]).decode


class Telling:
    """How far one run's journal has been told to others."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._facts = max(0, len(journal.events) - FACTS_AGAIN)
        self._texts: dict[str, tuple[LiveText, int, int]] = {}  # parts and characters told
        self._has_ended = False

    def again(self) -> None:
        """Somebody new listens: the text from its beginning, and the last facts."""
        self._texts.clear()
        self._facts = min(self._facts, max(0, len(self.journal.events) - FACTS_AGAIN))
        self._has_ended = False

    def news(self) -> Iterator[LiveMessage]:
        """What happened since the last call; facts before text."""
        has_ended = self.journal.finished  # read first: what it has by then is told below
        for event in self._new_facts():
            yield self._message(facts=[msgspec.Raw(facts.encode(event))])
        for agent, text in list(self.journal.texts.items()):
            for piece in self._new_text(agent, text):
                yield self._message(pieces=[piece])
        if has_ended and not self._has_ended:
            self._has_ended = True
            yield self._message(finished=True)

    @property
    def has_ended(self) -> bool:
        return self._has_ended

    def _new_facts(self) -> Sequence[AnyEvent]:
        new = self.journal.events[self._facts :]
        self._facts += len(new)
        return new

    def _new_text(self, agent: str, text: LiveText) -> Iterator[Piece]:
        told, parts, at = self._texts.get(agent, (text, 0, 0))
        if told is not text:
            parts, at = 0, 0
        end = len(text.parts)  # read once: the run goes on
        # a lone surrogate is no JSON; replaced it is still one character
        new = "".join(text.parts[parts:end]).encode("utf-8", "replace").decode()
        self._texts[agent] = (text, end, at + len(new))
        generation = self.journal.epoch * ATTEMPTS_PER_EPOCH + text.generation
        for start in range(0, len(new), PIECE_CHARS):
            yield Piece(agent, generation, at + start, new[start : start + PIECE_CHARS])

    def _message(
        self,
        *,
        facts: list[msgspec.Raw] | None = None,
        pieces: list[Piece] | None = None,
        finished: bool = False,
    ) -> LiveMessage:
        journal = self.journal
        return LiveMessage(
            journal.run_id, journal.epoch, journal.now_s(), facts or [], pieces or [], finished
        )


def payloads(messages: Iterable[LiveMessage]) -> Iterator[str]:
    """Messages packed for NOTIFY. One that fits in none is left out; its facts are read instead."""
    packed: list[bytes] = []
    size = 2
    for message in messages:
        encoded = _encode(message)
        if len(encoded) + 2 > MAX_BYTES:
            continue
        if size + len(encoded) + 1 > MAX_BYTES:
            yield _joined(packed)
            packed, size = [], 2
        packed.append(encoded)
        size += len(encoded) + 1
    if packed:
        yield _joined(packed)


def _joined(encoded: list[bytes]) -> str:
    return (b"[" + b",".join(encoded) + b"]").decode()


def messages_of(payload: str | bytes | bytearray) -> list[LiveMessage]:
    """Raises `msgspec.MsgspecError` for what is none of ours."""
    return _decode(payload)


class RemoteJournal(Journal):
    """A journal that is told. Readers use it like one of this process; nobody records here.

    `is_missing_facts` and `is_missing_text` say what got lost on the way. `was_rewound`: facts that
    were told were never stored, because that execution had lost the run; start over with another.
    """

    is_remote = True

    def __init__(self, run_id: str, stored: list[AnyEvent]) -> None:
        super().__init__(run_id, epoch=stored[-1].epoch if stored else 0, events=stored)
        self.is_missing_facts = False
        self.is_missing_text = False
        self._lengths: dict[str, int] = {}  # of each agent's text, in characters
        self._told_at = time.monotonic()
        self._told_s = self.events[-1].at_s if self.events else 0.0

    def now_s(self) -> float:
        return self._told_s + time.monotonic() - self._told_at

    def take(self, message: LiveMessage) -> None:
        if message.epoch < self.epoch:
            return  # of an execution that has lost the run
        if message.epoch > self.epoch:
            self.epoch, self.finished = message.epoch, False
        self._told_s, self._told_at = message.now_s, time.monotonic()
        for raw in message.facts:
            event = facts.decode(bytes(raw))
            if event is not None:
                self._take_fact(event)
        for piece in message.pieces:
            self._take_piece(piece)
        if message.finished:
            self.close()

    def fill(self, stored: list[AnyEvent]) -> None:
        """Take in what the store has and we have not."""
        for event in stored:
            self._take_fact(event, is_stored=True)
        self.is_missing_facts = False

    def _take_fact(self, event: AnyEvent, *, is_stored: bool = False) -> None:
        known = len(self.events)
        if event.seq == known + 1:
            self.events.append(event)
        elif event.seq > known + 1:
            self.is_missing_facts = True
        elif self.events[event.seq - 1].epoch != event.epoch:
            self.was_rewound = is_stored or event.epoch > self.events[event.seq - 1].epoch

    def _take_piece(self, piece: Piece) -> None:
        live = self.texts.get(piece.agent)
        if live is not None and piece.generation < live.generation:
            return
        if live is None or piece.generation > live.generation:
            if piece.at > 0:
                self.is_missing_text = True
                return
            live = self.texts[piece.agent] = LiveText(piece.generation)
            self._lengths[piece.agent] = 0
        length = self._lengths[piece.agent]
        if piece.at > length:
            self.is_missing_text = True
        elif new := piece.text[length - piece.at :]:
            live.parts.append(new)
            self._lengths[piece.agent] = length + len(new)
