"""What is kept for a look, what is not, and what a summary says of instances."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from plugin_tools import Project, nothing_left

from pytest_hydrasmoke import InstanceSpec, Report
from pytest_hydrasmoke._core.instance import Instance
from pytest_hydrasmoke._report import terminal
from pytest_hydrasmoke._report.build import report_of
from pytest_hydrasmoke.fake import FakeRouter


@pytest.fixture
def here(project: Project, router: FakeRouter) -> Project:
    """A project against `router`."""
    return project.suite("endings").at(router, run_id="run")


def pick(*names: str) -> list[str]:
    return [f"test_endings.py::test_{name}" for name in names]


def test_the_summary_of_an_instance_that_was_never_asked_for() -> None:
    instance = Instance(InstanceSpec(manifest_id="m", region_id="r", tier_id="t"), key="run-0")
    report = Report(
        run_id="run",
        fake=True,
        url="",
        began=datetime(2026, 1, 2, tzinfo=UTC),
        seconds=1.0,
        exit_code=0,
        instances=(report_of(str(instance.key), instance, 0.0),),
    )
    first, *_, last = terminal.summary(report)
    assert first == [
        ("fake router, run run: provisioned 0, deleted 0, kept 0, leaked 0, unsure 0", "")
    ]
    assert last == [("claimed  no id (key run-0)", "")]


# What is kept


def test_a_run_has_a_folder_in_the_output_until_all_is_confirmed(here: Project) -> None:
    here.set(output="by-variable").write(
        "test_it.py",
        "from pathlib import Path\n"
        "def test_it(smoke_instance):\n"
        "    assert Path('by-option/runs/run/ledger.jsonl').is_file()\n",
    )
    here.live("test_it.py", "--hydra-smoke-output=by-option", passed=1)
    assert here.runs("by-option") == []
    assert (here.path / "by-option" / ".gitignore").read_text("utf-8") == "*\n"
    assert not (here.path / "by-variable").exists()
    assert not (here.path / ".hydrasmoke").exists()


FAILS = """
import pytest

def of(tier):
    return pytest.mark.parametrize("smoke_instance", [{"tier_id": tier}], indirect=True)

@pytest.fixture
def broken_before(smoke_instance):
    raise LookupError

@pytest.fixture
def broken_after(smoke_instance):
    yield
    raise LookupError

@of("passes")
def test_passes(smoke_instance): pass

@of("set-up")
def test_set_up(broken_before, smoke_instance): pass

@of("call")
def test_call(smoke_instance): assert False

@of("teardown")
def test_teardown(broken_after, smoke_instance): pass

def test_with(smoke_instance_factory):
    with smoke_instance_factory(tier_id="good"):
        pass
    with smoke_instance_factory(tier_id="bad"):
        assert False
"""


def test_a_failure_anywhere_keeps_what_its_test_used(here: Project, router: FakeRouter) -> None:
    here.set(scope="function", max_instances=9).write("test_it.py", FAILS)
    result = here.live("test_it.py", "--hydra-smoke-keep=on-failure")
    kept = {it.tier_id for it in router.instances if not it.deleted}
    assert kept == {"set-up", "call", "teardown", "bad"}
    assert len(router.instances) == 6
    result.says("*provisioned 6, deleted 2, kept 4, leaked 0, unsure 0")


def test_what_was_to_be_deleted_is_not_kept_if_that_is_not_confirmed(
    here: Project, router: FakeRouter
) -> None:
    here.set(delete_timeout=0.5).write(
        "test_it.py",
        "import pytest\n"
        "def test_a(smoke_instance_factory):\n"
        "    smoke_instance_factory()\n"
        "def test_b(smoke_instance_factory):\n"
        "    with pytest.raises(Exception, match='may still run'):\n"
        "        smoke_instance_factory().delete()\n",
    )
    # Two to be learned from, and two to get ready: from then on, nobody can tell.
    router.fail("status", status=500, times=999, after=4)
    result = here.live("test_it.py", "--hydra-smoke-keep=always", ret=1)
    result.says("*provisioned 2, deleted 0, kept 1, leaked 1, unsure 0")


GONE_BEFORE = """
import pytest
from pytest_hydrasmoke import RouterError

def test_expects_an_error(smoke_instance_factory):
    with smoke_instance_factory() as instance:
        instance.delete()
        with pytest.raises(RouterError):
            instance.chat("Are you still there?")

def test_fails(smoke_instance):
    raise AssertionError
"""


def test_an_instance_that_was_gone_before_did_not_fail_with_a_later_test(here: Project) -> None:
    here.write("test_gone_before.py", GONE_BEFORE)
    here.live("test_gone_before.py", passed=1, failed=1)
    assert [(it["outcome"], it["failed"]) for it in here.report()["instances"]] == [
        ("deleted", False),
        ("deleted", True),
    ]


def test_the_fake_keeps_nothing_and_is_gone_however_the_run_ends(project: Project) -> None:
    project.suite("bare").set(keep="always").write(
        "test_url.py",
        "import pathlib, pytest\n"
        "def test_url(smoke_instance, smoke_config):\n"
        "    pathlib.Path('url').write_text(smoke_config.url)\n"
        "    pytest.exit('enough')\n",
    )
    project.fake("test_url.py").says("*provisioned 1, deleted 1, kept 0, leaked 0, unsure 0")
    assert project.runs() == []
    with pytest.raises(httpx.TransportError):
        httpx.get((project.path / "url").read_text("utf-8"), trust_env=False)


# What kills without any clean-up


@pytest.mark.parametrize(
    ("option", "has_plugin", "ini", "warned"),
    [
        ("thread", True, "signal", True),
        ("signal", True, "thread", False),
        (None, True, "thread", True),
        (None, True, "signal", False),
        (None, False, "thread", False),
    ],
)
def test_pytest_timeout_s_thread_method_is_warned_of(
    option: str | None, has_plugin: bool, ini: str, warned: bool
) -> None:
    plugins = SimpleNamespace(has_plugin=lambda name: has_plugin and name == "timeout")
    config: Any = SimpleNamespace(
        getoption=lambda name, default: option, getini=lambda name: ini, pluginmanager=plugins
    )
    warnings = terminal.timeout_warning(config)
    assert bool(warnings) == warned
    assert all("kills without any clean-up" in warning for warning in warnings)


def test_the_warning_is_in_the_header(project: Project) -> None:
    project.suite("plain")
    result = project.fake("-p", "timeout", "-o", "timeout_method=thread", "-k", "test_ready")
    result.says("hydra-smoke: WARNING: pytest-timeout's thread method kills *")


def test_the_time_limit_of_a_test_does_not_run_while_its_scope_ends(
    here: Project, router: FakeRouter
) -> None:
    router.fail("delete", times=2, retry_after=1)
    limit = ("-p", "timeout", "--timeout", "1.5", "--timeout-method", "signal")
    here.set(scope="function").live(*limit, *pick("passes"), passed=1)
    assert nothing_left(router)
