"""Each field of a scenario does what it says, over a real socket."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from fake_tools import SPEC, Caller, HandClock
from httpx_sse import EventSource, ServerSentEvent

from pytest_hydrasmoke.fake import FakeRouter, Scenario

Calling = Callable[..., Caller]
SOMEBODY_ELSES = "497f6eca-6276-4993-bfeb-53cbbbba6f08"
NOT_FOUND = (404, {"detail": "Instance not found"})


def seen(answer: httpx.Response) -> tuple[int, Any]:
    return answer.status_code, answer.json()


def told(caller: Caller, instance_id: str) -> list[ServerSentEvent]:
    with caller.stream(instance_id) as answer:
        assert answer.status_code == 200
        return list(EventSource(answer).iter_sse())


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
    script: list[tuple[float, str]] = [(0, "pending"), (10, "up"), (20, "rebooting"), (30, "up")]
    caller = calling(row_after=0, statuses=script, ready_words=["up"])
    instance_id = caller.provision().json()["instance_id"]
    codes = []
    for _ in script:
        codes.append((caller.poll().json()["status"], caller.chat(instance_id).status_code))
        clock.pass_by(10)
    assert codes == [("pending", 409), ("up", 200), ("rebooting", 409), ("up", 200)]
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


@pytest.mark.parametrize("fields", [{}, {"terminal": False, "keep_alive": True}], ids=str)
def test_runtime_reply_terminal_keep_alive_line_end(
    calling: Calling, clock: HandClock, fields: dict[str, Any]
) -> None:
    # Each runtime's frames, in every way to send them, are those of `test_runtimes.py`.
    caller = calling(runtime="named", reply="Ready, señor 🐙.", line_end="crlf", **fields)
    answer = caller.chat(caller.ready(clock))
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    events = list(EventSource(answer).iter_sse())
    assert answer.content.count(b": keep-alive\r\n\r\n") == (len(events) if fields else 0)
    assert "".join(event.data for event in events if event.event == "token") == "Ready, señor 🐙."
    assert (events[-1].event == "done") == (not fields)
    assert caller.llm_events(caller.router.instances[0].id).json()["count"] == 1


DEATHS = [
    ("error", 1, ["I"], "error"),
    ("cut", 2, ["I", " am"], "RemoteProtocolError"),
    ("end", 0, [], None),
    ("stall", 1, ["I"], "ReadTimeout"),
]


@pytest.mark.parametrize(("how", "after", "said", "last"), DEATHS)
def test_agent_dies(
    calling: Calling, clock: HandClock, how: str, after: int, said: list[str], last: str | None
) -> None:
    caller = calling(agent_dies=how, agent_dies_after=after, runtime="named")
    caller.http.timeout = httpx.Timeout(5, read=0.5)
    instance_id = caller.ready(clock)
    for _ in range(2):  # in every turn
        got: list[str | None] = []
        try:
            with caller.stream(instance_id) as answer:
                for event in EventSource(answer).iter_sse():
                    got.append(event.data if event.event == "token" else event.event)
        except (httpx.RemoteProtocolError, httpx.ReadTimeout) as error:
            got.append(type(error).__name__)
        assert got == [*said, *([] if last is None else [last])]
    assert caller.llm_events(instance_id).json()["count"] == 0
    caller.router.break_stream("end", after_events=3)  # what a test asks for comes first
    assert [event.data for event in told(caller, instance_id)] == ["I", " am", " ready"]


def test_first_event_after_and_event_pause(calling: Calling, clock: HandClock) -> None:
    caller = calling(first_event_after=30, event_pause=10, runtime="named", reply="one two")
    instance_id = caller.ready(clock)
    with caller.stream(instance_id) as answer:
        events = EventSource(answer).iter_sse()
        clock.pass_by(30)
        assert next(events).data == "one"
        clock.pass_by(9)
        clock.pass_by(1)
        assert next(events).data == " two"
        assert caller.llm_events(instance_id).json()["count"] == 0
        clock.pass_by(10)
        assert [event.event for event in events] == ["done"]
    assert caller.llm_events(instance_id).json()["count"] == 1


@pytest.mark.parametrize(("pause", "before"), [("first_event_after", []), ("event_pause", ["one"])])
def test_a_pause_is_one(calling: Calling, clock: HandClock, pause: str, before: list[str]) -> None:
    caller = calling(**{pause: 10}, runtime="named", reply="one two")
    instance_id = caller.ready(clock)
    caller.http.timeout = httpx.Timeout(5, read=0.1)
    with caller.stream(instance_id) as answer:
        events = EventSource(answer).iter_sse()
        assert [next(events).data for _ in before] == before
        clock.pass_by(9.9)
        with pytest.raises(httpx.ReadTimeout):
            next(events)


def test_llm_events_per_turn_providers_and_how_they_are_listed(
    calling: Calling, clock: HandClock
) -> None:
    providers: tuple[str, ...] = ("openai", "anthropic", "openai")
    for listed, expected in [
        ("sorted", ["anthropic", "openai"]),
        ("seen", ["openai", "anthropic"]),
        ("repeated", ["openai", "anthropic", "openai", "openai"]),
    ]:
        caller = calling(llm_events_per_turn=2, providers=providers, providers_listed=listed)
        instance_id = caller.ready(clock)
        caller.chat(instance_id)
        caller.chat(instance_id)
        answer = caller.llm_events(instance_id).json()
        assert (answer["count"], answer["providers"]) == (4, expected)
        assert [event.provider for event in caller.router.llm_events] == [*providers, "openai"]


def test_no_llm_events(calling: Calling, clock: HandClock) -> None:
    caller = calling(llm_events_per_turn=0, providers=())
    instance_id = caller.ready(clock)
    caller.chat(instance_id)
    answer = caller.llm_events(instance_id).json()
    assert (answer["count"], answer["providers"]) == (0, [])


def test_llm_events_lag_and_window(calling: Calling, clock: HandClock) -> None:
    caller = calling(llm_events_lag=7)
    instance_id = caller.ready(clock)
    other_id = caller.ready(clock, "key-1")
    caller.chat(instance_id)
    ended = clock.now()

    def count(window: int | None = None) -> int:
        answer = caller.llm_events(instance_id, window).json()
        assert answer["window_seconds"] == (900 if window is None else window)
        return int(answer["count"])

    clock.pass_by(6)
    assert count() == 0
    assert not caller.router.llm_events
    clock.pass_by(1)
    assert count() == count(0) == 1
    assert count(-1) == 0
    (event,) = caller.router.llm_events
    assert (event.instance_id, event.provider, event.at) == (instance_id, "anthropic", ended + 7)
    clock.pass_by(900)
    assert count() == 1
    clock.pass_by(1)
    assert count() == 0
    assert count(901) == count(10**400) == 1
    assert caller.llm_events(other_id).json()["count"] == 0


def test_llm_events_gap(calling: Calling, clock: HandClock) -> None:
    caller = calling(llm_events_per_turn=2, llm_events_lag=1, llm_events_gap=2)
    instance_id = caller.ready(clock)
    caller.chat(instance_id)
    counts = []
    for _ in range(4):
        counts.append(caller.llm_events(instance_id).json()["count"])
        clock.pass_by(1)
    assert counts == [0, 1, 1, 2]


TROUBLES: list[tuple[dict[str, Any], list[int]]] = [
    ({"trouble": "none"}, [200, 200, 200, 200]),
    ({"trouble": "limited"}, [429, 200, 429, 200]),
    ({"trouble": "limited", "trouble_every": 1}, [429, 429, 429, 429]),
    ({"trouble": "unavailable", "trouble_every": 3}, [503, 200, 200, 503]),
    ({"trouble": "unavailable", "trouble_calls": ["chat"]}, [200, 200, 200, 200]),
]


@pytest.mark.parametrize(("fields", "statuses"), TROUBLES, ids=str)
def test_trouble_every_and_its_calls(
    calling: Calling, fields: dict[str, Any], statuses: list[int]
) -> None:
    caller = calling(**fields)
    for _ in range(2):
        answers = [caller.provision(f"key-{number}") for number in range(4)]
        assert [answer.status_code for answer in answers] == statuses
        assert len(caller.router.instances) == statuses.count(200)
        assert all("retry-after" not in answer.headers for answer in answers)
        caller.router.reset()


def test_a_chat_is_in_trouble_only_where_it_is_named(calling: Calling, clock: HandClock) -> None:
    caller = calling(trouble="unavailable", trouble_calls=("chat",))
    instance_id = caller.ready(clock)
    assert [caller.chat(instance_id).status_code for _ in range(3)] == [503, 200, 503]
    spared = calling(trouble="unavailable")
    assert spared.provision().status_code == 503
    assert spared.chat(spared.ready(clock)).status_code == 200


def test_what_breaks_the_contract_is_refused_before_there_is_trouble(calling: Calling) -> None:
    caller = calling(trouble="unavailable", trouble_every=1)
    assert caller.provision(tier_id=None).status_code == 422
    assert caller.http.get("/instances/x", headers={"authorization": "x"}).status_code == 422
    assert caller.http.get("/instances/by-key/k", headers={"authorization": "x"}).status_code == 401


@pytest.mark.parametrize(("trouble", "made"), [("dropped", 0), ("lost", 1)])
def test_trouble_without_an_answer(calling: Calling, trouble: str, made: int) -> None:
    caller = calling(trouble=trouble)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        caller.provision()
    assert len(caller.router.instances) == made
    assert caller.provision().status_code == 200


def test_retry_after_and_its_seconds(calling: Calling) -> None:
    told_seconds = calling(trouble="limited", retry_after="seconds", retry_after_seconds=7)
    assert told_seconds.provision().headers["retry-after"] == "7"
    told_date = calling(trouble="unavailable", retry_after="date", retry_after_seconds=3600)
    date = parsedate_to_datetime(told_date.provision().headers["retry-after"])
    assert 3500 < (date - datetime.now(UTC)).total_seconds() <= 3600


def test_a_fault_on_command_comes_before_trouble(calling: Calling) -> None:
    caller = calling(trouble="unavailable")
    caller.router.fail("poll", status=500)
    assert [caller.poll().status_code for _ in range(3)] == [500, 503, 200]


def test_extra(calling: Calling, clock: HandClock) -> None:
    extra = {"api_version": 2, "links": {"self": None}}
    caller = calling(extra=extra)
    instance_id = caller.ready(clock)
    answers = [caller.provision(), caller.poll(), caller.status(instance_id)]
    answers += [caller.llm_events(instance_id), caller.delete(instance_id)]
    for answer in answers:
        assert extra.items() <= answer.json().items()
    assert seen(caller.status(SOMEBODY_ELSES)) == NOT_FOUND


GOOD = Scenario()
BAD: list[tuple[dict[str, Any], str]] = [
    ({"recordings": "x"}, "recordings can't be set: give their folder as the scenario"),
    ({"provision_status": 204}, "provision_status is 204; it may be 200, 201 or 202"),
    ({"runtime": "gooses"}, "runtime is 'gooses' (did you mean goose?); it may be 'openai', "),
    ({"terminal": 1}, "terminal is 1; it should be a valid boolean"),
    ({"row_after": -1}, "row_after is -1; it should be greater than or equal to 0"),
    ({"row_after": True}, "row_after is True; it should be a valid number"),
    ({"event_pause": "1"}, "event_pause is '1'; it should be a valid number"),
    ({"llm_events_lag": math.nan}, "llm_events_lag is nan; it should be greater"),
    ({"statuses": ()}, "statuses must start at 0 s"),
    ({"statuses": ((1, "running"),)}, "statuses must start at 0 s"),
    ({"statuses": ((0, "a"), (2, "b"), (1, "c"))}, "must be in order of time, not [0.0, 2.0, 1.0]"),
    ({"statuses": ((0, 7),)}, "statuses[0][1] is 7; it should be a valid string"),
    ({"statuses": (("0", "a"),)}, "statuses[0][0] is '0'; it should be a valid number"),
    ({"statuses": ("running",)}, "statuses[0] is 'running'; it should be a valid list"),
    ({"ready_words": "running"}, "ready_words is 'running'; it should be a valid list"),
    ({"providers": []}, "providers is empty, but a turn leaves LLM events: name one"),
    ({"llm_events_per_turn": True}, "llm_events_per_turn is True; it should be a valid integer"),
    ({"reply": None}, "reply is None; it should be a valid string"),
    ({"reply": "\ud800"}, "reply has half a surrogate pair, which no stream can hold"),
    ({"reply": ["x"]}, "reply is a text, not a list (did you mean [[replies]]?)"),
    ({"replies": None}, "replies is None; it should be a valid list"),  # more: `test_replies.py`
    ({"quota": -1}, "quota is -1; it should be greater than or equal to 0"),
    ({"workers": 1.5}, "workers is 1.5; it should be a valid integer"),
    ({"cleaned_word": 1}, "cleaned_word is 1; it should be a valid string"),
    ({"trouble_every": 0}, "trouble_every is 0; it should be greater than or equal to 1"),
    (
        {"trouble_calls": ["chats"]},
        "trouble_calls[0] is 'chats' (did you mean chat?); it may be 'provision', 'poll', ",
    ),
    ({"agent_dies": True}, "agent_dies is True; it may be 'never', 'error', 'cut', 'end' or "),
    ({"reply": 1, "row_after": -1}, "to 0; reply is 1; it should be a valid string"),
    ({"row_afer": 1, "nothing": 2}, "unknown key row_afer (did you mean row_after?); unknown key "),
    ({"extra": [1]}, "extra is [1]; it should be a valid dictionary"),
    ({"extra": {1: 2}}, "extra[1] is 1; it should be a valid string"),
    ({"extra": {"a": {1}}}, "extra is no JSON: "),
    ({"extra": {"a": math.nan}}, "extra is no JSON: "),
    ({"gone_word": ["x" * 1000]}, "gone_word is ['" + "x" * 98 + "; it should be"),
]


def test_what_a_scenario_can_not_mean() -> None:
    for fields, message in BAD:
        with pytest.raises(ValueError, match=re.escape(message)):
            Scenario(**fields)


def test_a_scenario_is_a_value() -> None:
    assert Scenario() == GOOD
    assert {GOOD, Scenario(extra={"a": 1}), Scenario(extra={"a": 1})} == {
        GOOD,
        Scenario(extra={"a": 1}),
    }
    with pytest.raises(dataclasses.FrozenInstanceError):
        GOOD.reply = "other"  # type: ignore[misc]
    plain = json.loads(json.dumps(dataclasses.asdict(GOOD)))
    assert Scenario(**plain) == GOOD
    assert dataclasses.replace(GOOD, reply="other").reply == "other"
    given = {"a": 1}
    kept = Scenario(extra=given)
    given["b"] = 2
    assert kept.extra == {"a": 1}


def test_every_field_is_named_in_these_tests() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    missing = [field.name for field in dataclasses.fields(Scenario) if field.name not in here]
    assert missing == []


def test_real_time_is_the_default() -> None:
    scenario = Scenario(row_after=0, statuses=((0, "running"),), event_pause=0.01, llm_events_lag=0)
    with FakeRouter(scenario) as router:
        caller = Caller(router)
        with caller.http:
            instance_id = caller.provision().json()["instance_id"]
            assert [event.data for event in told(caller, instance_id)][-1] == "[DONE]"
        assert router.llm_events[0].at <= router.clock.now()
