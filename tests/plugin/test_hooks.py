"""The plugin's own hooks: what they explain, when they are called, and what is told of mistakes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from plugin_tools import ASYNCIO, Project

from pytest_hydrasmoke import RecordedTurn, _hookspecs
from pytest_hydrasmoke._plugin.recorder import edit_of
from pytest_hydrasmoke._recordings.format import NotWrittenError
from pytest_hydrasmoke.fake import FakeRouter, Scenario

TEXT = Scenario(row_after=0, statuses=((0, "running"),), runtime="text", terminal=False)


EXPLAINS = """
import json

def say(line):
    with open("log.txt", "a", encoding="utf-8") as log:
        print(line, file=log)

def pytest_hydra_smoke_chat_text(event):
    return "<said>" if "ready" in event.data else None

def pytest_hydra_smoke_chat_end(event):
    return True if "." in event.data else None

def pytest_hydra_smoke_instance_ready(instance):
    say(f"ready {instance.idempotency_key} {instance.status().status}")

def pytest_hydra_smoke_report(report):
    counts = {word: report.count(word) for word in ("deleted", "kept", "leaked")}
    first = report.instances[0] if report.instances else None
    more = (report.fake, first and (first.outcome, first.chats, first.statuses[0].word))
    say(f"report {report.run_id} {report.provisioned} {json.dumps(counts)} {more}")
"""
EXPLAINED = """
def test_chat(smoke_instance):
    turn = smoke_instance.chat("hello")
    assert "<said>" in turn.text
    assert turn.complete
"""


@pytest.fixture
def explaining(project: Project) -> Project:
    """A project whose conftest explains a runtime that the plugin does not know."""
    return project.suite("bare").write_all({"conftest.py": EXPLAINS, "test_hooks.py": EXPLAINED})


def log(project: Project) -> list[str]:
    file = project.path / "log.txt"
    return file.read_text("utf-8").splitlines() if file.exists() else []


def test_hooks_explain_another_runtime_and_follow_every_way_to_an_instance(
    explaining: Project, routing: Callable[[Scenario], FakeRouter]
) -> None:
    explaining.at(routing(TEXT), run_id="run").write(
        "test_it.py",
        "import pytest\n"
        "@pytest.mark.asyncio\n"
        "async def test_it(smoke_instance, smoke_instance_factory, async_smoke_instance_factory):\n"
        "    smoke_instance_factory()\n"
        "    await async_smoke_instance_factory()\n"
        "def test_many(smoke_instance_factory, smoke_instance):\n"
        "    smoke_instance_factory.many(1)\n",
    )
    explaining.live(*ASYNCIO, "test_hooks.py", "test_it.py", passed=3)
    *ready, report = log(explaining)
    assert sorted(ready) == [f"ready run-{slot} running" for slot in range(4)]
    counts = '{"deleted": 4, "kept": 0, "leaked": 0}'
    assert report == f"report run 4 {counts} (False, ('deleted', 1, 'running'))"


def test_of_a_run_that_is_off_nothing_is_reported_and_a_fake_one_says_what_it_is(
    explaining: Project,
) -> None:
    explaining.run(skipped=1)
    assert log(explaining) == []
    explaining.fake("-k", "unknown_key", "--hydra-smoke-run-id=run")
    assert log(explaining) == ['report run 0 {"deleted": 0, "kept": 0, "leaked": 0} (True, None)']


# Hooks that raise

ASKED = {
    "instance_ready": "instance",
    "new_conversation": "instance",
    "chat_text": "event",
    "chat_end": "event",
    "report": "report",
    "record": "turn",
}
"""The hooks, each with its argument; `RAISES` names the one that makes a mistake."""
RAISES = """
import os

def blunder(hook):
    if os.environ.get("RAISES") == hook:
        raise ZeroDivisionError(f"my own, in {hook}")
"""
for _hook, _it in ASKED.items():
    RAISES += f"""
def pytest_hydra_smoke_{_hook}({_it}):
    blunder("{_hook}")
    return {"turn" if _hook == "record" else None}
"""
IN_EACH_WAY = """
import pytest

@pytest.fixture(
    autouse=True,
    scope="session",
    params=["instance_ready", "new_conversation", "chat_text", "chat_end"],
)
def raises(request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAISES", request.param)
        yield

def test_chat(smoke_instance):
    smoke_instance.chat("hello")

def test_stream(smoke_instance):
    with smoke_instance.stream_chat("hello") as events:
        for _ in events:
            pass

@pytest.mark.anyio
async def test_async(async_smoke_instance):
    await async_smoke_instance.chat("hello")
"""
FRAMES = {
    "test_chat[{}]": "    smoke_instance.chat(",
    "test_stream[{}]": "    * events:",
    "test_async[{}-asyncio]": "    await async_smoke_instance.chat(",
    "test_async[{}-trio]": "    await async_smoke_instance.chat(",
}


def test_of_a_hook_that_raises_only_the_users_frames_are_shown(project: Project) -> None:
    project.suite("bare").write_all({"conftest.py": RAISES, "test_it.py": IN_EACH_WAY})
    result = project.fake("-p", "anyio.pytest_plugin", "--tb=short", "test_it.py")
    # The first test that chats needs no new conversation.
    result.assert_outcomes(errors=4, failed=11, passed=1)
    for hook in ("instance_ready", "new_conversation", "chat_text", "chat_end"):
        raises = [
            f"conftest.py:*: in pytest_hydra_smoke_{hook}",
            f'    blunder("{hook}")',
            "conftest.py:*: in blunder",
            "    raise ZeroDivisionError(*",
            f"E   ZeroDivisionError: my own, in {hook}",
        ]
        for test, line in [*FRAMES.items()][hook == "new_conversation" :]:
            title = test.format(hook).replace("[", "[[]")
            heads = [f"*_ {title} _*", f"test_it.py:*: in {test.partition('[')[0]}", f"{line}*"]
            if hook == "instance_ready":  # Each test asks for the instance, and so calls it again.
                heads = [f"*_ ERROR at setup of {title} _*"]
            result.says(*heads, *raises)
    shown = result.stdout.str().partition("= hydra-smoke =")[0]
    assert shown.count("E   ZeroDivisionError: my own, in") == 15
    assert not any(others in shown for others in ("pytest_hydrasmoke/", "pluggy/"))


def test_a_record_hook_that_raises_fails_the_run_and_a_report_hook_is_a_line(
    project: Project, router: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAISES", "report")
    project.suite("bare").at(router).write("conftest.py", RAISES)
    project.write("test_it.py", "def test_it(smoke_instance): smoke_instance.chat('hello')\n")
    reported = "hydra-smoke: the hook pytest_hydra_smoke_report failed at conftest.py:*: Zero*"
    result = project.live("test_it.py", ret=0)
    result.says("*provisioned 1, deleted 1, kept 0, leaked 0, unsure 0", reported)
    result.stdout.no_fnmatch_line("*Traceback*")
    monkeypatch.setenv("RAISES", "record")
    result = project.live("--hydra-smoke-record=recordings", "test_it.py", passed=1, failed=1)
    said = "pytest_hydra_smoke_record failed at conftest.py:*: ZeroDivisionError('my own, *"
    result.says("RECORDING: the recording of *", said)


# What the hook for recordings returns

TURN = RecordedTurn("test_it.py::test_it", 1, "Hello", "data: I am\n\n")


class Plugin:
    """Implements the hook: returns a value, or what a function makes of the turn."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def pytest_hydra_smoke_record(self, turn: RecordedTurn) -> Any:
        return self._value(turn) if callable(self._value) else self._value


def edited(*returned: Any) -> RecordedTurn | None:
    manager = pytest.PytestPluginManager()
    manager.add_hookspecs(_hookspecs)
    for value in returned:
        manager.register(Plugin(value))
    return edit_of(manager)(TURN)


def said(word: str) -> Any:
    return lambda turn: RecordedTurn(turn.owner, turn.run, turn.message + word, turn.text)


def test_implementations_see_a_turn_one_after_the_other() -> None:
    assert edited() is TURN
    changed = edited(said(" 1"), said(" 2"))
    assert changed is not None
    assert changed.message == "Hello 2 1"
    # One that returns nothing leaves it out.
    assert edited(said(" 1"), None) is edited(None, said(" 1")) is None


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (3, "returned 3: return the turn, with another message or text by dataclasses.replace"),
        (RecordedTurn(TURN.owner, 1, "", b""), "returned a turn whose text is b''"),  # type: ignore[arg-type]
        (RecordedTurn(TURN.owner, 1, "\ud800", ""), "returned a turn whose message can't be enc"),
        (RecordedTurn(TURN.owner, 2, "", ""), "returned a turn of another owner or run"),
        (lambda turn: 1 / 0, r"failed at \S*test_hooks.py:\d+: ZeroDivisionError"),
    ],
)
def test_what_one_returns_is_checked(value: Any, problem: str) -> None:
    with pytest.raises(NotWrittenError, match=f"pytest_hydra_smoke_record {problem}"):
        edited(value)
