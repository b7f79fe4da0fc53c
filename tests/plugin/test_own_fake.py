"""`smoke_fake`: a test that passes, and has a fault that no request met, fails at its end."""

from __future__ import annotations

import pytest
from plugin_tools import Project, alone_or_workers
from shown import ROOT, check

MORE = """
import httpx
import pytest

runs = []

@pytest.mark.flaky(reruns=1)
def test_rerun(smoke_fake):
    runs.append(smoke_fake)
    smoke_fake.fail("poll")
    path = "internal/v1/smoke/instances/by-key" if len(runs) == 2 else "by-key"
    httpx.get(f"{smoke_fake.url}/{path}/mine", trust_env=False, verify=False)

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



@pytest.mark.parametrize("ends", ["fail", "skip"])
def test_subtest(smoke_fake, subtests, ends):
    smoke_fake.fail("poll")
    with subtests.test("one"):
        getattr(pytest, ends)("for a reason")
"""


def words(result: pytest.RunResult, test: str) -> list[str]:
    """Return what the report of one test's teardown says, without the worker that it ran in."""
    lines = result.stdout.lines
    begin = next(i for i, line in enumerate(lines) if f" ERROR at teardown of {test} " in line)
    ends = (i for i, line in enumerate(lines) if i > begin and line.startswith(("___", "===")))
    return [it for it in lines[begin + 1 : next(ends)] if not it.startswith("[gw")]


@alone_or_workers
def test_a_fault_that_no_request_met_fails_its_test(
    project: Project, workers: tuple[str, ...]
) -> None:
    project.suite("unmet").write("test_more.py", MORE)
    result = project.run("-p", "pytest_rerunfailures", *workers)
    # A rerun that meets the fault is green: the call passed each time.
    outcomes = result.parseoutcomes()
    outcomes.pop("warnings", None)  # Where xdist was loaded before, pytest can't rewrite it.
    assert outcomes == {
        "failed": 1,
        "passed": 12,
        "skipped": 1,
        "xfailed": 1,
        "errors": 7,
        "rerun": 1,
    }
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
    # Paths that no route has are shown, too.
    came = words(result, "test_paths")[1]
    assert came.startswith(
        "requests that came: GET /internal/v1/smoke/instances/by-keys/mine (404) x1, "
        "status (no answer) x1, GET /0 (404) x1, "
    )
    assert came.endswith(" ...")
    assert len(came) < 640
    # One that failed before fails once.
    result.says("ERROR *::test_not_begun - RuntimeError")


@pytest.mark.skipif(not hasattr(pytest, "Subtests"), reason="pytest has none")
def test_a_subtest_that_failed_is_failure_enough(project: Project) -> None:
    project.write("test_it.py", SUBTESTS)
    result = project.run(ret=1)
    [line] = [it for it in result.outlines if it.startswith("ERROR test_")]
    assert line.startswith("ERROR test_it.py::test_subtest[skip] - Failed: no request met ")
