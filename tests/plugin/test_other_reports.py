"""Reports of other plugins, in runs of their own: CTRF."""

from __future__ import annotations

import importlib.util
import json

import pytest
from plugin_tools import Project

from pytest_hydrasmoke.fake import FakeRouter


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
