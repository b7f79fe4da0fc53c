"""A failed test's report shows its chat turns, wherever it is shown; and so do the run's files."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest
from plugin_tools import QUICK, Project, alone_or_workers

from pytest_hydrasmoke._base.pytest_internals import add_section
from pytest_hydrasmoke._journal.chat import Thought, Tokens, Tool, Turn
from pytest_hydrasmoke._report import turns
from pytest_hydrasmoke.fake import FakeRouter, Scenario
from pytest_hydrasmoke.fake.server import mount, unmount

TITLE = f"*- {turns.TITLE} -*"
SUITE = """
import pytest

@pytest.fixture
def greeted(smoke_instance):
    smoke_instance.chat("hello")
    yield smoke_instance
    smoke_instance.chat("bye")
    raise RuntimeError("at its end")

@pytest.fixture
def refused(smoke_instance):
    smoke_instance.chat("and in set-up?")
    raise RuntimeError("before it")

def test_passes(smoke_instance):
    smoke_instance.chat("not shown")

def test_call(greeted):
    turn = greeted.chat("and now?")
    assert "Mars" in turn.text

def test_set_up(refused): ...

def test_no_turn(smoke_instance):
    raise AssertionError("without a word")

@pytest.mark.flaky(reruns=1)
def test_again(smoke_instance):
    smoke_instance.chat("once more")
    raise AssertionError("again")
"""


@pytest.fixture
def project(project: Project) -> Project:
    """Nothing is counted here, and so no turn's usage need be waited for."""
    return project.set(usage_settle=0.01)


def frame(value: Any) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


def spoken(**delta: Any) -> bytes:
    return frame({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})


def tool(name: str, **arguments: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"tool_calls": [{"index": 0, "id": "a", "function": function}]}


AGENT = b"".join(
    [
        spoken(reasoning_content="They <b>ask</b> of Oslo."),
        spoken(content="I look. "),
        spoken(**tool("look", city="Oslo")),
        spoken(content="Cold."),
        frame({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
        frame({"choices": [], "usage": {"prompt_tokens": 70, "completion_tokens": 20}}),
        b"data: [DONE]\n\n",
    ]
)


@contextlib.contextmanager
def saying(router: FakeRouter, frames: bytes) -> Iterator[str]:
    """Serve a router whose agents send these frames; gives its URL."""

    async def gate(scope: Any, receive: Any, send: Any) -> None:
        async def swap(message: Any) -> None:
            if message["type"] == "http.response.body":
                last = not message.get("more_body", False)
                message = {**message, "body": frames if last else b""}
            await send(message)

        chat = scope["type"] == "http" and scope["path"].endswith("/chat")
        await router.app(scope, receive, swap if chat else send)

    place = mount(gate)
    try:
        yield place.url
    finally:
        unmount(place)


@alone_or_workers
def test_a_failed_test_shows_its_own_turns(
    project: Project, router: FakeRouter, workers: tuple[str, ...]
) -> None:
    router.scenario = QUICK
    project.write("test_it.py", SUITE)
    options = ("-p", "pytest_rerunfailures", "--junit-xml=junit.xml", "test_it.py", *workers)
    with saying(router, AGENT) as url:
        project.at(url, run_id="run")
        result = project.live(*options)
    result.assert_outcomes(passed=1, failed=3, errors=2)
    junit = ElementTree.fromstring((project.path / "junit.xml").read_text("utf-8"))
    told = {
        (case.get("name"), kind): (found.text or "")
        for case in junit.iter("testcase")
        for kind in ("failure", "error")
        for found in case.findall(kind)
    }
    called = told["test_call", "failure"]
    assert turns.TITLE in called
    shown = called.partition(turns.TITLE)[2].splitlines()[1:]
    assert [line for line in shown if not line.startswith("on run-0")] == [
        "  message: hello",
        "  thought: They <b>ask</b> of Oslo.",
        '  tool:    look({"city": "Oslo"})',
        "  reply:   I look. Cold.",
        "  finish:  stop",
        "  message: and now?",
        "  thought: They <b>ask</b> of Oslo.",
        '  tool:    look({"city": "Oslo"})',
        "  reply:   I look. Cold.",
        "  finish:  stop",
    ]
    assert shown[0].startswith("on run-0: 7 events in ")
    assert shown[0].endswith(", 70 + 20 tokens")
    assert "message: bye" in told["test_call", "error"], "a failure of teardown shows them too"
    assert "message: and in set-up?" in told["test_set_up", "error"]
    assert turns.TITLE not in told["test_no_turn", "failure"]
    assert told["test_again", "failure"].count("message: once more") == 1, "not the first attempt's"
    result.stdout.fnmatch_lines([TITLE, "  message: and now?"])
    result.stdout.no_fnmatch_line("*message: not shown")
    result.stdout.fnmatch_lines(["smoke tests: *; in the report: 7 chats, 630 tokens"])


def test_what_an_agent_did_is_in_every_file(project: Project, router: FakeRouter) -> None:
    router.scenario = QUICK
    project.write("test_it.py", "def test_it(smoke_instance):\n    smoke_instance.chat('hello')\n")
    with saying(router, AGENT) as url:
        project.at(url, run_id="run", budgets="tokens=89,gap=60,first_text=1e-9", report="always")
        result = project.live("test_it.py", "--junit-xml=junit.xml")
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        ["BUDGET: the run took 90 tokens, the limit is 89", "most of them on * (key run-0)"]
    )
    result.stdout.fnmatch_lines(
        ["BUDGET: first_text took *", "seen on * (key run-0), in test_it.py::test_it"]
    )
    [instance] = project.report()["instances"]
    [turn] = instance["turns"]
    assert turn["usage"] == instance["tokens"] == {"input_tokens": 70, "output_tokens": 20}
    [call] = turn["tool_calls"]
    assert (call["name"], call["arguments"], call["position"]) == ("look", '{"city": "Oslo"}', 8)
    assert [thought["text"] for thought in turn["thoughts"]] == ["They <b>ask</b> of Oslo."]
    page = project.left("report.html")
    steps = [page.index(it) for it in ("They &lt;b&gt;ask", "I look.", "&#34;Oslo&#34;", "Cold.")]
    assert steps == sorted(steps), "in their place in time"
    entries = json.loads(project.left("trace.har"))["log"]["entries"]
    [chat] = [it for it in entries if it["request"]["url"].endswith("/chat")]
    beside = json.loads(chat["response"]["comment"])
    assert beside["finish_reason"] == "stop"
    assert beside["tool_calls"][0]["name"] == "look"
    junit = (project.path / "junit.xml").read_text("utf-8")
    for name, value in {
        "input_tokens": "70",
        "output_tokens": "20",
        "tools": "look",
        "finish_reasons": "stop",
    }.items():
        assert f'name="hydra_smoke.instances.0.{name}" value="{value}"' in junit
    assert 'name="hydra_smoke.breaches.tokens.value" value="90"' in junit


@alone_or_workers
def test_turns_have_the_number_of_their_run(
    project: Project, router: FakeRouter, workers: tuple[str, ...]
) -> None:
    project.write(
        "test_it.py",
        "import itertools, pytest\n"
        "numbers = itertools.count(1)\n"
        "@pytest.fixture\n"
        "def around(smoke_instance):\n"
        "    smoke_instance.chat('before')\n"
        "    yield smoke_instance\n"
        "    smoke_instance.chat('after')\n"
        "@pytest.mark.hydra_smoke_runs(3, at_least=2)\n"
        "def test_repeated(around):\n"
        "    around.chat('again')\n"
        "    assert next(numbers) == 2\n"
        "def test_once(smoke_instance):\n"
        "    smoke_instance.chat('once')\n",
    )
    project.at(router, run_id="run", report="always")
    result = project.live(*workers, "test_it.py")
    result.assert_outcomes(passed=1, failed=1)
    shown = [it for it in result.outlines if it.startswith("on run-0")]
    assert [it.partition(":")[0] for it in shown] == [
        "on run-0",
        *(f"on run-0, run {number}" for number in (1, 2, 3)),
    ]
    [instance] = project.report()["instances"]
    assert [(it["message"], it["run"]) for it in instance["turns"]] == [
        ("before", None),
        *(("again", number) for number in (1, 2, 3)),
        ("after", None),
        ("once", None),
    ]
    assert "<code>test_it.py::test_repeated</code>, run 2</p>" in project.left("report.html")


def test_tokens_that_are_not_told_are_said(
    project: Project, routing: Callable[[Scenario], FakeRouter]
) -> None:
    router = routing(replace(QUICK, runtime="text"))
    project.write("test_it.py", "def test_it(smoke_instance):\n    smoke_instance.chat('hello')\n")
    result = project.at(router, run_id="run", budgets="tokens=1").live("test_it.py")
    assert result.ret == 0
    line = "hydra-smoke: budgets: tokens of 1 of 1 chats were not reported, and are not counted"
    result.stdout.fnmatch_lines([line])


def test_a_failure_without_a_traceback_has_its_section_all_the_same() -> None:
    report = pytest.TestReport("t", ("t", 1, "t"), {}, "failed", "in words", "call")
    add_section(report, turns.TITLE, "on run-0")
    assert report.sections == [(turns.TITLE, "on run-0")]


LEFT_OPEN = """
from conftest import streams

def test_leaves_it_open(smoke_instance_factory):
    stream = smoke_instance_factory().stream_chat("to be read later")
    streams.append(stream)
    stream.__enter__()
    assert next(iter(stream)).text == "something else"
"""
# The run's end is told before this one is.
CLOSES = """
streams = []

def pytest_unconfigure():
    streams[0].__exit__(None, None, None)
"""


def test_a_stream_that_nobody_ends_is_told_as_far_as_it_was_read(
    project: Project, router: FakeRouter
) -> None:
    router.scenario = QUICK
    project.write("conftest.py", CLOSES)
    project.write("test_it.py", LEFT_OPEN)
    result = project.at(router, run_id="run").live("test_it.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([TITLE, "on run-0: 1 event*", "  message: to be read later"])
    [turn] = [turn for it in project.report()["instances"] for turn in it["turns"]]
    assert (turn["message"], turn["events"], turn["complete"]) == ("to be read later", 1, False)


# --- the words -------------------------------------------------------------------------------


def story(**changes: Any) -> Turn:
    return Turn(1, "hello", **changes)


def shown(*stories: Turn, replies: bool = True) -> list[str]:
    return turns.section([("run-0", it) for it in stories], replies=replies).splitlines()


def test_a_turn_that_broke_off_is_told_with_its_error() -> None:
    assert shown(story(events=1, text="Hi\nthere", seconds=0.25, error="the stream was cut")) == [
        "on run-0: 1 event in 0.2 s, broke off",
        "  message: hello",
        "  reply:   Hi there",
        "  error:   the stream was cut",
    ]


def test_a_turn_without_an_end_or_a_text_is_told_as_that() -> None:
    assert shown(story()) == [
        "on run-0: 0 events, no terminal event",
        "  message: hello",
        "  reply:   (no text)",
    ]


def test_a_tools_arguments_and_result_are_told_as_far_as_they_are_known() -> None:
    calls = [
        Tool("look", None, None, "cold", 0.0, 0),
        *[Tool("wait", None, "{}", None, 0.0, 0)] * 10,
    ]
    told = shown(story(tool_calls=calls, complete=True))
    assert told[2:4] == ["  tool:    look(...) -> cold", "  tool:    wait({})"]
    assert told[-2:] == ["  tool:    1 more", "  reply:   (no text)"]


def test_it_is_bounded_and_commands_nobody() -> None:
    hostile = "\x1b[2J\n::error::boo ##[group]" + "x" * 9000
    calls = [Tool("look", None, hostile, hostile, 0.0, 0)] * 99
    thoughts = [Thought(hostile, 0.0, 0)] * 99
    it = story(
        text=hostile, finish_reason="stop", error=hostile, tool_calls=calls, thoughts=thoughts
    )
    told = shown(*[it] * 30)
    assert told[0] == "(20 earlier turns: see report.json)"
    text = "\n".join(told)
    assert len(text) < 80_000
    assert text.isprintable() or set(text) - {"\n"} == {c for c in text if c.isprintable()}
    assert "##[" not in text


def test_without_replies_no_word_is_told() -> None:
    calls = [Tool("look", None, "{}", "cold", 0.0, 0)]
    said = {"text": "so", "finish_reason": "stop", "error": "so"}
    thoughts = [Thought("so", 0.0, 0)]
    it = story(**said, tool_calls=calls, usage=Tokens(7, 2), thoughts=thoughts)
    assert shown(it, replies=False) == ["on run-0: 0 events, 7 + 2 tokens, broke off"]
