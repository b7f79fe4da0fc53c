"""Bodies in an encoding that nobody asked for, over sockets: one clear error."""

from __future__ import annotations

import gzip

import pytest
from faulty_server import FaultyServer, Line, Received, answer, good
from net_tools import SOME_ID, assert_clean, calls_of, whole_turn

from pytest_hydrasmoke import ContractError

pytestmark = pytest.mark.anyio

ROW = b'{"found": true, "instance_id": "' + SOME_ID.encode() + b'", "status": "up"}'


async def test_no_encoding_is_asked_for_and_identity_is_none(kind: str) -> None:
    with FaultyServer(answer(ROW, 200, "content-encoding: identity")) as server:
        async with calls_of(kind, server.url) as calls:
            found = await calls.poll("k")
        assert server.requests[0].headers["accept-encoding"] == "identity"
    assert (found.found, found.status) == (True, "up")


async def test_an_answer_in_an_encoding_is_one_clear_error(kind: str) -> None:
    packed = answer(gzip.compress(ROW), 200, "content-encoding: GZip", "server: edge")
    with FaultyServer(packed) as server:
        async with calls_of(kind, server.url) as calls:
            with pytest.raises(ContractError) as caught:
                await calls.poll("k")
    assert str(caught.value) == (
        "poll answered in an encoding that was not asked for\n"
        "  expected:  no content-encoding, as the request says\n"
        "  got:       content-encoding: gzip "
        "(answered by edge, application/json, encoded as gzip)\n"
        "  next step: switch compression off for the router's paths, at the router or at the "
        "gateway in front of it"
    )
    assert_clean(caught.value)


async def test_so_is_a_stream_in_one(kind: str) -> None:
    def packed(line: Line, request: Received) -> None:
        data = gzip.compress(b"data: [DONE]\n\n")
        line.send(good(request, "content-encoding: gzip", f"content-length: {len(data)}") + data)

    with FaultyServer(packed) as server:
        async with calls_of(kind, server.url) as calls:
            with pytest.raises(ContractError, match=r"^chat answered in an encoding"):
                await whole_turn(calls, 5)
