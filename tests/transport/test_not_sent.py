"""Requests of which a part was sent, or nothing: what is said of them."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import ExitStack

import pytest
from faulty_server import (
    FaultyServer,
    answer,
)
from net_tools import SOME_ID, assert_clean, close, io_of, link_to

from pytest_hydrasmoke import TransportError
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.deadlines import DeadlineStream
from pytest_hydrasmoke._transport.protocol import Request, drive

pytestmark = pytest.mark.anyio

ONE = Request("status", "GET", f"/internal/v1/smoke/instances/{SOME_ID}")
STATUS = answer({"id": SOME_ID, "status": "running"})
BIG = Request("chat", "POST", "/", {"message": "x" * (8 << 20)})


def read_nothing(stack: ExitStack) -> int:
    """Accept connections of which nothing is read; gives the port."""
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    return int(listener.getsockname()[1])


async def test_a_request_that_nobody_reads_to_its_end_was_not_sent_whole(kind: str) -> None:
    with ExitStack() as stack:
        io = io_of(kind, f"http://127.0.0.1:{read_nothing(stack)}")
        with pytest.raises(TransportError) as caught:
            await io.send(BIG, io.now() + 1.5)
        await close(io)
    error = caught.value
    assert error.message == "the request was not sent whole in time"
    assert (error.reached, error.late) == (True, True)
    assert_clean(error)


async def test_a_request_that_is_cut_off_was_not_sent_whole(kind: str) -> None:
    if kind == "asyncio":
        return  # It takes all of a request at once, and tells nothing of what became of it.
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def cut() -> None:
            conn, _ = listener.accept()
            conn.recv(1000)
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            conn.close()

        cutting = threading.Thread(target=cut)
        cutting.start()
        io = io_of(kind, f"http://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(TransportError, match=r"^the request was not sent whole") as caught:
            await io.send(BIG, io.now() + 20)
        await close(io)
        cutting.join()
    assert (caught.value.reached, caught.value.late) == (True, False)


def used_again(server: FaultyServer) -> SyncIO:
    """Return an IO with an idle connection, which its next request is to use."""
    io = SyncIO(link_to(server.url))
    assert drive(io.send(ONE, io.now() + 20)).status == 200
    return io


def test_a_request_that_comes_too_late_for_its_connection_was_not_sent() -> None:
    with FaultyServer(STATUS) as server:
        io = used_again(server)
        with pytest.raises(TransportError) as caught:
            drive(io.send(ONE, io.now() - 1))
        io.close()
        assert len(server.requests) == 1
    assert caught.value.message == f"the request to {server.url} was not sent in time"
    assert (caught.value.reached, caught.value.late) == (False, True)


def test_a_connection_that_takes_no_byte_of_a_request_has_not_reached_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with FaultyServer(STATUS) as server:
        io = used_again(server)
        # Lost between the look whether it is still there and the write.
        monkeypatch.setattr(DeadlineStream, "get_extra_info", lambda stream, info: None)
        [stream] = io._backend.opened
        assert isinstance(stream, DeadlineStream)
        stream._socket.shutdown(socket.SHUT_RDWR)
        with pytest.raises(TransportError, match=r"^no connection to .*Broken pipe") as caught:
            drive(io.send(ONE, io.now() + 20))
        io.close()
        assert len(server.requests) == 1
    assert not caught.value.reached
