"""The router that keeps the truth, itself: what each manner does, on made-up time."""

from __future__ import annotations

import json
import math

import pytest
from starlette.responses import Response
from truth import TOKEN, Machine, Manner, Truth
from truth_app import Ask, TrueRouter

from pytest_hydrasmoke import VirtualClock

# It is what the tests compare with: `truth` is used by tests of other folders too.
pytestmark = pytest.mark.reference

KEY = "a-0"
SPEC = {"manifest_id": "m", "region_id": "r", "tier_id": "t"}


class Asking:
    """A router, asked without a network: what it answers in short."""

    def __init__(self, **fields: object) -> None:
        self.clock = VirtualClock()
        self.truth = Truth(Manner(**fields), self.clock)  # type: ignore[arg-type]
        self.router = TrueRouter(self.truth)

    @property
    def machine(self) -> Machine:
        return self.truth.machines[0]

    def ask(self, method: str, path: str, token: str = TOKEN, **body: str) -> Response:
        raw = json.dumps(body).encode() if body else b""
        answer = self.router.answer(Ask(method, path, "", f"Bearer {token}", raw))
        assert answer is not None
        return answer

    def provision(self, token: str = TOKEN, **more: str) -> int:
        body = {"idempotency_key": KEY, **SPEC, **more}
        return self.ask("POST", "/provision", token, **body).status_code

    def status(self) -> object:
        answer = self.ask("GET", f"/instances/{self.machine.id}")
        found = answer.status_code == 200
        return json.loads(bytes(answer.body))["status"] if found else answer.status_code

    def poll(self) -> object:
        said = json.loads(bytes(self.ask("GET", f"/instances/by-key/{KEY}").body))
        return said["status"] if said["found"] else "nobody"

    def delete(self) -> int:
        return self.ask("DELETE", f"/instances/{self.machine.id}").status_code

    @property
    def looks(self) -> tuple[object, object, int]:
        """What status and poll say, and how many machines cost money."""
        return self.status(), self.poll(), len(self.truth.alive())

    def after(self, seconds: float) -> tuple[object, object, int]:
        self.clock.advance(seconds)
        return self.looks


def ready(**fields: object) -> Asking:
    asking = Asking(**fields)
    assert asking.provision() == 200
    asking.clock.advance(20)
    return asking


GONE = (404, "nobody", 0)
ALIVE = ("running", "running", 1)


def test_a_right_router_makes_shows_and_ends_a_machine() -> None:
    asking = Asking(row_after=1.0, boot=2.0)
    assert asking.provision() == asking.provision() == 200
    assert asking.looks == (404, "nobody", 0)
    assert asking.after(1.0) == ("queued", "queued", 1)
    assert asking.after(2.0) == ALIVE
    assert asking.truth.left() == [asking.machine]
    assert asking.delete() == 200
    assert asking.looks == GONE
    assert asking.delete() == 404
    assert asking.truth.left() == []
    assert asking.provision() == 200
    assert len(asking.truth.machines) == 2, "a key is free again"


def test_what_is_looked_at_lags() -> None:
    asking = Asking(lag=3.0, deletes_behind=True)
    asking.provision()
    assert asking.after(2.0) == (404, "nobody", 1)
    assert asking.delete() == 404
    assert asking.after(2.0) == ALIVE
    assert asking.delete() == 200
    assert asking.looks == ("running", "running", 0)
    assert asking.after(3.0) == GONE


def test_what_is_looked_at_has_not_seen_it() -> None:
    asking = ready(blind=3.0)
    assert asking.looks == ALIVE
    assert asking.delete() == 404
    assert asking.looks == (404, "nobody", 1)
    assert asking.after(3.0) == ALIVE
    assert asking.delete() == 200
    assert asking.looks == GONE


def test_a_delete_that_does_nothing() -> None:
    asking = ready(deaf=math.inf, flaps=1)
    assert asking.delete() == 200
    assert asking.looks == ("deleting", "running", 1)
    assert asking.looks == ALIVE
    asking = ready(deaf=1, hidden=1.0)
    assert asking.delete() == 200
    assert asking.looks == (404, "running", 1)
    assert asking.after(1.0) == ALIVE
    assert asking.delete() == 200
    assert asking.looks == GONE
    asking = ready(deaf=math.inf, hidden=1.0, hides_key=True)
    assert asking.delete() == 200
    assert asking.looks == (404, "nobody", 1)
    assert asking.after(1.0) == ALIVE


def test_a_worker_that_finishes() -> None:
    asking = Asking(boot=5.0, finishes=True)
    asking.provision()
    asking.clock.advance(1)
    assert asking.delete() == 200
    assert asking.looks == asking.after(10.0) == (404, "nobody", 1)
    assert asking.delete() == 404
    assert asking.looks == GONE


def test_what_is_left_of_a_machine() -> None:
    asking = ready(deleting=60.0, keeps_row=True)
    asking.delete()
    assert asking.looks == ("deleting", "deleting", 1)
    assert asking.truth.left() == []
    assert asking.after(60.0) == (404, "running", 0)
    asking = ready(keeps_row=True, key_word=None, key_words=False, second_delete=410)
    assert asking.looks == ("running", None, 1)
    asking.delete()
    assert asking.looks == (404, None, 0)
    assert asking.delete() == 410


def test_a_key_that_is_lost() -> None:
    asking = ready(loses_key=0.0)
    assert asking.looks == ("running", "nobody", 1)


@pytest.mark.parametrize(
    ("whom", "token", "tier", "code"),
    [
        ("all", TOKEN, "t", 403),
        ("strangers", "another", "t", 403),
        ("invalid", TOKEN, "t" * 81, 422),
    ],
)
def test_a_refusal_that_is_carried_out(whom: str, token: str, tier: str, code: int) -> None:
    for refused in ("all", "strangers", "invalid"):
        asking = Asking(refuses=code, whom=refused)
        answered = asking.provision(token, tier_id=tier)
        asking.clock.advance(1)
        made = refused == whom
        assert len(asking.truth.left()) == (made or answered == 200)
        assert not made or answered == code


def test_trouble_that_passes() -> None:
    asking = ready(outage=5.0)
    assert asking.delete() == 503
    assert asking.status() == 503
    asking.clock.advance(5)
    assert asking.looks == ALIVE
    asking = ready(busy_every=2)
    assert [asking.status(), asking.status()] == [429, "running"]
