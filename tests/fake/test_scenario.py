"""Each field of a scenario that is about instances, LLM events or trouble does what it says."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from uuid import UUID

import pytest
from fake_tools import SOMEBODY_ELSES, SPEC, Caller, HandClock

from pytest_hydrasmoke.fake import Scenario

Calling = Callable[..., Caller]
NOT_FOUND = {"detail": "Instance not found"}
NO_ROW = {"found": False, "instance_id": None, "status": None}
READY = "provision +60 "
COUNTS = "llm_events.count +1 "


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


SCRIPT = ((0, "pending"), (10, "Up"), (20, "rebooting"), (30, "up"))
CASES = [
    ("as_written", "ruNNing", "deleTed"),
    ("lower", "running", "deleted"),
    ("upper", "RUNNING", "DELETED"),
    ("title", "Running", "Deleted"),
    ("mixed", "rUnNiNg", "dElEtEd"),
]
WRITTEN = {"statuses": ((0, "ruNNing"),), "ready_words": ("ruNNing",), "gone_word": "deleTed"}
LISTED = [
    ("sorted", ["anthropic", "openai"]),
    ("seen", ["openai", "anthropic"]),
    ("repeated", ["openai", "anthropic", "openai", "openai"]),
]
TWO_TURNS = {"llm_events_per_turn": 2, "providers": ("openai", "anthropic", "openai")}
FOUR = "provision provision/1 provision/2 provision/3 "
CLEANED = {"gone_word": "deleting", "cleaned_word": "deleted", "cleanup_after": 30}
MORE = {"self": None}
WINDOWS = "llm_events@0.count llm_events@-1.count +5 llm_events@4.count llm_events@5.count"
WINDOWS += f" llm_events@{10**400}.count llm_events@5.window_seconds"
# A scenario, the steps of a caller, and the answers: those to what is not looked at are 200.
FIELDS: list[tuple[dict[str, Any], str, list[Any]]] = [
    ({"provision_status": 201}, "provision", [201]),
    ({"provision_status": 202}, "provision", [202]),
    ({"provision_instance_id": "null"}, "provision.instance_id", [None]),
    ({"provision_instance_id": "absent"}, "provision.instance_id", ["absent"]),
    (
        {"second_key": "conflict"},
        "provision provision another another.*",
        [200, 200, 409, {"detail": "This idempotency key belongs to another request"}],
    ),
    (
        {"quota": 1, "quota_status": 402},
        f"{READY} provision/1 provision/1.* provision delete provision/1",
        [200, 402, {"detail": "Quota of instances is used up"}, 200, 200, 200],
    ),
    ({"quota": 0}, "provision", [403]),
    ({"row_after": 300}, "provision +299 poll.* +1 poll.found", [200, NO_ROW, True]),
    ({"poll_before_row": "bare"}, "provision poll.* poll/1.*", [200, *[{"found": False}] * 2]),
    ({"poll_before_row": "404"}, "provision poll poll.* poll/1", [200, 404, NOT_FOUND, 404]),
    ({"row_after": math.inf}, "provision +1000000000 poll.found status", [200, False, 404]),
    (
        {"row_after": 0, "statuses": SCRIPT, "ready_words": ["uP"]},
        "provision" + " poll.status chat +10" * 4,
        [200, "pending", 409, "Up", 200, "rebooting", 409, "up", 200],
    ),
    (
        {"statuses": ((0, "queued"), (5, "provision_failed"))},
        f"{READY} status.hostname status.status chat",
        [200, None, "provision_failed", 409],
    ),
    *(
        (
            {"status_case": case, "after_delete": "row", **WRITTEN},
            f"{READY} poll.status status.status chat delete.status status.status",
            [200, word, word, 200, gone, gone],
        )
        for case, word, gone in CASES
    ),
    (
        {"not_ready_status": 425},
        "provision +0.02 chat chat.*",
        [200, 425, {"detail": "The agent is not ready"}],
    ),
    (
        {"after_delete": "row", "gone_word": "terminated"},
        f"{READY} delete status.status poll.status chat llm_events",
        [200, 200, "terminated", "terminated", 404, 404],
    ),
    (
        {"after_delete": "row", "status_case": "upper", **CLEANED},
        f"{READY} delete.status status.status +29 status.status +1 status.status delete",
        [200, "DELETING", "DELETING", "DELETING", "DELETED", 404],
    ),
    ({"second_delete": 200}, f"{READY} delete.status delete.status", [200, "deleted", "deleted"]),
    ({"second_delete": 410}, f"{READY} delete delete", [200, 200, 410]),
    *(
        (
            {"providers_listed": listed, **TWO_TURNS},
            f"{READY} chat chat llm_events.count llm_events.providers",
            [200, 200, 200, 4, expected],
        )
        for listed, expected in LISTED
    ),
    (
        {"llm_events_per_turn": 0, "providers": ()},
        f"{READY} chat llm_events.count llm_events.providers",
        [200, 200, 0, []],
    ),
    (
        {},
        f"{READY} provision/1 +60 chat/1 llm_events.count llm_events/1.count",
        [200, 200, 200, 0, 1],
    ),
    (
        {"llm_events_lag": 7},
        f"{READY} provision/1 +60 chat +6 {COUNTS} {COUNTS} +899 {COUNTS} {COUNTS}",
        [200, 200, 200, 0, 1, 1, 0],
    ),
    (
        {},
        f"{READY} chat {WINDOWS}",
        [200, 200, 1, 0, 0, 1, 1, 5],
    ),
    (
        {"llm_events_per_turn": 2, "llm_events_lag": 1, "llm_events_gap": 2},
        f"{READY} chat {COUNTS * 4}",
        [200, 200, 0, 1, 1, 2],
    ),
    ({"trouble": "none"}, FOUR, [200] * 4),
    ({"trouble": "limited"}, f"{FOUR} reset provision", [429, 200, 429, 200, 429]),
    ({"trouble": "limited", "trouble_every": 1}, FOUR, [429] * 4),
    ({"trouble": "unavailable", "trouble_every": 3}, FOUR, [503, 200, 200, 503]),
    # A chat is in trouble only where it is named, and then nothing else is.
    ({"trouble": "unavailable"}, f"provision {READY} chat", [503, 200, 200]),
    (
        {"trouble": "unavailable", "trouble_calls": ("chat",)},
        f"{READY} chat chat chat provision/1",
        [200, 503, 200, 503, 200],
    ),
    ({"trouble": "dropped"}, f"{READY} poll poll.found", ["lost", "lost", False]),
    ({"trouble": "lost"}, f"{READY} poll poll.found", ["lost", "lost", True]),
    (
        {"extra": {"more": MORE}},
        "provision.more +60 poll.more status.more llm_events.more delete.more status.more",
        [*[MORE] * 5, "absent"],
    ),
]


@pytest.mark.parametrize(("fields", "steps", "answers"), FIELDS)
def test_a_field_does_what_it_says(
    calling: Calling, fields: dict[str, Any], steps: str, answers: list[Any]
) -> None:
    assert calling(**fields).ask(steps) == answers


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
    caller = calling(early_hostname=True, after_delete="row", row_after=5, cleanup_after=30)
    caller.provision()

    def seen(*names: str) -> tuple[object, ...]:
        [instance] = caller.router.instances
        return tuple(getattr(instance, name) for name in names)

    known = ("task", "child_rows", "cleanup", "ready", "hostname")
    assert seen(*known, "status") == ("running", (), None, False, None, None)
    clock.pass_by(5)
    early = f"smoke-{caller.router.instances[0].id[:8]}.example"
    child_rows = ("agent", "server", "dns_record")
    assert seen(*known, "status") == ("done", child_rows, None, False, early, "queued")
    clock.pass_by(60)
    assert caller.ask("status.hostname delete") == [early, 200]
    # The next row can have the name.
    assert seen(*known) == ("done", (), "running", False, f"{early}-deleted")
    clock.pass_by(30)
    assert seen("cleanup", "deleted", "deleted_at") == ("done", True, 1065)
    times = ("provisioned_at", "created_at", "ready_at")
    assert seen(*times) == (1000, 1005, 1005.15)
    never = calling(row_after=math.inf)
    never.provision()
    [instance] = never.router.instances
    assert (instance.created_at, instance.ready_at) == (None, None)


def test_workers_take_one_task_after_the_other(calling: Calling, clock: HandClock) -> None:
    caller = calling(workers=1, row_after=10, cleanup_after=5)
    caller.ask("provision provision/1")

    def tasks() -> list[object]:
        seen = caller.router.instances
        return [*(instance.task for instance in seen), seen[0].cleanup]

    assert tasks() == ["running", "queued", None]
    assert [instance.created_at for instance in caller.router.instances] == [1010, 1020]
    clock.pass_by(10)
    assert tasks() == ["done", "running", None]
    caller.ask("delete")
    assert tasks() == ["done", "running", "queued"]
    clock.pass_by(10)
    assert tasks() == ["done", "done", "running"]
    clock.pass_by(5)
    assert tasks() == ["done", "done", "done"]
    caller.ask("reset provision")
    assert tasks() == ["running", None]
    # One that never ends keeps its worker.
    endless = calling(workers=2, row_after=math.inf)
    endless.ask(f"{FOUR} +1000000000")
    told = [instance.task for instance in endless.router.instances]
    assert told == ["running", "running", "queued", "queued"]


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
