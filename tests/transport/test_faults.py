"""What a network and a bad server can do to a call: a typed error, in time, and nothing leaks."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

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
    within,
)

from pytest_hydrasmoke import (
    ChatError,
    ChatTimeoutError,
    ContractError,
    DeleteResult,
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


@pytest.mark.parametrize("call", CALLS)
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


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", LOST)
async def test_an_answer_that_is_lost_is_a_transport_or_chat_error(
    kind: str, fault: str, call: str
) -> None:
    with FaultyServer(LOST[fault]) as server:
        async with calls_of(kind, server.url) as calls:
            with pytest.raises((TransportError, ChatError)) as caught:
                await CALLS[call](calls, calls.io.now() + 0.4)
        assert len(server.requests) == 1
    if isinstance(caught.value, TransportError):
        assert caught.value.reached
        assert not caught.value.late
    assert_clean(caught.value)


@pytest.mark.parametrize("call", [call for call in CALLS if call != "chat"])
@pytest.mark.parametrize("fault", WRONG)
async def test_an_answer_against_the_contract_is_named_as_one(
    kind: str, fault: str, call: str
) -> None:
    with FaultyServer(WRONG[fault]) as server:
        async with calls_of(kind, server.url) as calls:
            with pytest.raises(ContractError) as caught:
                await CALLS[call](calls, calls.io.now() + 3)
        assert len(server.requests) == 1
    assert_clean(caught.value)


@pytest.mark.parametrize(
    "fault", ["a page of HTML", "compressed", "flood", "no content", "a list", "nothing"]
)
async def test_a_chat_answered_with_something_else_is_a_typed_error(kind: str, fault: str) -> None:
    with FaultyServer(WRONG[fault]) as server:
        async with calls_of(kind, server.url) as calls:
            with pytest.raises(HydraSmokeError) as caught:
                await whole_turn(calls, 3)
        assert len(server.requests) == 1
    assert_clean(caught.value)


@pytest.mark.parametrize("call", CALLS)
async def test_a_refused_connection_was_not_reached(kind: str, call: str) -> None:
    with FaultyServer(STATUS, refusing=True) as server:
        async with calls_of(kind, server.url) as calls:
            with pytest.raises((TransportError, ChatError)) as caught:
                await CALLS[call](calls, calls.io.now() + 0.2)
    error = caught.value
    assert isinstance(error, TransportError)
    assert not error.reached
    assert server.url in error.message
    assert_clean(error)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
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


@pytest.mark.parametrize("status", [401, 403])
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


async def test_an_error_of_the_server_may_be_as_long_as_it_likes_in_a_chat(kind: str) -> None:
    with FaultyServer(answer(b"x" * 100_000, 500, kind="text/plain")) as server:
        async with calls_of(kind, server.url) as calls:
            with pytest.raises(RouterError) as caught:
                await whole_turn(calls, 2)
    assert len(str(caught.value)) < 1000


# Sent once, sent again


async def test_a_read_repeats_what_was_lost(kind: str) -> None:
    clock = VirtualClock()
    with FaultyServer(in_turn(reset, closed, garbage, STATUS)) as server:
        async with calls_of(kind, server.url, clock=clock) as calls:
            assert (await calls.status(SOME_ID)).status == "running"
        assert len(server.requests) == 4
    assert clock.now() > 0


@pytest.mark.parametrize("fault", ["reset", "closed", "cut chunk", "garbage", "huge header"])
async def test_a_chat_is_never_sent_again_once_it_may_have_arrived(kind: str, fault: str) -> None:
    with FaultyServer(in_turn(LOST[fault], ONE_TURN)) as server:
        async with calls_of(kind, server.url, clock=VirtualClock()) as calls:
            with pytest.raises((TransportError, ChatError)):
                await whole_turn(calls, 60)
        assert len(server.requests) == 1


@pytest.mark.parametrize("status", [409, 425, 429, 503])
async def test_a_chat_is_sent_again_where_it_was_not_taken(kind: str, status: int) -> None:
    no = answer({"detail": "not now"}, status)
    with FaultyServer(in_turn(no, no, ONE_TURN)) as server:
        async with calls_of(kind, server.url, clock=VirtualClock()) as calls:
            events = await whole_turn(calls, 60)
        assert [event.data for event in events] == ["hello", "[DONE]"]
        assert [request.json for request in server.requests] == [{"message": "hello"}] * 3


@pytest.mark.parametrize("status", [400, 404, 408, 422, 500, 502, 504])
async def test_any_other_refusal_ends_a_chat(kind: str, status: int) -> None:
    with FaultyServer(in_turn(answer({"detail": "no"}, status), ONE_TURN)) as server:
        async with calls_of(kind, server.url, clock=VirtualClock()) as calls:
            with pytest.raises(RouterError) as caught:
                await whole_turn(calls, 60)
        assert len(server.requests) == 1
    assert caught.value.status_code == status


async def test_a_chat_that_is_never_taken_times_out(kind: str) -> None:
    clock = VirtualClock()
    with FaultyServer(answer({"detail": "busy"}, 503)) as server:
        async with calls_of(kind, server.url, clock=clock) as calls:
            with pytest.raises(ChatTimeoutError, match="not accepted within 60 s"):
                await whole_turn(calls, 60)
        assert len(server.requests) > 2
    assert 59 < clock.now() <= 60


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


@pytest.mark.parametrize("seconds", [7, 20, -1000])
@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_a_router_that_says_when_to_come_back_is_heard(
    kind: str, form: str, seconds: int
) -> None:
    wait = str(seconds)
    if form == "date":
        wait = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
    busy = answer({"detail": "slow down"}, 429, f"retry-after: {wait}")
    clock = VirtualClock()
    with FaultyServer(in_turn(busy, STATUS)) as server:
        async with calls_of(kind, server.url, clock=clock) as calls:
            await calls.status(SOME_ID)
    if seconds < 0:
        # Nothing that can be waited for: the usual pause, which is up to 0.5 s.
        assert 0 <= clock.now() < 0.5
    elif form == "seconds":
        assert clock.now() == seconds
    else:
        # A date has no fractions, and real time passes.
        assert seconds - 4 < clock.now() <= seconds


# What is sent


async def test_what_is_sent_is_what_the_contract_says_and_nothing_compressed(kind: str) -> None:
    accepted = answer({"idempotency_key": "k/0?#", "task_id": "t", "instance_id": None})
    with FaultyServer(accepted) as server:
        client = client_of(kind, server.url + "/api/")
        async with within(client):
            await result(client.provision(InstanceSpec(**FIELDS), "k/0?#"))
        [request] = server.requests
    assert request.method == "POST"
    assert request.target == "/api/internal/v1/smoke/provision"
    assert request.json == {"idempotency_key": "k/0?#", **FIELDS}
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["authorization"].startswith("Bearer made-up-")
    assert request.headers["accept"] == "application/json"


async def test_an_id_stays_one_segment_of_the_path(kind: str) -> None:
    with FaultyServer(answer({"found": False})) as server:
        client = client_of(kind, server.url)
        async with within(client):
            await result(client.poll("../../admin?x=1#y"))
        [request] = server.requests
    assert request.target == ("/internal/v1/smoke/instances/by-key/..%2F..%2Fadmin%3Fx%3D1%23y")


async def test_a_delete_without_a_body_is_against_the_contract_but_gone_is_not(kind: str) -> None:
    for status in (404, 409, 410):
        with FaultyServer(answer(b"", status)) as server:
            client = client_of(kind, server.url)
            async with within(client):
                gone = await result(client.delete(SOME_ID))
        assert gone == DeleteResult.model_construct(instance_id=SOME_ID, status="deleted")


async def test_a_stream_is_asked_for_and_read_as_one(kind: str) -> None:
    with FaultyServer(ONE_TURN) as server:
        client = client_of(kind, server.url)
        async with within(client), within(client.stream_chat(SOME_ID, "hi")) as events:
            assert [event.data for event in await all_of(events)] == ["hello", "[DONE]"]
        [request] = server.requests
    assert request.headers["accept"] == SSE
    assert request.json == {"message": "hi"}
