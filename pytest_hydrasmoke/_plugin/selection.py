"""Whether a run covers all tests: only then does it know what none of them uses."""

from __future__ import annotations

from pathlib import Path

import pytest

_SELECT = (
    *("keyword", "markexpr", "deselect", "ignore", "ignore_glob"),
    *("lf", "stepwise", "maxfail"),
)
"""Options of pytest that leave out tests, or may do so."""


class Selection:
    """Sees whether tests are selected: by options, by arguments that name them, or by a plugin."""

    def __init__(self, config: pytest.Config) -> None:
        here = config.invocation_params.dir
        arguments = config.args if config.args_source is config.ArgsSource.ARGS else []
        # A folder as argument usually means all tests.
        named = any(not Path(here, argument).is_dir() for argument in arguments)
        self._selects = named or any(config.getoption(name, None) for name in _SELECT)

    def is_whole(self, exit_code: int) -> bool:
        """Return whether all tests were to be run, and were."""
        ran = exit_code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        return ran and not self._selects

    def pytest_deselected(self) -> None:
        self._selects = True
