"""Properties in JUnit files, of the run and of tests; and what other reports make of them."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from plugin_tools import TOKEN, Project, alone_or_workers, shows_token

from pytest_hydrasmoke.fake import FakeRouter

RUN = "hydra_smoke."
OLDER = ("--junit-xml=junit.xml", "-ojunit_family=xunit1")
BOOT = ["phases.provision", "phases.row", "phases.ready"]


@pytest.fixture
def here(project: Project, router: FakeRouter) -> Project:
    """A project against `router`."""
    return project.suite("endings").at(router, run_id="run")


def properties(parent: ElementTree.Element | None) -> dict[str, str]:
    """Return the plugin's properties of a suite or a test, without their prefix."""
    assert parent is not None
    found = parent.findall("properties/property")
    pairs = [(it.get("name", ""), it.get("value", "")) for it in found]
    return {name.removeprefix(RUN): value for name, value in pairs if name.startswith(RUN)}


def read(project: Project) -> ElementTree.Element:
    return ElementTree.fromstring((project.path / "junit.xml").read_text("utf-8"))


def test_the_suite_carries_the_run_and_its_instances(here: Project, router: FakeRouter) -> None:
    here.live("test_endings.py::test_passes", "--junit-xml=junit.xml").assert_outcomes(passed=1)
    told = properties(read(here).find("testsuite"))
    [instance] = router.instances
    assert float(told.pop("seconds")) >= 0
    for phase in [*BOOT, "phases.delete"]:
        assert float(told.pop(f"instances.0.{phase}")) >= 0
    assert told == {
        "run_id": "run",
        "router": "live",
        "url": router.url,
        "trace_id": here.report()["trace_id"],
        "provisioned": "1",
        "deleted": "1",
        "kept": "0",
        "leaked": "0",
        "instances.0.id": str(instance.id),
        "instances.0.idempotency_key": "run-0",
        "instances.0.outcome": "deleted",
        "instances.0.failed": "false",
        "instances.0.chats": "0",
        "instances.0.retries": "0",
    }
    # The default family has no place for properties of tests.
    assert properties(read(here).find(".//testcase")) == {}


@alone_or_workers
def test_an_older_family_tells_each_test_s_instance(
    here: Project, router: FakeRouter, workers: tuple[str, ...]
) -> None:
    router.fail("provision", status=503, times=1, retry_after=0)
    here.write(
        "test_it.py",
        "def test_chats(smoke_instance):\n"
        "    smoke_instance.chat('Are you ready?')\n"
        "def test_plain(): ...\n",
    )
    options = ("--hydra-smoke", "test_it.py", *OLDER)
    # Budgets are of what workers saw, too.
    here.set(budgets="turn=0.000001,ready=60")
    result = here.run(*options, *workers)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["BUDGET: turn took *"])
    [instance] = router.instances
    cases = {it.get("name", ""): it for it in read(here).iter("testcase")}
    chats, plain = cases["test_chats"], cases["test_plain"]
    told = properties(chats)
    for phase in [*BOOT, "phases.first_event", "phases.turn", "waits.first_text", "waits.gap"]:
        assert float(told.pop(f"instance.{phase}")) >= 0
    assert told == {
        "instance.id": str(instance.id),
        "instance.idempotency_key": "run-0",
        "instance.chats": "1",
        "instance.retries": "1",
        "instance.input_tokens": "4",
        "instance.output_tokens": "4",
        "instance.finish_reasons": "stop",
    }
    assert properties(plain) == {}
    suite = properties(read(here).find("testsuite"))
    assert suite["instances.0.outcome"] == "deleted"
    assert suite["breaches.turn.limit"] == "1e-06"
    assert float(suite["breaches.turn.value"]) >= 0
    assert "breaches.ready.limit" not in suite


def test_a_test_whose_set_up_failed_tells_the_key(here: Project, router: FakeRouter) -> None:
    router.fail("provision", status=500, times=999)
    here.set(ready_timeout=1, delete_timeout=0.6)
    here.live("test_endings.py::test_passes", *OLDER)
    told = properties(read(here).find(".//testcase"))
    assert told["instance.idempotency_key"] == "run-0"
    assert "instance.id" not in told


def test_an_attached_instance_is_told_by_its_id(here: Project, router: FakeRouter) -> None:
    here.live("test_endings.py::test_passes", "--hydra-smoke-keep=always")
    [instance] = router.instances
    here.set(run_id="next")
    attached = f"--hydra-smoke-instance={instance.id}"
    here.live("test_endings.py::test_fails", attached, *OLDER)
    told = properties(read(here).find(".//testcase"))
    assert told["instance.id"] == instance.id
    assert "instance.idempotency_key" not in told
    report = here.report()
    [failure] = report["instances"][0]["failures"]
    assert failure["test"] == "test_endings.py::test_fails"


def test_without_the_junit_plugin_nothing_is_missing(here: Project) -> None:
    result = here.live("test_endings.py::test_passes", "-p", "no:junitxml")
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*JUnit*")


def test_a_junit_file_that_takes_no_properties_is_a_line(here: Project) -> None:
    here.write(
        "conftest.py",
        "class Writer:\n"
        "    def add_global_property(self, name, value):\n"
        "        raise TypeError('no longer so')\n"
        "def pytest_configure(config):\n"
        "    config.pluginmanager.register(Writer())\n",
    )
    result = here.live("test_endings.py::test_passes")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["hydra-smoke: the JUnit file has no properties: TypeError('no longer so')"]
    )


CARELESS = """
import os

TOKEN = os.environ["OPS_BEARER_TOKEN"]

class Header:
    def __str__(self): return f"Bearer {TOKEN}"

RAW = TOKEN.encode()
VALUES = {"bytes": RAW, "set": {TOKEN}, "object": Header(), "headers": {"authorization": RAW}}

def test_it(record_property, record_testsuite_property):
    for name, value in VALUES.items():
        record_property(name, value)
        record_testsuite_property(name, value)
    record_property("plain", {5: b"x"})
"""


def test_a_property_of_any_type_has_no_token(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPS_BEARER_TOKEN", TOKEN)
    project.write("test_it.py", CARELESS)
    project.fake("test_it.py", *OLDER)
    text = (project.path / "junit.xml").read_text("utf-8")
    assert not shows_token(text)
    assert text.count("Bearer ********") == 2
    assert 'name="plain" value="{5: b\'x\'}"' in text
