"""`hydra-smoke history`, as it is typed: what it prints and writes, and its exit code."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from history_tools import TEST, Output, booted, command, failure, report_of, written
from report_tools import SPEC, a_report, an_instance

from pytest_hydrasmoke._cli.main import main
from pytest_hydrasmoke._report import files
from pytest_hydrasmoke._report.model import PipelineReport


def test_what_it_prints(artifacts: Path, capsys: Output) -> None:
    code, lines = command(capsys, artifacts)
    assert code == 0
    matcher = pytest.LineMatcher(lines)
    head = "hydra-smoke history: live router, runs: 12; of the last 10, 9 passed, 1 failed; "
    matcher.fnmatch_lines(
        [
            f"{head}the newest, g11, failed",
            "began              name  commit   ended   runs  passed  failed  ready",
            "2026-01-02 14:00Z  g2    c2       passed  1     1       0       42.0 s",
            "*",
        ],
        consecutive=True,
    )
    matcher.fnmatch_lines(
        [
            "2026-01-02 23:00Z  g11   0a1b2c3  failed  1     0       1       1 min 16 s",
            "",
            "The newest run beside those before",
        ],
        consecutive=True,
    )
    matcher.fnmatch_lines(
        [
            "phase  *spec  *before  *now  *change  groups",
            "ready  *eu-central tier-1 hermes-basic  41.0 s  *1 min 16 s  +84%  *10",
            "",
            "What stands out",
            f"  failure: run run-11 (exit code 1): {TEST}: AssertionError: no *",
            "  regression: ready of eu-central *: from 41.0 s to 1 min 16 s, since commit 0a1b2c*",
            f"  flaky: {TEST} passed and failed on 0a1b2c3d4e5f: AssertionError: no `ready`|",
            "  no baseline: not all of 6 phases could be judged, *",
        ]
    )


ENDED = {
    "told": ({"ended": "pytest.exit: no more", "exit_code": 1, "not_run": 2}, "pytest.exit"),
    "told of an interrupt": ({"ended": "interrupt", "exit_code": 2}, "interrupt"),
    "told of a signal": ({"ended": "signal: TERM", "exit_code": 143}, "signal: TERM"),
    "collection": ({"ended": "collection errors: a.py", "exit_code": 2}, "collection errors"),
}


@pytest.mark.parametrize("name", ENDED)
def test_what_ended_a_run_is_told_in_every_view(tmp_path: Path, capsys: Output, name: str) -> None:
    changes, kind = ENDED[name]
    reports = [report_of(0, **changes), report_of(1, **changes), report_of(2)]
    folder = written(tmp_path / "artifacts", reports[:2])
    page, lines = tmp_path / "page.html", tmp_path / "lines.md"
    code, told = command(capsys, folder, "--fail-on=failure", "--html", page, "--markdown", lines)
    assert code == 1
    words = changes["ended"]
    not_run = "; 2 of its tests did not run" if "not_run" in changes else ""
    red = (
        f"failure: run run-1 (exit code {changes['exit_code']}, {words}): "
        f"no test of it failed{not_run}"
    )
    matcher = pytest.LineMatcher(told)
    matcher.fnmatch_lines(
        [
            f"hydra-smoke history: *; the newest, g1, failed ({kind})",
            f"*  g0  *  failed ({kind})  *",
            f"*  g1  *  failed ({kind})  *",
            f"FAILED {red}",
        ]
    )
    assert lines.read_text("utf-8").startswith(f"## hydra-smoke history: failed ({kind})\n")
    assert f"`{red}`" in lines.read_text("utf-8")
    shown = page.read_text("utf-8")
    assert shown.count(f">failed ({kind})</td>") == 2
    assert f"g0: failed ({kind}), commit c0" in shown
    assert red in shown
    # A green one, and one in which tests just failed, have nothing to tell.
    folder = written(tmp_path / "more", [reports[2], report_of(3, outcomes={TEST: "failed"})])
    assert "(" not in command(capsys, folder)[1][0].partition(";")[2]


def test_an_ending_by_a_strangers_word_is_no_kind(tmp_path: Path, capsys: Output) -> None:
    folder = written(tmp_path, [report_of(0, ended="::error::boo", exit_code=9)])
    told = command(capsys, folder, "--fail-on=failure")[1]
    assert told[0].endswith("; the newest, g0, failed")
    assert told[-1] == (
        "FAILED failure: run run-0 (exit code 9, : :error::boo): no test of it failed"
    )


def test_a_run_that_left_tests_out_is_not_green_whatever_its_exit_code(
    tmp_path: Path, capsys: Output
) -> None:
    folder = written(tmp_path, [report_of(0, exit_code=0, not_run=1)])
    assert command(capsys, folder, "--fail-on=failure")[0] == 1


def test_no_sweep_is_advised_for_an_instance_of_a_fake_that_is_gone(
    tmp_path: Path, capsys: Output
) -> None:
    leaked = booted(40.0, outcome="leaked", leak="not confirmed")
    folder = written(tmp_path / "artifacts", [report_of(0, leaked, fake=True, exit_code=1)])
    page = tmp_path / "page.html"
    code, told = command(capsys, folder, "--include-fake", "--fail-on=leak", "--html", page)
    assert code == 1
    assert told[-1] == (
        "FAILED leak: night-0 was not seen deleted; the fake router ended with its run: nothing to "
        "sweep"
    )
    shown = page.read_text("utf-8")
    assert "nothing to sweep" in shown
    assert "hydra-smoke sweep" not in shown + "".join(told)


def test_what_makes_it_red(artifacts: Path, capsys: Output) -> None:
    code, lines = command(capsys, artifacts, "--fail-on", "failure,leak,regression,flaky")
    assert code == 1
    red = [line.split(": ")[0] for line in lines if line.startswith("FAILED")]
    assert red == ["FAILED failure", "FAILED regression", "FAILED flaky"]
    assert command(capsys, artifacts, "--fail-on", "leak")[0] == 0
    assert command(capsys, artifacts, "--fail-on=failure", "--group", "g9")[0] == 0
    assert command(capsys, artifacts, "--expect", "2")[0] == 1
    assert command(capsys, artifacts, "--expect", "1")[0] == 0


def test_reports_that_could_not_be_read_are_red(artifacts: Path, capsys: Output) -> None:
    newest = artifacts / "artifact-11" / ".hydrasmoke" / "report.json"
    newest.write_bytes(newest.read_bytes()[:-9])
    code, lines = command(capsys, artifacts, "--fail-on", "failure")
    assert code == 1
    cut = "damaged: Invalid JSON: EOF while parsing"
    assert lines[-1].startswith(f"FAILED unread: {newest}: {cut}")
    (artifacts / "report-2.json").write_text("{")
    code, lines = command(capsys, artifacts, "--fail-on", "regression", "--expect", "1")
    assert code == 1
    assert lines[-3].startswith("FAILED regression: ready of ")
    assert lines[-2].startswith(f"FAILED unread: {artifacts / 'report-2.json'}: {cut}")
    assert lines[-1].startswith(f"FAILED unread: {newest}: {cut}")
    # Where nothing is to be red, nothing is judged.
    assert command(capsys, artifacts)[1][-1].startswith("left out: ")


def test_the_pipeline_s_own_group_must_have_its_runs(
    artifacts: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITLAB_CI", "true")
    monkeypatch.setenv("CI_PIPELINE_ID", "g9")
    assert command(capsys, artifacts, "--expect", "1", "--fail-on", "failure")[0] == 0
    monkeypatch.setenv("CI_PIPELINE_ID", "today's")
    code, lines = command(capsys, artifacts, "--expect", "1", "--fail-on", "failure")
    assert code == 1
    assert lines[-1] == (
        "FAILED missing: group today's has 0 runs, and must have 1; "
        "the newest groups are g11, g10, g9, g8, g7"
    )
    # A setting comes first, and without a number of runs nothing is said of the pipeline.
    monkeypatch.setenv("HYDRA_SMOKE_GROUP", "g8")
    assert command(capsys, artifacts, "--expect", "1", "--fail-on", "failure")[0] == 0
    assert command(capsys, artifacts)[0] == 0


def test_two_files_are_enough(tmp_path: Path, capsys: Output) -> None:
    for name, report in (("last-week", report_of(0)), ("today", report_of(1, booted(90.0)))):
        (tmp_path / f"{name}.json").write_text(files.as_json(report), "utf-8")
    code, lines = command(capsys, tmp_path / "last-week.json", tmp_path / "today.json")
    assert code == 0
    told = "ready  eu-central tier-1 hermes-basic  40.0 s  1 min 30 s  +125%   1"
    assert told in lines
    assert lines[-2].startswith("  no baseline: no phase could be judged, which takes 10 green")


@pytest.mark.parametrize(
    ("now", "change"), [(2.81, "2.81 s  1,405 times  1"), (0.008, "8 ms  -       1")]
)
def test_a_much_slower_phase_is_so_many_times_as_slow_unless_it_is_of_milliseconds(
    tmp_path: Path, capsys: Output, now: float, change: str
) -> None:
    reports = [report_of(it, booted(at)) for it, at in enumerate((0.002, now))]
    lines = command(capsys, written(tmp_path, reports))[1]
    assert f"ready  eu-central tier-1 hermes-basic  2 ms    {change}" in lines


def test_without_a_commit_nothing_is_judged_to_be_flaky(tmp_path: Path, capsys: Output) -> None:
    for number, outcome in enumerate(("passed", "failed")):
        report = report_of(number, booted(9.0), outcomes={TEST: outcome})
        local = PipelineReport(group=f"g{number}")
        text = files.as_json(report.model_copy(update={"pipeline": local}))
        (tmp_path / f"report-{number}.json").write_text(text, "utf-8")
    code, lines = command(capsys, tmp_path, "--fail-on", "flaky")
    assert code == 0
    assert lines[-1] == (
        "flaky is not judged: no report of group g1 names a commit, and a test is flaky if it "
        "passed and failed on one commit. Reports of runs on GitHub, GitLab or Jenkins name it"
    )
    assert not command(capsys, tmp_path, "--fail-on", "leak")[1][-1].startswith("flaky")
    assert not command(capsys, tmp_path, "--fail-on=flaky", "--group=g2")[1][-1].startswith("flaky")


def test_a_run_alone_has_nothing_that_stands_out_but_that(tmp_path: Path, capsys: Output) -> None:
    one = an_instance(phases={}, spans=())
    written(tmp_path, [report_of(0, one)])
    short = tmp_path / "it.md"
    code, lines = command(capsys, tmp_path, "--markdown", short)
    assert code == 0
    assert lines[-4:] == ["", "What stands out", "  nothing", ""]
    assert short.read_text("utf-8").strip().endswith("the newest, g0, passed`")


def test_what_stands_out_besides(tmp_path: Path, capsys: Output) -> None:
    lost = failure("never ready", at=901.0, phase="ready")
    leaked = booted(40.0, outcome="leaked", leak="not confirmed")
    name = "a-pipeline-with-a-name-that-is-too-long-for-a-table-17"
    reports = [
        report_of(0, leaked),
        report_of(1, leaked, booted(900.0, 1, failures=(lost,)), pipeline={"group": name}),
    ]
    code, lines = command(capsys, written(tmp_path, reports))
    assert code == 0
    assert "  leak: night-0 may still run; hydra-smoke sweep --run-id night" in lines
    assert "  leaks of earlier runs: 1" in lines
    assert [line for line in lines if "  boots: " in line] == [
        "  boots: 2 of 3 of eu-central tier-1 hermes-basic got ready"
    ]
    assert any("…able-17  " in line for line in lines)


def test_many_changes_and_files_are_cut_short(tmp_path: Path, capsys: Output) -> None:
    boots = [
        booted(40.0, slot, spec=SPEC.model_copy(update={"region_id": f"r{slot:02}"}))
        for slot in range(45)
    ]
    written(tmp_path, [report_of(number, *boots) for number in range(2)])
    for number in range(12):
        (tmp_path / f"report-{number}.json").write_text("{")
    code, lines = command(capsys, tmp_path, "--markdown", tmp_path / "it.md")
    assert code == 0
    assert "and 5 more phases" in lines
    assert lines[-1] == "and 2 more left out"
    text = (tmp_path / "it.md").read_text("utf-8")
    assert "\nand 35 more phases\n" in text


def test_a_page_data_and_ten_lines(artifacts: Path, tmp_path: Path, capsys: Output) -> None:
    page, data, lines = (tmp_path / f"history.{it}" for it in ("html", "json", "md"))
    options = ("--html", page, "--json", data, "--markdown", lines)
    assert command(capsys, artifacts, *options)[0] == 0
    assert "<h1>Of the last 10, 9 passed, 1 failed</h1>" in page.read_text("utf-8")
    assert len(json.loads(data.read_text("utf-8"))["live"]["groups"]) == 12
    text = lines.read_text("utf-8")
    assert text.startswith("## hydra-smoke history: failed\n\n`live router, runs: 12;")
    # Words of a stranger are in code spans alone, which nothing in them ends.
    told = f"flaky: {TEST} passed and failed on 0a1b2c3d4e5f: AssertionError: no `ready`¦"
    assert f"- ``{told}``" in text
    assert f"{TEST}: AssertionError: no `ready`¦``" in text
    assert text.count("\n- ") == 4
    told = (
        "| `ready` | `eu-central tier-1 hermes-basic` | `41.0 s` | `1 min 16 s` | `+84%` | `10` |"
    )
    assert told in text.splitlines()


def test_too_few_groups_for_a_baseline_are_refused(artifacts: Path, capsys: Output) -> None:
    code, lines = command(capsys, artifacts, "--last", "10", "--fail-on", "regression")
    assert code == 4
    assert lines[0].startswith("--last 10 leaves no baseline for --fail-on regression, which takes")
    assert lines[1] == "  next step: give --last 11 or more, better 21"
    assert command(capsys, artifacts, "--last", "12", "--fail-on", "regression")[0] == 1
    assert command(capsys, artifacts, "--last", "5", "--fail-on", "failure")[0] == 1


def test_the_table_fits_a_narrow_terminal(
    tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "jenkins-router-smoke-of-every-night-17"
    leaked = booted(754.0, outcome="leaked", leak="not confirmed")
    shards = [
        report_of(0, leaked, run_id=f"run-{it}", outcomes={f"t{at}": "failed" for at in range(900)})
        for it in range(12)
    ]
    its = [it.model_copy(update={"pipeline": PipelineReport(group=name)}) for it in shards]
    written(tmp_path, its)
    cut = {"40": "jen…t-17", "80": "jenk…ht-17", "200": "jenkins-rou…ery-night-17"}
    for columns, shown in cut.items():
        monkeypatch.setenv("COLUMNS", columns)
        _, lines = command(capsys, tmp_path)
        start = f"2026-01-02 12:00Z  {shown}  -       leaked  12    0       10,800  12 min 34 s"
        assert lines[2] == start
        assert len(lines[2]) <= max(int(columns), 80)


def test_nothing_that_can_be_read(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "report.json").write_text("{")
    code, lines = command(capsys, tmp_path, tmp_path / "none")
    assert code == 4
    assert "report.json: damaged: Invalid JSON: EOF" in lines[0]
    assert lines[-2].startswith("no report could be read")


def test_a_folder_without_a_report(tmp_path: Path, capsys: Output) -> None:
    code, lines = command(capsys, tmp_path)
    assert code == 4
    assert lines[0] == "there is no report in these folders"


def test_runs_of_the_fake_are_asked_for(tmp_path: Path, capsys: Output) -> None:
    written(tmp_path, [a_report(fake=True)])
    code, lines = command(capsys, tmp_path)
    assert code == 4
    assert lines[0] == "left out: runs of the fake router: 1; --include-fake shows them"
    assert lines[1] == "every run that was read used the fake router"
    code, lines = command(capsys, tmp_path, "--include-fake")
    assert code == 0
    assert lines[0].startswith("hydra-smoke history: FAKE router, runs: 1;")


def test_groups_of_the_future_are_no_history(tmp_path: Path, capsys: Output) -> None:
    later = datetime.now(UTC) + timedelta(days=2)
    path = written(tmp_path, [report_of(0, began=later)])
    code, lines = command(capsys, path)
    assert code == 4
    assert lines[0] == f"left out: group g0: it began in the future, {later:%Y-%m-%d %H:%M} UTC"
    assert lines[1] == "every group that could be shown had a wrong clock"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["x", "--last", "0"],
        ["x", "--last", "-1"],
        ["x", "--expect", "many"],
        ["x", "--last", "1.5"],
        ["x", "--fail-on", "failure,leaks"],
        ["x", "--fail-on", ""],
    ],
)
def test_other_words_are_a_usage_error(arguments: list[str], capsys: Output) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["history", *arguments])
    assert ended.value.code == 2
    assert "usage: hydra-smoke history" in capsys.readouterr().err
