"""What a run's name may be, and that no run and no sweep hits a file that is not its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from ledger_tools import begun, refusal
from owner_tools import ONLY, config_for
from sweeping import Bench

from pytest_hydrasmoke._base.run_keys import name_problem
from pytest_hydrasmoke._run.preflight import check_unused
from pytest_hydrasmoke.fake import FakeRouter

PASSES = "def test_it(smoke_instance): pass"
FAILS = "def test_it(smoke_instance): assert not smoke_instance"
REPORTS = ("report.json", "report.html")
GOOD = ["a", "7", "A-b_c.9", "x" * 64, "com10", "lpt", "nul-1", "con1", "a..b", "conin", "COM"]
BAD = ["", ".", "..", "...", "-a", "_a", ".a", "a.", "a b", "a/b", "a\\b", "../a", "a:b", "a\0"]
BAD += ["x" * 65, "ä", "a\n", "\uff21", "a$", "CON", "con", "nul", "Nul.txt", "aux.a.b", "PRN"]
BAD += [f"{device}{number}" for device in ("com", "LPT") for number in (0, 1, 9)]

Live = Callable[..., pytest.RunResult]


def test_names_of_files_everywhere_and_names_that_are_none_somewhere() -> None:
    assert {name: name_problem(name) for name in GOOD} == dict.fromkeys(GOOD)
    assert [name for name in BAD if not (name_problem(name) or "").startswith("must ")] == []


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


class Project(Bench):
    """A project of its user's, with a run `other` that was killed in its output folder."""

    wait = 0.0

    def put(self, name: str, text: str = "mine") -> Path:
        """Write a file of its user's."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
        return file


@pytest.fixture
def project(
    pytester: pytest.Pytester,
    fake: FakeRouter,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Project:
    project = Project(fake, pytester.path, monkeypatch, capsys)
    project.killed(run_id="other")
    project.put("src/deep/module.py", "mine = 1\n")
    project.put(".gitignore", "/dist\n")
    return project


@pytest.mark.kill
def test_a_worker_whose_name_leads_out_takes_no_part(
    project: Project, pytester: pytest.Pytester
) -> None:
    project.put("test_it.py", PASSES)
    before = seen(project.folder / "src")
    away = project.folder / "src" / "away"
    given = (*ONLY, "-p", "xdist", "--hydra-smoke", f"--tx=popen//id={away}", "--dist=load")
    result = pytester.runpytest_inprocess(*given, "test_it.py")
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*the worker's name must be 1 to 64 of*"])
    assert "sweep --run-id" not in result.stdout.str()
    assert seen(project.folder / "src") == before


# Files of others


def test_an_output_folder_that_is_the_project_keeps_the_projects_files(
    live: Live, project: Project
) -> None:
    for name in (*REPORTS, "used.txt", "runs/exp-1/turns.jsonl"):
        project.put(name)
    before = seen(project.folder)
    result = live(FAILS, "--hydra-smoke-output=.", "--hydra-smoke-run-id=one")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "deleted 1, kept 0, leaked 0, unsure 0" in result.stdout.str()
    for name in REPORTS:
        told = f"*{name} was not written: a file of another tool has this name (*"
        result.stdout.fnmatch_lines([told])
    code, told = project.sweep("--output", ".")
    assert code == 0
    assert "no run   exp-1: it contains other files, such as turns.jsonl" in told
    assert kept(before, project.folder)
    assert [path.name for path in (project.folder / "runs").iterdir()] == ["exp-1"]


def test_what_a_user_put_into_a_runs_folder_stays_there(project: Project) -> None:
    folder = project.of("other")
    mine = [project.put(f".hydrasmoke/runs/other/{it}notes.txt") for it in ("", "live/")]
    assert (project.sweep()[0], project.alive) == (0, [])
    assert sorted(path for path in folder.rglob("*") if path.is_file()) == sorted(mine)


LOOK_ALIKES: dict[str, dict[str, str]] = {
    "log": {"turns.jsonl": "epoch 1", "live/notes.txt": "mine", "turns/0001.json": "{}"},
    "over": {"over": "", "turns/0001.json": "{}", "recorded.jsonl": '{"loss": 1}\n'},
    "locked": {"live/main.lock": "", "recorded.jsonl": "loss 0.3", "held/a.lock": ""},
    "said": {"over": "", "turns.jsonl": "INFO: epoch 1\n", "turns/1.tmp": ""},
    "ledger": {"ledger.jsonl": '{"bread": 3.20}\n', "turns.jsonl": "gw0: mine\n", "over": ""},
    "turns": {"turns.jsonl": "{}", "turns/0001.json": "{}", "live/x.seen": ""},
    "mlflow": {"meta.yaml": "a: 1", "metrics/loss": "0 1 2", "over": ""},
    "wandb": {"logs/debug.log": "a", "run-x.wandb": "c", "live/a.lock": ""},
    "tensorboard": {"events.out.tfevents.1.host": "x", "live/train.lock": ""},
}
"""What other tools and people keep under `runs`, each with names of the plugin's own."""


def test_what_only_looks_like_a_runs_stays(project: Project) -> None:
    for looks, files in LOOK_ALIKES.items():
        for name, text in files.items():
            project.put(f"runs/{looks}/{name}", text)
        os.utime(project.folder / "runs" / looks, (1_000_000_000, 1_000_000_000))
    before = seen(project.folder)
    assert project.sweep("--output", ".")[0] == 1
    for looks in LOOK_ALIKES:
        code, told = project.sweep("--output", ".", "--run-id", looks)
        assert code == (1 if looks == "ledger" else 4)
        refusal(lambda looks=looks: begun(project.folder, run_id=looks))
        assert kept(before, project.folder), told
    project.sweep("--output", ".")
    assert kept(before, project.folder)


LOCKS = ["over", "slots.lock", "live/main.lock", "live/main.seen", "held/a.lock"]


@pytest.mark.parametrize("name", [*LOCKS, "ledger.jsonl", "ledger"])
def test_a_file_of_somebody_elses_in_a_runs_folder_is_left_alone(
    project: Project, name: str
) -> None:
    folder = project.of("mine")
    project.put(f".hydrasmoke/runs/mine/{name}", '{"bread": 3.20}')
    (folder / "live").mkdir(exist_ok=True)
    before = seen(folder)
    told = refusal(lambda: begun(project.output, run_id="mine"))
    if name == "ledger":
        assert "can't be written: it contains other files, such as ledger" in told
    if name in LOCKS:
        assert project.sweep("--run-id", "mine")[0] == 4
        assert f"{name} is not empty; it is left alone" in project.sweep()[1]
    project.sweep()
    # A ledger that can't be read may have had a process, whose locks go.
    assert before.items() <= seen(folder).items() or name == "ledger.jsonl"
    assert seen(folder)[name] == before[name]


def test_names_that_no_run_has_are_named_and_left_alone(project: Project) -> None:
    for name in (".cache", "nul", "a b"):
        project.put(f".hydrasmoke/runs/{name}/turns.jsonl")
    project.put(".hydrasmoke/runs/notes.txt")
    # What looks like a ledger under such a name may be one.
    (project.runs / "other").rename(project.runs / "of before.")
    before = seen(project.runs)
    code, told = project.sweep()
    assert (code, seen(project.runs), project.alive) == (1, before, ["other-0"])
    for name, why in {
        "no run   .cache": "a run's name must be 1 to 64",
        "no run   a b": "a run's name must be 1 to 64",
        "no run   nul": "a run's name must not be a device's name",
        "no run   notes.txt": f"{project.runs / 'notes.txt'} is a link, or not a folder",
        "LEFT     of before.": "a run's name must be",
    }.items():
        assert f"{name}: {why}" in told


# Links


def led_away(project: Path, name: str, there: str = "file") -> Path:
    """Put a link in the place of something in the output, to something outside; gives that."""
    outside = project.parent / f"{project.name}-outside" / name.replace("/", "-") / there
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


FILES = ["ledger.jsonl", "slots.lock", "recorded.jsonl", "over", "live/main.lock", "live/gw0.lock"]
FILES += ["held/a.lock", "turns.jsonl"]
# Each to something that is there; files also to what only a write would make.
LINKS = [(name, there) for name in FILES for there in ("file", "nothing")]
LINKS += [(name, "file") for name in (".", "live", "held")]


@pytest.mark.parametrize("name", ["runs", "used", "runs/linked/live/main.lock"])
def test_neither_a_run_nor_a_sweep_goes_through_a_link_to_all_of_them(
    live: Live, project: Project, name: str
) -> None:
    outside = led_away(project.folder, name)
    (project.of("linked") / "live").mkdir(parents=True, exist_ok=True)
    before = seen(outside)
    result = live(PASSES, "--hydra-smoke-run-id=linked")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*is a link, or not a f*"])
    assert (seen(outside), project.alive) == (before, ["other-0"])
    for arguments in ((), ("--run-id", "linked")) if name == "runs" else ():
        code, told = project.sweep(*arguments)
        assert (code, "is a link, or not a f" in told, seen(outside)) == (4, True, before)


def test_neither_a_run_nor_a_sweep_goes_through_a_link(project: Project) -> None:
    outside: dict[str, Path] = {}
    before: dict[str, object] = {}
    for number, (name, there) in enumerate(LINKS):
        run_id = f"linked-{number}"
        outside[run_id] = led_away(project.folder, os.path.normpath(f"runs/{run_id}/{name}"), there)
        (project.of(run_id) / "live").mkdir(parents=True, exist_ok=True)
        before[run_id] = seen(outside[run_id])
        told = refusal(lambda run_id=run_id: begun(project.output, run_id=run_id))
        assert "is a link, or not a f" in told
    code, told = project.sweep()
    assert code in (0, 1)
    lines = [line for line in told.splitlines() if "is a link, or not a f" in line]
    for run_id, it in outside.items():
        assert [line for line in lines if f"{run_id}:" in line or f"/{run_id}/" in line], told
        code, told = project.sweep("--run-id", run_id)
        assert (code, "is a link, or not a f" in told) == (4, True)
        assert seen(it) == before[run_id]


@pytest.mark.parametrize("there", ["file", "nothing"])
def test_that_a_run_id_was_used_is_written_through_no_link(project: Project, there: str) -> None:
    outside = led_away(project.folder, "used/linked", there)
    before, config = seen(outside), config_for(project.fake, project.output, run_id="linked")
    if there == "file":
        assert "used/linked says so" in refusal(lambda: check_unused(config, named=True))
    else:
        check_unused(config, named=True)
    assert seen(outside) == before


def test_the_output_folder_itself_may_be_a_link_and_its_reports_are_replaced(
    live: Live, project: Project
) -> None:
    real = project.folder / "real"
    real.mkdir()
    (project.folder / "linked").symlink_to(real)
    for run_id in ("one", "two"):
        live(FAILS, "--hydra-smoke-output=linked", f"--hydra-smoke-run-id={run_id}")
        for name in REPORTS:
            assert run_id in (real / name).read_text("utf-8")
    assert (real / ".gitignore").read_bytes() == b"*\n"
    assert project.sweep("--output", "linked")[0] == 0


@pytest.mark.parametrize("link", [True, False])
def test_a_folder_with_other_things_in_it_is_not_made_to_ignore_itself(
    project: Project, link: bool
) -> None:
    output = project.put("with-others/mine.txt").parent
    if link:
        (output / ".gitignore").symlink_to(project.folder / ".gitignore")
    begun(output).end()
    assert (output / ".gitignore").is_symlink() == link
    assert (output / ".gitignore").exists() == link
    assert (project.folder / ".gitignore").read_text("utf-8") == "/dist\n"
