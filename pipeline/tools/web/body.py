"""Take the body of a response: unpacked no further than the limit, then read as text."""

from __future__ import annotations

import codecs
import re
import zlib

from aiohttp import ClientResponse

from pipeline.tools.base import ToolError

PIECE_BYTES = 64 * 1024
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DECLARED = re.compile(
    rb"""<(?:meta|\?xml)[^>]{0,200}?(?:charset|encoding)\s*=\s*["']?([\w.:-]{1,40})""", re.I
)
# Codecs of Python's that are no charset of a web page, or cost far more than they are long.
_NO_CHARSETS = {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "utf-7", "undefined"}


async def limited_body(response: ClientResponse, max_bytes: int) -> tuple[bytes, bool]:
    """The unpacked body, and whether there was more than `max_bytes` of it.

    Raises `ToolError` for a packing that was not asked for or is broken.
    """
    unpack = _Unpacking(response.headers.get("Content-Encoding", ""))
    body = bytearray()
    async for piece in response.content.iter_chunked(PIECE_BYTES):
        body += unpack(piece, max_bytes + 1 - len(body))
        if len(body) > max_bytes:
            return bytes(body[:max_bytes]), True
    unpack.check_complete()
    return bytes(body), False


def decoded(body: bytes, declared: str | None) -> str:
    """The body as text: by its byte order mark, the header, the page's own word, UTF-8, or cp1252."""
    for mark, name in _MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(name, "replace")
    own = _DECLARED.search(body[:2_048])
    for charset in (declared, own[1].decode("ascii") if own else None, "utf-8"):
        codec = _codec(charset)
        if codec is not None:
            try:
                return body.decode(codec)
            except UnicodeError:  # it was declared wrongly; the next may fit
                continue
    return body.decode("cp1252", "replace")


def _codec(charset: str | None) -> str | None:
    try:
        name = codecs.lookup(charset or "").name
    except (LookupError, ValueError):
        return None
    if name in _NO_CHARSETS:
        return None
    return "cp1252" if name in ("iso8859-1", "ascii") else name  # as browsers read them


class _Unpacking:
    """Unpack a stream piece by piece, never more than is wanted."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding.strip().lower()
        if self._encoding in ("", "identity"):
            self._unpacker = None
        elif self._encoding in ("gzip", "x-gzip"):
            self._unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
        elif self._encoding == "deflate":
            self._unpacker = zlib.decompressobj()
        else:
            raise ToolError(
                "The page came packed in a way that was not asked for.", "Use another page."
            )
        self._begun = False

    def __call__(self, piece: bytes, wanted: int) -> bytes:
        if self._unpacker is None:
            return piece[:wanted]
        try:
            unpacked = self._unpacker.decompress(piece, wanted)
        except zlib.error as error:
            if self._begun or self._encoding != "deflate":
                raise _broken() from error
            # "deflate" without its two leading bytes, as some servers send it
            self._unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
            self._begun = True
            return self(piece, wanted)
        self._begun = True
        return unpacked

    def check_complete(self) -> None:
        if self._unpacker is not None and self._begun and not self._unpacker.eof:
            raise _broken()


def _broken() -> ToolError:
    return ToolError("The page arrived broken.", "Try again later, or use another page.")
