"""`fail` and `drop`: what a client sees, what was done behind its back, and what is recorded."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fake_tools import PREFIX, Caller, HandClock

from pytest_hydrasmoke.fake import FakeRouter

Calling = Callable[..., Caller]
LOST = (httpx.RemoteProtocolError, httpx.ReadError)
CALLS: dict[Any, Callable[[Caller, str], httpx.Response]] = {
    "provision": lambda caller, _: caller.provision("key-new"),
    "poll": lambda caller, _: caller.poll(),
    "status": lambda caller, instance_id: caller.status(instance_id),
    "chat": lambda caller, instance_id: caller.chat(instance_id),
    "llm_events": lambda caller, instance_id: caller.llm_events(instance_id),
    "delete": lambda caller, instance_id: caller.delete(instance_id),
}


def was_done(router: FakeRouter, route: str) -> bool:
    """Whether a call that changes something has changed it."""
    if route == "provision":
        return len(router.instances) == 2
    if route == "chat":
        return len(router.llm_events) == 1
    return router.instances[0].deleted


@pytest.mark.parametrize("route", list(CALLS))
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("status", [502, None])
def test_a_call_that_fails_or_is_dropped(
    calling: Calling, clock: HandClock, route: Any, when: Any, status: int | None
) -> None:
    caller = calling()
    router = caller.router
    instance_id = caller.ready(clock)
    if status is None:
        router.drop(route, when=when)
        with pytest.raises(LOST):
            CALLS[route](caller, instance_id)
    else:
        router.fail(route, status=status, when=when)
        answer = CALLS[route](caller, instance_id)
        assert (answer.status_code, answer.json()) == (502, {"detail": "Bad Gateway"})
    record = router.requests[-1]
    assert (record.route, record.status) == (route, status)
    if route in ("provision", "chat", "delete"):
        assert was_done(router, route) == (when == "after")
    if not (route == "delete" and when == "after"):
        assert CALLS[route](caller, instance_id).status_code == 200


def test_after_hides_a_refusal_too(calling: Calling) -> None:
    caller = calling()
    caller.router.fail("status", when="after", times=2)
    assert caller.status("no-uuid").status_code == 503
    assert caller.status("497f6eca-6276-4993-bfeb-53cbbbba6f08").status_code == 503


def test_times_and_after(calling: Calling) -> None:
    caller = calling()
    router = caller.router
    router.fail("poll", times=2, after=1)
    router.fail("poll", status=429, after=2)
    router.fail("status")
    codes = [caller.poll().status_code for _ in range(5)]
    assert codes == [200, 503, 503, 429, 200]
    assert [record.status for record in router.requests] == codes


def test_reset_forgets_faults(calling: Calling, clock: HandClock) -> None:
    caller = calling()
    caller.router.fail("poll")
    caller.router.break_stream("error")
    caller.router.reset()
    assert caller.poll().status_code == 200
    assert b"[DONE]" in caller.chat(caller.ready(clock)).content


@pytest.mark.parametrize("retry_after", [7, "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_retry_after(calling: Calling, retry_after: int | str) -> None:
    caller = calling()
    caller.router.fail("poll", status=429, retry_after=retry_after)
    answer = caller.poll()
    assert answer.headers["retry-after"] == str(retry_after)
    assert answer.json() == {"detail": "Too Many Requests"}


def test_bodies(calling: Calling) -> None:
    caller = calling()
    caller.router.fail("poll", status=200, body={"found": "perhaps"})
    assert caller.poll().json() == {"found": "perhaps"}
    caller.router.fail("poll", status=502, body="<h1>Bad gateway</h1>")
    page = caller.poll()
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.text == "<h1>Bad gateway</h1>"
    caller.router.fail("poll", status=204)
    assert caller.poll().content == b""
    caller.router.fail("poll", status=599)
    assert caller.poll().json() == {"detail": "Failed"}


BAD: list[tuple[Callable[[FakeRouter], None], str]] = [
    (lambda r: r.fail("polls"), "route is 'polls' (did you mean poll?); it may be 'provision', "),  # type: ignore[arg-type]
    (lambda r: r.drop([]), "route is []"),  # type: ignore[arg-type]
    (lambda r: r.fail("poll", when="now"), "when is 'now'; it may be 'before' or 'after'"),  # type: ignore[arg-type]
    (lambda r: r.fail("poll", status=600), "status is 600; it should be less than or equal to 599"),
    (lambda r: r.fail("poll", status=True), "status is True; it should be a valid integer"),
    (lambda r: r.fail("poll", times=0), "times is 0; it should be greater than or equal to 1"),
    (lambda r: r.drop("poll", after=-1), "after is -1; it should be greater than or equal to 0"),
    (lambda r: r.fail("poll", retry_after=-1), "retry_after is a whole number of seconds, or an "),
    (lambda r: r.fail("poll", retry_after="a\nb"), "HTTP date, not 'a\\nb'"),
    (lambda r: r.fail("poll", body={"a": float("nan")}), "body is no JSON"),
    (lambda r: r.break_stream("snap"), "kind is 'snap'; it may be 'cut', 'end', 'stall'"),  # type: ignore[arg-type]
    (lambda r: r.break_stream("cut", after_events=-1), "after_events is -1"),
    (lambda r: r.break_stream("cut", split_at=[1]), "split_at is for kind 'split', not 'cut'"),
    (lambda r: r.break_stream("split", split_at=[0]), "split_at[0] is 0; it should be greater"),
    (lambda r: r.break_stream("split", split_at=5), "split_at is 5; it should be a valid list"),  # type: ignore[arg-type]
]


def test_what_can_not_go_wrong() -> None:
    for make, message in BAD:
        with pytest.raises(ValueError, match=re.escape(message)):
            make(FakeRouter())


def test_the_app_under_another_server(clock: HandClock) -> None:
    # A drop needs a server that can hang up; elsewhere it is an exception, and says so.
    router = FakeRouter(clock=clock)
    router.drop("poll")

    async def talk() -> None:
        transport = httpx.ASGITransport(router.app)
        headers = {"authorization": f"Bearer {router.token}"}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://fake.example" + PREFIX, headers=headers
        ) as http:
            with pytest.raises(RuntimeError, match="drops this connection"):
                await http.get("/instances/by-key/k")
            assert (await http.get("/instances/by-key/k")).json()["found"] is False

    asyncio.run(talk())
    assert [record.status for record in router.requests] == [None, 200]


def test_the_app_as_plain_starlette() -> None:
    # What is no HTTP, such as the lifespan protocol, goes by unrecorded.
    router = FakeRouter()
    sent: list[str] = []
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> dict[str, str]:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    asyncio.run(router.app({"type": "lifespan"}, receive, send))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert router.requests == ()
