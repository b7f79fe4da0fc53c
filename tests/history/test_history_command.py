"""`hydra-smoke history`, as it is typed: what it prints and writes, and its exit code."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from golden import golden
from history_tools import (
    FAILED,
    LEAKED,
    LOST,
    WEST,
    Output,
    booted,
    command,
    report_of,
    written,
)
from report_tools import a_report, an_instance

from pytest_hydrasmoke._cli.main import main
from pytest_hydrasmoke._report.model import PipelineReport


def test_what_it_prints_and_writes(artifacts: Path, tmp_path: Path, capsys: Output) -> None:
    page, data, short = (tmp_path / f"history.{it}" for it in ("html", "json", "md"))
    written_to = ("--html", page, "--json", data, "--markdown", short)
    code, lines = command(capsys, artifacts, *written_to)
    assert code == 0
    golden("history-command", "\n".join(lines))
    assert "<h1>failure: run run-11 (exit code 1): tests/" in page.read_text("utf-8")
    assert len(json.loads(data.read_text("utf-8"))["live"]["groups"]) == 12
    # Words of a stranger are in code spans alone, which nothing in them ends.
    golden("history-markdown", short.read_text("utf-8"))


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ("--fail-on failure,leak,regression,flaky", 1, ["failure", "regression", "flaky"]),
        ("--fail-on leak", 0, []),
        ("--fail-on failure --group g9", 0, []),
        ("--expect 2", 1, ["missing"]),
        ("--expect 1", 0, []),
        ("--last 12 --fail-on regression", 1, ["regression"]),
        ("--last 5 --fail-on failure", 1, ["failure"]),
        ("--last 10 --fail-on regression", 4, []),
    ],
)
def test_what_makes_it_red(
    artifacts: Path, capsys: Output, options: str, code: int, words: list[str]
) -> None:
    ended, lines = command(capsys, artifacts, *options.split())
    red = [line.split(": ")[0].split()[1] for line in lines if line.startswith("FAILED")]
    assert (ended, red) == (code, words)
    if code == 4:
        assert lines[0].startswith("--last 10 leaves no baseline for --fail-on regression, which")
        assert lines[1] == "  next step: give --last 11 or more, better 21"


def test_the_pipelines_own_group_must_have_its_runs(
    artifacts: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = (artifacts, "--expect", "1", "--fail-on", "failure")
    monkeypatch.setenv("GITLAB_CI", "true")
    monkeypatch.setenv("CI_PIPELINE_ID", "g9")
    assert command(capsys, *options)[0] == 0
    monkeypatch.setenv("CI_PIPELINE_ID", "today's")
    code, lines = command(capsys, *options)
    assert code == 1
    assert lines[-1] == (
        "FAILED missing: group today's has 0 reports, and must have 1; "
        "the newest groups are g11, g10, g9, g8, g7"
    )
    # A setting comes first, and without a number of runs nothing is said of the pipeline.
    monkeypatch.setenv("HYDRA_SMOKE_GROUP", "g8")
    assert command(capsys, *options)[0] == 0
    assert command(capsys, artifacts)[0] == 0


@pytest.mark.parametrize(
    ("ended", "code", "not_run"),
    [
        ("pytest.exit: no more", 1, 2),
        ("signal: TERM", 143, 0),
        # What a stranger's plugin says is no command of a pipeline's runner.
        (": :error::boo", 9, 0),
        (None, 0, 1),
    ],
)
def test_what_ended_a_run_is_told_in_every_view(
    tmp_path: Path, capsys: Output, ended: str | None, code: int, not_run: int
) -> None:
    facts = {"ended": ended, "exit_code": code, "not_run": not_run}
    folder = written(tmp_path / "artifacts", [report_of(it, **facts) for it in range(2)])
    page, short = tmp_path / "page.html", tmp_path / "lines.md"
    red, told = command(capsys, folder, "--fail-on=failure", "--html", page, "--markdown", short)
    assert red == 1
    left = f"; {not_run} of its tests did not run" if not_run else ""
    how = ", ".join(filter(None, (f"exit code {code}", ended)))
    words = f"failure: run run-1 ({how}): no test of it failed{left}"
    assert told[0] == f"hydra-smoke history, live router: {words}"
    assert told[1].endswith("; the newest, g1, failed")
    assert told[-1] == f"FAILED {words}"
    text = short.read_text("utf-8")
    assert text.startswith("## hydra-smoke history, live router: failure\n")
    assert f"`{words}`" in text
    assert page.read_text("utf-8").count(words) == 3


def test_two_reports_are_enough(tmp_path: Path, capsys: Output) -> None:
    for number, (before, now, row) in enumerate(
        [
            (40.0, 90.0, "40.0 s  1 min 30 s  +125%   1"),
            (0.002, 2.81, "2 ms   2.81 s  1,405 times  1"),
            # Of milliseconds, a share says nothing.
            (0.002, 0.008, "2 ms   8 ms  -       1"),
        ]
    ):
        reports = [report_of(0, booted(before)), report_of(1, booted(now))]
        code, lines = command(capsys, written(tmp_path / str(number), reports))
        assert code == 0
        assert f"ready  eu-central tier-1 hermes-basic  {row}" in lines
        assert lines[-2].startswith("  not judged: no phase has 10 green runs before, of the same")


def test_without_a_commit_nothing_is_judged_to_be_flaky(tmp_path: Path, capsys: Output) -> None:
    nowhere = {"commit": None}
    reports = [report_of(0, pipeline=nowhere), report_of(1, outcomes=FAILED, pipeline=nowhere)]
    code, lines = command(capsys, written(tmp_path, reports), "--fail-on", "flaky")
    assert code == 0
    assert lines[-1] == (
        "flaky is not judged: no report of group g1 names a commit, and a test is flaky if it "
        "passed and failed on one commit. Reports of runs on GitHub, GitLab or Jenkins name it"
    )
    for options in (["--fail-on=leak"], ["--fail-on=flaky", "--group=g2"]):
        assert not command(capsys, tmp_path, *options)[1][-1].startswith("flaky")


def test_a_run_alone_has_nothing_that_stands_out(tmp_path: Path, capsys: Output) -> None:
    written(tmp_path, [report_of(0, an_instance(phases={}, spans=()))])
    short = tmp_path / "it.md"
    code, lines = command(capsys, tmp_path, "--markdown", short)
    assert (code, lines[-4:]) == (0, ["", "What stands out", "  nothing", ""])
    assert short.read_text("utf-8").strip().endswith("the newest, g0, passed`")
    assert lines[:2] == [
        "hydra-smoke history, live router: passed: g0",
        "runs: 1; the newest, g0, passed",
    ]


def test_what_stands_out_besides(tmp_path: Path, capsys: Output) -> None:
    name = "a-pipeline-with-a-name-that-is-too-long-for-a-table-17"
    reports = [report_of(0, LEAKED), report_of(1, LEAKED, LOST, pipeline={"group": name})]
    code, lines = command(capsys, written(tmp_path, reports))
    assert code == 0
    at = lines.index("What stands out")
    assert lines[at + 1] == "  leak: night-0 may still run; hydra-smoke sweep --run-id night"
    assert lines[at + 2] == "  failure: run run-1 (exit code 0): no test of it failed"
    assert lines[at + 3] == "  leaked before: night-0 (hydra-smoke sweep --run-id night)"
    assert any("  a-pipel…table-17  " in line for line in lines)


def test_many_changes_and_files_are_cut_short(tmp_path: Path, capsys: Output) -> None:
    specs = [WEST.model_copy(update={"region_id": f"r{slot:02}"}) for slot in range(45)]
    boots = [booted(40.0, slot, spec=spec) for slot, spec in enumerate(specs)]
    written(tmp_path, [report_of(number, *boots) for number in range(2)])
    for number in range(12):
        (tmp_path / f"report-{number}.json").write_text("{")
    code, lines = command(capsys, tmp_path, "--markdown", tmp_path / "it.md")
    assert (code, lines[-1]) == (0, "and 2 more left out")
    assert "and 5 more phases" in lines
    assert "\nand 35 more phases\n" in (tmp_path / "it.md").read_text("utf-8")


def test_the_table_fits_a_narrow_terminal(tmp_path: Path, capsys: Output) -> None:
    many = {f"t{at}": "failed" for at in range(90)}
    group = PipelineReport(group="jenkins-router-smoke-of-every-night-17")
    leaked = booted(754.0, outcome="leaked")
    shards = [report_of(0, leaked, run_id=f"run-{it}", outcomes=many) for it in range(12)]
    written(tmp_path, [it.model_copy(update={"pipeline": group}) for it in shards])
    _, lines = command(capsys, tmp_path)
    assert lines[1] == f"runs: 1, from 12 reports; the newest, {group.group}, leaked"
    assert lines[4] == "2026-01-02 12:00Z  jenkins…night-17  -       leaked  0 of 1080  12 min 34 s"
    assert len(lines[4]) <= 80


def test_names_are_harmless(tmp_path: Path, capsys: Output) -> None:
    words = "\x1b[31m\u202e\r\n::error::x"
    slow = booted(90.0, spec=WEST.model_copy(update={"region_id": words}))
    of = dict.fromkeys(("group", "commit", "branch"), words)
    calm = [
        report_of(it, slow, run_id=words, outcomes={words: "failed"}, pipeline=of) for it in (1, 2)
    ]
    written(tmp_path, calm)
    code, lines = command(capsys, tmp_path, "--markdown", "-", "--fail-on", "failure")
    assert code == 1
    assert all(line.isprintable() for line in lines)
    assert not any(line.startswith(("::", "FAILED failure: run ::")) for line in lines)


def test_what_makes_it_red_is_the_head_of_every_view(tmp_path: Path, capsys: Output) -> None:
    folder, page, short, data = (tmp_path / it for it in ("in", "it.html", "it.md", "it.json"))
    written(folder, [report_of(0)])
    (folder / "report-cut.json").write_text("{")
    views = ("--html", page, "--markdown", short, "--json", data)
    code, lines = command(capsys, folder, "--fail-on", "failure, leak", "--expect", 2, *views)
    missing = "missing: the newest group has 1 report, and must have 2"
    unread = f"unread: {folder / 'report-cut.json'}: damaged: Invalid JSON"
    assert (code, lines[0]) == (1, f"hydra-smoke history, live router: {missing}")
    assert f"<h1>{missing}</h1>" in page.read_text("utf-8")
    assert '<header class="failed">' in page.read_text("utf-8")
    text = short.read_text("utf-8")
    assert text.startswith("## hydra-smoke history, live router: missing\n")
    assert f"- `{missing}`\n- `{unread}" in text
    red = json.loads(data.read_text("utf-8"))["red"]
    assert red[0] == missing
    assert red[1].startswith(unread)


def test_nothing_that_can_be_shown(tmp_path: Path, capsys: Output) -> None:
    fake, later = tmp_path / "fake", datetime.now(UTC) + timedelta(days=2)
    written(fake, [a_report(fake=True)])
    (tmp_path / "none").mkdir()
    for folder, reports, lines in (
        ("none", [], ["there is no report in these folders"]),
        (
            "fake",
            [],
            [
                "left out: runs of the fake router: 1; --include-fake shows them",
                "every run that was read used the fake router",
            ],
        ),
        (
            "later",
            [report_of(0, began=later)],
            [
                f"left out: group g0: it begins in the future, {later:%Y-%m-%d %H:%M} UTC: passed",
                "every group that was read begins in the future",
            ],
        ),
    ):
        code, told = command(capsys, written(tmp_path / folder, reports))
        assert (code, told[:-1]) == (4, lines)
    code, told = command(capsys, fake, "--include-fake")
    assert (code, told[0]) == (0, "hydra-smoke history, FAKE router: passed: night")
    code, told = command(capsys, tmp_path / "nothing")
    assert (code, told[1]) == (4, "no report could be read")


def test_other_words_are_a_usage_error(capsys: Output) -> None:
    # A variable that nobody has set names no folder, and no group.
    for words in (
        *("", "?", "x --group ?", "x --html ?"),
        *("x --last 0", "x --expect many", "x --last 1.5", "x --fail-on failure,leaks"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["history", *(word.strip("?") for word in words.split())])
        assert ended.value.code == 2
        said = capsys.readouterr().err
        assert "usage: hydra-smoke history" in said
    assert "has 'leaks': give any of failure,leak,regression,flaky" in said
