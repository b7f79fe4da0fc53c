"""Reports of other plugins in runs of their own: pytest-html's page without a link, and CTRF."""

from __future__ import annotations

import importlib.util
import json

import pytest
from plugin_tools import Project

from pytest_hydrasmoke.fake import FakeRouter

HTML = ("-p", "pytest_metadata.plugin", "-p", "pytest_html.fixtures", "-p", "pytest_html.plugin")


def test_pytest_html_has_no_link_where_no_page_is_written(project: Project) -> None:
    project.suite("endings")
    assert project.fake("-k", "unknown_key", *HTML, "--html=out/page.html").ret == 0
    text = (project.path / "out" / "page.html").read_text("utf-8")
    assert "hydra-smoke: the bundled FAKE router" in text
    assert "report.html" not in text


@pytest.mark.skipif(
    importlib.util.find_spec("ctrf") is None, reason="pytest-json-ctrf is not installed"
)
def test_ctrf_has_the_leaks_and_no_property(project: Project, router: FakeRouter) -> None:
    router.fail("delete", status=500, times=999)
    project.suite("endings").at(router, run_id="run", delete_timeout=0.6, budgets="row=0.000001")
    test = "test_endings.py::test_passes"
    project.process("-p", "ctrf", "--hydra-smoke", test, "--ctrf=ctrf.json")
    text = (project.path / "ctrf.json").read_text("utf-8")
    tests = {it["name"]: it["status"] for it in json.loads(text)["results"]["tests"]}
    assert list(tests.values()) == ["passed", "failed", "failed"]
    assert f"hydra-smoke::leak::{router.instances[0].id}" in tests
    assert "hydra_smoke." not in text
