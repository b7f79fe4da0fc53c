"""What makes a run of a test's body fail: an exception, or those of its subtests.

pytest reports a failed subtest itself, whatever the runs come to. So a run has its own subtests.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import cast
from unittest import SkipTest

import pytest

from pytest_hydrasmoke._base.errors import OTHERS
from pytest_hydrasmoke._base.text import safe_line, safe_text

_REASON = 600
"""How many characters of a run's reason are shown."""
_ENDS = (KeyboardInterrupt, pytest.exit.Exception)
"""Exceptions that end the whole session."""
_OF_THE_TEST = (pytest.skip.Exception, SkipTest, pytest.xfail.Exception)
"""Exceptions that hold for the whole test, whichever run raises them."""
SUBTESTS: tuple[type, ...] = (pytest.Subtests,) if hasattr(pytest, "Subtests") else ()
"""The class of pytest's fixture, from pytest 9 on."""


def is_failure(error: BaseException) -> bool:
    """Return whether the error is a plain failure of one run."""
    if isinstance(error, BaseExceptionGroup):
        return cast("BaseExceptionGroup[BaseException]", error).subgroup(_ENDS) is None
    return not isinstance(error, (*_ENDS, *_OF_THE_TEST))


def reason_of(error: BaseException) -> str:
    """Return an error in pytest's words: for an assertion, its explanation."""
    info = pytest.ExceptionInfo[BaseException].from_exception(error)
    return safe_text(info.exconly(tryshort=True), _REASON)


def explain(error: BaseException, words: str) -> None:
    """Add words to an error, whatever pytest shows of it."""
    if isinstance(error, pytest.fail.Exception):
        error.msg = f"{error.msg}\n{words}"
    else:
        error.add_note(words)


class _Subtests:
    """The subtests of one run, with the method of `pytest.Subtests`."""

    def __init__(self) -> None:
        self.failed: list[BaseException] = []

    @contextmanager
    def test(self, msg: str | None = None, **kwargs: object) -> Generator[None]:
        """Go on after a failure; what a skip ends is the subtest alone."""
        try:
            yield
        except BaseException as error:
            if is_failure(error):
                name = f"{'' if msg is None else repr(msg)} {kwargs or ''}"
                explain(error, safe_line(f"in the subtest {name}"))
                self.failed.append(error)
            elif not isinstance(error, _OF_THE_TEST):
                raise


def run_once(item: pytest.Function, runtest: Callable[[], None]) -> None:
    """Run the body; raise its failure, with those of its subtests, or the first of these."""
    subtests, fixtures = _Subtests(), item.funcargs
    if isinstance(fixtures.get("subtests"), SUBTESTS):
        item.funcargs = {**fixtures, "subtests": subtests}
    try:
        runtest()
    except BaseException as error:
        if is_failure(error):
            subtests.failed.insert(0, error)
        elif isinstance(error, _ENDS) or not subtests.failed:
            raise
    finally:
        item.funcargs = fixtures
    if subtests.failed:
        first, *others = subtests.failed
        for other in others:
            explain(first, f"as well: {reason_of(other)}")
        vars(first)[OTHERS] = others
        raise first
