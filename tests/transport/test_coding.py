"""Bodies in an encoding that nobody asked for, over sockets: read all the same, within bounds."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import AsyncIterator

import pytest
from faulty_server import Behaviour, FaultyServer, Line, Received, answer, bomb, good
from net_tools import CALLS, SOME_ID, assert_clean, calls_of, whole_turn

from pytest_hydrasmoke import ChatError, ContractError, TransportError
from pytest_hydrasmoke._transport.coding import PIECE, Decoding, async_decoded

pytestmark = pytest.mark.anyio

ROW = b'{"found": true, "instance_id": "' + SOME_ID.encode() + b'", "status": "up"}'
HI = b'data: {"choices": [{"delta": {"content": "Hi"}}]}\n\n'
DONE = b"data: [DONE]\n\n"

ENCODED = {
    "gzip": (gzip.compress(ROW), "gzip"),
    "x-gzip": (gzip.compress(ROW), "X-GZip"),
    "deflate": (zlib.compress(ROW), "deflate"),
    "several members": (gzip.compress(ROW[:20]) + gzip.compress(ROW[20:]), "gzip"),
    "identity": (ROW, "identity"),
}


@pytest.mark.parametrize("case", ENCODED)
async def test_an_answer_is_read_although_it_is_encoded(kind: str, case: str) -> None:
    body, coding = ENCODED[case]
    with FaultyServer(answer(body, 200, f"content-encoding: {coding}")) as server:
        async with calls_of(kind, server.url) as calls:
            found = await calls.poll("k")
        assert server.requests[0].headers["accept-encoding"] == "identity"
    assert (found.found, found.status) == (True, "up")


def chunked(*pieces: bytes) -> Behaviour:
    """Answer a chat with a gzip stream, flushed after every piece, as proxies do it."""

    def behave(line: Line, request: Received) -> None:
        line.send(good(request, "content-encoding: gzip", "transfer-encoding: chunked"))
        packer = zlib.compressobj(wbits=31)
        for piece in pieces:
            data = packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)
            line.send(b"%x\r\n%b\r\n" % (len(data), data))
        data = packer.flush()
        line.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data))

    return behave


async def test_a_streams_events_come_as_they_are_flushed(kind: str) -> None:
    with FaultyServer(chunked(HI[:9], HI[9:], HI, DONE)) as server:
        async with calls_of(kind, server.url) as calls:
            events = await whole_turn(calls, 5)
    assert [event.data for event in events] == [HI[6:-2].decode()] * 2 + ["[DONE]"]


BROKEN = {
    "damaged": (b"no gzip at all", "its gzip is damaged"),
    "cut": (gzip.compress(ROW)[:-9], "its gzip ends early"),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_what_is_damaged_or_cut_is_a_lost_answer(kind: str, case: str) -> None:
    body, why = BROKEN[case]
    with FaultyServer(answer(body, 200, "content-encoding: gzip")) as server:
        async with calls_of(kind, server.url) as calls:
            with pytest.raises(TransportError) as caught:
                await CALLS["poll"](calls, calls.io.now() + 0.4)
    assert caught.value.message == f"poll: the answer was lost ({why})"
    assert_clean(caught.value)


async def test_a_stream_cut_in_its_encoding_is_cut(kind: str) -> None:
    def cut(line: Line, request: Received) -> None:
        data = gzip.compress(HI)[:-9]
        line.send(good(request, "content-encoding: gzip", f"content-length: {len(data)}") + data)

    with FaultyServer(cut) as server:
        async with calls_of(kind, server.url) as calls:
            with pytest.raises(ChatError, match="its gzip ends early"):
                await whole_turn(calls, 5)


async def test_an_encoding_that_can_not_be_undone_is_one_clear_error(kind: str) -> None:
    brotli = answer(b"\x0b\x02\x80", 200, "content-encoding: br", "server: edge")
    with FaultyServer(brotli) as server:
        async with calls_of(kind, server.url) as calls:
            with pytest.raises(ContractError) as caught:
                await calls.poll("k")
    assert str(caught.value) == (
        "poll answered in an encoding that was not asked for\n"
        "  expected:  no content-encoding, as the request says\n"
        "  got:       content-encoding: br (answered by edge, application/json, encoded as br)\n"
        "  next step: switch compression off for the router's paths, at the router or at the "
        "gateway in front of it"
    )


def test_a_few_bytes_that_stand_for_many_come_in_pieces() -> None:
    decoding, length = Decoding("gzip"), 0
    for piece in decoding.feed(bomb()[: 1 << 16]):
        assert len(piece) <= PIECE
        length += len(piece)
    assert length > 10 * PIECE


def test_a_body_without_a_byte_is_whole() -> None:
    decoding = Decoding("gzip")
    assert list(decoding.feed(b"")) == []
    decoding.finish()


async def test_a_body_is_decoded_as_it_is_iterated() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(packed), 100):
            yield packed[at : at + 100]

    packed = gzip.compress(ROW * 5000)
    body = [piece async for piece in async_decoded(chunks(), {"content-encoding": "gzip"})]
    assert b"".join(body) == ROW * 5000


def test_any_cut_of_the_bytes_gives_the_same() -> None:
    body = gzip.compress(ROW * 5000)
    for size in (1, 7, len(body)):
        decoding = Decoding("gzip")
        pieces = [
            piece
            for at in range(0, len(body), size)
            for piece in decoding.feed(body[at : at + size])
        ]
        decoding.finish()
        assert b"".join(pieces) == ROW * 5000
