"""`hydra-smoke history`, as it is typed: what it prints and writes, and its exit code."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from history_tools import TEST, booted, failure, report_of, written
from report_tools import SPEC, a_report, an_instance

from pytest_hydrasmoke import Report
from pytest_hydrasmoke._cli.main import main
from pytest_hydrasmoke._report import files

Output = pytest.CaptureFixture[str]


def slower() -> list[Report]:
    """Make ten calm groups, and two in which boots are slower and a test is flaky."""
    calm = [report_of(number, booted(40.0 + number % 3)) for number in range(10)]
    same = {"commit": "0a1b2c3d4e5f6a7b", "branch": "main"}
    words = an_instance(failures=(failure("AssertionError: no `ready`|"),))
    return [
        *calm,
        report_of(10, booted(90.0), pipeline=same),
        report_of(11, booted(92.0), words, outcomes={TEST: "failed"}, pipeline=same),
    ]


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    return written(tmp_path / "artifacts", slower())


def history(capsys: Output, *arguments: object) -> tuple[int, list[str]]:
    code = main(["history", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, (out + err).splitlines()


def test_what_it_prints(artifacts: Path, capsys: Output) -> None:
    code, lines = history(capsys, artifacts)
    assert code == 0
    matcher = pytest.LineMatcher(lines)
    matcher.fnmatch_lines(
        [
            "hydra-smoke history: live router, groups: 12, runs: 12; the newest, g11, failed",
            "began (UTC)       group  commit   outcome  runs  tests  failed  ready",
            "2026-01-02 14:00  g2     c2       passed   1     1      0       42.0 s",
            "*",
        ],
        consecutive=True,
    )
    matcher.fnmatch_lines(
        [
            "2026-01-02 23:00  g11    0a1b2c3  failed   1     1      1       1 min 16 s",
            "",
            "The newest group beside those before",
        ],
        consecutive=True,
    )
    matcher.fnmatch_lines(
        [
            "  ready of eu-central tier-1 hermes-basic: 41.0 s in 11 groups, now 1 min 16 s (+84%)",
            "",
            "What stands out",
            f"  failure: run run-11 of group g11 (exit code 1): {TEST}: AssertionError: no *",
            "  slower: ready of eu-central *: from 41.0 s to 1 min 16 s, since commit 0a1b2c3d*",
            f"  flaky: {TEST} passed and failed on 0a1b2c3d4e5f: AssertionError: no `ready`|",
            "  no baseline: not all of 6 phases could be judged, *",
        ]
    )


def test_what_makes_it_red(artifacts: Path, capsys: Output) -> None:
    code, lines = history(capsys, artifacts, "--fail-on", "failure,leak,regression,flaky")
    assert code == 1
    red = [line.split(": ")[0] for line in lines if line.startswith("FAILED")]
    assert red == ["FAILED failure", "FAILED regression", "FAILED flaky"]
    assert history(capsys, artifacts, "--fail-on", "leak")[0] == 0
    assert history(capsys, artifacts, "--fail-on", "regression", "--after", "3")[0] == 0
    assert history(capsys, artifacts, "--fail-on=failure", "--group", "g9")[0] == 0
    assert history(capsys, artifacts, "--expect", "2")[0] == 1
    assert history(capsys, artifacts, "--expect", "1")[0] == 0


def test_files_that_could_not_be_read_are_told_next_to_the_verdict(
    artifacts: Path, capsys: Output
) -> None:
    newest = artifacts / "artifact-11" / ".hydrasmoke" / "report.json"
    newest.write_bytes(newest.read_bytes()[:-9])
    code, lines = history(capsys, artifacts, "--fail-on", "failure")
    assert code == 0
    assert lines[-1] == (
        "1 file could not be read: what it says is not judged; "
        "--expect N makes missing runs a failure"
    )
    (artifacts / "report-2.json").write_text("{")
    code, lines = history(capsys, artifacts, "--fail-on", "regression", "--expect", "1")
    assert code == 1
    assert lines[-2].startswith("FAILED regression: ready of ")
    assert lines[-1] == "2 files could not be read: what they say is not judged"
    # Where nothing is to be red, nothing is judged.
    assert history(capsys, artifacts)[1][-1].startswith("left out: ")


def test_the_pipeline_s_own_group_must_have_its_runs(
    artifacts: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITLAB_CI", "true")
    monkeypatch.setenv("CI_PIPELINE_ID", "g9")
    assert history(capsys, artifacts, "--expect", "1", "--fail-on", "failure")[0] == 0
    monkeypatch.setenv("CI_PIPELINE_ID", "today's")
    code, lines = history(capsys, artifacts, "--expect", "1", "--fail-on", "failure")
    assert code == 1
    assert lines[-1] == "FAILED missing: group today's has 0 runs, and must have 1"
    # A setting comes first, and without a number of runs nothing is said of the pipeline.
    monkeypatch.setenv("HYDRA_SMOKE_GROUP", "g8")
    assert history(capsys, artifacts, "--expect", "1", "--fail-on", "failure")[0] == 0
    assert history(capsys, artifacts)[0] == 0


def test_two_files_are_enough(tmp_path: Path, capsys: Output) -> None:
    for name, report in (("last-week", report_of(0)), ("today", report_of(1, booted(90.0)))):
        (tmp_path / f"{name}.json").write_text(files.as_json(report), "utf-8")
    code, lines = history(capsys, tmp_path / "last-week.json", tmp_path / "today.json")
    assert code == 0
    told = "  ready of eu-central tier-1 hermes-basic: 40.0 s in the one before, now 1 min 30 s"
    assert f"{told} (+125%)" in lines
    assert lines[-2].startswith("  no baseline: no phase could be judged, which takes 5 green")


def test_a_run_alone_has_nothing_that_stands_out_but_that(tmp_path: Path, capsys: Output) -> None:
    one = an_instance(phases={}, spans=())
    written(tmp_path, [report_of(0, one)])
    code, lines = history(capsys, tmp_path)
    assert code == 0
    assert lines[-4:] == ["", "What stands out", "  nothing", ""]


def test_what_stands_out_besides(tmp_path: Path, capsys: Output) -> None:
    lost = failure("never ready", at=901.0, phase="ready")
    leaked = booted(40.0, outcome="leaked", leak="not confirmed")
    name = "a-pipeline-with-a-name-that-is-too-long-for-a-table-17"
    reports = [
        report_of(0, leaked),
        report_of(1, leaked, booted(900.0, 1, failures=(lost,)), pipeline={"group": name}),
    ]
    code, lines = history(capsys, written(tmp_path, reports))
    assert code == 0
    assert "  leak: night-0 may still run; hydra-smoke sweep --run-id night" in lines
    assert "  leaks of earlier groups: 1" in lines
    assert "  boots: 3 of 4 of eu-central tier-1 hermes-basic got ready" not in lines
    assert "  boots: 2 of 3 of eu-central tier-1 hermes-basic got ready" in lines
    assert any(" …too-long-for-a-table-17 " in line for line in lines)


def test_many_changes_and_files_are_cut_short(tmp_path: Path, capsys: Output) -> None:
    boots = [
        booted(40.0, slot, spec=SPEC.model_copy(update={"region_id": f"r{slot:02}"}))
        for slot in range(45)
    ]
    written(tmp_path, [report_of(number, *boots) for number in range(2)])
    for number in range(12):
        (tmp_path / f"report-{number}.json").write_text("{")
    code, lines = history(capsys, tmp_path, "--markdown", tmp_path / "it.md")
    assert code == 0
    assert "  and 5 more" in lines
    assert lines[-1] == "left out: 2 more"
    assert "\nand 36 lines more\n" in (tmp_path / "it.md").read_text("utf-8")


def test_a_page_data_and_ten_lines(artifacts: Path, tmp_path: Path, capsys: Output) -> None:
    page, data, lines = (tmp_path / f"history.{it}" for it in ("html", "json", "md"))
    options = ("--html", page, "--json", data, "--markdown", lines)
    assert history(capsys, artifacts, *options)[0] == 0
    assert "<h1>Failed</h1>" in page.read_text("utf-8")
    assert len(json.loads(data.read_text("utf-8"))["live"]["groups"]) == 12
    text = lines.read_text("utf-8")
    assert text.startswith("## hydra-smoke history: failed\n\n`live router, groups: 12,")
    # Words of a stranger are in code spans alone, which nothing in them ends.
    told = f"flaky: {TEST} passed and failed on 0a1b2c3d4e5f: AssertionError: no `ready`¦"
    assert f"- ``{told}``" in text
    assert f"{TEST}: AssertionError: no `ready`¦``" in text
    assert text.count("\n- ") == 4


def test_a_file_that_can_not_be_written_is_a_wrong_setting(
    artifacts: Path, tmp_path: Path, capsys: Output
) -> None:
    code, lines = history(capsys, artifacts, "--json", tmp_path / "no" / "where.json")
    assert code == 4
    assert lines[-2].endswith("where.json can't be written: No such file or directory")


def test_reports_are_never_written_over(
    artifacts: Path, tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one = artifacts / "artifact-0" / ".hydrasmoke" / "report.json"
    before = one.read_bytes()
    named, link, hard = (tmp_path / it for it in ("named.data", "link.json", "hard.html"))
    named.write_bytes(before)
    link.symlink_to(one)
    hard.hardlink_to(one)
    new = Path("artifacts", "artifact-1", "..", "report-new.json.gz")
    for path in (named, link, hard, one, new):
        for option in ("--html", "--json", "--markdown"):
            code, lines = history(capsys, artifacts, named, option, path)
            assert code == 4
            assert lines[-2] == f"{path} is, or would be, one of the reports that are read"
    assert one.read_bytes() == named.read_bytes() == before
    assert not new.exists()
    # What is not looked for may lie there.
    assert history(capsys, artifacts, "--html", artifacts / "report.html")[0] == 0
    assert history(capsys, artifacts, "--json", tmp_path / "report.json")[0] == 0


def test_each_view_has_a_file_of_its_own(
    artifacts: Path, tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, lines = history(capsys, artifacts, "--json", "it", "--html", tmp_path / "it")
    assert code == 4
    assert lines[-2] == "it is named twice: one view would overwrite another"
    assert not Path("it").exists()


def test_nothing_that_can_be_read(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "report.json").write_text("{")
    code, lines = history(capsys, tmp_path, tmp_path / "none")
    assert code == 4
    assert "report.json: damaged: Invalid JSON: EOF" in lines[0]
    assert lines[-2].startswith("no report could be read")


def test_runs_of_the_fake_are_asked_for(tmp_path: Path, capsys: Output) -> None:
    written(tmp_path, [a_report(fake=True)])
    code, lines = history(capsys, tmp_path)
    assert code == 4
    assert lines[0] == "no run of a live router among 1 reports"
    code, lines = history(capsys, tmp_path, "--include-fake")
    assert code == 0
    assert lines[0].startswith("hydra-smoke history: FAKE router, groups: 1,")


def test_groups_of_the_future_are_no_history(tmp_path: Path, capsys: Output) -> None:
    later = datetime.now(UTC) + timedelta(days=2)
    path = written(tmp_path, [report_of(0, began=later)])
    code, lines = history(capsys, path)
    assert code == 4
    assert lines[0] == f"left out: group g0: it began in the future, {later:%Y-%m-%d %H:%M} UTC"
    assert lines[1] == "every group that could be shown began in the future"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["x", "--last", "0"],
        ["x", "--last", "-1"],
        ["x", "--expect", "many"],
        ["x", "--after", "1.5"],
        ["x", "--fail-on", "failure,leaks"],
        ["x", "--fail-on", ""],
    ],
)
def test_other_words_are_a_usage_error(arguments: list[str], capsys: Output) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["history", *arguments])
    assert ended.value.code == 2
    assert "usage: hydra-smoke history" in capsys.readouterr().err
