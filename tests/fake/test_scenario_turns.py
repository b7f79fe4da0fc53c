"""Each field of a scenario that is about turns, and about trouble, does what it says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest
from fake_tools import Caller, HandClock, seen, told
from httpx_sse import EventSource

Calling = Callable[..., Caller]
SOMEBODY_ELSES = "497f6eca-6276-4993-bfeb-53cbbbba6f08"
NOT_FOUND = (404, {"detail": "Instance not found"})


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
