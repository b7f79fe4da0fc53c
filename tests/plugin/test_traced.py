"""A run's requests are found by its trace, its id and its client; failures name the trace."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from importlib.metadata import version

import pytest
from plugin_tools import Project, problems

from pytest_hydrasmoke import SmokeClient
from pytest_hydrasmoke.fake import FakeRouter

ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{ID}-00f067aa0ba902b7-01"
CHATS = "def test_it(smoke_instance): smoke_instance.chat('hello')\n"


@pytest.fixture
def here(project: Project, router: FakeRouter) -> Project:
    project.suite("bare").at(router, run_id="run").write("test_it.py", CHATS)
    return project


def test_each_request_says_whose_it_is(
    here: Project, router: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACEPARENT", PARENT)
    router.fail("status", status=503)
    here.live("test_it.py").assert_outcomes(passed=1)
    told = [it.headers for it in router.requests]
    assert {it["user-agent"] for it in told} == {
        f"pytest-hydrasmoke/{version('pytest-hydrasmoke')}"
    }
    assert {it["x-smoke-run-id"] for it in told} == {"run"}
    assert {it["traceparent"][3:35] for it in told} == {ID}
    # A retry is another span.
    assert len({it["traceparent"] for it in told}) == len(told)


def test_a_run_without_a_pipeline_s_trace_has_one(here: Project, router: FakeRouter) -> None:
    here.live("test_it.py")
    [trace] = {it.headers["traceparent"][3:35] for it in router.requests}
    assert here.report()["trace_id"] == trace
    assert here.report()["trace_url"] is None


def test_a_failure_and_all_that_shows_it_name_the_trace(
    here: Project, router: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACEPARENT", PARENT)
    link = f"https://traces.example/{ID}"
    router.break_stream("cut")
    here.set(trace_url="https://traces.example/{trace_id}")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(here.path / "summary.md"))
    result = here.live("test_it.py", "--junit-xml=junit.xml")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"E *trace: *{link}"])
    report = here.report()
    assert (report["trace_id"], report["trace_url"]) == (ID, link)
    assert link in report["instances"][0]["failures"][0]["message"]
    assert f'<a href="{link}"' in here.left("report.html")
    assert f"[`{ID}`]({link})" in (here.path / "summary.md").read_text("utf-8")
    assert link in json.loads(here.left("trace.har"))["log"]["comment"]
    suite = ET.parse(here.path / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    properties = {it.get("name"): it.get("value") for it in suite.iter("property")}
    assert properties["hydra_smoke.trace_id"] == ID


def test_a_client_of_its_own_has_no_run(router: FakeRouter) -> None:
    with SmokeClient(router.url, token=router.token) as client:
        client.poll("a-key")
        client.poll("a-key")
    told = [it.headers for it in router.requests]
    assert all("x-smoke-run-id" not in it for it in told)
    assert len({it["traceparent"][3:35] for it in told}) == 1


def test_a_link_without_a_place_for_the_id_is_told(here: Project) -> None:
    here.set(trace_url="https://traces.example/")
    [problem] = problems(here.live())
    assert "must be a URL with {trace_id}, such as https://traces.example/{trace_id}" in problem
