"""Each field of a scenario that is about instances does what it says, over a real socket."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from fake_tools import SPEC, Caller, HandClock, seen

from pytest_hydrasmoke.fake import Scenario

Calling = Callable[..., Caller]
SOMEBODY_ELSES = "497f6eca-6276-4993-bfeb-53cbbbba6f08"
NOT_FOUND = (404, {"detail": "Instance not found"})


def test_a_day_of_the_default_router(calling: Calling, clock: HandClock) -> None:
    caller = calling(llm_events_lag=Scenario().llm_events_lag)
    status, accepted = seen(caller.provision())
    assert status == 200
    assert accepted.keys() == {"idempotency_key", "instance_id", "task_id"}
    instance_id = accepted["instance_id"]
    assert str(UUID(instance_id)) == instance_id
    assert seen(caller.poll()) == (200, {"found": False, "instance_id": None, "status": None})
    assert seen(caller.status(instance_id)) == NOT_FOUND
    assert seen(caller.chat(instance_id)) == NOT_FOUND
    assert seen(caller.llm_events(instance_id)) == NOT_FOUND
    assert seen(caller.delete(instance_id)) == NOT_FOUND

    words = []
    for seconds in (0.03, 0.05, 0.05, 0.05):
        clock.pass_by(seconds)
        answer = caller.poll().json()
        assert answer == {"found": True, "instance_id": instance_id, "status": answer["status"]}
        words.append(answer["status"])
        if answer["status"] != "running":
            assert caller.status(instance_id).json()["hostname"] is None
            assert caller.chat(instance_id).status_code == 409
    assert words == ["queued", "provisioning", "booting", "running"]
    hostname = caller.status(instance_id).json()["hostname"]
    assert caller.status(instance_id.upper()).json() == {
        "id": instance_id,
        "hostname": hostname,
        "status": "running",
    }

    assert "I" in caller.chat(instance_id).text
    counted = {"instance_id": instance_id, "count": 0, "providers": []}
    assert seen(caller.llm_events(instance_id)) == (200, {**counted, "window_seconds": 900})
    clock.pass_by(0.2)
    counted = {"instance_id": instance_id, "count": 1, "providers": ["anthropic"]}
    assert seen(caller.llm_events(instance_id)) == (200, {**counted, "window_seconds": 900})

    gone = {"instance_id": instance_id, "status": "deleted"}
    assert seen(caller.delete(instance_id)) == (200, gone)
    assert seen(caller.status(instance_id)) == NOT_FOUND
    assert seen(caller.chat(instance_id)) == NOT_FOUND
    assert seen(caller.llm_events(instance_id)) == NOT_FOUND
    assert seen(caller.poll()) == (200, {"found": False, "instance_id": None, "status": None})
    assert caller.delete(instance_id).status_code == 404


def test_provision_status_and_instance_id(calling: Calling) -> None:
    for status in (200, 201, 202):
        assert calling(provision_status=status).provision().status_code == status
    assert calling(provision_instance_id="null").provision().json()["instance_id"] is None
    assert "instance_id" not in calling(provision_instance_id="absent").provision().json()


def test_the_same_key_is_the_same_instance(calling: Calling) -> None:
    caller = calling()
    first = caller.provision(agent_name="smoke")
    assert caller.provision(agent_name="smoke").json() == first.json()
    assert caller.provision(agent_name="other").json() == first.json()
    assert caller.provision("key-1").json()["instance_id"] != first.json()["instance_id"]
    one, two = caller.router.instances
    assert (one.idempotency_key, one.agent_name) == ("key-0", "smoke")
    assert (two.idempotency_key, two.agent_name) == ("key-1", None)
    assert {name: getattr(one, name) for name in SPEC} == SPEC


def test_second_key_conflict(calling: Calling) -> None:
    caller = calling(second_key="conflict")
    first = caller.provision()
    assert caller.provision().json() == first.json()
    assert caller.provision(tier_id="other").status_code == 409
    assert len(caller.router.instances) == 1


def test_quota_and_quota_status(calling: Calling, clock: HandClock) -> None:
    caller = calling(quota=1, quota_status=402)
    instance_id = caller.ready(clock)
    assert seen(caller.provision("key-1")) == (402, {"detail": "Quota of instances is used up"})
    assert caller.provision().status_code == 200  # the same request once more
    caller.delete(instance_id)
    assert caller.provision("key-1").status_code == 200
    assert calling(quota=0).provision().status_code == 403


@pytest.mark.parametrize(
    ("shape", "answer"),
    [
        ("found_false", (200, {"found": False, "instance_id": None, "status": None})),
        ("bare", (200, {"found": False})),
        ("404", NOT_FOUND),
    ],
)
def test_poll_before_row(
    calling: Calling, clock: HandClock, shape: str, answer: tuple[int, Any]
) -> None:
    caller = calling(poll_before_row=shape, row_after=300)
    caller.provision()
    clock.pass_by(299)
    assert seen(caller.poll()) == answer
    assert seen(caller.poll("never heard of")) == answer
    clock.pass_by(1)
    assert caller.poll().json()["found"] is True


def test_a_row_that_never_appears(calling: Calling, clock: HandClock) -> None:
    caller = calling(row_after=math.inf)
    caller.provision()
    clock.pass_by(1e9)
    assert caller.poll().json()["found"] is False
    (instance,) = caller.router.instances
    assert (instance.status, instance.created_at, instance.ready_at) == (None, None, None)


def test_statuses_and_ready_words(calling: Calling, clock: HandClock) -> None:
    script: list[tuple[float, str]] = [(0, "pending"), (10, "Up"), (20, "rebooting"), (30, "up")]
    caller = calling(row_after=0, statuses=script, ready_words=["uP"])
    instance_id = caller.provision().json()["instance_id"]
    codes = []
    for _ in script:
        codes.append((caller.poll().json()["status"], caller.chat(instance_id).status_code))
        clock.pass_by(10)
    assert codes == [("pending", 409), ("Up", 200), ("rebooting", 409), ("up", 200)]
    (instance,) = caller.router.instances
    assert (instance.provisioned_at, instance.created_at, instance.ready_at) == (1000, 1000, 1010)


def test_a_boot_that_fails(calling: Calling, clock: HandClock) -> None:
    caller = calling(statuses=((0.0, "queued"), (5.0, "provision_failed")))
    instance_id = caller.ready(clock)
    assert caller.status(instance_id).json() == {
        "id": instance_id,
        "hostname": None,
        "status": "provision_failed",
    }
    assert caller.chat(instance_id).status_code == 409
    assert caller.router.instances[0].ready_at is None


@pytest.mark.parametrize(
    ("case", "word", "gone"),
    [
        ("as_written", "ruNNing", "deleTed"),
        ("lower", "running", "deleted"),
        ("upper", "RUNNING", "DELETED"),
        ("title", "Running", "Deleted"),
        ("mixed", "rUnNiNg", "dElEtEd"),
    ],
)
def test_status_case(calling: Calling, clock: HandClock, case: str, word: str, gone: str) -> None:
    caller = calling(
        status_case=case,
        statuses=((0, "ruNNing"),),
        ready_words=("ruNNing",),
        gone_word="deleTed",
        after_delete="row",
    )
    instance_id = caller.ready(clock)
    assert caller.poll().json()["status"] == caller.status(instance_id).json()["status"] == word
    assert caller.chat(instance_id).status_code == 200
    assert caller.delete(instance_id).json()["status"] == gone
    assert caller.status(instance_id).json()["status"] == gone


def test_early_hostname(calling: Calling, clock: HandClock) -> None:
    caller = calling(early_hostname=True, row_after=5)
    instance_id = caller.provision().json()["instance_id"]
    assert caller.router.instances[0].hostname is None
    clock.pass_by(5)
    early = caller.status(instance_id).json()
    assert early["status"] == "queued"
    assert early["hostname"]
    clock.pass_by(60)
    assert caller.status(instance_id).json()["hostname"] == early["hostname"]


def test_unauthorized_status(calling: Calling, clock: HandClock) -> None:
    right = calling(unauthorized_status=403)
    instance_id = right.ready(clock)
    wrong = Caller(right.router, token="not-the-token")
    with wrong.http:
        answers = [wrong.provision("key-1"), wrong.poll(), wrong.status(instance_id)]
        answers += [wrong.status(SOMEBODY_ELSES), wrong.chat(instance_id)]
        answers += [wrong.llm_events(instance_id), wrong.delete(instance_id)]
        del wrong.http.headers["authorization"]
        answers.append(wrong.poll())
        assert wrong.status("no-uuid").status_code == 422
    for answer in answers:
        assert seen(answer) == (403, {"detail": "Invalid or missing token"})
    (instance,) = right.router.instances
    assert not instance.deleted


def test_not_ready_status(calling: Calling) -> None:
    caller = calling(not_ready_status=425, row_after=0)
    instance_id = caller.provision().json()["instance_id"]
    assert seen(caller.chat(instance_id)) == (425, {"detail": "The agent is not ready"})


def test_after_delete_row(calling: Calling, clock: HandClock) -> None:
    caller = calling(after_delete="row", gone_word="terminated")
    instance_id = caller.ready(clock)
    hostname = caller.status(instance_id).json()["hostname"]
    caller.delete(instance_id)
    gone = caller.status(instance_id).json()
    assert gone["status"] == caller.poll().json()["status"] == "terminated"
    assert re.fullmatch(re.escape(hostname) + "-.+", gone["hostname"])
    assert caller.chat(instance_id).status_code == 404
    (instance,) = caller.router.instances
    assert (instance.deleted, instance.deleted_at) == (True, clock.now())


def test_cleanup_after_and_cleaned_word(calling: Calling, clock: HandClock) -> None:
    fields = {"after_delete": "row", "gone_word": "deleting", "cleaned_word": "deleted"}
    caller = calling(cleanup_after=30, status_case="upper", **fields)
    instance_id = caller.ready(clock)

    def stands() -> tuple[object, ...]:
        (instance,) = caller.router.instances
        answer = caller.status(instance_id).json()
        return answer["status"], instance.cleanup, instance.child_rows

    assert stands() == ("RUNNING", None, ("agent", "server", "dns_record"))
    assert caller.delete(instance_id).json()["status"] == "DELETING"
    assert stands() == ("DELETING", "running", ())
    clock.pass_by(29)
    assert stands() == ("DELETING", "running", ())
    clock.pass_by(1)
    assert stands() == ("DELETED", "done", ())


def test_workers_take_one_task_after_the_other(calling: Calling, clock: HandClock) -> None:
    caller = calling(workers=1, row_after=10, cleanup_after=5)
    for key in ("key-0", "key-1"):
        caller.provision(key)

    def tasks() -> list[str]:
        return [instance.task for instance in caller.router.instances]

    assert tasks() == ["running", "queued"]
    assert [instance.created_at for instance in caller.router.instances] == [1010, 1020]
    clock.pass_by(10)
    assert tasks() == ["done", "running"]
    caller.delete(caller.router.instances[0].id)
    assert caller.router.instances[0].cleanup == "queued"
    clock.pass_by(10)
    assert (tasks(), caller.router.instances[0].cleanup) == (["done", "done"], "running")
    clock.pass_by(5)
    assert caller.router.instances[0].cleanup == "done"
    caller.router.reset()
    caller.provision()
    assert tasks() == ["running"]


def test_a_task_that_never_ends_keeps_its_worker(calling: Calling, clock: HandClock) -> None:
    caller = calling(workers=2, row_after=math.inf)
    for number in range(3):
        caller.provision(f"key-{number}")
    clock.pass_by(1e9)
    assert [instance.task for instance in caller.router.instances] == [
        "running",
        "running",
        "queued",
    ]


@pytest.mark.parametrize("status", [200, 404, 410])
def test_second_delete(calling: Calling, clock: HandClock, status: int) -> None:
    caller = calling(second_delete=status)
    instance_id = caller.ready(clock)
    first = caller.delete(instance_id)
    second = caller.delete(instance_id)
    assert second.status_code == status
    assert status != 200 or second.json() == first.json()
