"""One run's folder: whose its files are, what is removed of them, and who holds what."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from ledger_tools import CLAIM, begun, claim, refusal

from pytest_hydrasmoke import ConfigError
from pytest_hydrasmoke._journal.events import Became
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run.folder import discard, flaw, folder_of, swept_name
from pytest_hydrasmoke._run.ledger import Ledger, discard_if_done, mark_run_over
from pytest_hydrasmoke._run.locks import Lock, has_main_process, is_live


@pytest.fixture
def folder(output: Path) -> Path:
    """The folder of a run that a sweep has ended, and that is called as a folder in it is."""
    mark_run_over(output, "journal")
    return folder_of(output, "journal")


def holding(ledger: Ledger, name: str, check: Callable[[], object] = list) -> Lock:
    """Hold a name, once it is free."""
    lock = ledger.lock_of(name)
    ledger.hold(lock, check)
    return lock


# What lies there


def test_what_is_written_is_its_owners_alone(output: Path) -> None:
    before = os.umask(0)
    try:
        mark_run_over(output, "swept")
        ledger = begun(output)
        ledger.claim_key("a-key", CLAIM)
        holding(ledger, "a").release()
        ledger.stop()
    finally:
        os.umask(before)
    modes = {
        str(path.relative_to(output / "runs")): oct(stat.S_IMODE(path.stat().st_mode))
        for path in (output / "runs").rglob("*")
        if path.suffix != ".lock"
    }
    folders = ("swept", "owner", "owner/live", "owner/held")
    files = ("swept/over", "owner/stopped", "owner/ledger.jsonl", "owner/live/main.seen")
    assert modes == {**dict.fromkeys(folders, "0o700"), **dict.fromkeys(files, "0o600")}
    ledger.end()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_folder_ignores_itself(output: Path) -> None:
    subprocess.run(["git", "init", "-q", output.parent], check=True)
    mark_run_over(output, "owner")
    begun(output, run_id="another")
    assert [path.name for path in output.iterdir() if path.is_file()] == [".gitignore"]
    assert (output / ".gitignore").read_bytes() == b"*\n"
    status = ["git", "status", "--porcelain"]
    assert not subprocess.run(status, cwd=output.parent, check=True, capture_output=True).stdout


@pytest.mark.parametrize(
    ("files", "left"),
    [
        # Of a folder that is no run's, nothing goes.
        (
            {"ledger.jsonl": "", "live/main.lock": "", "turns.jsonl": "", "over": "mine"},
            ["ledger.jsonl", "live/main.lock", "over", "turns.jsonl"],
        ),
        ({"ledger.jsonl/of/somebody": "mine"}, ["ledger.jsonl/of/somebody", "over"]),
        # Else a ledger, what its processes have told, and what sweeps have added to it.
        (
            {"ledger.jsonl": "", "journal/a.jsonl": '{"at": ', swept_name(): "", swept_name(): ""},
            ["over"],
        ),
    ],
    ids=["no run's", "a folder", "a run's"],
)
def test_only_what_is_a_runs_for_sure_goes_with_its_ledger(
    folder: Path, files: dict[str, str], left: list[str]
) -> None:
    filled(folder, files)
    discard(folder, whole=False)
    assert files_in(folder) == left, "its id stays used"
    discard_if_done(folder)
    assert folder.exists() is (left != ["over"])


@pytest.mark.parametrize("vanishes", ["over", "*"])
def test_what_another_removes_meanwhile_is_no_flaw(
    folder: Path, vanishes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.lstat

    def late(path: Path) -> os.stat_result:
        if path == folder / "over":
            path.unlink()
            if vanishes == "*":
                folder.rmdir()
        return real(path)

    monkeypatch.setattr(Path, "lstat", late)
    assert flaw(folder) is None


def test_a_folder_that_cant_be_looked_at_has_that_flaw_and_one_that_is_gone_has_none(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(path: Path) -> Iterator[Path]:
        raise error

    monkeypatch.setattr(os, "scandir", closed)
    error: OSError = PermissionError(13, "Permission denied")
    assert flaw(folder) == "it can't be read: [Errno 13] Permission denied"
    error = FileNotFoundError(2, "No such file or directory")
    assert flaw(folder) is None


OWN = {
    "journal/gw0.jsonl": '{"at": 9.5, "of": null, "is": "Opened", "pro',
    "recorded.jsonl": '\n{"of": "test_it.py::test_it", "what": "new", "why": ""}\n',
    "turns.jsonl": '\n{"at": 9.5, "of": "owner-0", "is": "TurnOver", "num',
    "held/a-next.lock": "",
    "slots.lock": "",
}
"""What a run may have beside its ledger, as it is when it is killed."""


def filled(folder: Path, files: Mapping[str, str]) -> None:
    """Write files as they would be there."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")


def files_in(folder: Path) -> list[str]:
    return sorted(str(it.relative_to(folder)) for it in folder.rglob("*") if it.is_file())


@pytest.mark.parametrize("has_ledger", [True, False])
def test_all_that_a_run_leaves_is_removed(ledger: Ledger, *, has_ledger: bool) -> None:
    if has_ledger:
        claim(ledger)
        ledger.write("owner-0", Became(State.DELETED))
    filled(ledger.folder, OWN)
    ledger.end()
    assert not ledger.folder.exists()


def test_a_file_beside_a_ledger_that_is_not_of_a_runs_form_stays(ledger: Ledger) -> None:
    claim(ledger)
    ledger.write("owner-0", Became(State.DELETED))
    other = {name: "mine" for name in OWN if "lock" not in name}
    filled(ledger.folder, {**other, "turns/0001.json": OWN["turns.jsonl"]})
    ledger.end()
    assert files_in(ledger.folder) == sorted([*other, "turns/0001.json"])


@pytest.mark.parametrize("name", [name for name, text in OWN.items() if text])
def test_what_no_process_has_begun_has_nothing_but_empty_files(folder: Path, name: str) -> None:
    filled(folder, {"live/main.lock": "", name: OWN[name]})
    assert flaw(folder) == f"it contains other files, such as {name}, and no ledger"
    (folder / "live" / "main.seen").touch()
    assert flaw(folder) is None
    discard_if_done(folder)
    assert not folder.exists()


def test_a_link_is_no_file_of_a_run(folder: Path) -> None:
    (folder / "latest").symlink_to(folder.parent)
    assert flaw(folder) == "it contains other files, such as latest, and no ledger"


def test_a_run_does_not_take_the_folder_of_one_whose_id_differs_in_case(
    output: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As a disk tells it that has the folder under the name that came first, and finds it by both:
    # here the first name is a link, and the second in no list.
    (ledger.folder.parent / "Owner").symlink_to("owner")
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda place: [it for it in listdir(place) if it != "owner"])
    words = "it is the folder of run Owner: this disk ignores the case of names"
    assert flaw(ledger.folder) == words
    assert words in refusal(lambda: mark_run_over(output, "owner"))
    assert words in refusal(lambda: begun(output, "gw0"))


# Who holds what


def test_a_name_is_held_by_one_at_a_time(output: Path, ledger: Ledger) -> None:
    held = holding(ledger, "a")
    other = begun(output, "gw0")
    asked: list[str] = []

    def check() -> None:
        asked.append("again")
        if len(asked) == 3:
            raise ConfigError("no more")

    assert refusal(lambda: holding(other, "a", check)) == "no more"
    # Who waited stands in nobody's way any more, and other names were never held.
    holding(other, "b").release()
    assert other.hold_if_free("a") is None
    # Another thread may let go.
    thread = threading.Thread(target=held.release)
    thread.start()
    thread.join()
    free = other.hold_if_free("a")
    assert free is not None
    free.release()
    other.end()


def test_who_only_looks_is_not_taken_for_who_holds_it(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ledger.folder / "live" / "main.lock"
    with Lock(path) as held:
        assert not held.acquire()
        assert is_live(ledger.folder)
    ledger.end()
    path.parent.mkdir(parents=True)
    path.touch()
    acquire = Lock.acquire
    found: list[bool] = []

    def slow(lock: Lock, within: float = 0.0) -> bool:
        got = acquire(lock, within)
        monkeypatch.undo()
        found.append(is_live(ledger.folder))  # Another process looks while this one does.
        return got

    monkeypatch.setattr(Lock, "acquire", slow)
    assert not is_live(ledger.folder)
    assert found == [False]


def test_how_long_locks_are_waited_for(
    output: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times that no test should wait for: each is what the lock is asked for."""
    waited: dict[str, float] = {}
    acquire = Lock.acquire

    def noted(self: Lock, within: float = 0.0) -> bool:
        waited[self.path.name] = within
        return acquire(self, within)

    monkeypatch.setattr(Lock, "acquire", noted)
    other = begun(output, "gw0")
    holding(other, "a").release()
    claim(other)
    assert waited == {"gw0.lock": 2, "a-next.lock": 0, "a.lock": 0, "slots.lock": 30}
    waited.clear()
    assert is_live(other.folder)
    assert set(waited.values()) == {0}
    other.end()


def test_a_lock_that_cant_be_looked_at_is_nobodys_nor_is_one_that_goes_meanwhile(
    folder: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = folder / "live" / "main.lock"
    monkeypatch.setattr(Path, "glob", lambda self, pattern: [gone])
    assert not is_live(folder)
    gone.mkdir(parents=True)
    assert not has_main_process(output, "owner")
