"""What a network and a bad server can do to a call: a typed error, in time, and nothing leaks."""

from __future__ import annotations

import socket

import pytest
from faulty_server import (
    Behaviour,
    FaultyServer,
    answer,
    closed,
    cut_chunked,
    flood,
    garbage,
    head,
    huge_header,
    in_turn,
    no_content,
    reset,
    short_length,
    stall_before_head,
    stall_in_body,
    trickled_body,
    trickled_head,
)
from net_tools import (
    CALLS,
    FIELDS,
    SOME_ID,
    all_of,
    assert_clean,
    calls_of,
    client_of,
    result,
    whole_turn,
    with_kinds,
    within,
)

from pytest_hydrasmoke import (
    ChatError,
    ChatTimeoutError,
    ContractError,
    HydraSmokeError,
    InstanceSpec,
    RouterError,
    TransportError,
    UnauthorizedError,
    VirtualClock,
)

pytestmark = pytest.mark.anyio


STATUS = answer({"id": SOME_ID, "hostname": None, "status": "running"})


SSE = "text/event-stream"


ONE_TURN = answer(b"data: hello\n\ndata: [DONE]\n\n", kind=SSE)


STALLS: dict[str, Behaviour] = {
    "stall before the head": stall_before_head,
    "stall in the body": stall_in_body,
    "trickled head": trickled_head,
    "trickled body": trickled_body,
}


LOST: dict[str, Behaviour] = {
    "reset": reset,
    "closed": closed,
    "cut chunk": cut_chunked,
    "short length": short_length,
    "garbage": garbage,
    "huge header": huge_header,
}


WRONG: dict[str, Behaviour] = {
    "a page of HTML": answer(b"<html>Welcome</html>", kind="text/html"),
    "compressed": answer(b"\x0b\x02\x80", 200, "content-encoding: br"),
    "flood": flood,
    "no content": no_content,
    "a list": answer([1, 2]),
    "nothing": answer(b""),
    "an event stream": answer(b"data: hello\n\n", kind=SSE),
}


WAYS = ("status", "chat")
"""An answer that is read as a whole, and one that is streamed."""


@pytest.mark.parametrize("call", WAYS)
@pytest.mark.parametrize("fault", STALLS)
async def test_a_server_that_is_slow_in_any_way_ends_with_the_deadline(
    kind: str, fault: str, call: str
) -> None:
    with FaultyServer(STALLS[fault]) as server:
        async with calls_of(kind, server.url) as calls:
            with pytest.raises((TransportError, ChatTimeoutError)) as caught:
                await CALLS[call](calls, calls.io.now() + 0.05)
        assert len(server.requests) <= 1
    if isinstance(caught.value, TransportError):
        assert caught.value.late
    assert_clean(caught.value)


async def test_a_deadline_in_the_middle_of_a_message_is_late_and_leaves_nothing(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        async with calls_of(kind, f"http://127.0.0.1:{deaf.getsockname()[1]}") as calls:
            with pytest.raises(TransportError) as caught:
                # More than any system takes for a server that does not read.
                await calls.chat(SOME_ID, "a" * 2**23, deadline=calls.io.now() + 0.5)
    assert caught.value.late
    assert_clean(caught.value)


@pytest.mark.parametrize("call", WAYS)
@pytest.mark.parametrize("fault", LOST)
async def test_an_answer_that_is_lost_is_a_transport_or_chat_error(
    kind: str, fault: str, call: str
) -> None:
    with FaultyServer(LOST[fault]) as server:
        async with calls_of(kind, server.url, clock=VirtualClock()) as calls:
            with pytest.raises((TransportError, ChatError)) as caught:
                await CALLS[call](calls, calls.io.now() + 2)
        # What may be asked again is, and a chat never once it may have arrived.
        assert (len(server.requests) == 1) is (call == "chat")
    if isinstance(caught.value, TransportError):
        assert caught.value.reached
        assert not caught.value.late
    assert_clean(caught.value)


@pytest.mark.parametrize("fault", WRONG)
async def test_an_answer_against_the_contract_is_named_as_one(kind: str, fault: str) -> None:
    with FaultyServer(WRONG[fault]) as server:
        async with calls_of(kind, server.url) as calls:
            with pytest.raises(ContractError) as caught:
                await calls.status(SOME_ID, deadline=calls.io.now() + 60)
            assert_clean(caught.value)
            if fault != "an event stream":
                with pytest.raises(HydraSmokeError) as other:
                    await whole_turn(calls, 60)
                assert_clean(other.value)
        assert len(server.requests) == 1 + (fault != "an event stream")


@pytest.mark.parametrize("call", CALLS)
async def test_a_refused_connection_was_not_reached(kind: str, call: str) -> None:
    with FaultyServer(STATUS, refusing=True) as server:
        async with calls_of(kind, server.url, clock=VirtualClock()) as calls:
            with pytest.raises(TransportError) as caught:
                await CALLS[call](calls, calls.io.now() + 5)
    assert not caught.value.reached
    assert server.url in caught.value.message
    assert_clean(caught.value)


@pytest.mark.parametrize(("kind", "status"), with_kinds([301, 302, 303, 307, 308]))
async def test_a_redirect_is_refused_and_the_other_origin_gets_nothing(
    kind: str, status: int
) -> None:
    with FaultyServer(STATUS) as other:
        there = answer(b"", status, f"location: {other.url}/internal/v1/smoke/instances/{SOME_ID}")
        with FaultyServer(there) as server:
            async with calls_of(kind, server.url) as calls:
                for call in CALLS.values():
                    with pytest.raises(RouterError) as caught:
                        await call(calls, calls.io.now() + 2)
                    assert caught.value.status_code == status
                    assert other.url in str(caught.value)
                    assert_clean(caught.value)
        assert other.requests == []


async def test_an_error_with_the_type_of_a_stream_is_still_an_error(kind: str) -> None:
    with FaultyServer(answer(b"data: no\n\n", 500, kind=SSE)) as server:
        async with calls_of(kind, server.url) as calls:
            with pytest.raises(RouterError) as caught:
                await whole_turn(calls, 2)
        assert len(server.requests) == 1
    assert caught.value.status_code == 500
    assert_clean(caught.value)


@pytest.mark.parametrize(("kind", "status"), with_kinds([401, 403]))
async def test_a_refused_token_is_not_shown_by_its_own_error(kind: str, status: int) -> None:
    with FaultyServer(answer({"detail": "no"}, status)) as server:
        async with calls_of(kind, server.url) as calls:
            for call in CALLS.values():
                with pytest.raises(UnauthorizedError) as caught:
                    await call(calls, calls.io.now() + 2)
                assert_clean(caught.value)
        assert len(server.requests) == len(CALLS)


async def test_a_flood_is_read_up_to_its_limit_only(kind: str) -> None:
    sent = 0

    def counted(line: object, request: object) -> None:
        nonlocal sent
        assert hasattr(line, "send")
        line.send(head(200, "transfer-encoding: chunked"))
        while sent < 256 << 20 and line.send(b"10000\r\n" + b" " * 0x10000 + b"\r\n"):
            sent += 0x10000

    with FaultyServer(counted) as server:
        async with calls_of(kind, server.url) as calls:
            with pytest.raises(ContractError, match="exceeds the limit") as caught:
                await calls.status(SOME_ID, deadline=calls.io.now() + 3)
    # A mebibyte, and what fits in the buffers of both ends.
    assert sent < 64 << 20
    assert_clean(caught.value)


# Sent once, sent again


async def test_a_read_repeats_what_was_lost(kind: str) -> None:
    clock = VirtualClock()
    with FaultyServer(in_turn(reset, closed, garbage, STATUS)) as server:
        async with calls_of(kind, server.url, clock=clock) as calls:
            assert (await calls.status(SOME_ID)).status == "running"
        assert len(server.requests) == 4
    assert clock.now() > 0


@pytest.mark.parametrize(("kind", "status"), with_kinds([409, 503]))
async def test_a_chat_is_sent_again_where_it_was_not_taken(kind: str, status: int) -> None:
    no = answer({"detail": "not now"}, status)
    with FaultyServer(in_turn(no, no, ONE_TURN)) as server:
        async with calls_of(kind, server.url, clock=VirtualClock()) as calls:
            events = await whole_turn(calls, 60)
        assert [event.data for event in events] == ["hello", "[DONE]"]
        assert [request.json for request in server.requests] == [{"message": "hello"}] * 3


class OpeningClock(VirtualClock):
    """Lets a server accept connections from the first sleep on."""

    def __init__(self, server: FaultyServer) -> None:
        super().__init__()
        self._server = server

    def now(self) -> float:
        now = super().now()
        if now > 0:
            self._server.listen()
        return now


async def test_a_chat_is_sent_again_after_a_refused_connection(kind: str) -> None:
    with FaultyServer(ONE_TURN, refusing=True) as server:
        async with calls_of(kind, server.url, clock=OpeningClock(server)) as calls:
            events = await whole_turn(calls, 60)
        assert len(server.requests) == 1
    assert [event.data for event in events] == ["hello", "[DONE]"]


async def test_a_router_that_says_when_to_come_back_is_heard(kind: str) -> None:
    busy, clock = answer({"detail": "slow down"}, 429, "retry-after: 7"), VirtualClock()
    with FaultyServer(in_turn(busy, STATUS)) as server:
        async with calls_of(kind, server.url, clock=clock) as calls:
            await calls.status(SOME_ID)
    assert clock.now() == 7


# What is sent


async def test_what_is_sent_is_what_the_contract_says_and_nothing_compressed(kind: str) -> None:
    accepted = answer({"idempotency_key": "k/0?#", "task_id": "t", "instance_id": None})
    found = answer({"found": False}, 200, "content-encoding: identity")
    with FaultyServer(in_turn(accepted, found, ONE_TURN)) as server:
        async with within(client_of(kind, server.url + "/api/")) as client:
            await result(client.provision(InstanceSpec(**FIELDS), "k/0?#"))
            assert not (await result(client.poll("../../admin?x=1#y"))).found
            async with within(client.stream_chat(SOME_ID, "hi")) as events:
                assert [event.data for event in await all_of(events)] == ["hello", "[DONE]"]
        provision, poll, chat = server.requests
    smoke = "/api/internal/v1/smoke"
    assert (provision.method, provision.target) == ("POST", f"{smoke}/provision")
    assert provision.json == {"idempotency_key": "k/0?#", **FIELDS}
    assert provision.headers["accept-encoding"] == "identity"
    assert provision.headers["authorization"].startswith("Bearer made-up-")
    assert provision.headers["accept"] == "application/json"
    assert poll.target == f"{smoke}/instances/by-key/..%2F..%2Fadmin%3Fx%3D1%23y"
    assert (chat.headers["accept"], chat.json) == (SSE, {"message": "hi"})
