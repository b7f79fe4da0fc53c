"""What a report tells of its tests: what became of each, its instances, and its chat turns."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest
from gates import saying
from plugin_tools import QUICK, Project, alone_or_workers

from pytest_hydrasmoke._base.pytest_internals import add_section
from pytest_hydrasmoke._journal.chat import Thought, Tokens, ToldCall, Turn
from pytest_hydrasmoke._report import turns
from pytest_hydrasmoke.fake import FakeRouter, Scenario

SUITE = """
import itertools
import pytest

numbers = itertools.count(1)

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

@pytest.fixture(scope="module")
def another(smoke_instance_factory):
    with smoke_instance_factory() as it:
        yield it

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

@pytest.mark.skip
def test_skips(smoke_instance): ...

def test_two(smoke_instance, another):
    another.chat("who else?")

def test_plain(tmp_path): ...

@pytest.mark.hydra_smoke_runs(3, at_least=2)
def test_repeated(smoke_instance):
    smoke_instance.chat("again")
    assert next(numbers) == 2

def test_none_while_another_ends(smoke_client): ...
"""
TESTS = [
    ("passes", "passed", ["run-0"], None, None),
    ("call", "failed", ["run-0"], None, None),
    ("set_up", "error", ["run-0"], None, None),
    ("no_turn", "failed", ["run-0"], None, None),
    ("again", "failed", ["run-0"], None, None),
    ("skips", "skipped", [], None, None),
    ("two", "passed", ["run-0", "run-1"], None, None),
    ("repeated", "failed", ["run-0"], 3, 1),
    ("none_while_another_ends", "passed", [], None, None),
]
TURNS = [
    ("passes", "not shown", None),
    *(("call", message, None) for message in ("hello", "and now?", "bye")),
    ("set_up", "and in set-up?", None),
    *(("again", "once more", None) for _ in range(2)),
    *(("repeated", "again", number) for number in (1, 2, 3)),
    ("two", "who else?", None),
]


def frame(value: Any) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


def spoken(**delta: Any) -> bytes:
    return frame({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})


LOOK = {"name": "look", "arguments": json.dumps({"city": "Oslo"})}
AGENT = b"".join(
    [
        spoken(reasoning_content="They <b>ask</b> of Oslo."),
        spoken(content="I look. "),
        spoken(tool_calls=[{"index": 0, "id": "a", "function": LOOK}]),
        spoken(content="Cold."),
        frame({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
        frame({"choices": [], "usage": {"prompt_tokens": 70, "completion_tokens": 20}}),
        b"data: [DONE]\n\n",
    ]
)
SHOWN = [
    "  thought: They <b>ask</b> of Oslo.",
    '  tool:    look({"city": "Oslo"})',
    "  reply:   I look. Cold.",
    "  finish:  stop",
]


@alone_or_workers
def test_what_agents_did_is_in_every_file_and_in_the_failures_of_their_tests(
    project: Project, router: FakeRouter, workers: tuple[str, ...]
) -> None:
    project.set(usage_settle=0.01).write("test_it.py", SUITE)
    options = ("-p", "pytest_rerunfailures", "--junit-xml=junit.xml", *workers)
    with saying(router, AGENT) as url:
        project.at(url, run_id="run", budgets="tokens=89,gap=60,first_text=1e-9")
        result = project.live(*options, "test_it.py")
    result.assert_outcomes(passed=4, failed=4 + 2, errors=2, skipped=1)

    report = project.report()
    assert [
        (it["id"][17:], it["outcome"], it["instances"], it["runs"], it["passed"])
        for it in report["tests"]
    ] == TESTS
    assert report["tests"][0]["seconds"] > 0
    assert [
        (it["test"][17:], it["message"], it["run"])
        for instance in report["instances"]
        for it in instance["turns"]
    ] == TURNS
    assert {
        it["idempotency_key"]: [name[17:] for name in it["tests"]] for it in report["instances"]
    } == {key: [test for test, _, used, *_ in TESTS if key in used] for key in ("run-0", "run-1")}
    failures = [it for one in report["instances"] for it in one["failures"]]
    of_reruns = [it["cured"] for it in failures if it["test"].endswith("again")]
    assert of_reruns == [False, False]
    [turn] = report["instances"][1]["turns"]
    usage = {"input_tokens": 70, "output_tokens": 20}
    assert turn["usage"] == report["instances"][1]["tokens"] == usage
    [call] = turn["tool_calls"]
    assert (call["name"], call["arguments"], call["position"]) == ("look", '{"city": "Oslo"}', 8)
    assert [thought["text"] for thought in turn["thoughts"]] == ["They <b>ask</b> of Oslo."]

    junit = ElementTree.fromstring((project.path / "junit.xml").read_text("utf-8"))
    told = {
        (case.get("name"), kind): (found.text or "")
        for case in junit.iter("testcase")
        for kind in ("failure", "error")
        for found in case.findall(kind)
    }
    called = told["test_call", "failure"]
    shown = called.partition(turns.TITLE)[2].splitlines()[1:]
    assert [line for line in shown if not line.startswith("on run-0")] == [
        *("  message: hello", *SHOWN, "  message: and now?", *SHOWN),
    ]
    assert shown[0].startswith("on run-0: 7 events in ")
    assert shown[0].endswith(", 70 + 20 tokens")
    assert "message: bye" in told["test_call", "error"], "a failure of teardown shows them too"
    assert "message: and in set-up?" in told["test_set_up", "error"]
    assert turns.TITLE not in told["test_no_turn", "failure"]
    assert told["test_again", "failure"].count("message: once more") == 1, "not the first attempt's"
    runs = [line.partition(":")[0] for line in told["test_repeated", "failure"].splitlines()]
    assert [it for it in runs if it.startswith("on run")] == [
        f"on run-0, run {number}" for number in (1, 2, 3)
    ]
    values = {it.get("name"): it.get("value") for it in junit.iter("property")}
    facts = {"input_tokens": "70", "output_tokens": "20", "tools": "look", "finish_reasons": "stop"}
    assert {name: values[f"hydra_smoke.instances.1.{name}"] for name in facts} == facts
    assert values["hydra_smoke.breaches.tokens.value"] == "990"

    result.says(f"*- {turns.TITLE} -*", "  message: and now?")
    result.stdout.no_fnmatch_line("*message: not shown")
    result.says("smoke tests: *; in the report: 11 chats, 990 tokens")
    tokens = "BUDGET: the run took 990 tokens, the limit is 89"
    result.says(tokens, "most of them on * (key run-0)")
    first_text = "BUDGET: first_text took *"
    result.says(first_text, "seen on * (key run-?), in test_it.py::test_*")

    page = project.left("report.html")
    last = page[page.rindex("They &lt;b&gt;ask") :]
    steps = [last.index(it) for it in ("They", "I look.", "&#34;Oslo&#34;", "Cold.")]
    assert steps == sorted(steps), "in their place in time"
    assert "<code>test_it.py::test_repeated</code>, run 2</p>" in page


def test_tokens_that_are_not_told_are_said(
    project: Project, routing: Callable[[Scenario], FakeRouter]
) -> None:
    router = routing(replace(QUICK, runtime="text"))
    project.write("test_it.py", "def test_it(smoke_instance):\n    smoke_instance.chat('hello')\n")
    result = project.at(router, run_id="run", budgets="tokens=1").live("test_it.py", ret=0)
    line = "hydra-smoke: budgets: tokens of 1 of 1 chats were not reported, and are not counted"
    result.says(line)


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
    project.write("conftest.py", CLOSES)
    project.write("test_it.py", LEFT_OPEN)
    result = project.at(router, run_id="run").live("test_it.py", failed=1)
    title = f"*- {turns.TITLE} -*"
    result.says(title, "on run-0: 1 event*", "  message: to be read later")
    [turn] = [turn for it in project.report()["instances"] for turn in it["turns"]]
    assert (turn["message"], turn["events"], turn["complete"]) == ("to be read later", 1, False)


# The words of a turn

LOOKED = ToldCall("look", None, None, "cold", 0.0, 0)
WAITED = ToldCall("wait", None, "{}", None, 0.0, 0)
CUT = {"text": "Hi\nthere", "seconds": 0.25, "error": "the stream was cut"}
WORDS: list[tuple[dict[str, Any], list[str]]] = [
    (
        {"events": 1, **CUT},
        ["1 event in 0.2 s, broke off", "  reply:   Hi there", "  error:   the stream was cut"],
    ),
    ({}, ["0 events, no terminal event", "  reply:   (no text)"]),
    (
        {"tool_calls": [LOOKED, *[WAITED] * 10], "complete": True},
        [
            "0 events",
            "  tool:    look(...) -> cold",
            *(["  tool:    wait({})"] * 9),
            "  tool:    1 more",
            "  reply:   (no text)",
        ],
    ),
]


def shown(*stories: Turn, replies: bool = True) -> list[str]:
    return turns.section([("run-0", it) for it in stories], replies=replies).splitlines()


@pytest.mark.parametrize(("facts", "lines"), WORDS)
def test_a_turn_in_words(facts: dict[str, Any], lines: list[str]) -> None:
    first, *more = lines
    assert shown(Turn(1, "hello", **facts)) == [f"on run-0: {first}", "  message: hello", *more]


def test_words_are_bounded_command_nobody_and_may_be_left_out() -> None:
    hostile = "\x1b[2J\n::error::boo ##[group]" + "x" * 9000
    said = {"text": hostile, "finish_reason": "stop", "error": hostile}
    calls = [ToldCall("look", None, hostile, hostile, 0.0, 0)] * 99
    thoughts = [Thought(hostile, 0.0, 0)] * 99
    it = Turn(1, "hello", **said, tool_calls=calls, thoughts=thoughts, usage=Tokens(7, 2))
    told = shown(*[it] * 30)
    assert told[0] == "(20 earlier turns: see report.json)"
    text = "\n".join(told)
    assert len(text) < 80_000
    assert set(text) - {"\n"} == {c for c in text if c.isprintable()}
    assert "##[" not in text
    assert shown(it, replies=False) == ["on run-0: 0 events, 7 + 2 tokens, broke off"]
    # A failure without a traceback has its section all the same.
    report = pytest.TestReport("t", ("t", 1, "t"), {}, "failed", "in words", "call")
    add_section(report, turns.TITLE, "on run-0")
    assert report.sections == [(turns.TITLE, "on run-0")]
