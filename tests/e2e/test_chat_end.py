"""`chat_end` in runs of pytest: what one worker has seen of an end, another one knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from inner import only
from plugin_tools import Project, Ran, nothing_left, tampered
from sizes import sampled

from pytest_hydrasmoke.fake import FakeRouter, Scenario

# Of named events nobody knows beforehand whether they tell their end.
NAMED = Scenario(row_after=0, statuses=((0, "running"),), runtime="named")
WAYS = {
    "alone": only(),
    "two workers": (*only("xdist"), "-p", "no:cacheprovider", "-n2", "--dist=loadgroup"),
}
WARNING = "hydra-smoke: WARNING: streams of chats ended without a terminal event, and so*"
CUT = "*ChatError: the reply was cut: its stream ended without a terminal event"


ENDS = """
import pytest

@pytest.mark.xdist_group("one")
def test_whole(smoke_instance):
    assert smoke_instance.chat("leaves one").complete

@pytest.mark.xdist_group("two")
def test_cut(takes):
    assert not takes("test_whole").chat("leaves none").complete

@pytest.mark.xdist_group("one")
def test_cut_by_hand(takes, smoke_client):
    instance = takes("test_cut")
    with smoke_client.stream_chat(instance.id, "leaves none") as events:
        assert list(events)
"""


@pytest.mark.parametrize("way", sampled("kill", WAYS, ["alone"]))
def test_an_instance_that_has_told_its_end_is_expected_to_tell_it_again(
    project: Project, routing: Callable[[Scenario], FakeRouter], way: str
) -> None:
    # What an earlier turn told is known to the other worker too.
    router = routing(NAMED)

    def change(scope: Any, body: dict[str, Any]) -> None:
        if body.get("message") == "leaves none":
            router.break_stream("end", after_events=2)

    with tampered(router, change) as url:
        patient = {"ready_timeout": 60, "llm_events_timeout": 60, "delete_timeout": 60}
        project.suite("usage").at(url, run_id="run", **patient).write("test_ends.py", ENDS)
        run = project.pytester.runpytest_inprocess
        result = Ran(run("--hydra-smoke", *WAYS[way], "test_ends.py"), passed=1, failed=2)
    why = "as an earlier turn of this instance had one (chat_end = auto)"
    told = [line for line in result.stdout.lines if line.startswith("E ")]
    assert sum(why in line for line in told) == 2
    result.says(CUT)
    assert nothing_left(router)


EACH = """
import pytest
@pytest.mark.parametrize("number", range(4))
def test_each(smoke_instance_factory, number):
    assert not smoke_instance_factory().chat("hello").complete
"""
COUNTS = """
def test_counts(smoke_instance):
    smoke_instance.chat("hello").expect_llm_events(timeout=0.1)
"""


@pytest.mark.parametrize(
    ("way", "chat_end"),
    [
        ("alone", "auto"),
        ("alone", "optional"),
        pytest.param("two workers", "auto", marks=pytest.mark.kill),
    ],
)
def test_without_an_earlier_end_it_is_one_warning_that_names_the_setting(
    project: Project, routing: Callable[[Scenario], FakeRouter], way: str, chat_end: str
) -> None:
    router = routing(NAMED)
    router.break_stream("end", after_events=2, times=4)
    project.suite("usage").at(router, run_id="run", usage_settle=0.1, chat_end=chat_end)
    project.write("test_each.py", EACH)
    run = project.pytester.runpytest_inprocess
    result = Ran(run("--hydra-smoke", *WAYS[way], "test_each.py"), passed=4)
    result.says("*note: a chat's stream ended without a terminal event")
    warned = [line for line in result.stdout.lines if "WARNING" in line]
    # Who says that no end is sent is not warned.
    assert len(warned) == (chat_end == "auto")
    told = 'if their runtime sends one, set chat_end = "required", else "optional"'
    assert not warned or warned[0].endswith(told)
    if warned:
        result.says(WARNING)


def test_a_failure_of_its_llm_events_tells_first_that_a_reply_may_have_been_cut(
    project: Project, routing: Callable[[Scenario], FakeRouter]
) -> None:
    router = routing(NAMED)
    router.break_stream("end", after_events=2)
    project.suite("usage").at(router, run_id="run", report_replies=False)
    project.write("test_counts.py", COUNTS)
    project.live("test_counts.py", failed=1).says(
        "E *LlmEventsError: the stream of the turn ended without a terminal event, and*",
        "E *expected: *at least 1 LLM event",
        "E *got: *0 (0 before the turn, 0 now), from no provider",
        "E *turn: *ended without a terminal event after 'I am', called no tool, and reported*",
        'E *next step: see whether its reply is whole: *chat_end = "required"*; else raise*',
    )
    # What an agent said is on the terminal, where pytest shows it anyway, and in no file.
    report = project.left("report.json")
    assert "ended without a terminal event" in report
    assert "I am" not in report
