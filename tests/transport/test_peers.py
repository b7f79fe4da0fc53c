"""Other people's libraries at the other end: httpx-sse reads the fake, respx plays the router."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import respx
from httpx_sse import aconnect_sse, connect_sse
from net_tools import AT_ONCE, SOME_ID, SPEC, TOKEN, all_of, client_of, result, with_kinds, within

from pytest_hydrasmoke import (
    SmokeClient,
    TransportError,
    VirtualClock,
)
from pytest_hydrasmoke.fake import FakeRouter

pytestmark = pytest.mark.anyio

URL = "https://router.example"
BASE = f"{URL}/internal/v1/smoke"
REPLY = "Zwölf Boxkämpfer: “ready”.\nA second line\u2028and its tail."


def provisioned(fake: FakeRouter) -> str:
    with SmokeClient(fake.url, token=fake.token) as client:
        accepted = client.provision(SPEC, "key")
    assert accepted.instance_id is not None
    return accepted.instance_id


def rows(events: list[Any]) -> list[tuple[str, str, str, int | None]]:
    return [(event.event, event.data, event.id, event.retry) for event in events]


# httpx-sse


@pytest.mark.parametrize(
    ("runtime", "keep_alive", "line_end"),
    [
        *(("openai", False, "lf"), ("anthropic", True, "crlf"), ("objects", False, "cr")),
        *(("named", True, "lf"), ("text", True, "cr")),
    ],
)
def test_httpx_sse_reads_the_same_events_from_the_fake(
    runtime: Any, keep_alive: bool, line_end: Any
) -> None:
    scenario = dataclasses.replace(
        AT_ONCE, runtime=runtime, keep_alive=keep_alive, line_end=line_end, reply=REPLY
    )
    with FakeRouter(scenario) as fake:
        instance_id = provisioned(fake)
        with (
            SmokeClient(fake.url, token=fake.token) as client,
            client.stream_chat(instance_id, "hello") as stream,
        ):
            ours = rows(list(stream))
        url = f"{fake.url}/internal/v1/smoke/instances/{instance_id}/chat"
        headers = {"authorization": f"Bearer {fake.token}"}
        with (
            httpx.Client(headers=headers, trust_env=False, verify=False) as http,
            connect_sse(http, "POST", url, json={"message": "hello"}) as source,
        ):
            theirs = rows(list(source.iter_sse()))
    assert ours == theirs
    assert len(ours) > 3


@pytest.mark.parametrize(("kind", "kind_of_break"), with_kinds(["split", "trickle"]))
async def test_httpx_sse_reads_the_same_events_in_awkward_pieces(
    kind: str, kind_of_break: Any
) -> None:
    scenario = dataclasses.replace(AT_ONCE, runtime="named", reply="Zwölf “ready”.")
    with FakeRouter(scenario) as fake:
        instance_id = provisioned(fake)
        fake.break_stream(kind_of_break, times=2)
        client = client_of(kind, fake.url, token=fake.token)
        async with within(client), within(client.stream_chat(instance_id, "hello")) as stream:
            ours = rows(await all_of(stream))
        url = f"{fake.url}/internal/v1/smoke/instances/{instance_id}/chat"
        headers = {"authorization": f"Bearer {fake.token}"}
        async with (
            httpx.AsyncClient(headers=headers, trust_env=False, verify=False) as http,
            aconnect_sse(http, "POST", url, json={"message": "hello"}) as source,
        ):
            theirs = rows([event async for event in source.aiter_sse()])
    assert ours == theirs


# respx


@pytest.fixture
def router() -> Iterator[respx.MockRouter]:
    """A mocked router, put in below httpx: above it respx reads an answer before we can."""
    with respx.mock(base_url=BASE, using="httpcore", assert_all_called=False) as router:
        yield router


async def test_respx_can_play_the_router(kind: str, router: respx.MockRouter) -> None:
    one = f"/instances/{SOME_ID}"
    accepted = {"idempotency_key": "key", "instance_id": None, "task_id": "t-1"}
    status = {"id": SOME_ID, "hostname": "host.example", "status": "running"}
    counted = {"instance_id": SOME_ID, "count": 2, "providers": ["a", "a"], "window_seconds": 60}
    router.post("/provision").mock(httpx.Response(202, json=accepted))
    router.get("/instances/by-key/key").mock(httpx.Response(404, json={"detail": "not found"}))
    router.get(one).mock(httpx.Response(200, json=status))
    router.get(f"{one}/llm-events", params={"window_seconds": "60"}).mock(
        httpx.Response(200, json=counted)
    )
    router.delete(one).mock(httpx.Response(410))
    router.post(f"{one}/chat").mock(
        httpx.Response(
            200,
            content=b"data: hello\n\ndata: [DONE]\n\n",
            headers={"content-type": "text/event-stream"},
        )
    )
    client = client_of(kind, URL)
    async with within(client):
        assert (await result(client.provision(SPEC, "key"))).task_id == "t-1"
        assert not (await result(client.poll("key"))).found
        assert (await result(client.status(SOME_ID))).hostname == "host.example"
        assert (await result(client.llm_events(SOME_ID, 60))).providers == ("a", "a")
        assert (await result(client.delete(SOME_ID))).status == "deleted"
        async with within(client.stream_chat(SOME_ID, "hello")) as stream:
            assert [event.data for event in await all_of(stream)] == ["hello", "[DONE]"]
    sent = router.calls[0].request
    assert sent.headers["authorization"] == f"Bearer {TOKEN.reveal()}"
    assert sent.headers["accept-encoding"] == "identity"


async def test_respx_can_play_the_router_by_a_virtual_clock(
    kind: str, router: respx.MockRouter
) -> None:
    # A stream of no connection at all: nobody moves time at its other end.
    kinds = {"content-type": "text/event-stream"}
    answer = httpx.Response(200, content=b"data: hello\n\ndata: [DONE]\n\n", headers=kinds)
    router.post(f"/instances/{SOME_ID}/chat").mock(answer)
    clock = VirtualClock()
    client = client_of(kind, URL, clock=clock)
    async with within(client), within(client.stream_chat(SOME_ID, "hello")) as stream:
        assert [event.data for event in await all_of(stream)] == ["hello", "[DONE]"]
    assert clock.now() == 0


async def test_respx_can_lose_an_answer(kind: str, router: respx.MockRouter) -> None:
    chat = router.post(f"/instances/{SOME_ID}/chat").mock(side_effect=httpx.ReadError)
    client = client_of(kind, URL)
    async with within(client):
        with pytest.raises(TransportError):
            async with within(client.stream_chat(SOME_ID, "hello")):
                pytest.fail("the stream began")
    assert chat.call_count == 1
