"""`smoke_fake`: a test that passes, and has a fault that no request met, fails at its end."""

from __future__ import annotations

import pytest
from plugin_tools import Project, alone_or_workers
from shown import ROOT, check


def words(result: pytest.RunResult, test: str) -> list[str]:
    """Return what the report of one test's teardown says."""
    lines = result.stdout.lines
    begin = next(i for i, line in enumerate(lines) if f" ERROR at teardown of {test} " in line)
    ends = (i for i, line in enumerate(lines) if i > begin and line.startswith(("___", "===")))
    return lines[begin + 1 : next(ends)]


def test_a_fault_that_no_request_met_fails_its_test(project: Project) -> None:
    result = project.suite("unmet").run()
    result.assert_outcomes(passed=9, failed=1, skipped=1, xfailed=1, errors=6)
    assert result.ret == 1
    page = ROOT / "docs" / "offline" / "faults.md"
    check(page, "unmet", "\n".join(words(result, "test_no_chat")))
    assert words(result, "test_too_few_polls")[:2] == [
        "no request met drop(route='poll', after=1), break_stream(kind='split', split_at=(1, 3))",
        "requests that came: poll (200) x1",
    ]
    assert words(result, "test_a_refusal")[:2] == [
        "no request met break_stream(kind='cut')",
        "requests that came: chat (404) x1",
    ]
    assert words(result, "test_nothing_at_all")[:2] == [
        (
            "no request met fail(route='delete', when='after', retry_after=3, "
            "body='nononononono...onononononono')"
        ),
        "requests that came: none",
    ]
    # Each of the two runs asked for one.
    assert words(result, "test_in_each_of_two_runs")[0] == (
        "no request met fail(route='status'), fail(route='status')"
    )
    # One that failed before fails once.
    result.stdout.fnmatch_lines(
        ["ERROR *::test_not_begun - RuntimeError", "*1 failed, 9 passed, *6 errors *"]
    )


def test_a_rerun_that_meets_the_fault_is_green(project: Project) -> None:
    project.write(
        "test_it.py",
        """\
import httpx

runs = []


def test_it(smoke_fake):
    runs.append(smoke_fake)
    smoke_fake.fail("poll")
    path = "internal/v1/smoke/instances/by-key" if len(runs) == 2 else "by-key"
    httpx.get(f"{smoke_fake.url}/{path}/mine", trust_env=False, verify=False)
""",
    )
    result = project.run("-p", "pytest_rerunfailures", "--reruns=1", "-rR")
    # The call passed each time; the end of the first was no success.
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*2 passed, 1 rerun in *"])


PATHS = """
import httpx

def test_paths(smoke_fake):
    smoke_fake.fail("poll")
    smoke_fake.drop("status")
    base = f"{smoke_fake.url}/internal/v1/smoke/instances"
    with httpx.Client(trust_env=False, verify=False) as http:
        http.get(f"{base}/by-keys/mine")
        try:
            http.get(f"{base}/mine")
        except httpx.RemoteProtocolError:
            pass
        for number in range(50):
            http.get(f"{smoke_fake.url}/{number}")
"""
SUBTESTS = """
import pytest

pytest.importorskip("_pytest.subtests")

@pytest.mark.parametrize("ends", ["fail", "skip"])
def test_subtest(smoke_fake, subtests, ends):
    smoke_fake.fail("poll")
    with subtests.test("one"):
        getattr(pytest, ends)("for a reason")
"""


@alone_or_workers
def test_what_came_is_shown_and_a_subtest_that_failed_is_failure_enough(
    project: Project, workers: tuple[str, ...]
) -> None:
    project.pytester.makepyfile(test_paths=PATHS, test_subtests=SUBTESTS)
    result = project.run(*workers)
    assert result.ret == 1
    # Paths that no route has are shown, too.
    [line] = [it for it in result.outlines if it.startswith("requests that came: GET")]
    assert line.startswith(
        "requests that came: GET /internal/v1/smoke/instances/by-keys/mine (404) x1, "
        "status (no answer) x1, GET /0 (404) x1, "
    )
    assert line.endswith(" ...")
    assert len(line) < 640
    failed = [it for it in result.outlines if it.startswith("ERROR test_")]
    tests = {it.split(" - Failed: no request met ")[0].partition("::")[2] for it in failed}
    of_subtests = {"test_subtest[skip]"} if hasattr(pytest, "Subtests") else set()
    assert tests == {"test_paths", *of_subtests}
