"""What a run leaves for its readers where all is well, and where something can't be told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from plugin_tools import QUICK, Project, problems
from sinks_tools import BOOT, OLDER, errors, left, on_github, properties, times

from pytest_hydrasmoke import SmokeClient
from pytest_hydrasmoke._journal.story import PHASES
from pytest_hydrasmoke.fake import FakeRouter, Scenario

PAGES = ["report.html"]
SUITE = """
def test_answers(smoke_instance):
    assert "no walrus" in smoke_instance.chat("Are you a walrus?").text

def test_fails(smoke_instance):
    smoke_instance.chat("And now?")
    raise AssertionError("as it should")

def test_breaks_off(smoke_instance): smoke_instance.chat("Cut it.")
"""


@pytest.fixture
def router(routing: Callable[[Scenario], FakeRouter]) -> FakeRouter:
    return routing(replace(QUICK, reply="I am no walrus."))


@pytest.fixture
def here(project: Project, router: FakeRouter, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project against `router`, in a step of a job."""
    on_github(project, monkeypatch)
    project.suite("bare").at(router, run_id="run").write("test_it.py", SUITE)
    return project


TIERS = """
import pytest
TIERS = [{'tier_id': 'small'}, {'tier_id': 'large'}]
@pytest.mark.parametrize('smoke_instance', TIERS, indirect=True)
def test_it(smoke_instance): ...
"""


def test_a_run_in_which_all_is_well_says_so(here: Project, router: FakeRouter) -> None:
    here.write("test_it.py", TIERS)
    here.set(report="on-failure", deadline=600)
    here.set(budgets=",".join(f"{phase}=60" for phase in PHASES))
    # The environment beats the table.
    here.table("budgets = { ready = 0.000001 }")
    result = here.live("test_it.py", "--junit-xml=junit.xml", ret=0)
    files = left(here)
    assert not {*files} & {*PAGES}
    for words in ("*what happened is in *", "*BUDGET*", "*deadline:*", "::*"):
        result.stdout.no_fnmatch_line(words)
    assert files["summary.md"].startswith("## hydra-smoke: passed\n")
    assert "| instance | key | spec | outcome |" in files["summary.md"]
    small = next(it for it in router.instances if it.tier_id == "small")
    row = f"| `{small.id}` | `{small.idempotency_key}` | `made-up/nowhere/small` | deleted |"
    assert row in files["summary.md"]
    # Without a pipeline's trace, the run has one of its own.
    [trace] = {it.headers["traceparent"][3:35] for it in router.requests}
    report = json.loads(files["report.json"])
    assert (report["trace_id"], report["trace_url"]) == (trace, None)
    junit = ElementTree.fromstring(files["junit.xml"])
    told = properties(junit.find("testsuite"))
    times(told, "", ["seconds"])
    names = {it.idempotency_key: it.id for it in router.instances}
    facts = {"outcome": "deleted", "failed": "false", "chats": "0", "retries": "0"}
    expected = {"run_id": "run", "router": "live", "url": router.url, "trace_id": trace}
    expected |= {"provisioned": "2", "deleted": "2", "kept": "0", "leaked": "0", "unsure": "0"}
    for at, key in enumerate(sorted(names)):
        times(told, f"instances.{at}.", [*BOOT, "phases.delete"])
        one = {"id": names[key], "idempotency_key": key, **facts}
        expected |= {f"instances.{at}.{name}": value for name, value in one.items()}
    assert told == expected
    # The default family has no place for properties of tests.
    assert properties(junit.find(".//testcase")) == {}
    # A run in which no smoke test was executed is red, and has no failure of a test to show.
    here.set(run_id="next").write("test_it.py", "def test_it(): ...\n")
    [line] = errors(here.live("test_it.py"))
    assert line.startswith("::error title=hydra-smoke::no smoke test was executed: the run proves")


NO_FAILURES = """
import pytest
from pytest_hydrasmoke import ChatError, RejectedError

attempts = []

def test_expects(smoke_instance, smoke_instance_factory):
    with pytest.raises(ChatError):
        smoke_instance.chat("hello")
    with pytest.raises(RejectedError):
        smoke_instance_factory(tier_id="x" * 81)

@pytest.mark.flaky(reruns=1)
def test_a(smoke_instance):
    smoke_instance.chat("hello")

@pytest.mark.flaky(reruns=1)
def test_b(smoke_instance):
    attempts.append(1)
    assert len(attempts) == 2
"""


def test_what_a_test_expects_is_no_failure_and_what_a_rerun_cured_is_told_as_cured(
    here: Project, router: FakeRouter
) -> None:
    router.break_stream("cut", times=2)
    here.set(report="always").write("test_it.py", NO_FAILURES)
    result = here.live("-p", "pytest_rerunfailures", "test_it.py")
    assert result.parseoutcomes() == {"passed": 3, "rerun": 2}
    files = left(here)
    instances = json.loads(files["report.json"])["instances"]
    failures = [failure for it in instances for failure in it["failures"]]
    assert [(it["test"][12:], it["phase"], it["cured"]) for it in failures] == [
        *(("test_a", "turn", True), ("test_b", None, True)),
    ]
    assert not any(it["failed"] for it in instances)
    assert files["report.html"].count(", cured by a rerun") == 2
    assert "What went wrong" not in files["report.html"]
    assert errors(result) == []


def test_words_that_are_kept_out_of_reports_are_nowhere(here: Project, router: FakeRouter) -> None:
    router.break_stream("error", after=2)
    here.set(report_replies="false")
    result = here.live("test_it.py", "-k", "test_it")
    assert (result.ret, result.parseoutcomes()["failed"]) == (1, 2)
    files = left(here)
    assert "### Failures" in files["summary.md"]
    assert {*PAGES, "report.json"} < {*files}
    for name in (*PAGES, "report.json", "summary.md"):
        for words in ("walrus", "And now?", "Cut it.", "the agent has failed", "as it should"):
            assert words not in files[name], name
    assert errors(result)[0].endswith("::AssertionError")


WRITER = """
class Writer:
    def add_global_property(self, name, value):
        raise TypeError('no longer so')

def pytest_configure(config):
    config.pluginmanager.register(Writer())
"""


def test_what_can_not_be_written_is_a_line_and_changes_no_outcome(
    here: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("report.json", "report.html")
    for name in names:
        # A folder of that name is in the way.
        (here.path / ".hydrasmoke" / name / "in the way").mkdir(parents=True)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(here.path))
    here.set(report="always").write("conftest.py", WRITER)
    result = here.live("test_it.py", "-k", "answers", "-p", "no:junitxml", ret=0)
    lines = [f"{name} was not written: Is a directory (*.hydrasmoke)" for name in names]
    lines += ["the JUnit file has no properties: TypeError('no longer so')"]
    lines += ["GitHub's job summary was not written: IsADirectoryError*"]
    result.says(*(f"hydra-smoke: {line}" for line in lines))
    result.stdout.no_fnmatch_line("*what happened is in *")
    assert not list((here.path / ".hydrasmoke").glob(".report*"))


def test_a_boot_that_failed_is_told_by_its_key_and_an_attached_instance_by_its_id(
    here: Project, router: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    router.fail("provision", status=500, times=999)
    here.set(ready_timeout=1, delete_timeout=0.6)
    here.live("test_it.py", "-k", "fails", *OLDER)
    told = properties(ElementTree.fromstring(left(here)["junit.xml"]).find(".//testcase"))
    assert told["instance.idempotency_key"] == "run-0"
    assert "instance.id" not in told
    router.reset()
    here.set(run_id="second").live("test_it.py", "-k", "answers", "--hydra-smoke-keep=always")
    [instance] = [it for it in router.instances if not it.deleted]
    here.set(run_id="third", instance=instance.id, report="never")
    # Elsewhere than on GitHub there is no summary and no annotation.
    (here.path / "summary.md").unlink()
    monkeypatch.delenv("GITHUB_STEP_SUMMARY")
    monkeypatch.delenv("GITHUB_ACTIONS")
    result = here.live("test_it.py", "-k", "fails", *OLDER)
    assert (result.ret, errors(result)) == (1, [])
    files = left(here)
    assert not {*files} & {*PAGES, "summary.md"}
    told = properties(ElementTree.fromstring(files["junit.xml"]).find(".//testcase"))
    assert told["instance.id"] == instance.id
    assert "instance.idempotency_key" not in told
    [failure] = here.report()["instances"][0]["failures"]
    assert failure["test"] == "test_it.py::test_fails"


def test_settings_of_reports_that_are_wrong(project: Project, router: FakeRouter) -> None:
    project.suite("bare").table("budgets = { firstevent = 5 }")
    project.at(router, trace_url="https://traces.example/")
    link, phase = problems(project.live())
    assert "must be a URL with {trace_id}, such as https://traces.example/{trace_id}, " in link
    meant = "(did you mean first_event?): it must be one of provision, row, ready, "
    assert f"(pyproject.toml): 'firstevent' can't have a budget {meant}" in phase


def test_a_client_of_its_own_has_no_run(router: FakeRouter) -> None:
    with SmokeClient(router.url, token=router.token) as client:
        client.poll("a-key")
        client.poll("a-key")
    told = [it.headers for it in router.requests]
    assert all("x-smoke-run-id" not in it for it in told)
    assert len({it["traceparent"][3:35] for it in told}) == 1
