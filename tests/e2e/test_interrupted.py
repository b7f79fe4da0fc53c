"""Whatever interrupts a run, in a test or in a boot: it ends through its clean-up, and says so."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from handlers import as_in_a_terminal, signalled
from inner import only
from plugin_tools import QUICK, Project, count, nothing_left, until

from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run.folder import folder_of
from pytest_hydrasmoke._run.ledger import read
from pytest_hydrasmoke.fake import FakeRouter, Scenario
from pytest_hydrasmoke.fake.records import Route

INT, TERM = signal.SIGINT, signal.SIGTERM
ONE = "def test_one(smoke_instance): pass"
MANY = "def test_one(smoke_instance_factory): smoke_instance_factory.many(3)"
SLEEPS = """
import time

def test_one(smoke_instance, smoke_instance_factory):
    smoke_instance_factory()
    smoke_instance.chat("hello")
    time.sleep(60)

def test_two(smoke_instance): pass
"""
SWALLOWS = """
import time

def test_one(smoke_instance):
    smoke_instance.chat("hello")
    try:
        time.sleep(60)
    except BaseException:
        pass

def test_two(smoke_instance):
    smoke_instance.chat("hello")
"""
SLOW_ROW = Scenario(row_after=0.5, statuses=((0, "queued"), (60, "running")))
SLOW_BOOT = Scenario(row_after=0, statuses=((0, "queued"), (60, "running")))


@dataclass(frozen=True)
class Interrupt:
    """What a run does as a signal comes, once the router has seen calls about so many instances."""

    text: str
    number: int
    route: Route
    scenario: Scenario = QUICK
    instances: int = 1
    calls: int = 1
    phase: str | None = None
    more: bool = False
    """Whether a TERM comes during the clean-up, which changes nothing."""
    leaks: bool = False


# The others are among those of `tests/kill`.
INTERRUPTS = {
    "INT in a test": Interrupt(SLEEPS, INT, "chat", instances=2, phase="test"),
    "TERM, and none is deleted": Interrupt(SLEEPS, TERM, "chat", instances=2, leaks=True),
    "swallowed": Interrupt(SWALLOWS, INT, "chat"),
    "several in provisioning": Interrupt(MANY, INT, "poll", SLOW_ROW, 3, 3, "row"),
    "several that boot": Interrupt(MANY, INT, "status", SLOW_BOOT, 3, 3, "ready", more=True),
}


def has_come(router: FakeRouter, row: Interrupt) -> bool:
    """Return whether all instances are asked for, and then calls were made that are no question."""
    requests = router.requests
    last = max((at for at, it in enumerate(requests) if it.route == "provision"), default=0)
    answered = [it for it in requests[last:] if (it.status or 200) < 300]
    about = {it.path for it in answered if it.route == row.route}
    return len(router.instances) == row.instances and len(about) >= row.calls


def interrupted(
    project: Project, router: FakeRouter, row: Interrupt, **settings: object
) -> pytest.RunResult:
    """Make a run, and send it its signals."""
    patient = {"ready_timeout": 60, "delete_timeout": 20, **settings}
    project.suite("bare").at(router, run_id="run", bundled_checks="false", **patient)
    project.write("test_it.py", row.text)
    with ExitStack() as stack:
        stack.enter_context(signalled(row.number, lambda: has_come(router, row)))
        if row.more:
            stack.enter_context(signalled(TERM, lambda: count(router, "delete") > 0))
        return project.live("test_it.py")


@pytest.mark.parametrize("name", INTERRUPTS)
def test_an_interrupt_deletes_everything(
    project: Project, routing: Callable[[Scenario], FakeRouter], name: str
) -> None:
    row = INTERRUPTS[name]
    router = routing(row.scenario)
    # Where more comes, a deletion takes a while.
    if row.leaks or row.more:
        router.fail("delete", times=1000 if row.leaks else 2)
    result = interrupted(project, router, row, **({"delete_timeout": 1} if row.leaks else {}))
    output = result.stdout.str()
    assert result.ret == 128 + row.number
    assert len(router.instances) == row.instances
    assert nothing_left(router) is not row.leaks
    assert count(router, "chat") == (row.route == "chat")
    deleted, leaked = (0, row.instances) if row.leaks else (row.instances, 0)
    assert (
        f"provisioned {row.instances}, deleted {deleted}, kept 0, leaked {leaked}, unsure 0"
        in output
    )
    words = "hydra-smoke: interrupted; deleting instances, another Ctrl-C does not make it faster:"
    # A test that goes on may end the scope of its instance before the run's own clean-up begins.
    assert words in output or name == "swallowed"
    report = project.report()
    assert (report["exit_code"], report["ended"]) == (
        result.ret,
        f"signal: {signal.Signals(row.number).name.removeprefix('SIG')}",
    )
    assert len(report["instances"]) == row.instances
    if row.leaks:
        for instance in router.instances:
            assert f"LEAK: {instance.id} (key {instance.idempotency_key}) may still run" in output
        assert "hydra-smoke sweep --run-id run" in output
        assert project.runs() == ["run"]
        return
    # There is no time for a last look.
    ledger = read(folder_of(project.path / ".hydrasmoke", "run"))
    assert [it.state for it in ledger.open] == [State.GONE] * row.instances
    if row.phase == "test":
        assert f"  {router.instances[0].id} (key " in output
        assert "\ninterrupted in test_it.py::test_one\n" in output
        assert re.findall(r"^deleted .*\(key run-\d\): (.*)$", output, re.M) == ["interrupted"] * 2
    elif row.phase:
        assert [it["interrupted"] for it in report["instances"]] == [row.phase] * row.instances


WAITS = """
import pytest
def test_one(smoke_instance): ...
@pytest.mark.parametrize("smoke_instance", [{"agent_name": "slow"}], indirect=True, ids=["slow"])
def test_two(smoke_instance): ...
def test_three(smoke_instance): ...
"""
EXITS = (
    WAITS.replace("test_two(", "test_two(before, ")
    + """
@pytest.fixture
def before(NEEDS): pytest.exit("enough")
"""
)


@pytest.mark.parametrize(
    ("needs", "workers"),
    [
        pytest.param(None, (), id="by a signal"),
        pytest.param("", (), id="before"),
        pytest.param("smoke_instance", (), id="after"),
        pytest.param("", ("-p", "xdist", "-n1"), id="before, xdist", marks=pytest.mark.kill),
        pytest.param(
            "smoke_instance", ("-p", "xdist", "-n1"), id="after, xdist", marks=pytest.mark.kill
        ),
    ],
)
def test_what_ends_a_run_in_a_set_up_is_told_as_in_a_test(
    project: Project,
    routing: Callable[[Scenario], FakeRouter],
    needs: str | None,
    workers: tuple[str, ...],
) -> None:
    if needs is None:
        router = routing(Scenario(row_after=0, statuses=((0, "starting"), (1, "running"))))
        row = Interrupt(WAITS, INT, "status", instances=2)
        result = interrupted(project, router, row, scope="module")
    else:
        router = routing(QUICK)
        project.suite("bare").at(router, run_id="run")
        project.write("test_it.py", EXITS.replace("NEEDS", needs))
        result = project.live(*workers, "test_it.py")
    second = "test_it.py::test_two[slow]"
    words = f"interrupted in {second}"
    summary = ["smoke tests: 1 passed, 1 interrupted, 1 not run*", words]
    result.stdout.fnmatch_lines(summary, consecutive=True)
    report = project.report()
    keys = [] if needs == "" else ["run-1"]
    told = [(it["id"], it["outcome"], it["instances"]) for it in report["tests"]]
    assert told == [("test_it.py::test_one", "passed", ["run-0"]), (second, "interrupted", keys)]
    using = [it["idempotency_key"] for it in report["instances"] if second in it["tests"]]
    assert (report["not_run"], using) == (1, keys)
    assert f"not all smoke tests came to their end: {words}" in project.left("report.html")
    assert nothing_left(router)


def test_a_signal_where_there_is_no_session_yet_interrupts_all_the_same(
    project: Project, router: FakeRouter
) -> None:
    project.suite("bare").at(router)
    with as_in_a_terminal():
        config = project.pytester.parseconfigure(*only(), "--hydra-smoke")
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(TERM)
        config._ensure_unconfigure()
    assert project.runs() == []


@pytest.mark.parametrize("given", ["present", "absent"])
def test_a_row_that_comes_late_is_deleted_all_the_same(
    project: Project, routing: Callable[[Scenario], FakeRouter], given: str
) -> None:
    # Not there yet is not gone: a 404 says no more than that.
    late = Scenario(row_after=0.9, statuses=((0, "running"),), provision_instance_id=given)
    router = routing(late)
    project.suite("bare").at(router, ready_timeout=0.5).write("test_it.py", ONE)
    project.live("test_it.py", errors=1)
    until(lambda: router.instances[0].status is not None)
    assert nothing_left(router)


def test_a_usage_error_hides_no_warning(project: Project, router: FakeRouter) -> None:
    here = project.suite("bare").at(router, max_instance=1)
    result = here.live("no_such.py", "-q", ret=pytest.ExitCode.USAGE_ERROR)
    result.says("*= hydra-smoke =*", "*HYDRA_SMOKE_MAX_INSTANCE is not a *")
    result.stdout.no_fnmatch_line("*provisioned*")
