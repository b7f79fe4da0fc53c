"""Recording a live run: which files there are, what is in them, and what the summary says."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from plugin_tools import QUICK, Project, nothing_left, problems

from pytest_hydrasmoke import RecordedTurn
from pytest_hydrasmoke._plugin.record_hook import edit_of
from pytest_hydrasmoke._plugin.recorder_notes import UNWRITTEN, Notes
from pytest_hydrasmoke._run.taped import NotWrittenError
from pytest_hydrasmoke.fake import FakeRouter, Scenario

SUITE = """
    import pytest
    from pytest_hydrasmoke import ChatError, NotFoundError

    def test_shared(smoke_instance):
        smoke_instance.chat("Are you ready?").expect_llm_events()
        smoke_instance.chat("And now?")

    @pytest.mark.parametrize("language", ["de"])
    def test_own(smoke_instance_factory, wide, language):
        with smoke_instance_factory() as one, smoke_instance_factory() as other:
            with one.stream_chat("Hello") as events:
                next(events)
            other.chat("Hello")
            one.chat("Bye")
            wide.chat("Hello")

    @pytest.mark.hydra_smoke_runs(2)
    def test_twice(smoke_client, wide):
        with smoke_client.stream_chat(wide.id, "By its id") as events:
            assert list(events)

    def test_refused(smoke_instance_factory):
        with smoke_instance_factory() as one:
            one.delete()
            with pytest.raises(NotFoundError):
                one.chat("Are you there?")

    def test_provisions(smoke_client, smoke_spec, run_id):
        smoke_client.provision(smoke_spec, run_id)
        found = smoke_client.poll(run_id).instance_id
        with smoke_client.stream_chat(found, "Mine") as events:
            assert list(events)
        smoke_client.delete(found)

    def test_fails(wide):
        wide.chat("What is it?")
        raise AssertionError
"""
CONFTEST = """
    import pytest

    @pytest.fixture
    def run_id(smoke_config):
        return smoke_config.run_id

    @pytest.fixture(scope="session")
    def wide(smoke_instance_factory):
        instance = smoke_instance_factory()
        instance.chat("In a fixture")
        yield instance
        instance.chat("At its end")

    def pytest_hydra_smoke_instance_ready(instance):
        if instance.idempotency_key.endswith(("-0", "-1")):
            instance.chat("In the hook")
"""
RECORD = ("--hydra-smoke-record", "recordings")


def recorded(project: Project) -> dict[str, list[dict[str, Any]]]:
    """Return the turns of each owner."""
    files = [json.loads(text) for name, text in texts(project).items() if name.endswith(".json")]
    return {it["of"]: it["turns"] for it in files if "of" in it}


def texts(project: Project) -> dict[str, bytes]:
    folder = project.path / "recordings"
    return {
        it.relative_to(folder).as_posix(): it.read_bytes() for it in sorted(folder.rglob("*.*"))
    }


def asked(turns: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [
        (it["run"], it["instance"], it["message"], it.get("end") or it["refused"]["status"])
        for it in turns
    ]


def told(result: pytest.RunResult) -> list[str]:
    """Return what the summary says of recordings, but for the folder's place."""
    lines = [it.removeprefix("hydra-smoke: ") for it in result.outlines]
    start = next(at for at, line in enumerate(lines) if line.startswith("recordings in "))
    return [
        line.partition("recordings: ")[2] or line.strip()
        for line in lines[start:]
        if line.startswith(("recordings in", "  "))
    ]


def test_what_tests_fixtures_and_hooks_say_is_written_once(
    project: Project, router: FakeRouter
) -> None:
    project.at(router, max_instances=9).pytester.makepyfile(test_it=SUITE)
    project.pytester.makeconftest(CONFTEST)
    result = project.live(*RECORD, "test_it.py")
    result.assert_outcomes(passed=5, failed=1)
    wide = {"of": "fixture ::wide", "number": 0}
    assert {owner: asked(turns) for owner, turns in recorded(project).items()} == {
        "test_it.py::test_shared": [
            (1, "shared", "Are you ready?", "closed"),
            (1, "shared", "And now?", "closed"),
        ],
        "test_it.py::test_own[de]": [
            (1, 0, "Hello", "left"),
            (1, 1, "Hello", "closed"),
            (1, 0, "Bye", "closed"),
            (1, wide, "Hello", "closed"),
        ],
        "test_it.py::test_twice": [
            (1, wide, "By its id", "closed"),
            (2, wide, "By its id", "closed"),
        ],
        "test_it.py::test_provisions": [(1, None, "Mine", "closed")],
        "test_it.py::test_refused": [(1, 0, "Are you there?", 404)],
        "fixture ::wide": [(1, 0, "In a fixture", "closed"), (1, 0, "At its end", "closed")],
        "hook pytest_hydra_smoke_instance_ready": [
            (1, "shared", "In the hook", "closed"),
            (1, wide, "In the hook", "closed"),
        ],
    }
    first, second = recorded(project)["test_it.py::test_shared"]
    assert first["llm_events"].items() >= {"count": 1, "providers": ["anthropic"]}.items()
    assert second["llm_events"] is None
    assert first["spec"]["tier_id"] == "tier-1"
    assert "".join(chunk for _, chunk in first["chunks"]).endswith("data: [DONE]\n\n")
    assert told(result)[0] == "7 new, 1 not recorded"
    assert told(result)[-1] == "not recorded: test_it.py::test_fails: it failed"

    before = texts(project)
    assert not [it for it in before if "tmp" in it]
    assert json.loads(before["router.json"])["ready_words"] == ["running"]
    shared = before["test_it/test_shared.json"].decode()
    for number in range(10):
        gone = shared.replace("::test_shared", f"::test_gone_{number}")
        project.write(f"recordings/gone/{number}.json", gone)
    router.reply("And now", "I am set.")
    project.set(bundled_checks="false")
    result = project.live(*RECORD)
    assert told(result) == [
        "1 changed, 6 unchanged, 1 not recorded",
        "changed: test_it.py::test_shared: turn 2, text: 'I am set.', and was 'I am ready.'",
        "not recorded: test_it.py::test_fails: it failed",
        "used by no test of this run: 10: gone/0.json, gone/1.json, gone/2.json and 7 more",
    ]
    after = texts(project)
    changed = [name for name in before if before[name] != after[name]]
    assert changed == ["test_it/test_shared.json"]


def test_another_runtime_and_new_reasoning_are_recorded(
    project: Project, routing: Callable[[Scenario], FakeRouter]
) -> None:
    reasons = "def test_it(smoke_instance): assert smoke_instance.chat('Hello').text"
    project.at(routing(QUICK), bundled_checks="false").write("test_it.py", reasons)
    assert told(project.live(*RECORD)) == ["1 new", "new: test_it.py::test_it"]
    openai = routing(QUICK)
    openai.reply("Hello", "I am ready.", reasoning="Am I?")
    project.at(openai)
    assert told(project.live(*RECORD)) == [
        "1 changed",
        "changed: test_it.py::test_it: turn 1, reasoning: some, and was none",
    ]
    openai.reply("Hello", "I am ready.", reasoning="Let me see.")
    assert told(project.live(*RECORD)) == ["1 unchanged"]
    goose = routing(replace(QUICK, runtime="goose"))
    goose.reply("Hello", "I am ready.", reasoning="Am I?")
    project.at(goose)
    assert told(project.live(*RECORD)) == [
        "1 changed",
        "changed: test_it.py::test_it: turn 1, format: 'Goose', and was 'OpenAI chat'",
    ]


ODD = """
    import pytest

    @pytest.fixture(scope="module")
    def failing(smoke_instance_factory):
        smoke_instance_factory().chat("In a fixture")
        raise LookupError

    def test_set_up(failing):
        pass

    def test_skips(smoke_instance):
        smoke_instance.chat("Is it so?")
        pytest.skip("it is not")

    def test_left_out(smoke_instance):
        smoke_instance.chat("secret")

    def test_in_the_way(smoke_instance):
        smoke_instance.chat("Hello")

    def test_newer(smoke_instance):
        smoke_instance.chat("Hello")

    def test_damaged(smoke_instance):
        smoke_instance.chat("Hello")

    def test_late(smoke_instance):
        smoke_instance.chat("Hello")

    def test_says_nothing(smoke_instance):
        pass

    def test_interrupted(smoke_instance):
        smoke_instance.chat("Hello")
        pytest.exit("enough")
"""
ODD_CONFTEST = """
    import dataclasses
    import pytest

    instances = []

    def pytest_hydra_smoke_instance_ready(instance):
        instances.append(instance)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop():
        try:
            return (yield)
        finally:
            instances[0].chat("Of nobody")

    def pytest_hydra_smoke_record(turn):
        return None if turn.message == "secret" else dataclasses.replace(turn, message="Hi")
"""


def test_what_is_not_recorded_or_can_t_be_written_is_told(
    project: Project, router: FakeRouter
) -> None:
    project.at(router).pytester.makepyfile(test_it=ODD)
    project.pytester.makeconftest(ODD_CONFTEST)
    head = '{"format": "pytest-hydrasmoke recording", "of": "test_it.py::'
    for name, text in {
        "in_the_way": "{}",
        "newer": f'{head}test_newer", "version": 2}}',
        "damaged": f'{head}test_damaged", "version": 1}}',
        "late": "",
    }.items():
        project.write(f"recordings/test_it/test_{name}.json", text)
    (project.path / "recordings/test_it/test_late.json").unlink()
    (project.path / "recordings/test_it/test_late.json").mkdir()
    result = project.live(*RECORD, "test_it.py")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    lines = "\n".join(told(result))
    for name, why in {
        "interrupted": "it was interrupted",
        "left_out": "pytest_hydra_smoke_record left out all of its turns",
    }.items():
        assert f"not recorded: test_it.py::test_{name}: {why}" in lines
    assert "not recorded: fixture test_it.py::failing: its set-up failed" in lines
    for name, why in {
        "newer": "it has version 2 of the format, not 1: update pytest-hydrasmoke",
        "in_the_way": "FileExistsError: ",
        "late": "IsADirectoryError: ",
    }.items():
        assert f"could not be written: test_it.py::test_{name}: {why}" in lines
    assert "changed: test_it.py::test_damaged: turn 1, new: 'Hi'" in lines
    assert {owner: asked(turns) for owner, turns in recorded_whole(project).items()} == {
        "test_it.py::test_damaged": [(1, "shared", "Hi", "closed")],
    }


def test_a_recording_that_can_t_be_written_fails_the_run(
    project: Project, router: FakeRouter
) -> None:
    project.at(router).write("test_it.py", "def test_it(smoke_instance): smoke_instance.chat('a')")
    project.write("conftest.py", "def pytest_hydra_smoke_record(turn): return 7")
    result = project.live(*RECORD, "test_it.py")
    result.assert_outcomes(passed=1, failed=1)
    again = f"pytest --hydra-smoke --hydra-smoke-record {project.path}/recordings"
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "RECORDING: the recording of test_it.py::test_it could not be written",
            "pytest_hydra_smoke_record returned 7: return the turn, *",
            f"*an earlier recording is unchanged; record it again: {again} test_it.py::test_it",
            "FAILED hydra-smoke::recording::test_it.py::test_it*",
        ]
    )
    report = json.loads((project.path / ".hydrasmoke/report.json").read_text("utf-8"))
    assert report["exit_code"] == 1


@pytest.mark.parametrize("options", [(), ("-p", "xdist", "-n1")], ids=["alone", "worker"])
def test_a_damaged_file_of_the_router_stays_and_fails_the_run(
    project: Project, router: FakeRouter, options: tuple[str, ...]
) -> None:
    project.at(router, bundled_checks="false")
    project.write("test_it.py", "def test_it(smoke_instance): smoke_instance.chat('Hello')")
    damaged = "<<<<<<< ours\n{}\n=======\n{}\n>>>>>>> theirs\n"
    project.write("recordings/router.json", damaged)
    result = project.live(*RECORD, *options)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert texts(project)["router.json"].decode().strip() == damaged.strip()
    assert told(result)[0] == "1 new, 1 could not be written"
    result.stdout.fnmatch_lines(
        [
            "RECORDING: the recording of router.json could not be written",
            "it is damaged: JSONDecodeError: *: mend it, *, or move it away, *",
            "*an earlier recording is unchanged; record it again: pytest *",
            "FAILED hydra-smoke::recording::router.json*",
        ]
    )
    report = json.loads((project.path / ".hydrasmoke/report.json").read_text("utf-8"))
    assert report["exit_code"] == 1


def test_that_an_earlier_recording_stays_is_told(project: Project, router: FakeRouter) -> None:
    test = "def test_{}(smoke_instance): assert smoke_instance.chat('{}').text == '{}'\n"
    right = test.format("fails", "a", "I am ready.") + test.format("left", "secret", "I am ready.")
    project.at(router).write("test_it.py", right)
    assert told(project.live(*RECORD, "test_it.py"))[0] == "2 new"
    before = texts(project)
    project.write("test_it.py", right.replace("'a').text == 'I am", "'a').text == 'You are"))
    project.write("conftest.py", LEAVES_OUT)
    assert told(project.live(*RECORD, "test_it.py")) == [
        "2 not recorded",
        (
            "not recorded: test_it.py::test_fails: it failed; its earlier recording stays: "
            "test_it/test_fails.json"
        ),
        (
            "not recorded: test_it.py::test_left: pytest_hydra_smoke_record left out all of its "
            "turns; its earlier recording stays: test_it/test_left.json"
        ),
    ]
    assert texts(project) == before


LEAVES_OUT = """
def pytest_hydra_smoke_record(turn):
    return None if turn.message == "secret" else turn
"""


FULL = """
    import pytest

    @pytest.fixture(scope="session")
    def wide(smoke_instance_factory):
        return smoke_instance_factory()

    @pytest.fixture(scope="session", autouse=True)
    def long(wide):
        wide.chat("Tell me more")

    def test_it(smoke_instance):
        smoke_instance.chat("Tell me all")

    def test_short(wide):
        wide.chat("Tell me")
"""
SMALL_DISK = """
    import resource

    def pytest_runtest_setup():
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
"""


def test_a_disk_that_is_full_midway_loses_no_earlier_recording(
    project: Project, router: FakeRouter
) -> None:
    router.reply("more|all", "word " * 3000)
    project.at(router, max_instances=9).pytester.makepyfile(test_it=FULL)
    assert told(project.live(*RECORD, "test_it.py"))[0] == "3 new"
    before = texts(project)
    router.reply("more|all", "another " * 3000)
    project.pytester.makeconftest(SMALL_DISK)
    result = project.process("--hydra-smoke", *RECORD, "test_it.py")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert told(result) == [
        "1 unchanged, 2 could not be written",
        "could not be written: fixture test_it.py::long: OSError: [Errno 27] File too large",
        "could not be written: test_it.py::test_it: OSError: [Errno 27] File too large",
    ]
    assert texts(project) == before
    assert nothing_left(router)
    report = json.loads((project.path / ".hydrasmoke/report.json").read_text("utf-8"))
    assert report["exit_code"] == 1


MUTE = """
    import os
    import pytest

    @pytest.fixture(scope="module", autouse=True)
    def wide(smoke_instance_factory):
        smoke_instance_factory().chat("Hello")

    def test_it(smoke_instance):
        smoke_instance.chat("Hello")
        os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
"""


def test_a_run_whose_output_finds_no_room_records_what_was_over(
    project: Project, router: FakeRouter
) -> None:
    project.at(router).pytester.makepyfile(test_it=MUTE)
    result = project.process("-s", "--hydra-smoke", *RECORD, "test_it.py")
    assert result.ret not in (0, -signal.SIGKILL)
    assert list(recorded(project)) == ["fixture test_it.py::wide"]
    assert nothing_left(router)


NO_OUTPUT = """
    import pytest

    @pytest.fixture(scope="module", autouse=True)
    def wide(smoke_instance_factory, smoke_config):
        instance = smoke_instance_factory()
        [run] = (smoke_config.output / "runs").glob("*")
        (run / "recorded.jsonl").mkdir(exist_ok=True)
        instance.chat("Hello")

    def test_it(smoke_instance):
        smoke_instance.chat("Hello")

    def test_damaged(smoke_instance):
        smoke_instance.chat("Hello")
"""


@pytest.mark.parametrize("options", [(), ("-p", "xdist", "-n1")], ids=["alone", "worker"])
def test_an_output_folder_that_can_t_be_written_any_more_hides_nothing(
    project: Project, router: FakeRouter, options: tuple[str, ...]
) -> None:
    project.at(router, max_instances=9).pytester.makepyfile(test_it=NO_OUTPUT)
    (project.path / "recordings/test_it/test_damaged.json").mkdir(parents=True)
    result = project.run("--hydra-smoke", *options, *RECORD, "test_it.py")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    there = project.path / "recordings/test_it/test_damaged.json"
    why = f"IsADirectoryError: [Errno 21] Is a directory: '{there}'"
    assert told(result) == [
        "2 new, 1 could not be written",
        "new: fixture test_it.py::wide",
        "new: test_it.py::test_it",
        f"could not be written: test_it.py::test_damaged: {why}",
    ]
    assert list(recorded_whole(project, "test_it")) == ["test_it.py::test_it"]
    assert nothing_left(router)


def recorded_whole(project: Project, name: str = "test_damaged") -> dict[str, list[dict[str, Any]]]:
    damaged = project.path / f"recordings/test_it/{name}.json"
    whole = json.loads(damaged.read_text("utf-8"))
    return {whole["of"]: whole["turns"]}


def test_workers_record_together(project: Project, router: FakeRouter) -> None:
    project.at(router, max_instances=9).pytester.makepyfile(test_it=SUITE)
    project.pytester.makeconftest(CONFTEST)
    result = project.run("-p", "xdist", "-n2", "--hydra-smoke", *RECORD, "test_it.py")
    result.assert_outcomes(passed=5, failed=1)
    assert told(result)[0] == "7 new, 1 not recorded"
    wide = asked(recorded(project)["fixture ::wide"])
    assert wide == [(1, 0, "In a fixture", "closed"), (1, 0, "At its end", "closed")]
    assert len(recorded(project)["hook pytest_hydra_smoke_instance_ready"]) == 2


LIVE = """
    import pytest

    @pytest.mark.hydra_smoke_live
    @pytest.mark.parametrize("fails", [False, True])
    def test_today(smoke_instance, fails):
        assert smoke_instance.chat("What day is it?").text
        assert not fails
"""


def test_what_a_replay_skips_is_not_recorded(project: Project, router: FakeRouter) -> None:
    project.at(router, bundled_checks="false").pytester.makepyfile(test_it=LIVE)
    # As it was recorded before it was marked.
    head = '{"format": "pytest-hydrasmoke recording", "version": 1'
    project.write("recordings/old.json", f'{head}, "of": "test_it.py::test_today[True]"}}')
    result = project.live(*RECORD)
    result.assert_outcomes(passed=1, failed=1)
    assert told(result) == [
        "there was nothing to record",
        "used by no test of this run: 1: old.json",
    ]
    assert list(texts(project)) == ["old.json", "router.json"]


KILLED = """
    import os
    import signal
    from pathlib import Path

    replace = Path.replace

    def kill(self, other):
        if other.name == "test_second.json":
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(self, other)

    Path.replace = kill
"""
TWO = """
    def test_first(smoke_instance):
        smoke_instance.chat("Hello")

    def test_second(smoke_instance):
        smoke_instance.chat("Hello")
"""


def test_a_run_that_is_killed_while_it_writes_leaves_no_half_file(
    project: Project, router: FakeRouter
) -> None:
    project.at(router).pytester.makepyfile(test_it=TWO)
    project.pytester.makeconftest(KILLED)
    result = project.process("--hydra-smoke", *RECORD, "test_it.py")
    assert result.ret == -signal.SIGKILL
    assert list(recorded(project)) == ["test_it.py::test_first"]
    assert [it for it in texts(project) if it.endswith(".tmp")]
    (project.path / "conftest.py").unlink()
    assert project.command("sweep").ret == 0
    assert nothing_left(router)
    result = project.live(*RECORD, "test_it.py")
    assert told(result)[0] == "1 new, 1 unchanged"
    assert not [it for it in texts(project) if it.endswith(".tmp")]


HOLDS = """
import sys
from pathlib import Path
from pytest_hydrasmoke._run.recordings import Recordings

recordings = Recordings(Path("recordings"))
recordings.begin()
print("held", flush=True)
sys.stdin.read()
"""


def test_two_runs_do_not_record_into_one_folder(project: Project, router: FakeRouter) -> None:
    project.at(router).write("test_it.py", "def test_it(smoke_instance): smoke_instance.chat('a')")
    mark = project.path / "recordings/.hydra-smoke.lock"
    command = [sys.executable, "-c", HOLDS]
    with subprocess.Popen(
        command, cwd=project.path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        try:
            assert other.stdout.readline() == "held\n"
            refused = project.live(*RECORD, "test_it.py")
        finally:
            other.kill()
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines(
        [
            f"ERROR: record: another run records into {mark.parent}, and only one at a time may",
            "*wait until that run is over, or give this one another folder",
        ]
    )
    assert router.instances == ()
    # Its lock has died with it.
    assert mark.exists()
    for options in ((), ("-p", "xdist", "-n2")):
        project.run("--hydra-smoke", *options, *RECORD, "test_it.py").assert_outcomes(passed=1)
        assert not mark.exists()


def test_a_run_that_does_not_begin_lets_others_record(project: Project, router: FakeRouter) -> None:
    project.at(router).write("file", "")
    refused = project.live(*RECORD, "--hydra-smoke-output=file")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines(["ERROR: the ledger in *"])
    assert list((project.path / "recordings").iterdir()) == []


def test_a_folder_that_can_t_be_written_ends_the_run_before_collection(
    project: Project, router: FakeRouter
) -> None:
    project.at(router, record="pyproject.toml/recordings").table()
    result = project.live()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines("*record: */pyproject.toml/recordings can't be written: Not a*")
    project.set(record="pyproject.toml", report_replies="false")
    listed = problems(project.live())
    assert [it.partition(" = ")[0] for it in listed] == ["record", "record"]


def test_a_note_that_was_cut_short_hides_no_later_one(tmp_path: Path) -> None:
    file = tmp_path / "recorded.jsonl"
    file.write_bytes(b'{"of": "test_it.py::test_first", "wha')
    why = {"test_it.py::test_second": "the disk was full"}
    [(owner, reason)] = why.items()
    Notes(file, str, from_worker=True).note(owner, UNWRITTEN, reason)
    assert Notes(file, str, from_worker=False).unwritten() == why


# The hook


TURN = RecordedTurn("test_it.py::test_it", 1, "Hello", "data: I am\n\n")


def edited(*returned: Any) -> RecordedTurn | None:
    manager = pytest.PytestPluginManager()
    from pytest_hydrasmoke import _hookspecs

    manager.add_hookspecs(_hookspecs)
    for value in returned:
        manager.register(Plugin(value))
    edit = edit_of(manager)
    assert edit is not None
    return edit(TURN)


class Plugin:
    """Implements the hook: returns a value, or what a function makes of the turn."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def pytest_hydra_smoke_record(self, turn: RecordedTurn) -> Any:
        return self._value(turn) if callable(self._value) else self._value


def said(word: str) -> Any:
    return lambda turn: RecordedTurn(turn.owner, turn.run, turn.message + word, turn.text)


def test_implementations_see_a_turn_one_after_the_other() -> None:
    changed = edited(said(" 1"), said(" 2"))
    assert changed is not None
    assert changed.message == "Hello 2 1"


def test_one_that_returns_nothing_leaves_the_turn_out() -> None:
    assert edited(said(" 1"), None) is None
    assert edited(None, said(" 1")) is None


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (3, "returned 3: return the turn"),
        (RecordedTurn(TURN.owner, 1, "", b""), "returned a turn whose text is b''"),  # type: ignore[arg-type]
        (RecordedTurn(TURN.owner, 1, "\ud800", ""), "returned a turn whose message can't be enc"),
        (RecordedTurn(TURN.owner, 2, "", ""), "returned a turn of another owner or run"),
        (lambda turn: 1 / 0, "failed: ZeroDivisionError"),
    ],
)
def test_what_it_returns_is_checked(value: Any, problem: str) -> None:
    with pytest.raises(NotWrittenError, match=f"pytest_hydra_smoke_record {problem}"):
        edited(value)


def test_without_one_there_is_no_edit() -> None:
    manager = pytest.PytestPluginManager()
    from pytest_hydrasmoke import _hookspecs

    manager.add_hookspecs(_hookspecs)
    assert edit_of(manager) is None


# Fixtures that are set up more than once

BY_MODULE = """
    import pytest

    @pytest.fixture(scope="module")
    def greeted(smoke_instance_factory, request):
        instance = smoke_instance_factory()
        instance.chat(f"Hello from {request.module.__name__}")
        return instance
"""
USES_IT = "def test_it(greeted):\n    pass\n"
GREETED = {"Hello from test_one", "Hello from test_two"}


def greetings(project: Project) -> list[str]:
    return [turn["message"] for turn in recorded(project)["fixture ::greeted"]]


@pytest.mark.parametrize(
    "options", [(), ("-p", "xdist", "-n2", "--dist=loadfile")], ids=["alone", "workers"]
)
def test_each_set_up_of_a_fixture_is_recorded_and_stays(
    project: Project, router: FakeRouter, options: tuple[str, ...]
) -> None:
    project.at(router, max_instances=9).pytester.makeconftest(BY_MODULE)
    project.pytester.makepyfile(test_one=USES_IT, test_two=USES_IT)
    first = project.run(*options, "--hydra-smoke", *RECORD, "test_one.py", "test_two.py")
    first.assert_outcomes(passed=2)
    assert set(greetings(project)) == GREETED
    # A run of one module knows nothing of the other.
    assert told(project.live(*RECORD, "test_one.py")) == ["1 unchanged"]
    assert set(greetings(project)) == GREETED
    # Without the other module, a whole run does.
    (project.path / "test_two.py").unlink()
    assert told(project.live(*RECORD)) == [
        "1 changed",
        "changed: fixture ::greeted: removed: 'Hello from test_two'",
    ]
    assert greetings(project) == ["Hello from test_one"]


def test_a_fixture_that_skips_is_recorded(project: Project, router: FakeRouter) -> None:
    suite = BY_MODULE.replace("return instance", 'pytest.skip("It sees nothing.")')
    project.at(router, max_instances=9).pytester.makeconftest(suite)
    project.pytester.makepyfile(test_one=USES_IT, test_two="def test_it(smoke_instance): pass\n")
    result = project.live(*RECORD, "test_one.py", "test_two.py")
    result.assert_outcomes(passed=1, skipped=1)
    assert greetings(project) == ["Hello from test_one"]


@pytest.mark.parametrize("says", ["always", "not again"])
def test_a_fixture_s_set_up_that_is_repeated_is_recorded_as_it_went_in_the_end(
    project: Project, router: FakeRouter, says: str
) -> None:
    fails_once = f"""
    FAILED = []

    @pytest.fixture(scope="module")
    def wide(greeted):
        if {says == "always"} or not FAILED:
            greeted.chat("Is it so?")
        if not FAILED:
            FAILED.append(True)
            raise LookupError
"""
    project.at(router, max_instances=9).pytester.makeconftest(BY_MODULE + fails_once)
    project.pytester.makepyfile(test_one="def test_it(wide):\n    pass\n")
    result = project.run(
        "-p", "rerunfailures", "--reruns=1", "--hydra-smoke", *RECORD, "test_one.py"
    )
    result.assert_outcomes(passed=1)
    said = [turn["message"] for turn in recorded(project).get("fixture ::wide", [])]
    assert said == (["Is it so?"] if says == "always" else [])
    assert told(result)[0] == ("2 new" if says == "always" else "1 new")


def test_what_a_hook_says_to_instances_of_two_specs_is_kept_apart(
    project: Project, router: FakeRouter
) -> None:
    project.at(router, max_instances=9).pytester.makeconftest(
        """
        def pytest_hydra_smoke_instance_ready(instance):
            instance.chat("Warm up")
        """
    )
    uses = """
        import pytest

        @pytest.mark.parametrize("smoke_instance", [{"tier_id": "NAME"}], indirect=True)
        def test_it(smoke_instance):
            pass
    """
    project.pytester.makepyfile(
        test_small=uses.replace("NAME", "small"), test_large=uses.replace("NAME", "large")
    )
    sizes = {"small", "large"}
    project.live(*RECORD, "test_small.py", "test_large.py").assert_outcomes(passed=2)
    hook = "hook pytest_hydra_smoke_instance_ready"
    assert {turn["spec"]["tier_id"] for turn in recorded(project)[hook]} == sizes
    assert told(project.live(*RECORD, "test_large.py")) == ["1 unchanged"]
    assert {turn["spec"]["tier_id"] for turn in recorded(project)[hook]} == sizes
