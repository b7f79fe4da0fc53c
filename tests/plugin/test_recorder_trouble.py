"""Recording where something is in the way: nothing is lost, and all that is missing is told."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from plugin_tools import Project, alone_or_workers, nothing_left, problems
from recorder_tools import RECORD, asked, recorded, recorded_whole, texts, told

from pytest_hydrasmoke.fake import FakeRouter


@pytest.fixture
def project(project: Project) -> Project:
    """Nothing is counted here, and so no turn's usage need be waited for."""
    return project.set(usage_settle=0.01, max_instances=9)


ODD = """
    import pytest

    @pytest.fixture(scope="module")
    def failing(smoke_instance_factory):
        smoke_instance_factory().chat("In a fixture")
        raise LookupError

    def test_set_up(failing):
        pass

    def test_left_out(smoke_instance):
        smoke_instance.chat("secret")

    @pytest.mark.parametrize("which", ["in_the_way", "newer", "damaged", "late"])
    def test_it(smoke_instance, which):
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
    head = '{"format": "pytest-hydrasmoke recording", "of": "test_it.py::test_it'
    project.write("recordings/test_it/test_it[in_the_way].json", "{}")
    project.write("recordings/newer.json", f'{head}[newer]", "version": 2}}')
    project.write("recordings/test_it/test_damaged.json", f'{head}[damaged]", "version": 1}}')
    (project.path / "recordings/test_it/test_it[late].json").mkdir()
    result = project.live(*RECORD, "test_it.py", ret=pytest.ExitCode.INTERRUPTED)
    lines = told(result)
    assert lines[0] == "1 changed, 3 not recorded, 3 could not be written"
    assert lines[1:5] == [
        "changed: test_it.py::test_it[damaged]: turn 1 is new",
        "not recorded: fixture test_it.py::failing: its set-up failed",
        "not recorded: test_it.py::test_interrupted: it was interrupted",
        (
            "not recorded: test_it.py::test_left_out: pytest_hydra_smoke_record left out all of "
            "its turns"
        ),
    ]
    for line, (name, why) in zip(lines[5:], UNWRITTEN.items(), strict=True):
        assert line.startswith(f"could not be written: test_it.py::test_it[{name}]: {why}")
    assert {owner: asked(turns) for owner, turns in recorded_whole(project).items()} == {
        "test_it.py::test_it[damaged]": [(1, "shared", "Hi", "closed")],
    }


UNWRITTEN = {
    "in_the_way": "FileExistsError: ",
    "late": "IsADirectoryError: ",
    "newer": "it has version 2 of the format, not 1: update pytest-hydrasmoke",
}
NO_OUTPUT = """
    import pytest

    @pytest.fixture(scope="module", autouse=True)
    def wide(smoke_instance_factory, smoke_config):
        instance = smoke_instance_factory()
        [run] = (smoke_config.output / "runs").glob("*")
        (run / "recorded.jsonl").mkdir(exist_ok=True)
        instance.chat("Hello")

    def test_it(smoke_instance):
        smoke_instance.chat("a")

    def test_fine(smoke_instance):
        smoke_instance.chat("Hello")

    def test_late(smoke_instance):
        smoke_instance.chat("Hello")
"""
RETURNS_7 = "def pytest_hydra_smoke_record(turn): return 7 if turn.message == 'a' else turn"


@alone_or_workers
def test_recordings_that_can_t_be_written_fail_the_run(
    project: Project, router: FakeRouter, workers: tuple[str, ...]
) -> None:
    project.at(router).pytester.makepyfile(test_it=NO_OUTPUT)
    project.write("conftest.py", RETURNS_7)
    there = project.path / "recordings/test_it/test_late.json"
    there.mkdir(parents=True)
    result = project.live(*RECORD, *workers, "test_it.py", passed=3, failed=2)
    assert result.ret == project.report()["exit_code"] == pytest.ExitCode.TESTS_FAILED
    lines = told(result)
    assert lines[:3] == [
        "2 new, 2 could not be written",
        "new: fixture test_it.py::wide",
        "new: test_it.py::test_fine",
    ]
    why = f"IsADirectoryError: [Errno 21] Is a directory: '{there}'"
    assert f"could not be written: test_it.py::test_late: {why}" in lines
    again = f"pytest --hydra-smoke --hydra-smoke-record {project.path}/recordings"
    result.says(
        "RECORDING: the recording of test_it.py::test_it could not be written",
        "pytest_hydra_smoke_record returned 7: return the turn, *",
        f"*an earlier recording is unchanged; record it again: {again} test_it.py::test_it",
        "FAILED hydra-smoke::recording::test_it.py::test_it*",
    )
    assert list(recorded_whole(project, "test_fine")) == ["test_it.py::test_fine"]
    assert nothing_left(router)


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
    project.at(router).pytester.makepyfile(test_it=FULL)
    assert told(project.live(*RECORD, "test_it.py"))[0] == "3 new"
    before = texts(project)
    router.reply("more|all", "another " * 1000)
    with small_disk(100_000):
        result = project.live(*RECORD, "test_it.py")
    assert result.ret == project.report()["exit_code"] == pytest.ExitCode.TESTS_FAILED
    assert told(result) == [
        "1 unchanged, 2 could not be written",
        "could not be written: fixture test_it.py::long: OSError: [Errno 27] File too large",
        "could not be written: test_it.py::test_it: OSError: [Errno 27] File too large",
    ]
    assert texts(project) == before
    assert nothing_left(router)


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


# The folder

HOLDS = """
import sys
from pathlib import Path
from pytest_hydrasmoke._recordings.store import RecordingStore

recordings = RecordingStore(Path("recordings"))
recordings.begin()
print("held", flush=True)
sys.stdin.read()
"""


def test_two_runs_do_not_record_into_one_folder(project: Project, router: FakeRouter) -> None:
    project.at(router).write("test_it.py", "def test_it(smoke_instance): ...")
    mark = project.path / "recordings/.hydra-smoke.lock"
    command = [sys.executable, "-c", HOLDS]
    with subprocess.Popen(
        command, cwd=project.path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        try:
            assert other.stdout.readline() == "held\n"
            result = project.live(*RECORD, "test_it.py")
        finally:
            other.kill()
    result.is_refused(
        f"ERROR: record: another run records into {mark.parent}, and only one at a time may",
        "*wait until that run is over, or give this one another folder",
    )
    assert router.instances == ()
    # Its lock has died with it.
    assert mark.exists()
    assert told(project.live(*RECORD, "test_it.py")) == ["there was nothing to record"]
    assert not mark.exists()
    # A run that does not begin lets others record.
    project.write("file", "")
    project.live(*RECORD, "--hydra-smoke-output=file").is_refused("ERROR: the ledger in *")
    assert list(mark.parent.iterdir()) == []


def test_a_folder_that_can_t_be_written_ends_the_run_before_collection(
    project: Project, router: FakeRouter
) -> None:
    project.at(router, record="pyproject.toml/recordings").table()
    words = "*record: */pyproject.toml/recordings can't be written: Not a*"
    project.live().is_refused(words)
    project.set(record="pyproject.toml", report_replies="false")
    listed = problems(project.live())
    assert [it.partition(" = ")[0] for it in listed] == ["record", "record"]
