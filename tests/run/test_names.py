"""What a run's name may be, and that no run and no sweep hits a file that is not its own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from owner_tools import ONLY, alive, config_for, environment_for, kill, session_for

from pytest_hydrasmoke._base.run_keys import name_problem
from pytest_hydrasmoke._cli.main import main
from pytest_hydrasmoke.fake import FakeRouter

PASSES = "def test_it(smoke_instance): pass"
FAILS = "def test_it(smoke_instance): assert not smoke_instance"
GOOD = ["a", "7", "A-b_c.9", "x" * 64, "com10", "lpt", "nul-1", "con1", "a..b", "conin", "COM"]
BAD = ["", ".", "..", "...", "-a", "_a", ".a", "a.", "a b", "a/b", "a\\b", "../a", "a:b", "a\0"]
BAD += ["x" * 65, "ä", "a\n", "\uff21", "a$", "CON", "con", "nul", "Nul.txt", "aux.a.b", "PRN"]
BAD += [f"{device}{number}" for device in ("com", "LPT") for number in (0, 1, 9)]
LEADS_OUT = ["..", ".", "../..", "/etc", "a/../../b"]


@pytest.mark.parametrize("name", GOOD)
def test_names_of_files_everywhere(name: str) -> None:
    assert name_problem(name) is None


@pytest.mark.parametrize("name", BAD)
def test_names_that_are_none_somewhere(name: str) -> None:
    assert (name_problem(name) or "").startswith("must ")


def seen(folder: Path) -> Mapping[str, object]:
    """Return all that lies in a folder: what files hold, when they were written, links as such."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        status, name = path.lstat(), str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = path.readlink()
        elif path.is_file():
            found[name] = (path.read_bytes(), status.st_mode, status.st_mtime_ns)
        else:
            found[name] = status.st_mode
    return found


def kept(before: Mapping[str, object], folder: Path) -> bool:
    """Return whether all that was in a folder is as it was; it may have more by now."""
    return before.items() <= seen(folder).items()


@pytest.fixture
def project(pytester: pytest.Pytester, fake: FakeRouter) -> Path:
    """A project of its user's, with a run that was killed in its output folder."""
    killed(fake, pytester.path / ".hydrasmoke", "other")
    (pytester.path / "src" / "deep").mkdir(parents=True)
    (pytester.path / "src" / "deep" / "module.py").write_text("mine = 1\n", "utf-8")
    (pytester.path / ".gitignore").write_text("/dist\n", "utf-8")
    return pytester.path


def killed(fake: FakeRouter, output: Path, run_id: str) -> Path:
    """Let a run provision, and end without any clean-up; gives its folder."""
    config = config_for(fake, output, run_id=run_id)
    session = session_for(config)
    session.provision(config.spec)
    kill(session)
    return session.ledger.folder


@pytest.fixture
def sweep(
    fake: FakeRouter,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., tuple[int, str]]:
    """Give `sweep(*arguments)`: exit code and output of a sweep in the project's folder."""
    monkeypatch.chdir(project)
    for name, value in environment_for(fake).items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = main(["sweep", "--wait", "0", *arguments])
        told = capsys.readouterr()
        return code, told.out + told.err

    return run


# Names that lead out


@pytest.mark.parametrize("output", [".", ".hydrasmoke", "new"])
@pytest.mark.parametrize("run_id", ["..", ".", "nul"])
@pytest.mark.parametrize("door", ["option", "environment", "table"])
def test_a_run_id_that_leads_out_is_refused_at_every_door(
    live: Callable[..., pytest.RunResult],
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_id: str,
    output: str,
    door: str,
) -> None:
    given = [f"--hydra-smoke-output={output}"]
    if door == "option":
        given.append(f"--hydra-smoke-run-id={run_id}")
    elif door == "environment":
        monkeypatch.setenv("HYDRA_SMOKE_RUN_ID", run_id)
    else:
        table = f"[tool.hydra-smoke]\nrun_id = {json.dumps(run_id)}\n"
        (project / "pyproject.toml").write_text(table, "utf-8")
    (project / "test_it.py").write_text(PASSES, "utf-8")
    before = seen(project)
    result = live(PASSES, *given)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*run_id = *{run_id}* must *"])
    assert kept({name: it for name, it in before.items() if name != "test_it.py"}, project)
    assert not (project / "new").exists()


@pytest.mark.parametrize("output", [".", ".hydrasmoke"])
@pytest.mark.parametrize("run_id", [*LEADS_OUT, "", "con"])
def test_a_sweep_of_a_run_id_that_leads_out_exits_4(
    sweep: Callable[..., tuple[int, str]], project: Path, run_id: str, output: str
) -> None:
    before = seen(project)
    code, told = sweep("--run-id", run_id, "--output", output)
    assert code == 4
    assert "run_id = " in told
    assert "(option): must " in told
    assert seen(project) == before


def test_a_worker_whose_name_leads_out_takes_no_part(
    project: Path, pytester: pytest.Pytester, fake: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment_for(fake).items():
        monkeypatch.setenv(name, value)
    pytester.makepyfile(test_it=PASSES)
    before = seen(project / "src")
    away = project / "src" / "away"
    given = (*ONLY, "-p", "xdist", "--hydra-smoke", f"--tx=popen//id={away}", "--dist=load")
    result = pytester.runpytest_inprocess(*given, "test_it.py")
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*the worker's name must be 1 to 64 of*"])
    assert "sweep --run-id" not in result.stdout.str()
    assert seen(project / "src") == before


# Files of others


def test_an_output_folder_that_is_the_project_keeps_the_projects_files(
    live: Callable[..., pytest.RunResult], project: Path, sweep: Callable[..., tuple[int, str]]
) -> None:
    for name in ("report.json", "report.html", "trace.har", "used.txt"):
        (project / name).write_text("mine", "utf-8")
    (project / "runs" / "exp-1").mkdir(parents=True)
    (project / "runs" / "exp-1" / "live.log").write_text("mine", "utf-8")
    (project / "test_it.py").write_text(FAILS, "utf-8")
    before = seen(project)
    result = live(FAILS, "--hydra-smoke-output=.", "--hydra-smoke-run-id=one")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "deleted 1, kept 0, leaked 0" in result.stdout.str()
    for name in ("report.json", "report.html", "trace.har"):
        told = f"*{name} was not written: a file of another tool has this name (*"
        result.stdout.fnmatch_lines([told])
    code, told = sweep("--output", ".")
    assert code == 0
    assert "no run   exp-1: it contains other files, such as live.log" in told
    mine = {name: it for name, it in before.items() if name != "test_it.py"}
    assert kept(mine, project)
    assert [path.name for path in (project / "runs").iterdir()] == ["exp-1"]


def test_reports_of_runs_are_replaced_by_those_of_the_next(
    live: Callable[..., pytest.RunResult], project: Path
) -> None:
    output = project / ".hydrasmoke"
    for run_id in ("one", "two"):
        live(FAILS, f"--hydra-smoke-run-id={run_id}")
        for name in ("report.json", "report.html", "trace.har"):
            assert run_id in (output / name).read_text("utf-8")


def test_what_a_user_put_into_a_runs_folder_stays_there(
    project: Path, fake: FakeRouter, sweep: Callable[..., tuple[int, str]]
) -> None:
    folder = project / ".hydrasmoke" / "runs" / "other"
    mine = [folder / "notes.txt", folder / "live" / "notes.txt"]
    for file in mine:
        file.write_text("mine", "utf-8")
    assert sweep()[0] == 0
    assert alive(fake) == []
    assert [path for path in sorted(folder.rglob("*")) if path.is_file()] == sorted(mine)


LOOK_ALIKES: dict[str, dict[str, str]] = {
    "log": {"live.log": "epoch 1", "live/notes.txt": "mine", "turns/0001.json": "{}"},
    "over": {"over": "", "turns/0001.json": "{}", "recorded.jsonl": '{"loss": 1}\n'},
    "locked": {"live/main.lock": "", "live.log": "loss 0.3", "held/a.lock": ""},
    "said": {"over": "", "live.log": "INFO: epoch 1\n", "turns/1.tmp": ""},
    "ledger": {"ledger.jsonl": '{"bread": 3.20}\n', "live.log": "gw0: mine\n", "over": ""},
    "turns": {"turns/0001.json": "{}", "turns/0123456789abcdef.json": "{}", "live/x.seen": ""},
    "mlflow": {"meta.yaml": "a: 1", "metrics/loss": "0 1 2", "over": ""},
    "wandb": {
        "logs/debug.log": "a",
        "files/config.yaml": "b",
        "run-x.wandb": "c",
        "live/a.lock": "",
    },
    "tensorboard": {"events.out.tfevents.1.host": "x", "live/train.lock": ""},
}
"""What other tools and people keep under `runs`, each with names of the plugin's own."""


@pytest.mark.parametrize("looks", LOOK_ALIKES)
@pytest.mark.parametrize("arguments", [(), ("--run-id", "exp1")])
def test_what_only_looks_like_a_runs_stays(
    live: Callable[..., pytest.RunResult],
    sweep: Callable[..., tuple[int, str]],
    project: Path,
    arguments: tuple[str, ...],
    looks: str,
) -> None:
    folder = project / "runs" / "exp1"
    for name, text in LOOK_ALIKES[looks].items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    os.utime(folder, (1_000_000_000, 1_000_000_000))
    before = seen(project)
    code, told = sweep("--output", ".", *arguments)
    assert (code, kept(before, project)) == (1 if looks == "ledger" else code, True), told
    live(PASSES, "--hydra-smoke-output=.", "--hydra-smoke-run-id=exp1")
    sweep("--output", ".")
    assert kept(before, project)


def test_a_users_folder_under_a_runs_name_is_no_runs(
    live: Callable[..., pytest.RunResult], project: Path
) -> None:
    mine = project / ".hydrasmoke" / "runs" / "mine"
    mine.mkdir()
    (mine / "ledger").write_text("bread 3.20", "utf-8")
    before = seen(mine)
    result = live(PASSES, "--hydra-smoke-run-id=mine")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*can't be written: it contains other files, such as ledger*"])
    assert seen(mine) == before


@pytest.mark.parametrize(
    "name", ["over", "slots.lock", "live/main.lock", "live/main.seen", "held/a.lock"]
)
def test_a_file_of_somebody_elses_in_a_locks_place_is_left_alone(
    live: Callable[..., pytest.RunResult],
    sweep: Callable[..., tuple[int, str]],
    project: Path,
    name: str,
) -> None:
    folder = project / ".hydrasmoke" / "runs" / "mine"
    (folder / name).parent.mkdir(parents=True)
    (folder / "live").mkdir(exist_ok=True)
    (folder / name).write_text("mine", "utf-8")
    before = seen(folder)
    assert live(PASSES, "--hydra-smoke-run-id=mine").ret == pytest.ExitCode.USAGE_ERROR
    assert sweep("--run-id", "mine")[0] == 4
    assert f"{name} is not empty; it is left alone" in sweep()[1]
    assert seen(folder) == before


def test_a_ledger_of_somebody_elses_is_neither_written_to_nor_removed(
    live: Callable[..., pytest.RunResult], sweep: Callable[..., tuple[int, str]], project: Path
) -> None:
    folder = project / ".hydrasmoke" / "runs" / "mine"
    folder.mkdir()
    (folder / "ledger.jsonl").write_text('{"bread": 3.20}', "utf-8")
    before = seen(folder)
    assert live(PASSES, "--hydra-smoke-run-id=mine").ret == pytest.ExitCode.USAGE_ERROR
    sweep()
    assert (folder / "ledger.jsonl").read_text("utf-8") == '{"bread": 3.20}'
    assert before["ledger.jsonl"] == seen(folder)["ledger.jsonl"]


def test_names_that_no_run_has_are_named_and_left_alone(
    project: Path, sweep: Callable[..., tuple[int, str]]
) -> None:
    runs = project / ".hydrasmoke" / "runs"
    for name in (".cache", "nul", "a b"):
        (runs / name).mkdir()
        (runs / name / "live.log").write_text("mine", "utf-8")
    (runs / "notes.txt").write_text("mine", "utf-8")
    before = {name: it for name, it in seen(runs).items() if not name.startswith("other")}
    code, told = sweep()
    assert code == 0
    for name, why in {
        ".cache": "a run's name must be 1 to 64",
        "a b": "a run's name must be 1 to 64",
        "nul": "a run's name must not be a device's name",
        "notes.txt": f"{runs / 'notes.txt'} is a link, or not a folder",
    }.items():
        assert f"no run   {name}: {why}" in told
    assert seen(runs) == before


def test_what_looks_like_a_ledger_under_such_a_name_is_left(
    project: Path, fake: FakeRouter, sweep: Callable[..., tuple[int, str]]
) -> None:
    runs = project / ".hydrasmoke" / "runs"
    (runs / "other").rename(runs / "of before.")
    before = seen(runs)
    code, told = sweep()
    assert code == 1
    assert "LEFT     of before.: a run's name must be" in told
    assert seen(runs) == before
    assert alive(fake) == ["other-0"]


# Links


def led_away(project: Path, name: str, there: str = "file") -> Path:
    """Put a link in the place of something in run `linked`, to something outside; gives that."""
    outside = project.parent / f"{project.name}-outside"
    (outside / "live").mkdir(parents=True)
    (outside / "other.lock").touch()
    (outside / "live" / "main.lock").touch()
    (outside / "file").write_text("mine", "utf-8")
    link = project / ".hydrasmoke" / name
    if link.is_dir():
        link.rename(outside / "moved")
    link.parent.mkdir(parents=True, exist_ok=True)
    is_file = link.suffix or link.name == "over" or name == "used/linked"
    link.symlink_to(outside / there if is_file else outside)
    return outside


FOLDERS = ["runs", "runs/linked", "runs/linked/live", "runs/linked/held", "runs/linked/turns"]
FILES = ["ledger.jsonl", "slots.lock", "live.log", "over", "live/main.lock", "live/gw0.lock"]
FILES += ["held/a.lock", "turns/a.json"]
# Each to something that is there; files also to what only a write would make.
LINKS = [(name, "file") for name in FOLDERS]
LINKS += [(f"runs/linked/{name}", there) for name in FILES for there in ("file", "nothing")]


@pytest.mark.parametrize(("name", "there"), [*LINKS, ("used", "file")])
def test_a_run_writes_through_no_link(
    live: Callable[..., pytest.RunResult], project: Path, name: str, fake: FakeRouter, there: str
) -> None:
    outside = led_away(project, name, there)
    (project / ".hydrasmoke" / "runs" / "linked" / "live").mkdir(parents=True, exist_ok=True)
    before = seen(outside)
    result = live(PASSES, "--hydra-smoke-run-id=linked")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*is a link, or not a f*"])
    assert seen(outside) == before
    assert alive(fake) == ["other-0"]


@pytest.mark.parametrize("there", ["file", "nothing"])
def test_that_a_run_id_was_used_is_written_through_no_link(
    live: Callable[..., pytest.RunResult], project: Path, there: str
) -> None:
    outside = led_away(project, "used/linked", there)
    before = seen(outside)
    result = live(PASSES, "--hydra-smoke-run-id=linked")
    assert result.ret == (pytest.ExitCode.USAGE_ERROR if there == "file" else 0)
    assert seen(outside) == before


@pytest.mark.parametrize(("name", "there"), LINKS)
@pytest.mark.parametrize("arguments", [(), ("--run-id", "linked")])
def test_a_sweep_goes_through_no_link(
    sweep: Callable[..., tuple[int, str]],
    project: Path,
    name: str,
    arguments: tuple[str, ...],
    there: str,
) -> None:
    outside = led_away(project, name, there)
    (project / ".hydrasmoke" / "runs" / "linked" / "live").mkdir(parents=True, exist_ok=True)
    before = seen(outside)
    code, told = sweep(*arguments)
    assert "is a link, or not a f" in told
    assert code == 4 if arguments or name == "runs" else code in (0, 1)
    assert seen(outside) == before


def test_the_output_folder_itself_may_be_a_link(
    live: Callable[..., pytest.RunResult], project: Path, sweep: Callable[..., tuple[int, str]]
) -> None:
    real = project / "real"
    real.mkdir()
    (project / "linked").symlink_to(real)
    live(PASSES, "--hydra-smoke-output=linked").assert_outcomes(passed=1)
    assert (real / ".gitignore").read_bytes() == b"*\n"
    assert (real / "report.json").is_file()
    assert sweep("--output", "linked")[0] == 0


@pytest.mark.parametrize("link", [True, False])
def test_a_folder_with_other_things_in_it_is_not_made_to_ignore_itself(
    live: Callable[..., pytest.RunResult], project: Path, link: bool
) -> None:
    output = project / "with-others"
    output.mkdir()
    (output / "mine.txt").write_text("mine", "utf-8")
    if link:
        (output / ".gitignore").symlink_to(project / ".gitignore")
    live(PASSES, "--hydra-smoke-output=with-others").assert_outcomes(passed=1)
    assert (output / ".gitignore").is_symlink() == link
    assert (output / ".gitignore").exists() == link
    assert (project / ".gitignore").read_text("utf-8") == "/dist\n"
