"""Other people's libraries at the other end: httpx-sse reads the fake, respx plays the router."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import net_tools as net
import pytest
import respx
from httpx_sse import aconnect_sse

from pytest_hydrasmoke import SmokeClient, TransportError, VirtualClock
from pytest_hydrasmoke.fake import FakeRouter

pytestmark = pytest.mark.anyio

URL = "https://router.example"
ONE = f"/instances/{net.SOME_ID}"


@pytest.mark.parametrize(("kind", "break_of_stream"), net.with_kinds(["split", "trickle"]))
async def test_httpx_sse_reads_the_same_events_in_awkward_pieces(
    kind: str, break_of_stream: Any
) -> None:
    reply = "Zwölf “ready”.\nA second line\u2028and its tail."
    lines = {"keep_alive": True, "line_end": "crlf" if break_of_stream == "split" else "cr"}
    scenario: Any = dataclasses.replace(net.AT_ONCE, runtime="named", reply=reply, **lines)
    with FakeRouter(scenario) as fake:
        with SmokeClient(fake.url, token=fake.token) as first:
            instance_id = str(first.provision(net.SPEC, "key").instance_id)
        fake.break_stream(break_of_stream, times=2)
        client = net.client_of(kind, fake.url, token=fake.token)
        async with net.within(client), net.within(client.stream_chat(instance_id, "hi")) as stream:
            ours = await net.all_of(stream)
        url = f"{fake.url}/internal/v1/smoke/instances/{instance_id}/chat"
        headers = {"authorization": f"Bearer {fake.token}"}
        async with (
            httpx.AsyncClient(headers=headers, trust_env=False, verify=False) as http,
            aconnect_sse(http, "POST", url, json={"message": "hi"}) as source,
        ):
            theirs = [event async for event in source.aiter_sse()]
    assert [(it.event, it.data, it.id, it.retry) for it in ours] == [
        (it.event, it.data, it.id, it.retry) for it in theirs
    ]
    assert len(ours) > 3


@pytest.fixture
def router() -> Iterator[respx.MockRouter]:
    """A mocked router, put in below httpx: above it respx reads an answer before we can."""
    base = f"{URL}/internal/v1/smoke"
    with respx.mock(base_url=base, using="httpcore", assert_all_called=False) as router:
        yield router


@pytest.mark.parametrize("clock", [lambda: None, VirtualClock], ids=["", "virtual"])
async def test_respx_can_play_the_router_and_lose_an_answer(
    kind: str, router: respx.MockRouter, clock: Callable[[], VirtualClock | None]
) -> None:
    accepted = {"idempotency_key": "key", "instance_id": None, "task_id": "t-1"}
    status = {"id": net.SOME_ID, "hostname": "host.example", "status": "running"}
    counted = {"instance_id": net.SOME_ID, "count": 2, "providers": ["a"], "window_seconds": 60}
    streamed = {"content-type": "text/event-stream"}
    for route, answer in (
        (router.post("/provision"), httpx.Response(202, json=accepted)),
        (router.get("/instances/by-key/key"), httpx.Response(404, json={"detail": "not found"})),
        (router.get(ONE), httpx.Response(200, json=status)),
        (
            router.get(f"{ONE}/llm-events", params={"window_seconds": "60"}),
            httpx.Response(200, json=counted),
        ),
        (router.delete(ONE), httpx.Response(410)),
    ):
        route.mock(answer)
    chat = router.post(f"{ONE}/chat").mock(
        side_effect=[
            httpx.Response(200, content=b"data: hello\n\ndata: [DONE]\n\n", headers=streamed),
            httpx.ReadError,
        ]
    )
    time = clock()
    async with net.within(net.client_of(kind, URL, clock=time)) as client:
        assert (await net.result(client.provision(net.SPEC, "key"))).task_id == "t-1"
        assert not (await net.result(client.poll("key"))).found
        assert (await net.result(client.status(net.SOME_ID))).hostname == "host.example"
        assert (await net.result(client.llm_events(net.SOME_ID, 60))).providers == ("a",)
        assert (await net.result(client.delete(net.SOME_ID))).status == "deleted"
        # A stream of no connection at all: nobody moves time at its other end.
        async with net.within(client.stream_chat(net.SOME_ID, "hello")) as stream:
            assert [event.data for event in await net.all_of(stream)] == ["hello", "[DONE]"]
        with pytest.raises(TransportError):
            async with net.within(client.stream_chat(net.SOME_ID, "hello")):
                pytest.fail("the stream began")
    assert time is None or time.now() == 0
    assert chat.call_count == 2
    sent = router.calls[0].request
    assert sent.headers["authorization"] == f"Bearer {net.TOKEN.reveal()}"
    assert sent.headers["accept-encoding"] == "identity"
