"""Bodies that come encoded although `identity` was requested: some gateways ignore that.

What zlib can decode is decoded here, in bounded pieces: a few bytes may expand enormously.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator, Mapping

import httpcore

PIECE = 1 << 16
"""Most bytes per decoded piece."""
_EITHER = 47
"""Makes zlib detect gzip or zlib by the first bytes."""


def coding_name(headers: Mapping[str, str]) -> str:
    """Return the content coding of an answer's body; empty for none."""
    name = headers.get("content-encoding", "").strip().lower()
    return "" if name == "identity" else name


def is_decoded(coding: str) -> bool:
    """Return whether this module decodes a content coding."""
    return coding in ("gzip", "x-gzip", "deflate")


class Decoding:
    """One body being decoded. Raises `httpcore.RemoteProtocolError` for a damaged one."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._inflate = zlib.decompressobj(_EITHER)
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decode a chunk, and yield the result in pieces."""
        full = False
        while data or full:
            if self._inflate.eof:  # Another compressed member may follow.
                self._inflate = zlib.decompressobj(_EITHER)
            self._begun = True
            try:
                piece = self._inflate.decompress(data, PIECE)
            except zlib.error:
                raise httpcore.RemoteProtocolError(f"its {self._coding} is damaged") from None
            data = self._inflate.unconsumed_tail or self._inflate.unused_data
            # All input is taken, but some output may still be pending.
            full = len(piece) == PIECE and not self._inflate.eof
            if piece:
                yield piece

    def finish(self) -> None:
        """Check that it was complete: a cut connection may look like a closed one."""
        if self._begun and not self._inflate.eof:
            raise httpcore.RemoteProtocolError(f"its {self._coding} ends early")


def decoded(chunks: Iterator[bytes], headers: Mapping[str, str]) -> Iterator[bytes]:
    """Return a body's chunks decoded, or as they are."""
    coding = coding_name(headers)
    return _decoded(chunks, Decoding(coding)) if is_decoded(coding) else chunks


def _decoded(chunks: Iterator[bytes], decoding: Decoding) -> Iterator[bytes]:
    for chunk in chunks:
        yield from decoding.feed(chunk)
    decoding.finish()


def async_decoded(chunks: AsyncIterator[bytes], headers: Mapping[str, str]) -> AsyncIterator[bytes]:
    """Return the same for a body read under anyio."""
    coding = coding_name(headers)
    return _AsyncDecoded(chunks, Decoding(coding)) if is_decoded(coding) else chunks


class _AsyncDecoded:
    # No async generator, which trio wants run to its end.

    def __init__(self, chunks: AsyncIterator[bytes], decoding: Decoding) -> None:
        self._chunks = chunks
        self._decoding = decoding
        self._pieces: Iterator[bytes] = iter(())

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not (piece := next(self._pieces, b"")):
            chunk = await anext(self._chunks, b"")
            if not chunk:
                self._decoding.finish()
                raise StopAsyncIteration
            self._pieces = self._decoding.feed(chunk)
        return piece
