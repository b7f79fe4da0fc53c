"""The router that keeps the truth, itself: what each manner does, on made-up time."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from starlette.responses import Response
from truth import TOKEN, Manner, Truth
from truth_app import Ask, TrueRouter

from pytest_hydrasmoke import VirtualClock

# It is what the tests compare with: `truth` is used by tests of other folders too.
pytestmark = pytest.mark.reference

KEY = "a-0"
SPEC = {"manifest_id": "m", "region_id": "r", "tier_id": "t"}


class Asking:
    """A router, asked without a network: what it answers in short."""

    def __init__(self, **fields: Any) -> None:
        self.clock = VirtualClock()
        self.truth = Truth(Manner(**fields), self.clock)
        self.router = TrueRouter(self.truth)

    def ask(self, method: str, path: str, token: str = TOKEN, **body: str) -> Response:
        raw = json.dumps(body).encode() if body else b""
        answer = self.router.answer(Ask(method, path, "", f"Bearer {token}", raw))
        assert answer is not None
        return answer

    @property
    def path(self) -> str:
        return f"/instances/{self.truth.machines[0].id}"

    def provision(self, token: str = TOKEN, **more: str) -> int:
        body = {"idempotency_key": KEY, **SPEC, **more}
        return self.ask("POST", "/provision", token, **body).status_code

    def status(self) -> object:
        answer = self.ask("GET", self.path)
        found = answer.status_code == 200
        return json.loads(bytes(answer.body))["status"] if found else answer.status_code

    def poll(self) -> object:
        said = json.loads(bytes(self.ask("GET", f"/instances/by-key/{KEY}").body))
        return said["status"] if said["found"] else "nobody"

    def delete(self) -> int:
        return self.ask("DELETE", self.path).status_code

    def left(self) -> int:
        return len(self.truth.left())

    def after(self, seconds: float) -> str:
        self.clock.advance(seconds)
        return f"{self.status()}/{self.poll()}/{len(self.truth.alive())}"


# What a manner does: what calls are answered, and, after seconds, what status and poll say, and how
# many machines cost money.
MADE = "provision 200 | 20 running/running/1"
NO_END: dict[str, Any] = {"deaf": math.inf}
SCRIPTS: dict[str, tuple[dict[str, Any], *tuple[str, ...]]] = {
    "a right router": (
        {"row_after": 1.0, "boot": 2.0},
        "provision 200 | provision 200 | 0 404/nobody/0 | 1 queued/queued/1 | 2 running/running/1",
        "left 1 | delete 200 | 0 404/nobody/0 | delete 404 | left 0",
        "provision 200 | 3 404/running/1",
    ),
    "looks that lag": (
        {"lag": 3.0, "deletes_behind": True},
        "provision 200 | 2 404/nobody/1 | delete 404 | 2 running/running/1",
        "delete 200 | 0 running/running/0 | 3 404/nobody/0",
    ),
    "looks that find nothing": (
        {"blind": 3.0},
        f"{MADE} | delete 404 | 0 404/nobody/1 | 3 running/running/1 | delete 200 | 0 404/nobody/0",
    ),
    "a deletion that flaps": (
        {**NO_END, "flaps": 1},
        f"{MADE} | delete 200 | 0 deleting/running/1 | 0 running/running/1",
    ),
    "a first deletion that does nothing": (
        {"deaf": 1, "hidden": 1.0},
        f"{MADE} | delete 200 | 0 404/running/1 | 1 running/running/1",
        "delete 200 | 0 404/nobody/0",
    ),
    "a deletion that hides": (
        {**NO_END, "hidden": 1.0, "hides_key": True},
        f"{MADE} | delete 200 | 0 404/nobody/1 | 1 running/running/1",
    ),
    "a worker that finishes": (
        {"boot": 5.0, "finishes": True},
        "provision 200 | 1 queued/queued/1 | delete 200 | 0 404/nobody/1 | 10 404/nobody/1",
        "delete 404 | 0 404/nobody/0",
    ),
    "a slow end": (
        {"deleting": 60.0, "keeps_row": True},
        f"{MADE} | delete 200 | 0 deleting/deleting/1 | left 0 | 60 404/running/0",
    ),
    "a row without a word": (
        {"keeps_row": True, "key_word": None, "key_words": False, "second_delete": 410},
        "provision 200 | 20 running/None/1 | delete 200 | 0 404/None/0 | delete 410",
    ),
    "a key that is lost": ({"loses_key": 0.0}, "provision 200 | 20 running/nobody/1"),
    "an outage": ({"outage": 5.0}, "provision 200 | delete 503 | status 503"),
    "a busy one": ({"busy_every": 2}, "provision 200 | status 429 | status 404"),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_a_manner_does(name: str) -> None:
    fields, *script = SCRIPTS[name]
    asking = Asking(**fields)
    for step in " | ".join(script).split(" | "):
        what, expected = step.split()
        told = asking.after(float(what)) if what.isdigit() else getattr(asking, what)()
        assert str(told) == expected, step


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
        assert asking.left() == (made or answered == 200)
        assert not made or answered == code
