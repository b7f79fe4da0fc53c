"""Recording where something is in the way: nothing is lost, and all that is missing is told."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from plugin_tools import Project, alone_or_workers, nothing_left
from recorder_tools import RECORD, asked, recorded, recorded_whole, texts, told

from pytest_hydrasmoke._recordings.tape import Tape
from pytest_hydrasmoke.fake import FakeRouter


@pytest.fixture
def project(project: Project) -> Project:
    """Nothing is counted here, and so no turn's usage need be waited for."""
    return project.set(usage_settle=0.01)


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


@alone_or_workers
def test_recordings_that_can_t_be_written_fail_the_run(
    project: Project, router: FakeRouter, workers: tuple[str, ...]
) -> None:
    project.at(router, bundled_checks="false").write(
        "test_it.py",
        "def test_it(smoke_instance): smoke_instance.chat('a')\n"
        "def test_fine(smoke_instance): smoke_instance.chat('Hello')\n",
    )
    project.write(
        "conftest.py",
        "def pytest_hydra_smoke_record(turn): return 7 if turn.message == 'a' else turn",
    )
    damaged = "<<<<<<< ours\n{}\n=======\n{}\n>>>>>>> theirs\n"
    project.write("recordings/router.json", damaged)
    result = project.live(*RECORD, *workers, "test_it.py")
    result.assert_outcomes(passed=2, failed=2)
    assert result.ret == project.report()["exit_code"] == pytest.ExitCode.TESTS_FAILED
    assert texts(project)["router.json"].decode().strip() == damaged.strip()
    assert told(result)[0] == "1 new, 2 could not be written"
    again = f"pytest --hydra-smoke --hydra-smoke-record {project.path}/recordings"
    for lines in (
        [
            "RECORDING: the recording of test_it.py::test_it could not be written",
            "pytest_hydra_smoke_record returned 7: return the turn, *",
            f"*an earlier recording is unchanged; record it again: {again} test_it.py::test_it",
            "FAILED hydra-smoke::recording::test_it.py::test_it*",
        ],
        [
            "RECORDING: the recording of router.json could not be written",
            "it is damaged: JSONDecodeError: *: mend it, *, or move it away, *",
            "*an earlier recording is unchanged; record it again: pytest *",
            "FAILED hydra-smoke::recording::router.json*",
        ],
    ):
        result.stdout.fnmatch_lines(lines)


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


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size."""
    limit, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))


def test_a_disk_that_is_full_midway_loses_no_earlier_recording(
    project: Project, router: FakeRouter
) -> None:
    router.reply("more|all", "word " * 1000)
    project.at(router, max_instances=9).pytester.makepyfile(test_it=FULL)
    assert told(project.live(*RECORD, "test_it.py"))[0] == "3 new"
    before = texts(project)
    router.reply("more|all", "another " * 1000)
    with small_disk(100_000):
        result = project.live(*RECORD, "test_it.py")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert told(result) == [
        "1 unchanged, 2 could not be written",
        "could not be written: fixture test_it.py::long: OSError: [Errno 27] File too large",
        "could not be written: test_it.py::test_it: OSError: [Errno 27] File too large",
    ]
    assert texts(project) == before
    assert nothing_left(router)
    assert project.report()["exit_code"] == 1


MUTE = """
    import pytest

    def full(text):
        raise OSError(28, "No space left on device")

    @pytest.fixture(scope="module", autouse=True)
    def wide(smoke_instance_factory):
        smoke_instance_factory().chat("Hello")

    def test_it(smoke_instance, pytestconfig):
        smoke_instance.chat("Hello")
        pytestconfig.get_terminal_writer()._file.write = full
"""


def test_a_run_whose_output_finds_no_room_records_what_was_over(
    project: Project, router: FakeRouter
) -> None:
    project.at(router).pytester.makepyfile(test_it=MUTE)
    assert project.live("-s", *RECORD, "test_it.py").ret == pytest.ExitCode.INTERNAL_ERROR
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


@alone_or_workers
def test_an_output_folder_that_can_t_be_written_any_more_hides_nothing(
    project: Project, router: FakeRouter, workers: tuple[str, ...]
) -> None:
    project.at(router, max_instances=9).pytester.makepyfile(test_it=NO_OUTPUT)
    (project.path / "recordings/test_it/test_damaged.json").mkdir(parents=True)
    result = project.live(*workers, *RECORD, "test_it.py")
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
    result = project.live(*RECORD, "test_it.py")
    assert told(result)[0] == "1 new, 1 unchanged"
    assert not [it for it in texts(project) if it.endswith(".tmp")]


def test_a_line_that_was_cut_short_hides_no_later_one(tmp_path: Path) -> None:
    file = tmp_path / "recorded.jsonl"
    file.write_bytes(b'{"of": "test_it.py::test_first", "wha')
    line = {"of": "test_it.py::test_second", "what": "not recorded", "why": "it failed"}
    tape = Tape(file)
    tape.add(**line)
    assert list(tape.lines()) == [line]
    tape.discard()
    tape.discard()
    assert not file.exists()
