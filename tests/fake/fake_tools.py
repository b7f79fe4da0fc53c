"""What the tests of the fake router share: a clock set by hand, and a client of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
from httpx_sse import EventSource

from pytest_hydrasmoke.fake import FakeRouter

SPEC = {"manifest_id": "openclaw-basic", "region_id": "eu-central", "tier_id": "tier-1"}
PREFIX = "/internal/v1/smoke"
SOMEBODY_ELSES = "497f6eca-6276-4993-bfeb-53cbbbba6f08"
LOST = (httpx.RemoteProtocolError, httpx.ReadError)


class HandClock:
    """Time that stands still until a test moves it."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def pass_by(self, seconds: float) -> None:
        assert seconds > 0
        self.time += seconds


class Caller:
    """The six calls with plain httpx, as a peer of the project's own client would make them."""

    def __init__(self, router: FakeRouter, token: str | None = None) -> None:
        self.router = router
        self.http = httpx.Client(
            base_url=router.url + PREFIX,
            headers={"authorization": f"Bearer {token or router.token}"},
            timeout=5,
            trust_env=False,
            # It speaks no TLS: to load certificates would take longer than most tests.
            verify=False,
        )

    def provision(self, key: str = "key-0", **more: Any) -> httpx.Response:
        return self.http.post("/provision", json={"idempotency_key": key, **SPEC, **more})

    def poll(self, key: str = "key-0") -> httpx.Response:
        return self.http.get(f"/instances/by-key/{key}")

    def status(self, instance_id: str) -> httpx.Response:
        return self.http.get(f"/instances/{instance_id}")

    def chat(self, instance_id: str, message: str = "hello") -> httpx.Response:
        return self.http.post(f"/instances/{instance_id}/chat", json={"message": message})

    def stream(self, instance_id: str, message: str = "hi") -> Any:
        return self.http.stream("POST", f"/instances/{instance_id}/chat", json={"message": message})

    def llm_events(self, instance_id: str, window: int | None = None) -> httpx.Response:
        params = {} if window is None else {"window_seconds": window}
        return self.http.get(f"/instances/{instance_id}/llm-events", params=params)

    def delete(self, instance_id: str) -> httpx.Response:
        return self.http.delete(f"/instances/{instance_id}")

    def ready(self, clock: HandClock, key: str = "key-0") -> str:
        """Provision an instance and let its boot pass; gives its id."""
        self.provision(key)
        clock.pass_by(60)
        return self.router.instances[-1].id

    def ask(self, steps: str) -> list[Any]:
        """Take steps one after the other, and return what is answered to the calls among them.

        `+7` lets seconds pass. `poll` gives its status code, or "lost"; `poll.found` a field of its
        answer, and `poll.*` all of it. `/1` asks about the instance of another key than key-0, `@5`
        over that window; `another` is a provision with another body.
        """
        told: list[Any] = []
        for step in steps.split():
            if step == "reset":
                self.router.reset()
            elif step.startswith("+"):
                clock = self.router.clock
                assert isinstance(clock, HandClock)
                clock.pass_by(float(step))
            else:
                told.append(self._told(step))
        return told

    def play(self, script: str) -> str:
        """Play a script, and return it as it went.

        It is steps of `ask` with what is answered, `poll.found = True`; what is 200 is left out.
        """
        went: list[str] = []
        for step in script.split("; "):
            asked, _, expected = step.partition(" = ")
            for answer in map(str, self.ask(asked)):
                asked = asked if not expected and answer == "200" else f"{asked} = {answer}"
            went.append(asked)
        return "; ".join(went)

    def _told(self, step: str) -> Any:
        step, _, field = step.partition(".")
        step, _, window = step.partition("@")
        call, _, number = step.partition("/")
        key = f"key-{number or 0}"
        known = {it.idempotency_key: it.id for it in self.router.instances}
        about = known.get(key, SOMEBODY_ELSES)
        calls: dict[str, Callable[[], httpx.Response]] = {
            "provision": lambda: self.provision(key),
            "another": lambda: self.provision(key, tier_id="other"),
            "poll": lambda: self.poll(key),
            "status": lambda: self.status(about),
            "chat": lambda: self.chat(about),
            "llm_events": lambda: self.llm_events(about, int(window) if window else None),
            "delete": lambda: self.delete(about),
        }
        try:
            answer = calls[call]()
        except LOST:
            return "lost"
        if not field:
            return answer.status_code
        return answer.json() if field == "*" else answer.json().get(field, "absent")


Calling = Callable[..., Caller]
"""What the fixture `calling` gives."""


def events(caller: Caller, instance_id: str, message: str = "hi") -> list[str]:
    """Return the data of a turn's events, a named one's after its name, and how it is cut."""
    got: list[str] = []
    try:
        with caller.stream(instance_id, message) as answer:
            for event in EventSource(answer).iter_sse():
                name = "" if event.event == "message" else f"{event.event}: "
                got.append(name + event.data)
    except httpx.HTTPError as error:
        got.append(type(error).__name__)
    return got
