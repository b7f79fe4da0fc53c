"""`chat_end` in runs of pytest: what one worker has seen of an end, another one knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from inner import only
from plugin_tools import Project, nothing_left, tampered

from pytest_hydrasmoke.fake import FakeRouter, Scenario

# Of named events nobody knows beforehand whether they tell their end.
NAMED = Scenario(row_after=0, statuses=((0, "running"),), runtime="named")
WAYS = {
    "alone": only(),
    "two workers": (*only("xdist"), "-p", "no:cacheprovider", "-n2", "--dist=loadgroup"),
}
CUT = "*ChatError: the reply was cut: its stream ended without a terminal event"


AUTO = ("auto", 2, "as an earlier turn of this instance had one (chat_end = auto)")


@pytest.mark.parametrize(
    ("way", "chat_end", "failed", "why"),
    [
        pytest.param("alone", *AUTO, id="auto alone"),
        # What an earlier turn told is known to the other worker too; the others ask for no turn.
        pytest.param("two workers", *AUTO, id="auto in two workers"),
        ("alone", "required", 2, "as the settings require (chat_end = required)"),
        ("alone", "optional", 0, None),
    ],
)
def test_an_instance_that_has_told_its_end_is_expected_to_tell_it_again(
    project: Project,
    routing: Callable[[Scenario], FakeRouter],
    way: str,
    chat_end: str,
    failed: int,
    why: str | None,
) -> None:
    router = routing(NAMED)

    def change(scope: Any, body: dict[str, Any]) -> None:
        if body.get("message") == "leaves none":
            router.break_stream("end", after_events=2)

    with tampered(router, change) as url:
        patient = {"ready_timeout": 60, "llm_events_timeout": 60, "delete_timeout": 60}
        project.suite("usage").at(url, run_id="run", chat_end=chat_end, **patient)
        result = project.pytester.runpytest_inprocess("--hydra-smoke", *WAYS[way], "test_ends.py")
    result.assert_outcomes(passed=3 - failed, failed=failed)
    if why is None:
        result.stdout.fnmatch_lines(["*note: a chat's stream ended without a terminal event"])
    else:
        told = [line for line in result.stdout.lines if line.startswith("E ")]
        assert sum(why in line for line in told) == failed
        result.stdout.fnmatch_lines([CUT])
    assert nothing_left(router)


def test_without_an_earlier_end_it_is_a_line(
    project: Project, routing: Callable[[Scenario], FakeRouter]
) -> None:
    router = routing(NAMED)
    router.break_stream("end", after_events=2)
    project.suite("usage").at(router, run_id="run")
    result = project.live("test_chats.py")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*note: a chat's stream ended without a terminal event"])
