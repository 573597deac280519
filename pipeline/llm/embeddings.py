"""Vectors of texts from an endpoint, each of length 1.

Off the way of runs: a request of documents' texts waits for nobody, so it passes no admission gate
and no budget; the SDK's own two retries are enough. Its tokens are few and cheap beside a call's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
from openai import AsyncOpenAI

from pipeline.base_url import address
from pipeline.errors import DeadlineExceeded, NotAnEndpoint
from pipeline.llm.transport import translate, transport_errors
from pipeline.llm.wire import RawStream

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

TIMEOUT_S: Final = 30.0
RETRIES: Final = 2
ANSWER_MAX_BYTES: Final = 32_000_000  # 64 vectors of 4,096 numbers are 6 MB
TEXT_MAX_CHARS: Final = 6_000  # below the 8,192 tokens that models usually take


@dataclass(frozen=True, slots=True)
class EndpointEmbedder:
    """Asks for vectors of `model` over the client that `client` gives."""

    model: str
    client: Callable[[], Awaitable[AsyncOpenAI]]

    async def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """One row for each text. Raises `CallError`."""
        client = await self.client()
        asked = {
            "model": self.model,
            "input": [text[:TEXT_MAX_CHARS] for text in texts],
            "encoding_format": "float",
        }
        try:
            async with asyncio.timeout(TIMEOUT_S):
                answer = msgspec.json.decode(await _post(client, asked), type=_Answer)
        except TimeoutError as exc:
            raise DeadlineExceeded(
                f"{address(str(client.base_url))} made no embeddings within {TIMEOUT_S:g} s."
            ) from exc
        except msgspec.MsgspecError as exc:
            raise _odd(client, "its answer cannot be read") from exc
        rows = sorted(answer.data, key=lambda one: one.index)
        if [one.index for one in rows] != list(range(len(texts))):
            raise _odd(client, f"it gave {len(rows)} vectors for {len(texts)} texts")
        return _matrix(client, [one.embedding for one in rows])


class _Row(msgspec.Struct):
    index: int
    embedding: list[float]


class _Answer(msgspec.Struct):
    data: list[_Row]


async def _post(client: AsyncOpenAI, body: dict[str, Any]) -> bytes:
    """What the endpoint answers, as it came, so that nothing odd becomes an object of the SDK's."""
    answer = bytearray()
    try:
        stream = await client.post(
            "/embeddings",
            body=body,
            cast_to=bytes,
            options={"max_retries": RETRIES},
            stream=True,
            stream_cls=RawStream,
        )
        try:
            async for data in stream.response.aiter_bytes():
                answer += data
                if len(answer) > ANSWER_MAX_BYTES:
                    raise _odd(client, "its answer is too long")
        finally:
            await stream.response.aclose()
    except transport_errors() as exc:
        raise translate(exc, str(client.base_url), secrets=(client.api_key,)) from exc
    return bytes(answer)


def _matrix(client: AsyncOpenAI, rows: Sequence[Sequence[float]]) -> npt.NDArray[np.float32]:
    import numpy as np  # only where vectors are used

    if len({len(row) for row in rows}) != 1 or not rows[0]:
        raise _odd(client, "its vectors differ in length")
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
        matrix = np.asarray(rows, dtype=np.float32)
        lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not lengths.all():
        raise _odd(client, "it gave vectors without direction")
    unit: npt.NDArray[np.float32] = matrix / lengths
    return unit


def _odd(client: AsyncOpenAI, what: str) -> NotAnEndpoint:
    return NotAnEndpoint(
        f"{address(str(client.base_url))} makes no usable embeddings: {what}.",
        "Check GANTRY_EMBEDDING_MODEL, or unset it to rank documents by words alone.",
    )
