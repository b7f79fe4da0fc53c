"""The marker `hydra_smoke_runs`: how often a body runs, what comes of it, and what is told."""

from __future__ import annotations

from contextlib import nullcontext
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugin_tools import ASYNCIO, Project, alone_or_workers

from pytest_hydrasmoke._plugin import repeats
from pytest_hydrasmoke._plugin.repeats import Tally
from pytest_hydrasmoke.fake import FakeRouter

ASYNC = ("-p", "anyio.pytest_plugin", *ASYNCIO)
XUNIT1 = ("--junit-xml=junit.xml", "-ojunit_family=xunit1")


@pytest.fixture
def here(project: Project) -> Project:
    return project.suite("runs")


def told(project: Project) -> dict[str, tuple[str, str, str]]:
    """Return each test's outcome, runs and passed runs, as a JUnit file has them."""
    found: dict[str, tuple[str, str, str]] = {}
    for case in ElementTree.parse(project.path / "junit.xml").iter("testcase"):
        pairs = [(it.get("name", ""), it.get("value", "")) for it in case.iter("property")]
        assert len(pairs) == len(dict(pairs)), "each is told once"
        outcome = next((it.tag for it in case if it.tag in ("failure", "skipped")), "passed")
        properties = dict(pairs)
        runs = [properties.get(f"hydra_smoke.{name}", "-") for name in ("runs", "passed")]
        found[case.get("name", "")] = (outcome, runs[0], runs[1])
    return found


BODIES = {
    "test_chats": ("passed", "2", "2"),
    "test_passes_in_the_end": ("passed", "5", "3"),
    "test_passes_early": ("passed", "2", "2"),
    "test_fails_early": ("failure", "4", "1"),
    "test_needs_all": ("failure", "2", "1"),
    "test_fails_in_words": ("failure", "2", "0"),
    "test_leaves": ("passed", "2", "1"),
    "test_says_too_much": ("failure", "101", "0"),
    "test_is_marked_by_a_conftest": ("passed", "3", "2"),
    "test_takes_the_marker_of_its_class": ("passed", "2", "2"),
    "test_has_its_own": ("passed", "4", "4"),
    "test_is_run_again": ("passed", "2", "2"),
    "test_parameters[1]": ("passed", "2", "1"),
    "test_parameters[2]": ("failure", "2", "0"),
    "test_skips": ("skipped", "2", "1"),
    "test_skips_as_unittest_does": ("skipped", "1", "0"),
    "test_skips_once_it_has_failed": ("failure", "2", "0"),
    "test_expects_to_fail": ("skipped", "2", "0"),
    "test_is_expected_to_fail": ("skipped", "3", "1"),
    "test_passes_against_all_odds": ("failure", "3", "2"),
    "test_may_pass": ("passed", "2", "2"),
    "test_takes_too_long": ("failure", "1", "0"),
    "test_overlooks_that_it_takes_too_long": ("failure", "1", "1"),
    "test_anyio[asyncio]": ("passed", "3", "2"),
    "test_anyio[trio]": ("passed", "3", "2"),
    "test_anyio_in_a_group[asyncio]": ("passed", "2", "1"),
    "test_anyio_in_a_group[trio]": ("passed", "2", "1"),
    "test_asyncio": ("passed", "3", "2"),
    "test_asyncio_fails": ("failure", "2", "0"),
}


def test_bodies_run_until_the_outcome_is_settled(here: Project) -> None:
    others = ("-p", "pytest_rerunfailures", "-p", "pytest_timeout")
    result = here.fake(*ASYNC, *others, *XUNIT1, "-rP", "--log-level=INFO", "test_runs.py")
    assert told(here) == BODIES
    assert result.parseoutcomes()["rerun"] == 1
    # The last run's traceback is pytest's own, and the runs stand below its explanation.
    result.says(
        "*_ test_fails_early _*",
        '>       assert "ready" in text',
        "E       AssertionError: assert 'ready' in 'not yet'",
        "E       1 of 4 runs passed, and 3 of 5 must: true rates between 1 and 81 % fit that",
        "E         run 1: passed in 0.? s",
        "E         run 2: failed in 0.? s: AssertionError: assert 'ready' in 'not yet'",
        "E         run 3: failed in 0.? s: AssertionError: assert 'ready' in 'not yet'",
        "E         run 4: failed in 0.? s: AssertionError: assert 'ready' in 'not yet'",
        "test_runs.py:*: AssertionError",
        "*_ test_fails_in_words _*",
        "the judge says no to 2",
        "0 of 2 runs passed, and 1 of 2 must: true rates between 0 and 84 % fit that",
        "  run 1: failed in 0.? s: Failed: the judge says no to 1",
        "*_ test_says_too_much _*",
        "E         run 25: failed in *",
        "E         ... 51 more ...",
        "E         run 77: failed in *",
    )
    assert result.stdout.str().count("words ") < 10_000 * 3
    # What pytest's summary has a line for begins with the score, once.
    first = {
        case.get("name"): str(found.get("message")).partition("\n")[0]
        for case in ElementTree.parse(here.path / "junit.xml").iter("testcase")
        for found in case.iter("failure")
    }
    early = "1 of 4 runs passed, and 3 of 5 must: AssertionError: assert 'ready' in 'not yet'"
    assert first["test_fails_early"] == early
    score = "1 of 1 runs passed, and 3 of 3 must: true rates between 2 and 100 % fit that"
    assert first["test_overlooks_that_it_takes_too_long"] == f"Failed: {score}"
    in_time = "*no further run: the test's time limit has gone off, *"
    result.says(in_time, in_time)
    # What failed in a test that passed is there for who wants to see it.
    result.says(
        "*_ test_passes_in_the_end _*",
        "*test_runs.py::test_passes_in_the_end: run 2 of 5, 0 passed",
        "*test_runs.py::test_passes_in_the_end: run 5 of 5, 2 passed",
        "*- hydra-smoke runs -*",
        "3 of 5 runs passed, and 3 of 5 must: true rates between 15 and 95 % fit that",
        "  run 1: failed in 0.? s: assert 1 > 2",
    )
    # The report has smoke tests only.
    reported = {
        it["id"].partition("::")[2]: (it["outcome"], str(it["runs"]), str(it["passed"]))
        for it in here.report()["tests"]
    }
    assert len(reported) == 4
    assert reported == {name: BODIES[name] for name in reported}


CHATS = """
import pytest

@pytest.mark.hydra_smoke_runs(3, at_least=2)
def test_chats(run, smoke_instance):
    smoke_instance.chat("Are you ready?")
    assert next(run) > 1
"""
AUTO = """
import pytest

@pytest.mark.hydra_smoke_runs(3, at_least=2)
async def test_auto(run):
    assert next(run) > 1
"""


@alone_or_workers
def test_coroutines_without_a_marker(here: Project, workers: tuple[str, ...]) -> None:
    here.write_all({"test_in_worker.py": CHATS, "test_auto.py": AUTO})
    options = (*workers, "-o", "asyncio_mode=auto", *XUNIT1)
    here.fake(*ASYNC, *options, "test_in_worker.py", "test_auto.py", passed=2)
    assert told(here) == dict.fromkeys(("test_chats", "test_auto"), ("passed", "3", "2"))
    [test] = here.report()["tests"]
    assert (test["runs"], test["passed"]) == (3, 2)
    # The suite has it too, where the family of files allows tests no properties.
    suite = {
        str(it.get("name")).removeprefix("hydra_smoke.tests.0."): it.get("value")
        for it in ElementTree.parse(here.path / "junit.xml").iterfind("testsuite/properties/*")
    }
    told_of = [suite.get(name) for name in ("id", "runs", "passed")]
    assert told_of == ["test_in_worker.py::test_chats", "3", "2"]


def test_without_a_switch_smoke_tests_are_skipped_and_others_run(here: Project) -> None:
    chosen = "test_chats or test_needs_all or test_passes_in_the_end"
    result = here.run(*ASYNC, "test_runs.py", "-k", chosen, *XUNIT1, skipped=1, failed=1, passed=1)
    result.says("E       1 of 2 runs passed, and 3 of 3 must: true *")
    assert told(here)["test_needs_all"] == ("failure", "-", "-")


USAGE = "write @pytest.mark.hydra_smoke_runs(n, at_least=k), whole numbers with 1 <= k <= n"
WRONG = {
    "runs": "missing a required argument: 'n'",
    "runs(at_least=2)": "missing a required argument: 'n'",
    "runs(2, 1)": "too many positional arguments",
    "runs(2, n=1)": "multiple values for argument 'n'",
    "runs(2, atleast=1)": "got an unexpected keyword argument 'atleast'",
    "runs(True)": "n is True",
    "runs(0)": "n is 0",
    "runs('3')": "n is '3'",
    "runs(3, at_least=1.5)": "at_least is 1.5",
    "runs(3, at_least=None)": "at_least is None",
}
NO_RUNS = """
from unittest import TestCase

import pytest

runs = pytest.mark.hydra_smoke_runs

@pytest.fixture
def asks(subtests): ...

# Told once, however many tests it is of.
@pytest.mark.parametrize("many", range(9))
@runs(2, at_least=3)
def test_too_many(many): ...

@runs(2)
def test_subtests(asks): ...

@runs(2)
class TestOfUnittest(TestCase):
    def test_method(self): ...
"""
NO_RUNS += "".join(f"@{it}\ndef test_{number}(): ...\n" for number, it in enumerate(WRONG))


@alone_or_workers
def test_what_is_wrong_is_told_before_all_runs(here: Project, workers: tuple[str, ...]) -> None:
    here.write("test_wrong.py", NO_RUNS)
    result = here.run("test_wrong.py", *workers)
    assert result.ret == (pytest.ExitCode.INTERRUPTED if workers else pytest.ExitCode.USAGE_ERROR)
    output = result.stdout.str() if workers else result.stderr.str()
    wrong = {f"test_{number}": problem for number, problem in enumerate(WRONG.values())}
    wrong["test_too_many"] = "at_least is 3, and there are only 2 runs"
    for test, problem in wrong.items():
        told_once = f"test_wrong.py::{test}: hydra_smoke_runs is wrong, {problem}: {USAGE}"
        assert output.count(told_once) == 1
    follows = "hydra_smoke_runs follows subtests only from pytest 9 on"
    for test in (f"test_subtests: {follows}", "TestOfUnittest::test_method: hydra"):
        assert output.count(f"test_wrong.py::{test}") == 1
    assert "INTERNALERROR" not in result.stdout.str()
    # It is a usage error of a run.
    assert here.fake("test_wrong.py", *workers).ret == pytest.ExitCode.USAGE_ERROR
    assert here.report()["exit_code"] == pytest.ExitCode.USAGE_ERROR


ENDS = {
    "exit": ("pytest.exit('enough')", "*_pytest.outcomes.Exit: enough*"),
    "interrupt": ("raise KeyboardInterrupt", "*: KeyboardInterrupt"),
    "group": (
        "raise BaseExceptionGroup('several', [ValueError('one'), KeyboardInterrupt()])",
        "*BaseExceptionGroup: several (2 sub-exceptions)",
    ),
    "stop": (
        "request.session.shouldstop = 'told to'",
        "  no further run: the session ends (told to)",
    ),
}
A_RUN = """
import pytest

@pytest.mark.hydra_smoke_runs(3, at_least=2)
def test_ends(request):
    print("a run")
    {ends}

def test_next(): ...
"""


@pytest.mark.parametrize("kind", ENDS)
def test_what_ends_more_than_a_run_is_the_last_one(
    kind: str, here: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    ends, shows = ENDS[kind]
    here.write("test_ends.py", A_RUN.format(ends=ends))
    # An interrupt of an inner run is the outer one's, too.
    with pytest.raises(KeyboardInterrupt) if kind == "interrupt" else nullcontext():
        here.run("-s", "test_ends.py")
    told = capsys.readouterr().out
    assert told.count("a run\n") == 1
    pytest.LineMatcher(told.splitlines()).fnmatch_lines([shows])
    assert ("1 passed" in told) == (kind == "group")


DEBUGGER = """
import pdb

class Debugger(pdb.Pdb):
    def interaction(self, frame, traceback):
        print("the debugger is here")
"""


def test_the_debugger_opens_at_the_first_run_that_fails(here: Project) -> None:
    here.write("debugger.py", DEBUGGER)
    debugs = ("--pdb", "--pdbcls=debugger:Debugger", "-s")
    here.run(*debugs, "test_runs.py::test_fails_early", "-p", "anyio.pytest_plugin", failed=1).says(
        "E       1 of 2 runs passed, and 3 of 5 must: true *",
        "E         no further run: --pdb stops at the first failure",
        "the debugger is here",
    )


needs_subtests = pytest.mark.skipif(not hasattr(pytest, "Subtests"), reason="pytest has none")
SUBTESTS = {
    "test_passes_although_one_has_failed": ("passed", "3", "2"),
    "test_fails_in_its_subtests": ("failure", "3", "1"),
    "test_fails_in_its_body_too": ("failure", "1", "0"),
    "test_skips_after_a_failure": ("failure", "1", "0"),
    "test_skips_one_of_them": ("passed", "2", "2"),
    "test_skips": ("skipped", "1", "0"),
    "test_coroutine[asyncio]": ("passed", "2", "1"),
    "test_coroutine[trio]": ("passed", "2", "1"),
    "test_asyncio": ("passed", "2", "1"),
    "test_of_a_team": ("passed", "2", "2"),
}


@needs_subtests
def test_a_failed_subtest_fails_its_run_and_not_the_test(here: Project) -> None:
    plain = "not exits and not without and not told"
    result = here.fake(*ASYNC, *XUNIT1, "-rP", "-v", "test_with_subtests.py", "-k", plain)
    assert told(here) == SUBTESTS
    result.assert_outcomes(passed=6, failed=3, skipped=1, deselected=3)
    result.says(
        "*_ test_fails_in_its_subtests _*",
        '>               assert number == 1 or language == "en", "no greeting"',
        "E               AssertionError: no greeting",
        "E               in the subtest 'greets' {'language': 'de'}",
        "E               as well: AssertionError: no greeting",
        "E               in the subtest 'greets' {'language': 'fr'}",
        "E               as well: Failed: the judge says no",
        "E               in the subtest",
        "E               1 of 3 runs passed, and 2 of 3 must: true rates between *",
        "E                 run 1: passed in 0.? s",
        "E                 run 2: failed in 0.? s: AssertionError: no greeting",
        "E                   in the subtest 'greets' {'language': 'de'}",
        "*_ test_fails_in_its_body_too _*",
        "in the end",
        "as well: ZeroDivisionError",
        "in the subtest {'word': 'xxxx*",
        "*_ test_skips_after_a_failure _*",
        "E           AssertionError: not skipped",
    )
    result.stdout.no_fnmatch_line("*SUB*")
    result.says(
        "2 of 3 runs passed, and 2 of 3 must: true rates between *",
        "  run 1: failed in 0.? s: assert 1 > 1",
        "    in the subtest 'the first fails'",
    )


@needs_subtests
def test_without_the_marker_subtests_are_pytests_and_one_may_end_the_session(here: Project) -> None:
    result = here.run("-s", "test_with_subtests.py", "-k", "exits or without")
    result.says("*SUBFAILED[[]as ever] *", "*_pytest.outcomes.Exit: enough*")
    assert result.stdout.str().count("a run\n") == 1


BOTH = """
import pytest

pytestmark = pytest.mark.hydra_smoke_runs(3, at_least=2)

def test_fails(smoke_instance): smoke_instance.chat("Are you ready?")

def test_passes(smoke_instance): smoke_instance.chat("Are you ready?")
"""


def test_all_that_a_test_failed_of_is_its_failure_and_nothing_else(
    here: Project, router: FakeRouter
) -> None:
    router.break_stream("cut", times=3)
    router.break_stream("cut", times=2, after=5)
    here.at(router).write("test_it.py", BOTH)
    # Of all its subtests, too.
    files = ["test_it.py", *(["test_with_subtests.py"] if repeats.SUBTESTS else [])]
    here.live(*ASYNC, *files, "-k", "test_it or told").assert_outcomes(
        passed=1, failed=len(files), deselected=12 * (len(files) - 1)
    )
    [instance] = here.report()["instances"]
    failed = ["fails", "fails", *["all_that_failed_is_told"] * 2 * (len(files) - 1)]
    told = [it["test"].partition("::test_")[2] for it in instance["failures"]]
    assert told == failed


def test_where_subtests_can_not_be_followed_they_are_refused(
    here: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repeats, "SUBTESTS", ())
    said = "*_has_failed: hydra_smoke_runs follows subtests only from pytest 9 on, as an argument *"
    here.run("test_with_subtests.py", "-k", "passes").is_refused(said)


@given(data=st.data())
def test_runs_end_where_the_rest_could_change_nothing(data: st.DataObject) -> None:
    most = data.draw(st.integers(1, 12))
    at_least = data.draw(st.integers(1, most))
    outcomes = data.draw(st.lists(st.booleans(), min_size=most, max_size=most))
    tally, made = Tally(most, at_least), 0
    while not tally.is_settled:
        # As long as it is open, the rest may decide for either.
        assert tally.passed < at_least <= tally.passed + most - made
        tally.add("passed" if outcomes[made] else "failed", 0.0)
        made += 1
    assert (tally.passed >= at_least) == (sum(outcomes) >= at_least)
    assert made <= most
