"""The bundled checks, as modules of the session.

They are not in the project's tree: their node ids are fixed, no folder is searched for them, and
the project's settings for its own test files and functions do not apply to them.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

PACKAGE = "pytest_hydrasmoke/checks"
DOTTED = "pytest_hydrasmoke.checks"
_ALL = "", ""
"""A file and a test in it; "" for every one."""
CORE = (
    ("test_chat.py", "test_chat_answers"),
    ("test_chat.py", "test_llm_events_of_a_chat_are_recorded"),
)
"""One boot, one chat, and its LLM events; the run itself proves the deletion."""


class CheckModule(pytest.Module):
    """One module of bundled checks."""

    selected: tuple[str, ...] = ()
    """The selected names (`test_y`, `test_y[param]`); all if empty."""

    def funcnamefilter(self, name: str) -> bool:
        return name.startswith("test_")

    def classnamefilter(self, name: str) -> bool:
        return False

    def collect(self) -> Iterator[pytest.Item | pytest.Collector]:
        for node in super().collect():
            if not self.selected or {node.name, node.name.partition("[")[0]} & {*self.selected}:
                yield node


class BundledChecks:
    """Collects the bundled checks: those in pytest's arguments, or all of them `by_default`.

    With `core` these are only some of them, and so they are where an argument names all.
    """

    def __init__(self, config: pytest.Config, *, by_default: bool, core: bool = False) -> None:
        self._config = config
        self._wanted = [_ALL] if by_default else []
        """The files and tests to collect."""
        if config.args_source is config.ArgsSource.ARGS:
            # With arguments, only the checks that they name are run.
            self._wanted = [it for it in map(_target, config.args) if it is not None]
        if core and _ALL in self._wanted:
            self._wanted = [*CORE, *(it for it in self._wanted if it != _ALL)]

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        # pytest must not search for them: they are not below the project's folder.
        if self._config.args_source is self._config.ArgsSource.ARGS:
            self._config.args[:] = [it for it in self._config.args if _target(it) is None]

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        report = yield
        if isinstance(collector, pytest.Session) and report.passed:
            report.result = [*report.result, *self._modules(collector)]
        elif isinstance(collector, CheckModule) and report.passed and not report.result:
            # `--lf` leaves out every file without a path below the root folder; which of its tests
            # failed last is decided by their ids, later.
            report.result = list(collector.collect())
        return report

    def _modules(self, session: pytest.Session) -> list[CheckModule]:
        modules: list[CheckModule] = []
        for file, test in self._wanted:
            _check_known(file, test)
        for path in _files():
            here = {name for file, name in self._wanted if file in ("", path.name)}
            names = {name for name in here if name.partition("[")[0] in _tests(path)}
            if not ("" in here or names):
                continue
            module: CheckModule = CheckModule.from_parent(  # pyright: ignore[reportUnknownMemberType]
                session, path=path, nodeid=f"{PACKAGE}/{path.name}"
            )
            # One target without a test name selects the whole module.
            module.selected = () if "" in here else tuple(names)
            modules.append(module)
        return modules


def _files() -> list[Path]:
    return sorted((Path(__file__).parents[1] / "checks").glob("test_*.py"))


def _tests(path: Path) -> list[str]:
    return re.findall(r"^def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)


def _check_known(file: str, test: str) -> None:
    """Raise `pytest.UsageError` for an unknown file or test, as pytest itself would."""
    paths = [path for path in _files() if file in ("", path.name)]
    if not paths:
        names = ", ".join(path.name for path in _files())
        raise pytest.UsageError(f"no bundled checks in {PACKAGE}/{file}: there are {names}")
    tests = [name for path in paths for name in _tests(path)]
    if test and test.partition("[")[0] not in tests:
        raise pytest.UsageError(f"no bundled check {test}: there are {', '.join(tests)}")


def _target(arg: str) -> tuple[str, str] | None:
    """Split an argument that names bundled checks into file and test; None for any other."""
    path, _, test = arg.partition("::")
    if path in (DOTTED, PACKAGE):
        return "", test
    if path.startswith(f"{DOTTED}."):
        return f"{path.removeprefix(f'{DOTTED}.')}.py", test
    if path.startswith(f"{PACKAGE}/"):
        return path.removeprefix(f"{PACKAGE}/"), test
    return None
