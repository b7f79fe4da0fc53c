"""A run in which everything goes wrong: all of it is in every report, each in its words."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import sinks_tools as sinks
from jsonschema import Draft202012Validator
from plugin_tools import ASYNCIO, QUICK, Project, Ran, alone_or_workers

from pytest_hydrasmoke._journal.story import PHASES
from pytest_hydrasmoke.fake import FakeInstance, FakeRouter, Scenario

SCHEMA = Path(__file__).parent.parent.parent / "docs" / "reference" / "report-schema.json"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
LINK = f"https://traces.example/{TRACE}"
BROKEN = [it for it in PHASES if it != "ready"]
"""The phases of which no instance keeps the budget."""
HTML = ("-p", "pytest_metadata.plugin", "-p", "pytest_html.fixtures", "-p", "pytest_html.plugin")
OTHERS = (
    *ASYNCIO,
    "-oasyncio_mode=auto",
    *HTML,
    "--html=out/page.html",
    "-p",
    "pytest_reportlog",
    "--report-log=log.jsonl",
)
CONFTEST = """
import pytest

@pytest.fixture
def broken(smoke_instance):
    raise RuntimeError("broken set-up")
"""
SUITE = """
import pytest

@pytest.fixture
def untidy(smoke_instance):
    yield
    raise RuntimeError("::error::100% untidy")

@pytest.fixture(scope="module")
def mine(smoke_instance_factory):
    return smoke_instance_factory()

def test_answers(smoke_instance):
    turn = smoke_instance.chat("Are you a walrus?")
    turn.expect_llm_events()
    assert "no walrus" in turn.text

def test_fails(smoke_instance):
    smoke_instance.chat("And now?")
    raise AssertionError("as it should")

def test_cut(smoke_instance): smoke_instance.chat("Cut it.")

def test_set_up(broken): ...

def test_teardown(untidy): ...

def test_without_an_instance(smoke_config): assert smoke_config is None, "why not"

def test_of_others(no_such_fixture): ...

def test_uses_mine(mine): mine.status()

def test_plain(): ...

@pytest.fixture
async def refused(async_smoke_instance_factory):
    await async_smoke_instance_factory(tier_id="refused")

async def test_refused(refused): ...

async def test_unawaited(async_smoke_instance, async_smoke_client):
    turn = await async_smoke_instance.chat("hi")
    turn.expect_llm_events(exactly=77)
    turn.expect_llm_events(exactly=78)
    assert async_smoke_instance.chat("hi")
    async_smoke_client.poll("made-up")
    own()

async def own(): ...
"""
LINES = {line.partition("(")[0][4:]: n for n, line in enumerate(SUITE.split("\n"), 1) if line}
FAILURES = [
    ("test_fails", None),
    ("test_cut", "turn"),
    ("test_set_up", None),
    ("test_teardown", None),
    ("test_unawaited", None),
    ("test_refused", "provision"),
]


@alone_or_workers
def test_everything_that_went_wrong_is_in_every_report(
    project: Project,
    routing: Callable[[Scenario], FakeRouter],
    monkeypatch: pytest.MonkeyPatch,
    workers: tuple[str, ...],
) -> None:
    router = routing(replace(QUICK, reply="I am no walrus."))
    router.fail("provision", status=503, times=1, retry_after=0)
    router.break_stream("cut", after=2)
    router.fail("delete", status=500, body="<script>alert(1)</script>", times=999)
    # Words of a refusal may be long.
    detail = [{"loc": ["body", f"field_{n}"], "msg": "is wrong " * 9} for n in range(9)]
    router.fail("provision", status=422, body={"detail": detail}, after=3, times=9)
    sinks.on_github(project, monkeypatch)
    monkeypatch.setenv("TRACEPARENT", f"00-{TRACE}-00f067aa0ba902b7-01")
    project.at(router, run_id="r" * 60, group="nightly", delete_timeout=0.6)
    project.set(trace_url="https://traces.example/{trace_id}")
    project.set(budgets=",".join(f"{it}={1e-6 if it in BROKEN else 60}" for it in PHASES))
    project.write("conftest.py", CONFTEST)
    project.write("test_it.py", SUITE)
    result = project.live(*workers, *sinks.OLDER, *OTHERS, "-Wdefault", "-rf", "test_it.py")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    # Beside the tests: two leaks, and the budgets. What was not awaited is five warnings.
    failed = 3 + 2 + len(BROKEN)
    result.assert_outcomes(passed=5, failed=failed, errors=5, warnings=5)
    shared, mine = router.instances
    files = sinks.left(project)
    told_in_requests(router)
    told_on_the_terminal(result, shared)
    told_in_the_report(json.loads(files["report.json"]), shared)
    told_on_the_page(files["report.html"])
    told_in_junit(ElementTree.fromstring(files["junit.xml"]), shared)
    told_on_github(sinks.errors(result), files["summary.md"], project, shared)
    told_in_reports_of_others(files["page.html"], files["log.jsonl"], router.instances)
    assert mine.idempotency_key == f"{'r' * 60}-1"


def told_in_requests(router: FakeRouter) -> None:
    """Each request says whose it is, and a retry is another span."""
    headers = [it.headers for it in router.requests]
    client = f"pytest-hydrasmoke/{version('pytest-hydrasmoke')}"
    assert {(it["user-agent"], it["x-smoke-run-id"]) for it in headers} == {(client, "r" * 60)}
    assert {it["traceparent"][3:35] for it in headers} == {TRACE}
    assert len({it["traceparent"] for it in headers}) == len(headers)


def told_on_the_terminal(result: Ran, one: FakeInstance) -> None:
    result.says(f"E *trace: *{LINK}")
    result.says("*as it should", "LEAK: *")
    for phase in BROKEN:
        raised = f"If that is acceptable, raise the limit: budgets = {{ {phase} = ... }}"
        words = [f"BUDGET: {phase} took *.* s, the limit is 1e-06 s", "seen on *", raised]
        result.says(f"*_ budget of {phase} _*", *words)
        result.says(f"FAILED hydra-smoke::budget::{phase}*")
    result.says(f"seen on {one.id} (key {one.idempotency_key})*")
    result.says("hydra-smoke: what happened is in *report.html")
    never = ("ChatTurn.expect_llm_events", "SmokeInstance.chat", "SmokeClient.poll")
    named = ", ".join(f"Async{it}" for it in never)
    words = f"{named}: begun, and not ended with the test, so nothing was proved."
    assert words in result.outlines
    # No frame of the plugin for coroutines is shown.
    shown = result.stdout.str().partition("ERROR at setup of test_refused")[2]
    shown = shown.partition("= FAILURES =")[0]
    assert "RejectedError: provision was refused with 422" in shown
    assert "pytest_asyncio" not in shown


def told_in_the_report(report: dict[str, Any], one: FakeInstance) -> None:
    Draft202012Validator(json.loads(SCHEMA.read_text("utf-8"))).validate(report)
    instances = report["instances"]
    assert (instances[0]["id"], report["exit_code"]) == (one.id, 1)
    assert [it["failed"] for it in instances] == [True, False, True]
    failures = [it for one in instances for it in one["failures"] if it["test"] is not None]
    # Each is told once, and of the instance that its test used.
    assert [(it["test"].partition("::")[2], it["phase"]) for it in failures] == FAILURES
    assert LINK in failures[1]["message"]
    assert [it["phase"] for it in report["breaches"]] == BROKEN
    assert all(it["value"] > it["limit"] == 1e-06 for it in report["breaches"])
    without = next(it for it in report["tests"] if it["id"].endswith("without_an_instance"))
    assert without["failure"].startswith("AssertionError: why not")
    unknown = dict.fromkeys(("job", "attempt", "branch", "url"))
    assert report["pipeline"] == {"group": "nightly", "commit": "0a1b2c", **unknown}
    assert report["budgets"]["ready"] == 60
    assert (report["trace_id"], report["trace_url"]) == (TRACE, LINK)


def told_on_the_page(page: str) -> None:
    for words in (
        *("<h1>Failed</h1>", "What went wrong", "AssertionError: why not", "I am no walrus."),
        *("test_it.py::test_fails", "AssertionError: as it should", f'<a href="{LINK}"'),
    ):
        assert words in page
    assert "Nothing went wrong" not in page


def told_in_junit(junit: ElementTree.Element, one: FakeInstance) -> None:
    cases = {it.get("name", ""): it for it in junit.iter("testcase")}
    told = sinks.properties(cases["test_answers"])
    phases = [f"phases.{it}" for it in ("first_event", "turn", "llm_events")]
    sinks.times(told, "instance.", [*sinks.BOOT, *phases, "waits.first_text", "waits.gap"])
    assert told == {
        "instance.id": one.id,
        "instance.idempotency_key": one.idempotency_key,
        "instance.chats": "1",
        "instance.retries": "1",
        "instance.input_tokens": "5",
        "instance.output_tokens": "5",
        "instance.finish_reasons": "stop",
    }
    assert sinks.properties(cases["test_plain"]) == {}
    suite = sinks.properties(junit.find("testsuite"))
    assert (suite["instances.0.outcome"], suite["trace_id"]) == ("leaked", TRACE)
    assert suite["breaches.turn.limit"] == "1e-06"
    assert float(suite["breaches.turn.value"]) >= 0
    assert "breaches.ready.limit" not in suite
    of_budgets = junit.findall(".//testcase[@classname='hydra-smoke.budget']")
    assert [it.get("name") for it in of_budgets] == BROKEN
    failures = [it.findtext("failure", "").partition(" took ")[0] for it in of_budgets]
    assert failures == [f"BUDGET: {it}" for it in BROKEN]


def told_on_github(errors: list[str], summary: str, project: Project, one: FakeInstance) -> None:
    """Leaks come first, and of what has a place in the repository, that is the test's."""
    _, leak, fails, cut, set_up, teardown, without, refused, unawaited = errors
    assert leak.startswith(f"::error title=leak of {one.id}::")
    assert f"LEAK: {one.id} (key {one.idempotency_key}) may still run" in leak
    sweep = f"hydra-smoke sweep --run-id {'r' * 60}"
    assert f"%0ATo delete it: cd {project.path} && {sweep}" in leak
    place = "::error file=test_it.py,line={},title={}test_it.py%3A%3A{}::"
    line = LINES["test_fails"] + 2
    assert fails.startswith(place.format(line, "", "test_fails") + "AssertionError: as it should")
    assert cut.startswith(place.format(LINES["test_cut"], "", "test_cut"))
    of = place.format(LINES["test_set_up"], "setup of ", "test_set_up")
    assert set_up == f"{of}RuntimeError: broken set-up"
    of = place.format(LINES["untidy"] + 2, "teardown of ", "test_teardown")
    assert teardown == f"{of}RuntimeError: ::error::100%25 untidy"
    of = place.format(LINES["test_without_an_instance"], "", "test_without_an_instance")
    assert without.startswith(f"{of}AssertionError: why not")
    assert "title=setup of test_it.py%3A%3Atest_refused::" in refused
    assert "title=teardown of test_it.py%3A%3Atest_unawaited::" in unawaited
    assert summary.count("## hydra-smoke: failed") == 1
    for words in ("### Leaked", "### Budgets that were not kept", f"[`{TRACE}`]({LINK})"):
        assert words in summary
    assert "`test_it.py::test_without_an_instance`:\n\n```text\nAssertionError: why not" in summary


def told_in_reports_of_others(page: str, log: str, instances: Sequence[FakeInstance]) -> None:
    """Read pytest-html's page, and the report log."""
    one, other = instances
    assert "<script>alert(1)</script>" not in page
    blob = re.search(r'data-jsonblob="([^"]*)"', page)
    assert blob is not None
    tests = json.loads(html.unescape(blob[1]))["tests"]
    of_the_run = [f"hydra-smoke::leak::{it.id}" for it in (one, other)]
    of_the_run += [f"hydra-smoke::budget::{phase}" for phase in BROKEN]
    assert [it["result"] for it in tests["test_it.py::test_answers"]] == ["Passed"]
    assert {it["result"] for name in of_the_run for it in tests[name]} == {"Failed"}
    reports = [it for it in map(json.loads, log.splitlines()) if it["$report_type"] == "TestReport"]
    [call] = [it for it in reports if it["nodeid"].endswith("answers") and it["when"] == "call"]
    assert ["hydra_smoke.instance.id", one.id] in call["user_properties"]
    failed = [it["nodeid"] for it in reports if it["outcome"] == "failed"]
    assert failed[-len(of_the_run) :] == of_the_run
    # What belongs to the whole run has no place in it.
    assert "hydra_smoke.run_id" not in log
