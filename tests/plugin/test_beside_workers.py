"""What a worker of xdist does otherwise, and what the main process does for it, without either."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from inner import only
from plugin_tools import Project, Ran

from pytest_hydrasmoke import ConfigError, HydraSmokeConfig
from pytest_hydrasmoke._base.evidence import Absent
from pytest_hydrasmoke._journal.events import CutShort, Used
from pytest_hydrasmoke._journal.journal import Journal
from pytest_hydrasmoke._plugin import repeats
from pytest_hydrasmoke._plugin.context import RunContext
from pytest_hydrasmoke._plugin.replaying import notes
from pytest_hydrasmoke._plugin.run_report import RunTold
from pytest_hydrasmoke._plugin.workers import Workers, _recorded
from pytest_hydrasmoke._recordings.store import Tape
from pytest_hydrasmoke._report.parts import CaseReport
from pytest_hydrasmoke.fake import FakeRouter
from pytest_hydrasmoke.fake.course import Course

RUN = {"url": "https://router.example", "token": "not-a-real-token", "run_id": "run"}


def test_a_worker_whose_name_can_be_no_file_is_not_waited_for(pytester: pytest.Pytester) -> None:
    context = RunContext(
        pytestconfig=pytester.parseconfig(),
        config=HydraSmokeConfig(**RUN),
        absent=Absent(),
        fake=False,
    )
    workers = Workers(context, resources=cast("Any", None), tape=None, course=None)
    for name in ("gw0", "../gw1"):
        node = SimpleNamespace(workerinput={"workerid": name})
        workers.pytest_configure_node(node)
        assert node.workerinput["hydra_smoke"]["fake"] is False
    assert workers.silent == {"gw0"}


def test_a_worker_that_crashed_has_said_nothing_and_what_is_told_twice_counts_once() -> None:
    asked: list[tuple[str, ...]] = []
    tape = SimpleNamespace(kept=[])
    course, nothing = SimpleNamespace(add=asked.extend), SimpleNamespace()
    workers = Workers(
        cast("Any", nothing),
        resources=cast("Any", nothing),
        tape=cast("Tape", tape),
        course=cast("Course", course),
    )
    workers.silent |= {"gw0", "gw1", "gw2"}
    told = {"journal": "", "recorded": [{"of": "test_a"}], "asked": [("begun", "test_a")]}
    outputs: tuple[dict[str, object], ...] = ({"hydra_smoke": told}, {"hydra_smoke": None}, {})
    for number, output in enumerate((*outputs, outputs[0])):
        node = {"workerinput": {"workerid": f"gw{number % 3}"}, "workeroutput": output}
        workers.pytest_testnodedown(SimpleNamespace(**node))
    assert (asked, tape.kept) == ([("begun", "test_a")], [{"of": "test_a"}])
    assert workers.silent == {"gw2"}, "one that could take no part leaves nothing"


def told_of(journal: Journal, sent: Mapping[str, str]) -> RunTold:
    ledger = SimpleNamespace(folder=journal._path.parents[1])
    resources: Any = SimpleNamespace(journal=journal, ledger=ledger)
    return RunTold(cast("Any", SimpleNamespace()), resources=resources, sent=sent)


def test_a_crash_fails_what_the_test_used_and_an_interrupt_does_not(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "main", "run", str, replies=True)
    told = told_of(journal, {})
    for number, test in enumerate(("test_a", "test_b")):
        journal.note(Used(test), f"run-{number}")
    journal.note(CutShort("test_b"))
    for test in ("test_a", "test_b"):
        words = f"worker 'gw0' crashed while running {test!r}"
        told.crash(pytest.TestReport(test, ("t", 1, test), {}, "failed", words, "call"))
    failed = {name: story.failed for name, story in told.story.instances.items()}
    assert failed == {"run-0": True, "run-1": False}
    [failure] = told.story.instances["run-0"].failures.values()
    assert (failure.test, failure.brief) == ("test_a", "a worker crashed")
    assert failure.message == "worker 'gw0' crashed while running 'test_a'"
    journal.discard(tmp_path)


def test_what_a_worker_has_sent_needs_no_file(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "main", "run", str, replies=True)
    worker = Journal(tmp_path, "gw0", "run", str, replies=True)
    sent: dict[str, str] = {}
    told = told_of(journal, sent)
    worker.note(Used("test_a"), "run-0")
    assert told.story.smoke_tests == {"test_a"}, "of a worker that may still crash"
    sent["gw0"] = worker.text
    shutil.rmtree(tmp_path / "journal")
    journal.note(Used("test_b"), "run-1")
    assert told.story.smoke_tests == {"test_a", "test_b"}
    worker.close()
    journal.discard(tmp_path)


def test_what_a_skipped_test_does_not_ask_is_no_news_nor_what_a_hook_does_not_of_a_part() -> None:
    hook = "hook pytest_hydra_smoke_instance_ready"
    course = SimpleNamespace(
        unasked=lambda: {
            "test_a": ["hello"],
            "test_b": ["hello"],
            "test_c": ["bye"],
            hook: ["hi"],
        },
        missed=dict,
        not_on_stage=list,
    )
    outcomes = {"test_a": "skipped", "test_b": "failed", "test_c": "passed"}
    tests = [CaseReport(id=name, outcome=it, seconds=0.0) for name, it in outcomes.items()]
    told = {whole: [*notes(cast("Course", course), tests, whole=whole)] for whole in (True, False)}
    assert told[False] == [
        "note: test_b failed, and did not ask what was recorded: 'hello'",
        "note: test_c no longer asks what was recorded: 'bye'",
    ]
    assert told[True] == [*told[False], f"note: {hook} no longer asks what was recorded: 'hi'"]


def test_a_wrong_marker_ends_a_workers_run_in_words(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nmarkers = hydra_smoke_runs")
    [item] = pytester.getitems(
        "import pytest\n@pytest.mark.hydra_smoke_runs(0)\ndef test_a(): pass\n"
    )
    items: list[pytest.Item] = [item]
    item.session.items = items
    with pytest.raises(pytest.UsageError, match="hydra_smoke_runs is wrong, n is 0"):
        repeats.take_part(item.config, items, None)
    vars(item.config)["workerinput"] = {}
    repeats.take_part(item.config, items, None)
    assert items == []
    assert "hydra_smoke_runs is wrong, n is 0" in str(item.session.shouldfail)


def test_a_worker_that_lacks_the_recordings_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="recordings can't be replayed here") as caught:
        _recorded("recordings", tmp_path)
    assert "run pytest where they are" in str(caught.value)


def test_no_worker_elsewhere_asks_an_agent_of_this_machine(project: Project) -> None:
    settings = HydraSmokeConfig(**RUN, agent_url="http://127.0.0.1:8642")
    sent = {"settings": settings.to_plain(), "absent": [False, False], "fake": True, "table": None}

    class Worker:
        @pytest.hookimpl(tryfirst=True)
        def pytest_configure(self, config: pytest.Config) -> None:
            given = {"workerid": "gw0", "hydra_smoke": {**sent, "replay": False}}
            vars(config).update(workerinput=given, workeroutput={})

    # It sees no main process that lives.
    project.write("test_it.py", "def test_it(): ...")
    run = project.pytester.runpytest_inprocess
    result = run(*only(), "--hydra-smoke-fake", "-s", "test_it.py", plugins=[Worker()])
    words = "gw0: the agent at http://127.0.0.1:8642 is on the main process's machine"
    Ran(result, ret=pytest.ExitCode.TESTS_FAILED).says(f"*{words}*", "*no tests ran*")


def test_what_a_worker_has_refused_is_a_usage_error_of_the_run(
    project: Project, router: FakeRouter
) -> None:
    project.at(router).write("test_it.py", REFUSES)
    assert project.live("-p", "xdist", "test_it.py").ret == pytest.ExitCode.USAGE_ERROR
    assert project.report()["exit_code"] == pytest.ExitCode.USAGE_ERROR


REFUSES = """
from types import SimpleNamespace
from pytest_hydrasmoke._base.pytest_internals import REFUSED

def test_it(smoke_config, pytestconfig):
    node = SimpleNamespace(workerinput={"workerid": "gw0"}, workeroutput={REFUSED: True})
    pytestconfig.hook.pytest_testnodedown(node=node, error=None)
"""
