"""Under xdist: one instance for all workers of a host, deleted by the main process."""

from __future__ import annotations

import hashlib
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from handlers import signalled
from inner import only
from plugin_tools import FIRST, Project, Ran, count, nothing_left, turns

from pytest_hydrasmoke import HydraSmokeConfig
from pytest_hydrasmoke._base.token import Token
from pytest_hydrasmoke._cli.main import main as command
from pytest_hydrasmoke._journal.codec import entries_of
from pytest_hydrasmoke._journal.run_story import fold
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run.preflight import learn
from pytest_hydrasmoke.fake import FakeRouter, Scenario

SPEC = {"manifest_id": "made-up", "region_id": "nowhere", "tier_id": "tier-1"}
WORKERS = (*only("xdist"), "-p", "no:cacheprovider")
SWIFT_END = (
    "from xdist.workermanage import NodeManager\n"
    "# Seconds for a worker that does not end by itself.\n"
    "NodeManager.EXIT_TIMEOUT = 1\n"
)


@pytest.fixture
def here(project: Project, router: FakeRouter) -> Project:
    """A project against `router`."""
    # Deadlines that a busy machine keeps too: here they are never waited for.
    patient = {"ready_timeout": 60, "llm_events_timeout": 60, "delete_timeout": 60}
    return project.suite("workers").at(router, run_id="run", **patient)


def run(project: Project, *arguments: str, plugins: Any = (), **expected: int) -> Ran:
    """Run pytest live, its main process in this one."""
    given = (*WORKERS, "--hydra-smoke", *arguments)
    return Ran(project.pytester.runpytest_inprocess(*given, plugins=plugins), **expected)


def also(project: Project, text: str) -> None:
    """Add something to the project's conftest."""
    conftest = project.path / "conftest.py"
    conftest.write_text(conftest.read_text("utf-8") + text, "utf-8")


def silent(project: Project) -> str:
    """Return what is said of a worker that crashed, and the ways to what it left."""
    sweeps = (f"cd {project.path} && hydra-smoke sweep --run-id {it}" for it in ("run-gw0", "run"))
    return f"hydra-smoke: worker gw0 did not report what it left: {', and '.join(sweeps)}"


# A failure, and a test in each of two workers that does not end; what comes behind it.
FAILS = """
import time
from pathlib import Path
import pytest
from pytest_hydrasmoke import ConfigError

one, two = (pytest.mark.xdist_group(name) for name in ("one", "two"))

@one
@pytest.mark.parametrize("smoke_instance", [{"tier_id": "other"}], indirect=True, ids=["other"])
def test_fails(smoke_instance):
    raise AssertionError("a failure of the test's own")

@pytest.mark.parametrize("number", [pytest.param(0, marks=one), pytest.param(1, marks=two)])
def test_hangs(smoke_instance_factory, number):
    smoke_instance_factory().chat("hello")
    time.sleep(600)

@two
def test_provisions_once_the_run_is_over(smoke_config, smoke_instance_factory):
    over = smoke_config.output / "runs" / smoke_config.run_id / "stopped"
    end = time.monotonic() + 60
    while not over.exists() and time.monotonic() < end:
        time.sleep(0.01)
    with pytest.raises(ConfigError, match=f"run {smoke_config.run_id} is over"):
        smoke_instance_factory()
    Path("refused").touch()
"""


class Failures:
    """Knows which tests have failed, as the main process hears of it."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seen += [report.nodeid] if report.failed else []


def test_workers_share_instances_in_turn_and_an_interrupt_deletes_all_but_what_failed(
    here: Project, router: FakeRouter
) -> None:
    # The first test holds the instance until one of the other worker has run. In the end each
    # worker hangs with an instance of its own, and one has failed with another that they share.
    also(here.set(keep="on-failure"), SWIFT_END)
    here.write("test_fails.py", FAILS)
    failed = Failures()
    with signalled(signal.SIGINT, lambda: count(router, "chat") == 6 and failed.seen):
        options = ("-n2", "--dist=loadgroup", "test_groups.py", "test_fails.py")
        result = run(here, *options, plugins=[failed], ret=128 + signal.SIGINT)
    [shared] = [it for it in router.instances if it.idempotency_key == "run-0"]
    [kept] = [it for it in router.instances if it.tier_id == "other"]
    assert [it for it in router.instances if not it.deleted] == [kept]
    lines = (here.path / "turns").read_text("utf-8").splitlines()
    assert {line.split()[0] for line in lines} == {"gw0", "gw1"}
    # Each turn has its own LLM event, and was counted before the next one began.
    assert [int(line.split()[1]) for line in lines] == [1, 2, 3, 4]
    # Told once that it is ready, and what a run must know was asked once.
    told = Counter((here.path / "ready").read_text("utf-8").split())
    assert told == Counter(it.id for it in router.instances)
    routes = [seen.route for seen in router.requests]
    before = routes[: routes.index("provision")]
    assert (tuple(before[: len(FIRST)]), {*before[len(FIRST) :]}) == (FIRST, {"poll"})
    assert None not in routes[len(FIRST) : routes.index("delete")]
    assert count(router, "provision") == 4
    result.says(
        "live router, run run: provisioned 4, deleted 3, kept 1, leaked 0, unsure 0",
        f"deleted  {shared.id} (key run-0)*",
    )
    result.says(f"kept     {kept.id} (key {kept.idempotency_key})*")
    # Nor is a turn or a test lost.
    report = here.report()
    messages = [
        "hello",
        "hello",
        *(f"{group} {number}" for group in ("one", "two") for number in range(2)),
    ]
    assert (turns(report), report["ended"], report["not_run"]) == (messages, "signal: INT", 1)
    outcomes = Counter(it["outcome"] for it in report["tests"])
    assert outcomes == {"passed": 5, "failed": 1, "interrupted": 2}


# A test, or a script beside it, clears the project's folder.
REMOVES = """
import os
import shutil

def test_removes(smoke_instance):
    shutil.rmtree(".hydrasmoke")
    assert smoke_instance.status().status == "running"
"""


@pytest.mark.kill
def test_what_workers_share_is_deleted_without_a_ledger(here: Project, router: FakeRouter) -> None:
    here.write("test_removes.py", REMOVES)
    result = run(here, "-n2", "test_removes.py", ret=0, passed=1)
    assert nothing_left(router)
    assert count(router, "delete") == 1
    result.says("live router, run run: provisioned 1, deleted 1, kept 0, leaked 0, unsure 0")


# A worker ends in the first turn, which leaves no row; what comes behind it is not to blame.
DIES = """
import os
import threading

def test_dies(smoke_instance):
    threading.Timer(0.5, os._exit, (7,)).start()
    smoke_instance.chat("hello")

def test_chats(smoke_instance):
    smoke_instance.chat("hello").expect_llm_events()
"""


@pytest.mark.kill
def test_a_turn_whose_worker_died_makes_no_other_test_red(
    here: Project, routing: Callable[[Scenario], FakeRouter]
) -> None:
    router = routing(Scenario(first_event_after=1.0))
    here.at(router, usage_settle=2).write("test_dies.py", DIES)
    run(here, "-n1", "test_dies.py", passed=1, failed=1)
    assert nothing_left(router)


# A worker ends in its first test, and another one takes its place.
ELSEWHERE = """
import os

def test_crashes(smoke_instance):
    os._exit(7)

def test_has_a_run_of_its_own(smoke_instance, smoke_config):
    assert smoke_config.run_id == "run-gw1"
    assert smoke_instance.idempotency_key == "run-gw1-0"
    assert (smoke_config.output / "runs" / "run-gw1" / "ledger.jsonl").is_file()
    smoke_instance.chat("hello").expect_llm_events()
"""


def test_a_worker_elsewhere_is_a_run_of_its_own(here: Project, router: FakeRouter) -> None:
    here.write("test_elsewhere.py", ELSEWHERE)
    # As on another host: it does not see that the main process lives.
    also(
        here,
        "from pytest_hydrasmoke._run import locks\n"
        "if WORKER is not None:\n"
        "    locks.has_main_process = lambda output, run_id: False\n",
    )
    result = run(here, "-n1", "test_elsewhere.py", passed=1, failed=1)
    # What the crashed one left is in a ledger that the main process can't see.
    assert [(seen.idempotency_key, seen.deleted) for seen in router.instances] == [
        ("run-gw0-0", False),
        ("run-gw1-0", True),
    ]
    result.says(
        "live router, run run: provisioned 1, deleted 1, kept 0, leaked 0, unsure 0",
        f"deleted  {router.instances[1].id} (key run-gw1-0)",
        silent(here),
    )
    result.stdout.no_fnmatch_line("*worker gw1 did not report*")
    ended = "did not end: not all workers reported what they left"
    assert here.report()["ended"] == ended
    assert here.runs() == ["run-gw0"]
    assert command(["sweep", "--run-id", "run-gw0", "--wait", "0"]) == 0
    assert nothing_left(router)


@pytest.mark.kill
def test_what_a_crashed_worker_left_without_a_ledger_is_told(
    here: Project, router: FakeRouter
) -> None:
    here.write("test_removes_and_crashes.py", f"{REMOVES}    os._exit(7)\n")
    result = run(here, "-n1", "test_removes_and_crashes.py")
    assert result.ret != 0
    result.says(silent(here))
    result.stdout.no_fnmatch_line("*worker gw1 did not report*")
    assert not nothing_left(router)
    # The report is there, and is no proof of what was left.
    assert command(["sweep", "--run-id", "run", "--wait", "0"]) == 0
    assert nothing_left(router)


class MadeWorker:
    """Makes an xdist worker of a run in this process, as far as the plugin can tell."""

    def __init__(self, project: Project, output: Path | None = None, **settings: Any) -> None:
        self.project = project
        self.folder = project.path.parent / "of the main process"
        output = output or self.folder / "output"
        plain = {"url": "http://127.0.0.1:9", "token": "x" * 8, "run_id": "run", **settings}
        config = HydraSmokeConfig(**{**plain, "output": output, **SPEC})
        with FakeRouter() as main:
            told = learn(config.model_copy(update={"url": main.url, "token": Token(main.token)}))
        self.input = {
            "settings": config.to_plain(),
            "absent": [*told],
            "fake": True,
            "scenario": {"reply": "Elsewhere."},
            "replay": False,
            "folder": str(self.folder),
        }

    def run(self, *arguments: str, **expected: int) -> Ran:
        given = (*only(), "--hydra-smoke-fake", *arguments)
        return Ran(self.project.pytester.runpytest_inprocess(*given, plugins=[self]), **expected)

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: Any) -> None:
        config.workerinput = {"workerid": "gw3", "hydra_smoke": self.input}
        config.workeroutput = self.output = {}


def test_a_worker_elsewhere_has_a_fake_and_an_output_folder_of_its_own(project: Project) -> None:
    run_id = "r" * 64
    worker = MadeWorker(project.suite("bare"), run_id=run_id)
    # On this host there is something that looks like the main process's lock, and is none.
    (worker.folder / "output" / "runs" / run_id / "live" / "main.lock").mkdir(parents=True)
    project.write(
        "test_it.py",
        "from pathlib import Path\n"
        "def test_it(smoke_instance, smoke_config):\n"
        "    assert smoke_config.output == Path('output').absolute()\n"
        "    turn = smoke_instance.chat('hello')\n"
        "    turn.expect_llm_events()\n"
        "    assert turn.text == 'Elsewhere.'\n",
    )
    worker.run("test_it.py", passed=1)
    entries = entries_of(worker.output["hydra_smoke"]["journal"].encode())
    [(key, told)] = fold({"gw3": entries}).instances.items()
    assert told.state is State.DELETED
    digest = hashlib.sha256(f"{run_id}-gw3".encode()).hexdigest()
    assert key == f"{'r' * 51}-{digest[:12]}-0"
    assert list((project.path / "output" / "runs").iterdir()) == []


def test_a_worker_elsewhere_writes_where_it_is_told_to_on_its_own_disk_or_says_why_not(
    project: Project, tmp_path: Path
) -> None:
    # No place in the folder that the main process runs in, but one that each host has.
    project.suite("bare").write("test_it.py", "def test_it(smoke_instance): ...\n")
    reports = tmp_path / "reports"
    MadeWorker(project, output=reports).run("test_it.py", passed=1)
    assert list((reports / "runs").iterdir()) == []
    assert not (project.path / "reports").exists()
    shutil.rmtree(reports)
    reports.touch()
    worker = MadeWorker(project, output=reports)
    result = worker.run("test_it.py").says("*gw3: the ledger in *reports* can't be written: *")
    assert result.ret not in (0, pytest.ExitCode.INTERNAL_ERROR)
    assert worker.output["hydra_smoke"] is None


@pytest.mark.kill
def test_a_worker_that_can_not_take_part_says_why(here: Project, router: FakeRouter) -> None:
    also(
        here,
        "if WORKER is not None:\n    Path(f'.hydrasmoke/runs/run/live/{WORKER}.lock').mkdir()\n",
    )
    result = run(here, "-n1", "test_many.py", ret=pytest.ExitCode.INTERRUPTED)
    result.says("*Interrupted: gw0: the ledger in *run can't be written: *", "  next step: *")
    result.stdout.no_fnmatch_line("*INTERNALERROR*")
    assert router.instances == ()


@pytest.mark.kill
def test_workers_that_outlive_the_main_process_begin_nothing_more(
    here: Project, router: FakeRouter
) -> None:
    also(
        here,
        f"{SWIFT_END}NodeManager.EXIT_TIMEOUT = 60\n"
        "def pytest_runtest_logreport(report):\n"
        "    if WORKER is None and report.failed:\n"
        "        pytest.exit('enough', returncode=7)\n",
    )
    here.write("test_fails.py", FAILS)
    names = ("fails", "provisions_once_the_run_is_over")
    run(here, "-n1", *(f"test_fails.py::test_{name}" for name in names), ret=7)
    assert (here.path / "refused").exists()
    assert len(router.instances) == 1
    assert nothing_left(router)
