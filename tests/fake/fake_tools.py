"""What the tests of the fake router share: a clock set by hand, and a client of its own."""

from __future__ import annotations

from typing import Any

import httpx
from httpx_sse import EventSource, ServerSentEvent

from pytest_hydrasmoke.fake import FakeRouter

SPEC = {"manifest_id": "openclaw-basic", "region_id": "eu-central", "tier_id": "tier-1"}
PREFIX = "/internal/v1/smoke"


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

    def stream(self, instance_id: str) -> Any:
        return self.http.stream("POST", f"/instances/{instance_id}/chat", json={"message": "hi"})

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


def seen(answer: httpx.Response) -> tuple[int, Any]:
    return answer.status_code, answer.json()


def told(caller: Caller, instance_id: str) -> list[ServerSentEvent]:
    with caller.stream(instance_id) as answer:
        assert answer.status_code == 200
        return list(EventSource(answer).iter_sse())
