"""What was not proved to be deleted is a failure of its own: each is told, and hides no other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from plugin_tools import ASYNCIO, FIRST, TOKEN, Project, Ran, shows_token, turns

from pytest_hydrasmoke import InstanceSpec, SmokeClient
from pytest_hydrasmoke.fake import FakeRouter, Scenario

MANY = "def test_many(smoke_instance_factory): smoke_instance_factory.many(3)"
ONE = "def test_one(smoke_instance): ..."
TWO_AWAITED = """
import pytest
@pytest.mark.asyncio
async def test_it(async_smoke_instance_factory):
    await async_smoke_instance_factory.many(2)
"""
NEVER: dict[str, Any] = {"route": "delete", "status": 500, "times": 999}


@dataclass(frozen=True)
class Leak:
    """Answers of a router, a test at it, and what is told."""

    fails: tuple[dict[str, Any], ...]
    text: str
    outcomes: dict[str, int]
    leaked: int = 0
    deleted: int = 0
    words: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()


LEAKS = {
    "refused in its boot": Leak(
        ({"route": "status", "status": 400, "after": FIRST.count("status")}, NEVER),
        *(ONE, {"errors": 1, "failed": 1}, 1),
    ),
    # Of two, one is refused and the other can't be deleted.
    "one of many": Leak(
        ({"route": "provision", "status": 422, "after": 1}, NEVER),
        *(TWO_AWAITED, {"failed": 2}, 1, 0),
        words=("E *RejectedError: *", "LEAK: *"),
        plugins=ASYNCIO,
    ),
    "one that stays": Leak(
        (
            {"route": "delete", "status": 403},
            {"route": "delete", "status": 403, "after": 3, "times": 100},
        ),
        *(MANY, {"passed": 1, "failed": 1}, 1, 2),
    ),
    "one that is tried once more": Leak(
        ({"route": "delete", "status": 403},),
        *(MANY, {"passed": 1}, 0, 3),
        words=("*its deletion was proved only at the run's end*",),
    ),
}


@pytest.fixture
def leaking(project: Project, router: FakeRouter) -> Project:
    """A project against a router that deletes nothing, and says back who asked."""
    router.fail(**NEVER, body={"detail": f"{TOKEN} is not valid"})
    return project.suite("endings").at(router, run_id="run", delete_timeout=0.6)


def pick(*names: str) -> list[str]:
    return [f"test_endings.py::test_{name}" for name in names]


def check(
    project: Project, router: FakeRouter, result: Ran, *, leaked: int, deleted: int = 0
) -> None:
    """Check that each leak is told everywhere, and that a sweep will find it."""
    alive = [it for it in router.instances if not it.deleted]
    assert (len(alive), result.ret) == (leaked, int(leaked > 0))
    report = project.report()
    assert report["exit_code"] == result.ret
    outcomes = [it["outcome"] for it in report["instances"]]
    assert (outcomes.count("leaked"), outcomes.count("deleted")) == (leaked, deleted)
    provisioned = f"provisioned {leaked + deleted}, deleted {deleted}"
    result.says(f"*{provisioned}, kept 0, leaked {leaked}, unsure 0")
    junit = (project.path / "junit.xml").read_text("utf-8")
    assert TOKEN not in junit
    cases = ElementTree.fromstring(junit).iterfind(".//testcase[@classname='hydra-smoke.leak']")
    failures = {it.get("name"): it.findtext("failure", "") for it in cases}
    assert len(failures) == leaked
    for instance in alive:
        told = f"LEAK: {instance.id} (key {instance.idempotency_key}) may still run and cost money"
        result.says(told)
        result.says(f"leaked   {instance.id} (key {instance.idempotency_key})")
        assert told in failures[instance.id]
    assert project.runs() == sorted({it.idempotency_key.rpartition("-")[0] for it in alive})


@pytest.mark.parametrize("name", LEAKS)
def test_what_could_not_be_deleted_is_told(project: Project, router: FakeRouter, name: str) -> None:
    row = LEAKS[name]
    for given in row.fails:
        router.fail(**given)
    project.suite("bare").at(router, run_id="run", delete_timeout=0.6)
    project.write("test_it.py", row.text)
    result = project.live(*row.plugins, "test_it.py", "--junit-xml=junit.xml", **row.outcomes)
    result.says(*row.words)
    check(project, router, result, leaked=row.leaked, deleted=row.deleted)


def test_every_leak_is_a_failed_report_of_its_own_and_hides_no_failure_of_a_test(
    leaking: Project, router: FakeRouter
) -> None:
    names = ("passes", "fails", "skips", "setup", "expected_failure", "leaves_two")
    leaking.set(scope="function", max_instances=9)
    result = leaking.live(*pick(*names), "--junit-xml=junit.xml", "-rA")
    result.assert_outcomes(passed=2, failed=1 + 7, skipped=1, errors=1, xfailed=1)
    result.says("E *AssertionError: a failure of the test's own", "LEAK: *")
    check(leaking, router, result, leaked=7)
    first = router.instances[0]
    command = f"cd {leaking.path} && hydra-smoke sweep --run-id run"
    result.says(
        f"*_ leak of {first.id} _*",
        f"LEAK: {first.id} (key run-0) may still run and cost money",
        "not confirmed as deleted, it may still run: delete was refused with 500*",
        "*phase: *delete, after *",
        f"To delete it: {command}",
        f"leaked   {first.id} (key run-0)",
        f"         delete: {command}",
        f"FAILED hydra-smoke::leak::{first.id}*",
    )


def test_a_leak_without_an_id_is_told_by_its_key(project: Project) -> None:
    # The request may have arrived, and no row was ever seen: nobody can tell.
    never = Scenario(row_after=999, provision_instance_id="absent")
    with FakeRouter(never, TOKEN) as router:
        # Its key is free; from then on, nothing is known of it.
        router.fail("poll", status=501, times=999, after=FIRST.count("poll") + 1)
        project.suite("endings").at(router, run_id="run", delete_timeout=0.6, ready_timeout=0.6)
        result = project.live(*pick("passes"))
    result.assert_outcomes(errors=1, failed=1)
    result.says("LEAK: no id (key run-0) *", "FAILED hydra-smoke::leak::run-0*")


def test_an_exit_with_a_code_of_its_own_hides_no_leak(leaking: Project) -> None:
    # Pytest itself leaves out its summary then.
    result = leaking.live(*pick("exits"), ret=7)
    told = result.stdout.str() + result.stderr.str()
    assert "LEAK: " in told
    assert "******** is not valid" in told
    left = leaking.path / ".hydrasmoke"
    [ledger] = left.glob("runs/*/ledger.jsonl")
    for file in (ledger, left / "report.json", left / "report.html"):
        assert not shows_token(file.read_text("utf-8"))


def test_a_leak_is_written_before_anybody_is_told(leaking: Project, router: FakeRouter) -> None:
    leaking.write(
        "conftest.py",
        "from pathlib import Path\n"
        "def pytest_runtest_logreport(report):\n"
        "    if report.nodeid.startswith('hydra-smoke::leak'):\n"
        "        assert '\"leaked\"' in Path('.hydrasmoke/report.json').read_text()\n"
        "        raise BrokenPipeError\n",
    )
    result = leaking.live(*pick("passes"), ret=pytest.ExitCode.TESTS_FAILED)
    [leak] = router.instances
    result.says(
        "*provisioned 1, deleted 0, kept 0, leaked 1, unsure 0",
        f"hydra-smoke: the leak of {leak.id} was not shown everywhere: BrokenPipeError()",
    )


def test_a_leak_of_the_fake_is_red_and_of_no_cost(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    project.suite("endings").set(run_id="run", ready_timeout=2, delete_timeout=0.3)
    project.write("no_row.toml", "row_after = inf")
    scenario = "--hydra-smoke-scenario=no_row.toml"
    options = (*pick("passes"), scenario, "--junit-xml=junit.xml")
    result = project.fake(*options, ret=pytest.ExitCode.TESTS_FAILED).says(
        "LEAK: * (key run-0) was not proved to be deleted",
        "not confirmed as deleted: *but shows no instance for its key",
        "The fake router ended with its run: there is nothing to delete",
        "*provisioned 1, deleted 0, kept 0, leaked 1, unsure 0",
    )
    told = {
        "terminal": result.stdout.str() + result.stderr.str(),
        "page": project.left("report.html"),
        "report": project.left("report.json"),
        "JUnit": (project.path / "junit.xml").read_text("utf-8"),
        "GitHub": summary.read_text("utf-8"),
    }
    for name, text in told.items():
        assert not [it for it in ("may still run", "money", "sweep", "costs") if it in text], name
        assert "but shows no instance for its key" in text, name
        if name != "report":
            assert "was not proved to be deleted" in text, name
            assert "The fake router ended with its run: there is nothing to delete" in text, name


CRASHES = """
import os

def test_a(smoke_instance):
    smoke_instance.chat("one")

def test_b(smoke_instance_factory):
    smoke_instance_factory().chat("two")

def test_c(smoke_instance):
    smoke_instance.chat("three")
    smoke_instance.chat("four")
    os._exit(9)

def test_d(smoke_instance_factory):
    smoke_instance_factory().chat("five")
"""


def test_the_main_process_tells_of_each_leak_and_turn_of_a_worker_that_crashed(
    leaking: Project, router: FakeRouter
) -> None:
    leaking.write("test_it.py", CRASHES)
    # Under the longest run id there can be.
    leaking.set(run_id="r" * 64)
    result = leaking.live("-p", "xdist", "-n1", "test_it.py", "--junit-xml=junit.xml")
    # One is shared, and the main process's to delete; each worker has had another for itself.
    result.assert_outcomes(passed=3, failed=1 + 3)
    check(leaking, router, result, leaked=3)
    report = leaking.report()
    assert turns(report) == ["five", "four", "one", "three", "two"]
    outcomes = {it["id"].rpartition("_")[2]: it["outcome"] for it in report["tests"]}
    assert outcomes == {"a": "passed", "b": "passed", "c": "failed", "d": "passed"}
    failure = report["instances"][0]["failures"][0]
    assert failure["test"] == "test_it.py::test_c"
    assert "crashed while running" in failure["message"]


def test_of_many_in_one_with_each_leak_is_named(project: Project, router: FakeRouter) -> None:
    router.fail(**NEVER)
    project.suite("bare").at(router, run_id="run", delete_timeout=0.6)
    project.write(
        "test_it.py",
        "import pytest\n"
        "@pytest.mark.anyio\n"
        "async def test_it(async_smoke_instance_factory):\n"
        "    async with await async_smoke_instance_factory.many(2):\n"
        "        pass\n",
    )
    result = project.live("-p", "anyio.pytest_plugin", "-k", "trio", "test_it.py", failed=1 + 2)
    unproved = "not confirmed as deleted, it may still run: *"
    named = [f"*instance: *{it.id} (key *" for it in router.instances]
    for line in (f"*LeakError: {unproved}", f"*as well: {unproved}", *named):
        result.says(f"E {line}")
    # Nothing of how it was deleted is among the frames.
    result.stdout.no_fnmatch_line("*grace.py*")
    # The test is told as what each of them made fail; then the end of the run has tried again.
    failures = [it["failures"] for it in project.report()["instances"]]
    test = "test_it.py::test_it[trio]"
    assert [[it["test"] for it in some] for some in failures] == [[test, None]] * 2


def test_a_router_with_one_slot_loses_no_instance_of_another_run(
    project: Project, router: FakeRouter
) -> None:
    with SmokeClient(router.url, token=TOKEN) as theirs:
        spec = InstanceSpec(manifest_id="made-up", region_id="nowhere", tier_id="tier-1")
        theirs.provision(spec, "theirs-0")
    [other] = router.instances
    taken = {"idempotency_key": "mine-0", "instance_id": other.id, "task_id": "t"}
    router.fail("provision", status=200, body=taken, times=9)
    project.at(router, run_id="mine", bundled_checks="false", ready_timeout=1, delete_timeout=1)
    project.write("test_it.py", ONE)
    result = project.live("test_it.py", ret=1)
    result.says(f"*the router accepted the request with {other.id}, which may be another run's *")
    result.says("*provisioned 1, deleted 0, kept 0, leaked 1, unsure 0")
    assert not other.deleted
    assert "delete" not in [it.route for it in router.requests]
    # Nor does a sweep delete it.
    project.command("sweep", ret=1)
    assert not other.deleted
