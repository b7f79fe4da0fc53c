"""What a sweep needs to know, which wrong settings stop it, and what it says of the others."""

from __future__ import annotations

import pytest
from sweeping import Bench

from pytest_hydrasmoke._cli.main import main


@pytest.mark.parametrize(
    ("missing", "arguments", "told"),
    [
        ("token", (), "the token is not set"),
        ("url", (), "url is not set: set HYDRA_SMOKE_URL"),
        ("token", ("--run-id", "owner"), "the token is not set"),
        ("url", ("--run-id", "owner"), "url is not set: set HYDRA_SMOKE_URL"),
        *(
            ("keep", ("--run-id", run_id, "--output", "."), f"run_id = '{run_id}' (option): must ")
            for run_id in ("no/id", "..", "../..", "/etc", "con")
        ),
        ("keep", ("--run-id", ""), "run_id (option) is empty"),
        ("keep", ("--run-id", "owner", "--output", "taken"), "can't be written"),
    ],
)
def test_without_what_it_needs_it_exits_4_and_no_run_is_over(
    bench: Bench, missing: str, arguments: tuple[str, ...], told: str
) -> None:
    (bench.folder / "taken").write_text("a file where the folder should be")
    bench.runs.mkdir(parents=True)
    bench.set(**{missing: None})
    code, said = bench.sweep(*arguments)
    assert (code, told in said) == (4, True), said
    assert [*bench.runs.iterdir()] == bench.polled == []
    assert {path.name for path in bench.folder.iterdir()} == {"taken", bench.output.name}


@pytest.mark.parametrize("wait", ["nan", "inf", "-1", "soon"])
def test_a_wait_is_a_number_of_seconds(wait: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["sweep", f"--wait={wait}"])
    assert ended.value.code == 2
    assert "--wait: must be a number of seconds, 0 or more" in capsys.readouterr().err


NOT_READ = {
    "ready_timeout": "soon",
    "scope": "galaxy",
    "instance": "nobody",
    "budgets": "boot=3",
    "expect_text": "(",
    "record": ".",
    "run_id": "no/id",
}


def test_wrong_settings_that_no_sweep_reads_do_not_stop_it(bench: Bench) -> None:
    bench.killed()
    bench.set(**NOT_READ, outptu="elsewhere")
    file = bench.table("ready_timout = 5", "xyzzy = 1", 'failed_statuses = ["ready"]')
    code, told = bench.sweep()
    assert (code, bench.alive) == (0, [])
    warnings = [line for line in told.splitlines() if line.startswith("WARNING: ")]
    # A table may be of another release.
    for words in (
        "HYDRA_SMOKE_OUTPTU is not a setting: did you mean HYDRA_SMOKE_OUTPUT?",
        f"[tool.hydra-smoke] of {file} has the unknown key ready_timout: did you mean ",
        f"[tool.hydra-smoke] of {file} has the unknown key xyzzy: docs/reference/",
        "ready_statuses and failed_statuses both have 'ready'",
    ):
        [warning] = [line for line in warnings if line.startswith(f"WARNING: {words}")]
        warnings.remove(warning)
    assert len(warnings) == len(NOT_READ)
    for name in NOT_READ:
        [warning] = [line for line in warnings if name in line.partition(" = ")[0]]
        assert warning.endswith(" (not needed here)")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("max_instances = 0", "max_instances = '0' (pyproject.toml): "),
        ("delete_timeout = 0", "delete_timeout = '0' (pyproject.toml): "),
        ('row_settle = "soon"', "row_settle = 'soon' (pyproject.toml): "),
        ('gone_statuses = ["running"]', "ready_statuses and gone_statuses both have 'running'"),
        ('outptu = "elsewhere"', "has the unknown key outptu: did you mean output?"),
        ('client_key = "key.pem"', "without client_cert: "),
        ('ca_file = "no.pem"', "ca_file = "),
        ('token = "made-up"', "token must not be in [tool.hydra-smoke] of "),
        ("scope =", "can't be read: "),
    ],
)
def test_a_wrong_setting_that_a_sweep_reads_stops_it(bench: Bench, line: str, problem: str) -> None:
    bench.runs.mkdir(parents=True)
    bench.set(row_settle=None, ready_timeout="soon")
    bench.table(line)
    code, told = bench.sweep()
    assert (code, bench.fake.requests) == (4, ())
    assert problem in told
    assert "ready_timeout" in told
