"""Pytest's own tools for testing plugins, for every test of this project; how hard chance tries."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from without_trio import hide_trio

pytest_plugins = ["pytester", "heavy_runs", "project_fixtures"]

# A folder's tests import its other modules by their names, as what is in `shared`; those of the
# documentation and of the benchmark too. At the end: no other module is hidden by one of these.
_ROOT = Path(__file__).parent
_FOLDERS = (_ROOT / "docs", _ROOT / "benchmarks", *sorted((_ROOT / "tests").iterdir()))
sys.path += [str(it) for it in _FOLDERS if it.is_dir()]

# A process that a test starts need not compile what the one before it has compiled.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# The runs that are tested are not of the pipeline that tests them, nor write into its summary.
for _name in (
    *("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITLAB_CI"),
    *("JENKINS_URL", "JENKINS_HOME"),
):
    os.environ.pop(_name, None)

# A shell's background jobs ignore Ctrl-C, `nohup` the hang-up, and so would what starts here.
for _number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler)

# No limit to the time of an example, or of making some: the machine may be busy. No database: a
# failure prints what repeats it, and a run depends on nothing that an earlier one left. Chance is
# for `fuzz`: a normal run says the same of the same code.
settings.register_profile(
    "full",
    max_examples=2_000,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
    print_blob=True,
)
settings.register_profile("sample", settings.get_profile("full"), max_examples=50, derandomize=True)
settings.register_profile("few", settings.get_profile("sample"), max_examples=20)
settings.load_profile("sample")


@pytest.fixture(autouse=True)
def _no_router_is_left() -> Iterator[None]:
    """Name the test that leaves a fake router: others find its thread, much later."""
    before = _routers()
    yield
    left = _routers() - before
    assert not left, f"fake routers that this test has left: {sorted(left)}"


def _routers() -> set[str]:
    servers = getattr(sys.modules.get("pytest_hydrasmoke.fake.server"), "_servers", {})
    return {f"{server.url}{prefix}" for server in servers.values() for prefix in server._mounts}


def pytest_configure(config: pytest.Config) -> None:
    if _fuzz_is_asked_for(config):
        settings.load_profile("full")


def pytest_collection_finish(session: pytest.Session) -> None:
    # Thousands of tests stay until the end: no collection of garbage need go through them again.
    gc.freeze()
    # By now, xdist's workers have started.
    hide_trio()
    environment = pytest.MonkeyPatch()
    session.config.add_cleanup(environment.undo)
    _forget_settings(environment)


def _forget_settings(environment: pytest.MonkeyPatch) -> None:
    """Take out of the environment what would change the runs that are tested.

    No run is a worker's, if its test runs on one; plugins are loaded by name alone, see `inner`.
    """
    ours = ("HYDRA_SMOKE_", "OPS_BEARER_TOKEN", "PYTEST_ADDOPTS", "PYTEST_XDIST", "FORCE_COLOR")
    for name in os.environ:
        if name.upper().startswith(ours):
            environment.delenv(name)
    environment.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def pytest_itemcollected(item: pytest.Item) -> None:
    # Every property is part of the normal tests; `-m fuzz` selects it too, and tries more often.
    is_property = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
    if is_property and _fuzz_is_asked_for(item.config):
        item.add_marker("fuzz")


def _fuzz_is_asked_for(config: pytest.Config) -> bool:
    # The default of `-m` names every marker to leave it out.
    expression: str = config.option.markexpr
    return "fuzz" in expression and not expression.startswith("not ")
