"""`fail` and `drop`: what a client sees, what was done behind its back, and what is recorded."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from fake_tools import PREFIX, SOMEBODY_ELSES, Calling, HandClock

from pytest_hydrasmoke.fake import FakeRouter
from pytest_hydrasmoke.fake.router import to_come


@pytest.mark.parametrize("route", ["provision", "poll", "status", "chat", "llm_events", "delete"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_call_that_fails_or_is_dropped(
    calling: Calling, clock: HandClock, route: Any, when: Any
) -> None:
    caller = calling()
    router = caller.router
    for status in (502, None):
        router.reset()
        instance_id = caller.ready(clock)
        if status is None:
            router.drop(route, when=when)
        else:
            router.fail(route, status=status, when=when)
        step = "provision/1" if route == "provision" else route
        told = caller.ask(step)
        assert told == (["lost"] if status is None else [502])
        record = router.requests[-1]
        assert (record.route, record.status) == (route, status)
        done = {
            "provision": len(router.instances) == 2,
            "chat": len(router.llm_events) == 1,
            "delete": router.instances[0].deleted,
        }
        assert done.get(route, when == "after") == (when == "after")
        assert not to_come(router, instance_id)
        assert caller.ask(step) == [404 if route == "delete" and when == "after" else 200]


def test_which_requests_meet_a_fault(calling: Calling) -> None:
    caller = calling()
    router = caller.router
    router.fail("poll", times=2, after=1)
    router.fail("poll", status=429, after=2)
    router.fail("status")
    assert caller.ask("poll " * 5) == [200, 503, 503, 429, 200]
    # One that was not used yet is forgotten with a reset; after the work, it hides a refusal too.
    router.break_stream("error")
    router.reset()
    router.fail("status", when="after", times=2)
    assert [caller.status(it).status_code for it in ("x", SOMEBODY_ELSES, "x")] == [503, 503, 422]
    assert caller.ask("provision +60 chat") == [200, 200]
    assert b"[DONE]" in caller.chat(router.instances[0].id).content


ANSWERS: list[tuple[dict[str, Any], str | None, str]] = [
    ({"status": 429}, "application/json", '{"detail":"Too Many Requests"}'),
    ({"status": 502}, "application/json", '{"detail":"Bad Gateway"}'),
    ({"status": 599}, "application/json", '{"detail":"Failed"}'),
    ({"status": 200, "body": {"found": "perhaps"}}, "application/json", '{"found":"perhaps"}'),
    ({"status": 502, "body": "<h1>Bad</h1>"}, "text/html; charset=utf-8", "<h1>Bad</h1>"),
    *(({"status": status}, None, "") for status in (204, 205, 304)),
]


@pytest.mark.parametrize("retry_after", [None, 7, "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_what_a_failure_answers(calling: Calling, retry_after: int | str | None) -> None:
    caller = calling()
    for fields, kind, body in ANSWERS:
        caller.router.fail("poll", retry_after=retry_after, **fields)
        answer = caller.poll()
        assert (answer.status_code, answer.headers.get("content-type"), answer.text) == (
            *(fields["status"], kind),
            body,
        )
        told = answer.headers.get("retry-after")
        assert told == (None if retry_after is None else str(retry_after))


def test_the_app_under_another_server(clock: HandClock) -> None:
    # A drop needs a server that can hang up; elsewhere it is an exception, and says so.
    router = FakeRouter(clock=clock)
    router.drop("poll")
    sent: list[str] = []
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> dict[str, str]:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async def talk() -> None:
        transport = httpx.ASGITransport(router.app)
        headers = {"authorization": f"Bearer {router.token}"}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://fake.example" + PREFIX, headers=headers
        ) as http:
            with pytest.raises(RuntimeError, match="the fake router drops this connection"):
                await http.get("/instances/by-key/k")
            assert (await http.get("/instances/by-key/k")).json()["found"] is False
        # What is no HTTP goes by unrecorded.
        await router.app({"type": "lifespan"}, receive, send)

    asyncio.run(talk())
    assert [record.status for record in router.requests] == [None, 200]
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
