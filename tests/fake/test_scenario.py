"""Each field of a scenario that is about instances, LLM events or trouble does what it says."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from uuid import UUID

import pytest
from fake_tools import SOMEBODY_ELSES, SPEC, Caller, Calling, HandClock

from pytest_hydrasmoke.fake import Scenario

NOT_FOUND = {"detail": "Instance not found"}
NO_ROW = {"found": False, "instance_id": None, "status": None}


def test_a_day_of_the_default_router(calling: Calling, clock: HandClock) -> None:
    caller = calling(llm_events_lag=Scenario().llm_events_lag)
    accepted = caller.provision().json()
    instance_id = accepted.pop("instance_id")
    assert accepted.keys() == {"idempotency_key", "task_id"}
    assert str(UUID(instance_id)) == instance_id
    of_one = "status chat llm_events delete status.* chat.* llm_events.* delete.*"
    assert caller.ask(f"poll.* {of_one}") == [NO_ROW, *[404] * 4, *[NOT_FOUND] * 4]

    for seconds, word in ((0.03, "queued"), (0.05, "provisioning"), (0.05, "booting")):
        clock.pass_by(seconds)
        one = {"id": instance_id, "hostname": None, "status": word}
        polled = {"found": True, "instance_id": instance_id, "status": word}
        assert caller.ask("poll.* status.* chat") == [polled, one, 409]
    clock.pass_by(0.05)
    hostname = f"smoke-{instance_id[:8]}.example"
    one = {"id": instance_id, "hostname": hostname, "status": "running"}
    assert caller.status(instance_id.upper()).json() == caller.ask("status.*")[0] == one

    assert "I" in caller.chat(instance_id).text
    counted = {"instance_id": instance_id, "count": 0, "providers": [], "window_seconds": 900}
    after = {**counted, "count": 1, "providers": ["anthropic"]}
    assert caller.ask("llm_events.* +0.2 llm_events.*") == [counted, after]

    gone = {"instance_id": instance_id, "status": "deleted"}
    assert caller.ask(f"delete.* poll.* {of_one}") == [
        *(gone, NO_ROW),
        *[404] * 4,
        *[NOT_FOUND] * 3,
        {"detail": "Instance already deleted"},
    ]


BOOT = {"row_after": 0, "statuses": ((0, "pending"), (10, "Up"), (20, "halt"), (30, "up"))}
FAILS = {"statuses": ((0, "queued"), (5, "provision_failed"))}
WRITTEN = {"statuses": ((0, "ruNNing"),), "ready_words": ("ruNNing",), "gone_word": "deleTed"}
CLEANED = {"gone_word": "deleting", "cleaned_word": "gone", "cleanup_after": 30}
ROW: dict[str, Any] = {"after_delete": "row"}
TWO = {"llm_events_per_turn": 2, "providers": ("openai", "anthropic", "openai")}
ENDLESS = 10**400
READY = "provision; +60; "
COUNT = "llm_events.count = "
CONFLICT = "This idempotency key belongs to another request"
# A scenario, and what a caller sees of it: `Caller.play`.
FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"provision_status": 201}, "provision = 201"),
    ({"provision_status": 202}, "provision = 202"),
    ({"provision_instance_id": "null"}, "provision.instance_id = None"),
    ({"provision_instance_id": "absent"}, "provision.instance_id = absent"),
    (
        {"second_key": "conflict"},
        f"provision; provision; another = 409; another.detail = {CONFLICT}",
    ),
    (
        {"quota": 1, "quota_status": 402},
        (
            f"{READY}provision/1 = 402; provision/1.detail = Quota of instances is used up; "
            "provision; delete; provision/1"
        ),
    ),
    ({"quota": 0}, "provision = 403"),
    ({"row_after": 300}, f"provision; +299; poll.* = {NO_ROW}; +1; poll.found = True"),
    (
        {"poll_before_row": "bare"},
        "provision; poll.* = {'found': False}; poll/1.* = {'found': False}",
    ),
    ({"poll_before_row": "404"}, f"provision; poll = 404; poll.* = {NOT_FOUND}; poll/1 = 404"),
    ({"row_after": math.inf}, "provision; +1000000000; poll.found = False; status = 404"),
    (
        {**BOOT, "ready_words": ["uP"]},
        (
            "provision; poll.status = pending; chat = 409; +10; poll.status = Up; chat; +10; "
            "poll.status = halt; chat = 409; +10; poll.status = up; chat"
        ),
    ),
    (FAILS, f"{READY}status.hostname = None; status.status = provision_failed; chat = 409"),
    (
        {**ROW, **WRITTEN},
        (
            f"{READY}poll.status = ruNNing; status.status = ruNNing; chat; "
            "delete.status = deleTed; status.status = deleTed"
        ),
    ),
    (
        {"not_ready_status": 425},
        "provision; +0.02; chat = 425; chat.detail = The agent is not ready",
    ),
    (
        {**ROW, "gone_word": "over"},
        f"{READY}delete; status.status = over; poll.status = over; chat = 404; llm_events = 404",
    ),
    (
        {**ROW, **CLEANED},
        f"{READY}delete.status = deleting; +29; status.status = deleting; +1; status.status = gone",
    ),
    ({"second_delete": 200}, f"{READY}delete.status = deleted; delete.status = deleted"),
    ({"second_delete": 410}, f"{READY}delete; delete = 410"),
    (TWO, f"{READY}chat; chat; {COUNT}4; llm_events.providers = ['anthropic', 'openai']"),
    (
        {"llm_events_per_turn": 0, "providers": ()},
        f"{READY}chat; {COUNT}0; llm_events.providers = []",
    ),
    (
        {"llm_events_lag": 7},
        f"{READY}chat; +6; {COUNT}0; +1; {COUNT}1; +900; {COUNT}1; +1; {COUNT}0",
    ),
    (
        {},
        (
            f"{READY}provision/1; +60; chat; llm_events/1.count = 0; llm_events@0.count = 1; "
            "llm_events@-1.count = 0; +5; llm_events@4.count = 0; llm_events@5.count = 1; "
            f"llm_events@{ENDLESS}.count = 1; llm_events@5.window_seconds = 5"
        ),
    ),
    (
        {"llm_events_per_turn": 2, "llm_events_lag": 1, "llm_events_gap": 2},
        f"{READY}chat; {COUNT}0; +1; {COUNT}1; +1; {COUNT}1; +1; {COUNT}2",
    ),
    (
        {"llm_events_per_turn": 2, "llm_events_lag": 1, "llm_events_gap": math.inf},
        f"{READY}chat; {COUNT}0; +1; {COUNT}1; +60; {COUNT}1",
    ),
    ({"trouble": "limited"}, "poll = 429; poll; poll = 429; provision = 429; reset; poll = 429"),
    ({"trouble": "limited", "trouble_every": 1}, "poll = 429; poll = 429"),
    ({"trouble": "unavailable", "trouble_every": 3}, "poll = 503; poll; poll; poll = 503"),
    # A chat is in trouble only where it is named, and then nothing else is.
    ({"trouble": "unavailable"}, f"provision = 503; {READY}chat"),
    (
        {"trouble": "unavailable", "trouble_calls": ("chat",)},
        f"{READY}chat = 503; chat; chat = 503; provision/1",
    ),
    ({"trouble": "dropped"}, "provision = lost; +60; poll = lost; poll.found = False"),
    ({"trouble": "lost"}, "provision = lost; +60; poll = lost; poll.found = True"),
]


@pytest.mark.parametrize(("fields", "script"), FIELDS)
def test_a_field_does_what_it_says(calling: Calling, fields: dict[str, Any], script: str) -> None:
    assert calling(**fields).play(script) == script


def test_the_same_key_is_the_same_instance(calling: Calling) -> None:
    caller = calling()
    first = caller.provision(agent_name="smoke")
    assert caller.provision(agent_name="other").json() == first.json()
    assert caller.provision("key-1").json()["instance_id"] != first.json()["instance_id"]
    one, two = caller.router.instances
    assert (one.idempotency_key, one.agent_name) == ("key-0", "smoke")
    assert (two.idempotency_key, two.agent_name) == ("key-1", None)
    assert {name: getattr(one, name) for name in SPEC} == SPEC


def test_what_is_seen_of_an_instance(calling: Calling, clock: HandClock) -> None:
    caller = calling(after_delete="row", row_after=5, cleanup_after=30)
    caller.provision()

    def seen(*names: str) -> tuple[object, ...]:
        [instance] = caller.router.instances
        return tuple(getattr(instance, name) for name in names)

    known = ("task", "child_rows", "cleanup", "ready", "hostname")
    assert seen(*known, "status") == ("running", (), None, False, None, None)
    clock.pass_by(5)
    name = f"smoke-{caller.router.instances[0].id[:8]}.example"
    child_rows = ("agent", "server", "dns_record")
    assert seen(*known, "status") == ("done", child_rows, None, False, None, "queued")
    clock.pass_by(60)
    assert caller.ask("status.hostname delete") == [name, 200]
    # The next row can have the name.
    assert seen(*known) == ("done", (), "running", False, f"{name}-deleted")
    clock.pass_by(30)
    assert seen("cleanup", "deleted", "deleted_at") == ("done", True, 1065)
    times = ("provisioned_at", "created_at", "ready_at")
    assert seen(*times) == (1000, 1005, 1005.15)
    never = calling(row_after=math.inf)
    never.provision()
    [instance] = never.router.instances
    assert (instance.created_at, instance.ready_at) == (None, None)


def test_what_is_refused_in_which_order(calling: Calling) -> None:
    """What breaks the contract before a token, a token before trouble, that before the instance."""
    right = calling(unauthorized_status=403, trouble="unavailable", trouble_every=1)
    assert right.provision(tier_id=None).status_code == 422
    for token in ("not-the-token", None):
        wrong = Caller(right.router, token)
        with wrong.http:
            if token is None:
                del wrong.http.headers["authorization"]
            calls = ("provision", "poll", "status", "chat", "llm_events", "delete")
            asked = " ".join(f"{call} {call}.*" for call in calls)
            assert wrong.ask(asked) == [403, {"detail": "Invalid or missing token"}] * 6
            assert wrong.status("no-uuid").status_code == 422
    assert right.router.instances == ()
    assert right.status(SOMEBODY_ELSES).status_code == 503
    # A fault on command comes before trouble.
    right.router.fail("poll", status=500)
    assert right.ask("poll poll") == [500, 503]


def test_retry_after_and_its_seconds(calling: Calling) -> None:
    def told(**fields: Any) -> str | None:
        retry_after: str | None = calling(**fields).provision().headers.get("retry-after")
        return retry_after

    assert told(trouble="limited") is None
    assert told(trouble="limited", retry_after="seconds", retry_after_seconds=7) == "7"
    date = told(trouble="unavailable", retry_after="date", retry_after_seconds=3600)
    assert date is not None
    seconds = (parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds()
    assert 3500 < seconds <= 3600
