"""The plugin's own hooks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from plugin_tools import ASYNCIO, Project

from pytest_hydrasmoke.fake import FakeRouter, Scenario

TEXT = Scenario(row_after=0, statuses=((0, "running"),), runtime="text", terminal=False)


def log(project: Project) -> list[str]:
    file = project.path / "log.txt"
    return file.read_text("utf-8").splitlines() if file.exists() else []


def test_hooks_explain_another_runtime_and_follow_the_run(
    project: Project, routing: Callable[[Scenario], FakeRouter]
) -> None:
    project.suite("hooks").at(routing(TEXT), run_id="run")
    project.live("test_hooks.py").assert_outcomes(passed=1)
    assert log(project) == [
        "ready run-0 running",
        (
            'report run 1 {"deleted": 1, "kept": 0, "leaked": 0} '
            "(False, ('deleted', 1, 'running'))"
        ),
    ]
    # Without them, the same turn has no end.
    (project.path / "log.txt").unlink()
    project.write("conftest.py", "")
    project.live("test_hooks.py", "--hydra-smoke-run-id=next").assert_outcomes(failed=1)
    assert log(project) == []


def test_every_way_to_an_instance_calls_the_ready_hook(
    project: Project, router: FakeRouter
) -> None:
    project.suite("hooks").at(router, run_id="run")
    project.write(
        "test_it.py",
        "import pytest\n"
        "@pytest.mark.asyncio\n"
        "async def test_it(smoke_instance, smoke_instance_factory, async_smoke_instance_factory):\n"
        "    smoke_instance_factory()\n"
        "    await async_smoke_instance_factory()\n"
        "def test_many(smoke_instance_factory, smoke_instance):\n"
        "    smoke_instance_factory.many(1)\n",
    )
    project.live(*ASYNCIO, "test_it.py").assert_outcomes(passed=2)
    ready = [line for line in log(project) if line.startswith("ready")]
    assert sorted(ready) == [f"ready run-{slot} running" for slot in range(4)]


def test_implementing_hooks_while_switched_off_is_fine(project: Project) -> None:
    result = project.suite("hooks").run()
    result.assert_outcomes(skipped=1)
    assert log(project) == []


@pytest.mark.kill
def test_the_report_hook_is_called_once_in_the_main_process(
    project: Project, router: FakeRouter
) -> None:
    project.suite("hooks").at(router, run_id="run")
    project.write("test_more.py", "def test_more(smoke_instance): ...\n")
    result = project.run("-p", "xdist", "--hydra-smoke", "-n2", "--dist=each", "test_more.py")
    result.assert_outcomes(passed=2)
    # One run, whose workers share its instance.
    assert [instance.idempotency_key for instance in router.instances] == ["run-0"]
    [report] = [line for line in log(project) if line.startswith("report")]
    assert report.startswith('report run 1 {"deleted": 1, "kept": 0, "leaked": 0} (False, ')


def test_the_report_tells_a_fake_run(project: Project) -> None:
    project.suite("hooks").fake("-k", "unknown_key", "--hydra-smoke-run-id=run")
    assert log(project) == ['report run 0 {"deleted": 0, "kept": 0, "leaked": 0} (True, None)']


def test_the_report_counts_leaks(project: Project, router: FakeRouter) -> None:
    router.fail("delete", status=500, times=999)
    project.suite("hooks").at(router, run_id="run", delete_timeout=0.6)
    project.write("test_more.py", "def test_more(smoke_instance): ...\n")
    assert project.live("test_more.py").ret == pytest.ExitCode.TESTS_FAILED
    assert log(project)[-1].startswith('report run 1 {"deleted": 0, "kept": 0, "leaked": 1} ')


def test_a_report_hook_that_fails_is_a_line_and_no_verdict(
    project: Project, router: FakeRouter
) -> None:
    project.suite("hooks").at(router)
    project.write("conftest.py", "def pytest_hydra_smoke_report(report): raise OSError('full')\n")
    project.write("test_more.py", "def test_more(smoke_instance): ...\n")
    result = project.live("test_more.py")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "*provisioned 1, deleted 1, kept 0, leaked 0",
            "hydra-smoke: the hook pytest_hydra_smoke_report failed at conftest.py:1: OSError(*)",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


FRAMES = {
    "test_chat": "    smoke_instance.chat(",
    "test_stream": "    * events:",
    "test_async[asyncio]": "    await async_smoke_instance.chat(",
    "test_async[trio]": "    await async_smoke_instance.chat(",
}


@pytest.mark.parametrize("hook", ["instance_ready", "new_conversation", "chat_text", "chat_end"])
def test_of_a_hook_that_raises_only_the_users_frames_are_shown(
    project: Project, monkeypatch: pytest.MonkeyPatch, hook: str
) -> None:
    monkeypatch.setenv("RAISES", hook)
    suite = project.suite("raising_hooks")
    result = suite.fake("-p", "anyio.pytest_plugin", "--tb=short", "test_it.py")
    raises = [
        f"conftest.py:*: in pytest_hydra_smoke_{hook}",
        f'    blunder("{hook}")',
        "conftest.py:*: in blunder",
        "    raise ZeroDivisionError(*",
        f"E   ZeroDivisionError: my own, in {hook}",
    ]
    # The first test that chats needs no new conversation.
    failing = [*FRAMES.items()][hook == "new_conversation" :]
    for test, line in failing:
        title = test.replace("[", "[[]")
        heads = [f"*_ {title} _*", f"test_it.py:*: in {test.partition('[')[0]}", f"{line}*"]
        if hook == "instance_ready":  # Each test asks for the instance, and so calls it again.
            heads = [f"*_ ERROR at setup of {title} _*"]
        result.stdout.fnmatch_lines([*heads, *raises])
    shown = result.stdout.str().partition("= hydra-smoke =")[0]
    assert shown.count("E   ZeroDivisionError: my own, in") == len(failing)
    assert not any(others in shown for others in ("pytest_hydrasmoke/", "pluggy/"))


def test_a_record_hook_that_raises_is_shown_with_its_line(
    project: Project, router: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAISES", "record")
    project.suite("raising_hooks").at(router)
    result = project.live("--hydra-smoke-record=recordings", "test_it.py::test_chat")
    result.assert_outcomes(passed=1, failed=1)
    said = "pytest_hydra_smoke_record failed at conftest.py:*: ZeroDivisionError('my own, *"
    result.stdout.fnmatch_lines(["RECORDING: the recording of *", said])
