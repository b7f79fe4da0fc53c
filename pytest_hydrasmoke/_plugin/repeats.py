"""The marker `hydra_smoke_runs`: run a test's body several times; some runs must pass.

What makes a run fail is an exception, or those of its subtests: pytest reports a failed subtest
itself, whatever the runs come to, so each run has subtests of its own.

Registered where a collected test has the marker, with or without a switch of the plugin: so it
imports only pytest, the standard library, and `_base`.
"""

from __future__ import annotations

import inspect
import signal
from bisect import bisect_left
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from math import exp, fsum, lgamma, log, log1p
from typing import cast
from unittest import SkipTest, TestCase

import pytest

from pytest_hydrasmoke._base.clock import now
from pytest_hydrasmoke._base.errors import OTHERS
from pytest_hydrasmoke._base.pytest_internals import begin_failure_words, refuse
from pytest_hydrasmoke._base.text import safe_line, safe_text

_TAIL = 0.025
"""The share of cases that is left out on each side: 95 % are within."""
_STEPS = range(1, 10_000_000)
"""How finely rates are told apart."""


def rates(passed: int, runs: int) -> tuple[float, float]:
    """Return the lowest and the highest rate that fit: the interval of Clopper and Pearson."""
    return _lowest(passed, runs), 1 - _lowest(runs - passed, runs)


def in_words(passed: int, runs: int) -> str:
    """Return the rates that fit, for people."""
    low, high = (round(100 * rate) for rate in rates(passed, runs))
    # No rounding says "never" or "always" of what was seen to be otherwise.
    low, high = max(low, 1 if passed else 0), min(high, 99 if passed < runs else 100)
    return f"true rates between {low} and {high} % fit that"


def _lowest(passed: int, runs: int) -> float:
    # By logarithms: of many runs, the number of ways is no float.
    ways = [lgamma(runs + 1) - lgamma(it + 1) - lgamma(runs - it + 1) for it in range(runs + 1)]

    def likely(step: int) -> float:
        """Return how likely so many passes, or more, are under a rate: it grows with the rate."""
        yes, no = log(step / _STEPS.stop), log1p(-step / _STEPS.stop)
        each = (exp(ways[it] + it * yes + (runs - it) * no) for it in range(passed, runs + 1))
        # The last digits differ from one platform to another.
        return round(fsum(each), 12)

    return _STEPS[bisect_left(_STEPS, _TAIL, key=likely)] / _STEPS.stop if passed else 0.0


MARKER = "hydra_smoke_runs"

_LISTED = 50
"""How many runs a failure lists; of more, the first and the last ones."""
_REASON = 600
"""How many characters of a run's reason are shown."""
_ENDS = (KeyboardInterrupt, pytest.exit.Exception)
"""Exceptions that end the whole session."""
_SKIPS = (pytest.skip.Exception, SkipTest)
_OF_THE_TEST = (*_SKIPS, pytest.xfail.Exception)
"""Exceptions that hold for the whole test, whichever run raises them."""
SUBTESTS: tuple[type, ...] = (pytest.Subtests,) if hasattr(pytest, "Subtests") else ()
"""The class of pytest's fixture, from pytest 9 on."""

_QUOTA: pytest.StashKey[tuple[int, int]] = pytest.StashKey()
"""How many runs there are at most, and how many of them must pass."""


def _arguments(n: int, *, at_least: int) -> None:
    """Declare the signature of the marker; `at_least` defaults to `n`."""


def _quota_of(mark: pytest.Mark) -> tuple[int, int]:
    """Parse a marker; raises a `TypeError` or `ValueError` that says what is wrong."""
    signature = inspect.signature(_arguments)
    n = signature.bind(*mark.args, **{"at_least": None, **mark.kwargs}).arguments["n"]
    at_least = mark.kwargs.get("at_least", n)
    for name, value in (("n", n), ("at_least", at_least)):
        # A bool is an int to Python, and a mistake here.
        if type(value) is not int or value < 1:
            raise ValueError(f"{name} is {value!r}")
    if at_least > n:
        raise ValueError(f"at_least is {at_least}, and there are only {n} runs")
    return n, at_least


def take_part(
    config: pytest.Config, items: list[pytest.Item], listener: RepeatListener | None
) -> None:
    """Run marked tests as their markers say; refuses the run with all that is wrong with them."""
    found: dict[str, str] = {}
    for item in items:
        problem = _problem(item)
        if problem is not None:
            # One line for a function, however many parameters it has.
            found.setdefault(item.nodeid.partition("[")[0], problem)
    if found:
        refuse(items[0].session, "\n".join(f"{test}: {why}" for test, why in found.items()))
    config.pluginmanager.register(Repeats(config, listener or RepeatListener()), "hydra-smoke-runs")


def _problem(item: pytest.Item) -> str | None:
    """Store the quota of a marked test, or return why it can't have one."""
    mark = item.get_closest_marker(MARKER)
    if mark is None:
        return None
    if not isinstance(item, pytest.Function) or issubclass(item.cls or object, TestCase):
        return f"{MARKER} works on functions and methods, but not on those of unittest.TestCase"
    arguments = inspect.signature(item.obj).parameters if SUBTESTS else ()
    if "subtests" in item.fixturenames and "subtests" not in arguments:
        return f"{MARKER} follows subtests only from pytest 9 on, as an argument of the test"
    try:
        item.stash[_QUOTA] = _quota_of(mark)
    except (TypeError, ValueError) as error:
        usage = f"@pytest.mark.{MARKER}(n, at_least=k), whole numbers with 1 <= k <= n"
        return f"{MARKER} is wrong, {error}: write {usage}"
    return None


@dataclass(slots=True)
class Tally:
    """The outcomes of a test's runs so far."""

    runs: int
    """How many there are at most."""
    at_least: int
    """How many of them must pass."""
    passed: int = 0
    failed: int = 0
    began: int = 0
    lines: list[str] = field(default_factory=list[str])

    @property
    def is_settled(self) -> bool:
        """Whether no further run could change the outcome."""
        return self.passed >= self.at_least or self.failed > self.runs - self.at_least

    def add(self, outcome: str, seconds: float, reason: str = "") -> None:
        """Add the outcome of the run that began last."""
        self.passed += outcome == "passed"
        self.failed += outcome == "failed"
        line = f"run {self.began}: {outcome} in {seconds:.1f} s{reason and ': '}{reason}"
        self.lines.append("  " + line.replace("\n", "\n    "))

    @property
    def score(self) -> str:
        must = f"{self.at_least} of {self.runs} must"
        return f"{self.passed} of {self.began} runs passed, and {must}"

    def words(self, obstacle: str | None = None) -> str:
        """Say which rates fit, list the runs, and say what prevented the rest of them."""
        lines = self.lines
        left_out = len(lines) - _LISTED
        if left_out > 0:
            half = _LISTED // 2
            lines = [*lines[:half], f"  ... {left_out} more ...", *lines[-half:]]
        head = f"{self.score}: {in_words(self.passed, self.began)}"
        return "\n".join([head, *lines, *([f"  no further run: {obstacle}"] if obstacle else [])])


class RepeatListener:
    """Hears of the runs of a test's body; that of a run overrides it."""

    def begins(self, tally: Tally) -> None:
        """Hear that a run of the body begins."""

    def fails(self, test: str, error: BaseException) -> None:
        """Hear that a run has failed, and another one follows."""

    def ends(self, tally: Tally) -> None:
        """Hear how often the body has run, and how often that passed."""

    def is_over(self) -> None:
        """Hear that the body runs no more."""


class Repeats:
    """Runs the bodies of marked tests, and tells a listener of it."""

    def __init__(self, config: pytest.Config, listener: RepeatListener) -> None:
        # The debugger opens at the first failure.
        self._debugs = "--pdb stops at the first failure" if config.getoption("usepdb") else None
        self._listener = listener
        self._tally: Tally | None = None
        """The tally of the current test, once its body was run."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Make the item run its body several times, inside all wrappers of the call.

        For this call only: plugins that run a test again set up a new one.
        """
        quota = item.stash.get(_QUOTA, None)
        if quota is None:
            return (yield)
        assert isinstance(item, pytest.Function)  # Others have no quota.
        self._tally = Tally(*quota)
        runtest = item.runtest
        # Not the function: pytest and plugins still need to see whether it is a coroutine.
        vars(item)["runtest"] = partial(self._run, item, self._tally, runtest)
        try:
            return (yield)
        finally:
            vars(item)["runtest"] = runtest
            self._listener.is_over()

    def _run(self, item: pytest.Function, tally: Tally, runtest: Callable[[], None]) -> None:
        while not tally.is_settled:
            tally.began += 1
            self._listener.begins(tally)
            limited, start = _has_time_limit(), now()
            try:
                _run_once(item, runtest)
            except BaseException as error:
                if isinstance(error, _SKIPS) and tally.failed:
                    # Skipped, the test would hide how it has failed.
                    skips = f"the test skips itself ({_reason_of(error)})"
                    pytest.fail(tally.words(skips), pytrace=False)
                if not _is_failure(error):
                    raise
                tally.add("failed", now() - start, _reason_of(error))
                obstacle = self._debugs or _obstacle(item, limited)
                if tally.is_settled or obstacle:
                    _explain(error, tally.words(obstacle))
                    raise
                self._listener.fails(item.nodeid, error)
                continue
            tally.add("passed", now() - start)
            obstacle = _obstacle(item, limited)
            if obstacle and not tally.is_settled:
                pytest.fail(tally.words(obstacle), pytrace=False)

    # Inside other wrappers, which may want the result.
    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Tell of the runs at the call, and add them to its report."""
        report = yield
        if call.when == "setup":
            self._tally = None
        if self._tally is not None:
            tally = self._tally
            self._listener.ends(tally)
            if call.when == "call" and report.passed and self._tally.failed:
                report.sections.append(("hydra-smoke runs", self._tally.words()))
            if call.when == "call" and report.failed:
                begin_failure_words(report, self._tally.score)
        return report


def _obstacle(item: pytest.Item, limited: bool) -> str | None:
    """Return what forbids another run, although the outcome is open."""
    if limited and not _has_time_limit():
        return "the test's time limit has gone off, which is one for all runs"
    stop = item.session.shouldstop or item.session.shouldfail
    return f"the session ends ({stop})" if stop else None


def _has_time_limit() -> bool:
    """Return whether an alarm is set, as pytest-timeout does it; it goes off once."""
    return bool(signal.getitimer(signal.ITIMER_REAL)[0])


def _is_failure(error: BaseException) -> bool:
    """Return whether the error is a plain failure of one run."""
    if isinstance(error, BaseExceptionGroup):
        return cast("BaseExceptionGroup[BaseException]", error).subgroup(_ENDS) is None
    return not isinstance(error, (*_ENDS, *_OF_THE_TEST))


def _reason_of(error: BaseException) -> str:
    """Return an error in pytest's words: for an assertion, its explanation."""
    info = pytest.ExceptionInfo[BaseException].from_exception(error)
    return safe_text(info.exconly(tryshort=True), _REASON)


def _explain(error: BaseException, words: str) -> None:
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
            if _is_failure(error):
                name = f"{'' if msg is None else repr(msg)} {kwargs or ''}"
                _explain(error, safe_line(f"in the subtest {name}"))
                self.failed.append(error)
            elif not isinstance(error, _OF_THE_TEST):
                raise


def _run_once(item: pytest.Function, runtest: Callable[[], None]) -> None:
    """Run the body; raise its failure, with those of its subtests, or the first of these."""
    subtests, fixtures = _Subtests(), item.funcargs
    if isinstance(fixtures.get("subtests"), SUBTESTS):
        item.funcargs = {**fixtures, "subtests": subtests}
    try:
        runtest()
    except BaseException as error:
        if _is_failure(error):
            subtests.failed.insert(0, error)
        elif isinstance(error, _ENDS) or not subtests.failed:
            raise
    finally:
        item.funcargs = fixtures
    if subtests.failed:
        first, *others = subtests.failed
        for other in others:
            _explain(first, f"as well: {_reason_of(other)}")
        vars(first)[OTHERS] = others
        raise first
