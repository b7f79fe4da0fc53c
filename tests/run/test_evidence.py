"""What is told as deleted is gone: weak evidence, for a run and for both kinds of sweep."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from liar import WEAK, Liar, Lie, lying, on
from owner_tools import ONLY, SPEC, age, open_keys

from pytest_hydrasmoke._cli.main import main
from pytest_hydrasmoke.fake import Scenario

OF_ONE = on("status", "poll", "delete", "other")


@pytest.fixture
def liar() -> Iterator[Liar]:
    with lying() as it:
        yield it


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Give `at(liar, **settings)`: from now on runs and sweeps go there, with short deadlines."""
    monkeypatch.chdir(tmp_path)

    def settle(liar: Liar, **settings: object) -> None:
        given = {"url": liar.url, "token": liar.fake.token, "run_id": "weak", **SPEC}
        given |= {"delete_timeout": 0.7, "ready_timeout": 3, "usage_settle": 0, **settings}
        for name, value in given.items():
            monkeypatch.setenv(f"HYDRA_SMOKE_{name.upper()}", str(value))

    return settle


@pytest.fixture
def run(pytester: pytest.Pytester, tmp_path: Path) -> Callable[..., pytest.RunResult]:
    """Give `run(text)`: a live run of one test file, in a process as it is, with its conftest."""

    def live(text: str, during: Callable[[], object] = lambda: None) -> pytest.RunResult:
        class Switch:
            """What a test can do to its router, as `request.config.trouble()`."""

            def pytest_configure(self, config: Any) -> None:
                config.trouble = during

        (pytester.path / "test_it.py").write_text(text)
        arguments = (*ONLY, "--hydra-smoke", "test_it.py", f"--hydra-smoke-output={tmp_path}/out")
        return pytester.runpytest_inprocess(*arguments, plugins=[Switch()])

    return live


TROUBLE_AT_THE_END = """
def test_a(smoke_instance, request):
    request.config.trouble()
"""


def report(tmp_path: Path) -> dict[str, Any]:
    given: dict[str, Any] = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    return given


def outcomes(tmp_path: Path) -> list[str]:
    return [it["outcome"] for it in report(tmp_path)["instances"]]


def sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    capsys.readouterr()
    code = main(["sweep", "--wait", "0.6", "--output", str(tmp_path / "out"), *arguments])
    told = capsys.readouterr()
    return code, told.out + told.err


@pytest.mark.parametrize("case", WEAK)
def test_a_run_does_not_take_weak_evidence_for_a_deletion(
    case: str,
    liar: Liar,
    at: Callable[..., None],
    run: Callable[..., pytest.RunResult],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    at(liar)
    ended = run(TROUBLE_AT_THE_END, lambda: liar.lies.extend(WEAK[case]))
    assert liar.alive == ["weak-0"]
    assert (ended.ret, outcomes(tmp_path), open_keys(tmp_path / "out")) == (
        1,
        ["leaked"],
        ["weak-0"],
    )
    for by in ([], ["--run-id", "weak"]):
        code, told = sweep(tmp_path, capsys, *by)
        assert code == 1, told
        assert "deleted " not in told
        assert (liar.alive, open_keys(tmp_path / "out")) == (["weak-0"], ["weak-0"])
    liar.lies.clear()
    code, told = sweep(tmp_path, capsys)
    assert (code, liar.alive, open_keys(tmp_path / "out")) == (0, [], []), told


def test_an_instance_that_its_router_has_renamed_is_deleted_by_its_new_name(
    liar: Liar, at: Callable[..., None], run: Callable[..., pytest.RunResult], tmp_path: Path
) -> None:
    at(liar, delete_timeout=5)
    ended = run(
        TROUBLE_AT_THE_END,
        lambda: liar.renamed.update({liar.fake.instances[0].id: str(uuid.uuid4())}),
    )
    assert (ended.ret, liar.alive, outcomes(tmp_path)) == (0, [], ["deleted"])
    [note] = report(tmp_path)["instances"][0]["notes"]
    assert next(iter(liar.renamed.values())) in note


@pytest.mark.parametrize("by", [[], ["--run-id", "weak"]], ids=["all", "one"])
def test_a_sweep_deletes_a_renamed_instance_by_its_new_name(
    by: list[str],
    liar: Liar,
    at: Callable[..., None],
    run: Callable[..., pytest.RunResult],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    at(liar, delete_timeout=2)
    run(TROUBLE_AT_THE_END, lambda: liar.lies.append(Lie(503, "", OF_ONE)))
    liar.lies.clear()
    liar.renamed[liar.fake.instances[0].id] = str(uuid.uuid4())
    code, told = sweep(tmp_path, capsys, *by)
    assert (code, liar.alive, open_keys(tmp_path / "out")) == (0, [], []), told


# What a provision's answer proves


REFUSED = {
    "422": Lie(422, {"detail": [{"loc": ["body"], "msg": "no", "type": "x"}]}, on("provision")),
    "403": Lie(403, {"detail": "Quota exceeded"}, on("provision")),
    "400": Lie(400, {"detail": {"code": 7}}, on("provision")),
}
UNKNOWN = {
    "a page of 403": Lie(403, "<h1>WAF</h1>", on("provision"), "text/html", carried_out=True),
    "a gateway's own 400": Lie(400, {"message": "no"}, on("provision"), carried_out=True),
    "a redirect": Lie(307, "", on("provision"), carried_out=True),
    "a teapot": Lie(418, {"detail": "I'm a Teapot"}, on("provision"), carried_out=True),
    "a page": Lie(200, "<html>", on("provision"), "text/html", carried_out=True),
    "429": Lie(429, {"detail": "slow down"}, on("provision"), carried_out=True),
    "204": Lie(204, "", on("provision"), carried_out=True),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_was_refused_in_the_routers_own_form_is_asked_for_at_the_end_and_by_one_sweep(
    case: str,
    liar: Liar,
    at: Callable[..., None],
    run: Callable[..., pytest.RunResult],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    at(liar)
    liar.lies.append(REFUSED[case])
    ended = run("def test_a(smoke_instance): pass")
    ended.assert_outcomes(errors=1)
    ended.stdout.fnmatch_lines(["*1 refused provision had no row at the end; a sweep looks once*"])
    assert (liar.alive, open_keys(tmp_path / "out")) == ([], ["weak-0"])
    # The first key and an unknown one at the start, once before it is used, and at the end.
    assert liar.told("poll") == 4
    code, told = sweep(tmp_path, capsys)
    assert (code, open_keys(tmp_path / "out"), len(told.splitlines())) == (0, [], 1), told


@pytest.mark.parametrize("case", REFUSED)
def test_what_was_refused_and_made_all_the_same_is_deleted_and_the_run_is_red(
    case: str,
    liar: Liar,
    at: Callable[..., None],
    run: Callable[..., pytest.RunResult],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    at(liar, max_instances=2)
    lie = dataclasses.replace(REFUSED[case], carried_out=True)
    liar.lies.append(lie)
    ended = run(
        "import contextlib\n"
        "def test_a(smoke_instance_factory):\n"
        "    with contextlib.suppress(Exception):\n"
        "        smoke_instance_factory()\n"
    )
    assert (ended.ret, liar.alive, outcomes(tmp_path)) == (1, [], ["deleted"])
    ended.stdout.fnmatch_lines(["*the router refused to provision it, and did it all the same*"])
    # Its boot may still go on: a sweep sees it gone later than that.
    for seconds, left in ((0, ["weak-0"]), (61, [])):
        age(tmp_path / "out", seconds)
        code, told = sweep(tmp_path, capsys)
        assert (code, liar.alive, open_keys(tmp_path / "out")) == (0, [], left), told
        assert ("(key weak-0): was booting, deleted; sweep again in " in told) is bool(left)


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_any_other_answer_to_a_provision_has_made_is_deleted(
    case: str,
    liar: Liar,
    at: Callable[..., None],
    run: Callable[..., pytest.RunResult],
    tmp_path: Path,
) -> None:
    at(liar, delete_timeout=5, ready_timeout=1)
    liar.lies.append(UNKNOWN[case])
    run("def test_a(smoke_instance): pass").assert_outcomes(errors=1)
    assert len(liar.fake.instances) == 1
    assert (liar.alive, open_keys(tmp_path / "out")) == ([], [])
    assert outcomes(tmp_path) == ["deleted"]


@pytest.mark.parametrize("case", ["accepted", "unknown"])
def test_what_never_gets_a_row_is_a_leak_until_a_sweep_may_call_it_absent(
    case: str,
    at: Callable[..., None],
    run: Callable[..., pytest.RunResult],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with lying(Scenario(row_after=999.0)) as liar:
        at(liar, ready_timeout=1)
        if case == "unknown":
            liar.lies.append(Lie(502, "", on("provision"), carried_out=True))
        run("def test_a(smoke_instance): pass")
        assert outcomes(tmp_path) == ["leaked"]
        why = report(tmp_path)["instances"][0]["leak"]
        unknown = "the request was answered with 502, and the router may have carried it out"
        words = "the router accepted the request" if case == "accepted" else unknown
        assert f"{words}, but shows no instance for its key" in why
        for by in ([], ["--run-id", "weak"]):
            code, told = sweep(tmp_path, capsys, *by)
            assert (code, open_keys(tmp_path / "out")) == (1, ["weak-0"])
            [line] = [line for line in told.splitlines() if line.startswith("unsure   ")]
            assert "(key weak-0): no row yet, one may come; sweep again in 3" in line
        at(liar, row_settle=0.01)
        code, told = sweep(tmp_path, capsys)
        assert (code, open_keys(tmp_path / "out")) == (0, [])
        assert told.startswith("nothing is left of 1 run with a ledger in ")


# Routers that can and can't prove


def test_a_router_that_knows_nothing_by_404_alone_can_be_believed(
    at: Callable[..., None], run: Callable[..., pytest.RunResult], tmp_path: Path
) -> None:
    with lying(Scenario(poll_before_row="404", row_after=0.0, statuses=((0, "running"),))) as liar:
        at(liar)
        ended = run("def test_a(smoke_instance): pass")
        assert (ended.ret, outcomes(tmp_path), liar.alive) == (0, ["deleted"], [])


def test_a_router_that_can_prove_nothing_is_named_before_anything_is_provisioned(
    liar: Liar,
    at: Callable[..., None],
    run: Callable[..., pytest.RunResult],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    at(liar)
    liar.lies.append(Lie(404, {"detail": "Not Found"}, on("poll", "other")))
    ended = run("def test_a(smoke_instance): pass")
    assert ended.ret == pytest.ExitCode.USAGE_ERROR
    assert "look like those of a path that does not exist" in ended.stderr.str()
    assert liar.fake.instances == ()
    (tmp_path / "out" / "runs").mkdir(parents=True, exist_ok=True)
    for by in ([], ["--run-id", "weak"]):
        code, told = sweep(tmp_path, capsys, *by)
        assert (code, "nothing is left" in told) == (1, False)
        assert told.startswith("UNKNOWN")
