"""What a network and a bad server can do to a call: a typed error, in time, and nothing leaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import faulty_server as faulty
import net_tools as net
import pytest
from faulty_server import FaultyServer, answer, in_turn
from transport_tools import PATH, STATUS

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

SSE = "text/event-stream"
ONE_TURN = answer(b"data: hello\n\ndata: [DONE]\n\n", kind=SSE)


@dataclass(frozen=True)
class End:
    """How a status, which is read as a whole, and a chat, which is streamed, end at a fault."""

    status: type[HydraSmokeError]
    chat: tuple[type[HydraSmokeError], ...]
    seconds: float
    clock: Callable[[], VirtualClock | None] = lambda: None


LATE = End(TransportError, (TransportError, ChatTimeoutError), 0.05)
LOST = End(TransportError, (TransportError, ChatError), 2, VirtualClock)
WRONG = End(ContractError, (HydraSmokeError,), 60)
FAULTS: dict[str, tuple[faulty.Behaviour, End]] = {
    **{
        name: (faulty.FAULTS[name], end)
        for end, names in {
            LATE: ("stall", "stall in the body", "trickled head", "trickled body"),
            LOST: ("reset", "closed", "cut", "short body", "garbage", "huge header"),
            WRONG: ("wrong type", "204"),
            End(RouterError, (RouterError,), 2, VirtualClock): ("500 with the type of a stream",),
        }.items()
        for name in names
    },
    "flood": (faulty.flood, WRONG),
    "compressed": (answer(b"\x0b\x02\x80", 200, "content-encoding: br"), WRONG),
    "a list": (answer([1, 2]), WRONG),
    "nothing": (answer(b""), WRONG),
    "an event stream": (answer(b"data: hello\n\n", kind=SSE), WRONG),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_ends_in_a_typed_error_in_time_and_no_chat_is_repeated(
    kind: str, fault: str
) -> None:
    behave, end = FAULTS[fault]
    for call in ("status", "chat"):
        if (call, fault) == ("chat", "an event stream"):
            continue  # It is what a chat is answered with.
        with FaultyServer(behave) as server:
            async with net.calls_of(kind, server.url, clock=end.clock()) as calls:
                with pytest.raises(end.chat if call == "chat" else end.status) as caught:
                    await net.CALLS[call](calls, calls.io.now() + end.seconds)
            # What may be asked again is, and a chat never once it may have arrived.
            again = call == "status" and end.clock() is not None
            assert len(server.requests) > 1 if again else len(server.requests) <= 1
            assert end is not WRONG or len(server.requests) == 1
        if isinstance(caught.value, TransportError):
            assert caught.value.late is (end is LATE)
            assert caught.value.reached or end is LATE
        net.assert_clean(caught.value)


async def test_a_refused_connection_was_not_reached(kind: str) -> None:
    with FaultyServer(STATUS, refusing=True) as server:
        for call in net.CALLS.values():
            async with net.calls_of(kind, server.url, clock=VirtualClock()) as calls:
                with pytest.raises(TransportError) as caught:
                    await call(calls, calls.io.now() + 5)
            assert not caught.value.reached
            assert server.url in caught.value.message
            net.assert_clean(caught.value)


@pytest.mark.parametrize(("kind", "code"), net.with_kinds([307, 301, 302, 303, 308, 401, 403]))
async def test_a_refusal_is_followed_nowhere_and_does_not_show_the_token(
    kind: str, code: int
) -> None:
    with FaultyServer(STATUS) as other:
        there = answer(b"", code, f"location: {other.url}{PATH}")
        with FaultyServer(there) as server:
            async with net.calls_of(kind, server.url) as calls:
                for call in net.CALLS.values():
                    with pytest.raises(RouterError) as caught:
                        await call(calls, calls.io.now() + 2)
                    assert caught.value.status_code == code
                    assert isinstance(caught.value, UnauthorizedError) is (code > 400)
                    assert (other.url in str(caught.value)) is (code < 400)
                    net.assert_clean(caught.value)
            assert len(server.requests) == len(net.CALLS)
        assert other.requests == []


async def test_a_flood_is_read_up_to_its_limit_only(kind: str) -> None:
    sent = 0

    def counted(line: faulty.Line, request: faulty.Received) -> None:
        nonlocal sent
        line.send(faulty.head(200, "transfer-encoding: chunked"))
        while sent < 256 << 20 and line.send(b"10000\r\n" + b" " * 0x10000 + b"\r\n"):
            sent += 0x10000

    with FaultyServer(counted) as server:
        async with net.calls_of(kind, server.url) as calls:
            with pytest.raises(ContractError, match="exceeds the limit") as caught:
                await calls.status(net.SOME_ID, deadline=calls.io.now() + 60)
    # A mebibyte, and what fits in the buffers of both ends.
    assert sent < 64 << 20
    net.assert_clean(caught.value)


async def test_what_was_lost_or_not_taken_is_sent_again(kind: str) -> None:
    busy, clock = answer({"detail": "slow down"}, 429, "retry-after: 7"), VirtualClock()
    lost = faulty.reset, faulty.closed, faulty.garbage
    with FaultyServer(in_turn(busy, STATUS, *lost, STATUS)) as server:
        async with net.calls_of(kind, server.url, clock=clock) as calls:
            assert (await calls.status(net.SOME_ID)).status == "running"
            assert clock.now() == 7
            assert (await calls.status(net.SOME_ID)).status == "running"
        assert len(server.requests) == 6
    assert clock.now() > 7
    refusals = (answer({"detail": "not now"}, code) for code in (409, 503))
    with FaultyServer(in_turn(*refusals, ONE_TURN)) as server:
        async with net.calls_of(kind, server.url, clock=VirtualClock()) as calls:
            events = await net.whole_turn(calls, 60)
        assert [event.data for event in events] == ["hello", "[DONE]"]
        assert [request.json for request in server.requests] == [{"message": "hello"}] * 3


async def test_what_is_sent_is_what_the_contract_says_and_nothing_compressed(kind: str) -> None:
    accepted = answer({"idempotency_key": "k/0?#", "task_id": "t", "instance_id": None})
    found = answer({"found": False}, 200, "content-encoding: identity")
    with FaultyServer(in_turn(accepted, found, ONE_TURN)) as server:
        async with net.within(net.client_of(kind, server.url + "/api/")) as client:
            await net.result(client.provision(InstanceSpec(**net.FIELDS), "k/0?#"))
            assert not (await net.result(client.poll("../../admin?x=1#y"))).found
            async with net.within(client.stream_chat(net.SOME_ID, "hi")) as events:
                assert [event.data for event in await net.all_of(events)] == ["hello", "[DONE]"]
        provision, poll, chat = server.requests
    smoke = "/api/internal/v1/smoke"
    assert (provision.method, provision.target) == ("POST", f"{smoke}/provision")
    assert provision.json == {"idempotency_key": "k/0?#", **net.FIELDS}
    assert provision.headers["accept-encoding"] == "identity"
    assert provision.headers["authorization"].startswith("Bearer made-up-")
    assert provision.headers["accept"] == "application/json"
    assert poll.target == f"{smoke}/instances/by-key/..%2F..%2Fadmin%3Fx%3D1%23y"
    assert (chat.headers["accept"], chat.json) == (SSE, {"message": "hi"})
