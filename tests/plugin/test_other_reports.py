"""What reports of other plugins carry of a run: pytest-html's page, the report log, CTRF."""

from __future__ import annotations

import html
import importlib.util
import json
import re
from typing import Any

import pytest
from plugin_tools import TOKEN, Project

from pytest_hydrasmoke.fake import FakeRouter

HTML = ("-p", "pytest_metadata.plugin", "-p", "pytest_html.fixtures", "-p", "pytest_html.plugin")
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def here(project: Project, router: FakeRouter) -> Project:
    """A project against a router that deletes nothing."""
    router.fail("delete", status=500, body=HOSTILE, times=999)
    project.suite("endings").at(router, run_id="run", delete_timeout=0.6, budgets="row=0.000001")
    return project


def page(project: Project) -> str:
    return (project.path / "out" / "page.html").read_text("utf-8")


def rows(text: str) -> dict[str, list[dict[str, Any]]]:
    """Return the tests of a page of pytest-html, by their names."""
    blob = re.search(r'data-jsonblob="([^"]*)"', text)
    assert blob is not None
    tests: dict[str, list[dict[str, Any]]] = json.loads(html.unescape(blob[1]))["tests"]
    return tests


def test_the_run_its_leaks_and_its_breaches_are_in_reports_of_others(
    here: Project, router: FakeRouter
) -> None:
    others = (*HTML, "--html=out/page.html", "-p", "pytest_reportlog", "--report-log=log.jsonl")
    result = here.live("test_endings.py::test_passes", *others)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    [instance] = router.instances
    text = page(here)
    assert f"<p>hydra-smoke: live router {router.url}, run run</p>" in text
    assert "<p>provisioned 1, deleted 0, kept 0, leaked 1</p>" in text
    assert f"<li>leaked: {instance.id} (key run-0), provision 0." in text
    [link] = re.findall(r'<a href="([^"]*report.html)">', text)
    assert (here.path / "out" / link).is_file()
    assert HOSTILE not in text
    assert TOKEN not in text
    assert {name: [it["result"] for it in several] for name, several in rows(text).items()} == {
        "test_endings.py::test_passes": ["Passed"],
        f"hydra-smoke::leak::{instance.id}": ["Failed"],
        "hydra-smoke::budget::row": ["Failed"],
    }
    lines = (here.path / "log.jsonl").read_text("utf-8").splitlines()
    reports = [it for it in map(json.loads, lines) if it["$report_type"] == "TestReport"]
    [call] = [it for it in reports if it["nodeid"].endswith("passes") and it["when"] == "call"]
    assert ["hydra_smoke.instance.id", instance.id] in call["user_properties"]
    failed = [it["nodeid"] for it in reports if it["outcome"] == "failed"]
    assert failed == [f"hydra-smoke::leak::{instance.id}", "hydra-smoke::budget::row"]
    # What belongs to the whole run has no place in it.
    assert "hydra_smoke.run_id" not in "".join(lines)


def test_pytest_html_has_no_link_where_no_page_is_written(project: Project) -> None:
    project.suite("endings")
    assert project.fake("-k", "unknown_key", *HTML, "--html=out/page.html").ret == 0
    text = page(project)
    assert "hydra-smoke: the bundled FAKE router" in text
    assert "report.html" not in text


@pytest.mark.skipif(
    importlib.util.find_spec("ctrf") is None, reason="pytest-json-ctrf is not installed"
)
def test_ctrf_has_the_leaks_and_no_property(here: Project, router: FakeRouter) -> None:
    here.process("-p", "ctrf", "--hydra-smoke", "test_endings.py::test_passes", "--ctrf=ctrf.json")
    text = (here.path / "ctrf.json").read_text("utf-8")
    tests = {it["name"]: it["status"] for it in json.loads(text)["results"]["tests"]}
    assert list(tests.values()) == ["passed", "failed", "failed"]
    assert f"hydra-smoke::leak::{router.instances[0].id}" in tests
    assert "hydra_smoke." not in text
