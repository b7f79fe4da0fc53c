"""One run's folder through the ledger's own face: its files, who holds what, who has been there."""

from __future__ import annotations

import os
import re
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock, Timeout
from owner_tools import SPEC, lines_of, run_folders

from pytest_hydrasmoke import ConfigError
from pytest_hydrasmoke._core.states import State
from pytest_hydrasmoke._run import locks as locks_module
from pytest_hydrasmoke._run.folder import discard_ledger, flaw, folder_of, swept_name
from pytest_hydrasmoke._run.ledger import (
    Intent,
    Ledger,
    discard_if_done,
    mark_run_over,
)
from pytest_hydrasmoke._run.locks import has_main_process, is_live

INTENT = Intent(SPEC, "https://router.example", "shared")
OTHER_SPEC = {**SPEC, "tier_id": "another"}


def begun(output: Path, name: str = "main") -> Ledger:
    ledger = Ledger(output, "owner")
    ledger.begin(name)
    return ledger


@pytest.fixture
def ledger(output: Path) -> Iterator[Ledger]:
    ledger = begun(output)
    yield ledger
    ledger.end()


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def nothing() -> None:
    """Find nothing wrong while waiting."""


def refusal(work: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as caught:
        work()
    return str(caught.value)


# What lies there


def modes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): oct(stat.S_IMODE(path.stat().st_mode))
        for path in folder.rglob("*")
        if path.suffix != ".lock"
    }


def test_what_a_run_writes_is_its_owners_alone(ledger: Ledger, no_umask: None) -> None:
    ledger.claim_key("a-key", INTENT)
    ledger.hold("a", nothing).release()
    ledger.stop()
    private = {"ledger.jsonl": "0o600", "over": "0o600", "live": "0o700", "held": "0o700"}
    assert modes(ledger.folder) == {**private, "live/main.seen": "0o600"}


def test_what_a_sweep_writes_is_its_owners_alone(output: Path, no_umask: None) -> None:
    mark_run_over(output, "owner")
    assert modes(output)["runs/owner"] == "0o700"
    assert modes(output)["runs/owner/over"] == "0o600"


@pytest.mark.parametrize("write", [begun, lambda output: mark_run_over(output, "owner")])
def test_the_folder_ignores_itself(output: Path, write: Callable[[Path], object]) -> None:
    write(output)
    assert [path.name for path in output.iterdir() if path.is_file()] == [".gitignore"]
    assert (output / ".gitignore").read_bytes() == b"*\n"


def test_a_run_may_be_buried_twice(output: Path) -> None:
    mark_run_over(output, "owner")
    mark_run_over(output, "owner")
    assert run_folders(output) == [folder_of(output, "owner")]


def test_each_line_says_when_it_was_written(ledger: Ledger) -> None:
    ledger.claim_key("a-key", INTENT)
    [line] = lines_of(ledger.folder)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["at"])


def test_a_key_that_is_no_slots_is_written_as_it_is(ledger: Ledger) -> None:
    ledger.claim_key("a-key", INTENT)
    entry = ledger.read().entries["a-key"]
    assert (entry.key, entry.spec, entry.url) == ("a-key", SPEC, "https://router.example")
    assert (entry.share, entry.state, entry.id) == ("shared", State.CLAIMED, None)
    assert not entry.fake


def test_a_run_against_the_fake_says_so(output: Path) -> None:
    ledger = Ledger(output, "owner", fake=True)
    ledger.begin("main")
    ledger.claim_key("a-key", INTENT)
    assert ledger.read().entries["a-key"].fake
    ledger.end()


def test_a_ledger_that_was_never_begun_ends_too(output: Path) -> None:
    Ledger(output, "owner").end()
    assert not output.exists()


def test_a_folder_in_use_is_not_discarded(ledger: Ledger) -> None:
    discard_if_done(ledger.folder)
    assert ledger.folder.is_dir()


def test_what_is_no_runs_folder_is_not_discarded(output: Path) -> None:
    folder = folder_of(output, "owner")
    (folder / "live").mkdir(parents=True)
    for name in ("ledger.jsonl", "live/main.lock", "live.log"):
        (folder / name).touch()
    (folder / "over").write_text("mine", "utf-8")
    discard_if_done(folder)
    discard_ledger(folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "ledger.jsonl",
        "live",
        "live.log",
        "over",
    ]


def test_only_a_ledger_and_what_sweeps_have_added_to_it_goes_alone(output: Path) -> None:
    mark_run_over(output, "owner")
    folder = folder_of(output, "owner")
    for name in ("ledger.jsonl", swept_name("a"), swept_name("b")):
        (folder / name).touch()
    discard_ledger(folder)
    assert [path.name for path in folder.iterdir()] == ["over"]


@pytest.mark.parametrize("vanishes", ["over", "*"])
def test_what_another_removes_meanwhile_is_no_flaw(
    output: Path, vanishes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark_run_over(output, "owner")
    folder = folder_of(output, "owner")
    real = Path.lstat

    def late(path: Path) -> os.stat_result:
        if path == folder / "over":
            path.unlink()
            if vanishes == "*":
                folder.rmdir()
        return real(path)

    monkeypatch.setattr(Path, "lstat", late)
    assert flaw(folder) is None


def test_a_folder_that_cant_be_looked_at_has_that_flaw(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark_run_over(output, "owner")

    def closed(path: Path) -> Iterator[Path]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", closed)
    assert flaw(folder_of(output, "owner")) == "it can't be read: [Errno 13] Permission denied"


def test_a_folder_that_vanishes_before_it_is_listed_has_no_flaw(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark_run_over(output, "owner")

    def gone(path: Path) -> Iterator[Path]:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(os, "scandir", gone)
    assert flaw(folder_of(output, "owner")) is None


SHARED = "0123456789abcdef"
OWN = {
    "live.log": "gw0: told\n",
    "recorded.jsonl": '\n{"of": "test_it.py::test_it", "what": "new", "why": ""}\n',
    f"turns/{SHARED}.json": '{"spec": "", "history": {}}',
    f"turns/{SHARED}.17.tmp": '{"spec": "", "hist',
    "turns/of-17.json": '{"own": [["", 0.2, 1]]}',
    "turns/of-17.17.tmp": '{"own": [["", 0',
    "held/a-next.lock": "",
    "slots.lock": "",
}
"""What a run may have beside its ledger, as it is when it is killed."""


def filled(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Write files as they would be there; return them."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return [folder / name for name in files]


@pytest.mark.parametrize("has_ledger", [True, False])
def test_all_that_a_run_leaves_is_removed(output: Path, *, has_ledger: bool) -> None:
    ledger = begun(output)
    if has_ledger:
        ledger.claim_key("a-key", INTENT)
        ledger.write("a-key", State.DELETED, None)
    filled(ledger.folder, OWN)
    ledger.end()
    assert not ledger.folder.exists()


def test_a_file_beside_a_ledger_that_is_not_of_a_runs_form_stays(output: Path) -> None:
    ledger = begun(output)
    ledger.claim_key("a-key", INTENT)
    ledger.write("a-key", State.DELETED, None)
    other = {name: "mine" for name in OWN if "lock" not in name}
    mine = filled(ledger.folder, {**other, "turns/0001.json": OWN[f"turns/{SHARED}.json"]})
    ledger.end()
    assert sorted(path for path in ledger.folder.rglob("*") if path.is_file()) == sorted(mine)


@pytest.mark.parametrize("name", [name for name, text in OWN.items() if text])
def test_what_no_process_has_begun_has_nothing_but_empty_files(output: Path, name: str) -> None:
    folder = folder_of(output, "owner")
    filled(folder, {"over": "", "live/main.lock": "", name: OWN[name]})
    assert flaw(folder) == f"it contains other files, such as {name}, and no ledger"
    (folder / "live" / "main.seen").touch()
    assert flaw(folder) is None
    discard_if_done(folder)
    assert not folder.exists()


def test_a_link_is_no_file_of_a_run(output: Path) -> None:
    folder = folder_of(output, "owner")
    filled(folder, {"over": ""})
    (folder / "latest").symlink_to(output)
    assert flaw(folder) == "it contains other files, such as latest, and no ledger"


def test_a_ledger_that_cant_be_read_is_not_removed(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = begun(output)
    ledger.claim_key("a-key", INTENT)
    ledger.write("a-key", State.DELETED, None)
    reads = iter([Path.read_bytes])

    def once(path: Path) -> bytes:
        for read in reads:
            return read(path)
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", once)
    ledger.end()
    assert (ledger.folder / "ledger.jsonl").exists()


# What is known of what is shared


def test_what_is_shared_is_found_by_its_name_and_spec(ledger: Ledger) -> None:
    keys = ledger.claim(INTENT, 1, 4)
    assert keys == ["owner-0"]
    reading = ledger.look()
    assert reading.shared("shared", SPEC) == reading.entries["owner-0"]
    assert reading.shared("another", SPEC) is None
    assert reading.shared("shared", OTHER_SPEC) is None


@pytest.mark.parametrize("state", [state for state in State if state is not State.CLAIMED])
def test_what_is_shared_is_of_use_until_it_has_failed_or_is_to_go(
    ledger: Ledger, state: State
) -> None:
    ledger.claim(INTENT, 1, 4)
    ledger.write("owner-0", state, "an-id")
    usable = state in (State.REQUESTED, State.ACCEPTED, State.CREATED, State.READY)
    assert (ledger.look().shared("shared", SPEC) is not None) == usable


def test_a_later_one_takes_the_place_of_what_is_gone(ledger: Ledger) -> None:
    ledger.claim(INTENT, 2, 4)
    ledger.write("owner-0", State.DELETED, "an-id")
    shared = ledger.look().shared("shared", SPEC)
    assert shared is not None
    assert shared.key == "owner-1"


def test_what_nobody_need_try_again_is_told_with_the_reason(ledger: Ledger) -> None:
    ledger.give_up("shared", SPEC, "no room")
    reading = ledger.look()
    assert reading.failure("shared", SPEC) == "no room"
    assert reading.failure("another", SPEC) is None
    assert reading.failure("shared", OTHER_SPEC) is None
    assert reading.problems == []


def test_to_give_up_without_a_folder_is_no_error(output: Path) -> None:
    Ledger(output, "owner").give_up("shared", SPEC, "no room")
    assert not output.exists()


# Who holds what


def test_a_name_is_held_by_one_at_a_time(
    output: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Impatient(FileLock):  # type: ignore[misc,valid-type]
        def __init__(self, path: Path, timeout: float, **more: Any) -> None:
            super().__init__(path, 0, **more)

    monkeypatch.setattr(locks_module, "FileLock", Impatient)
    held = ledger.hold("a", nothing)
    other = begun(output, "gw0")
    asked: list[str] = []

    def check() -> None:
        asked.append("again")
        if len(asked) == 3:
            raise ConfigError("no more")

    assert refusal(lambda: other.hold("a", check)) == "no more"
    # Who waited stands in nobody's way any more, and other names were never held.
    other.hold("b", nothing).release()
    held.release()
    other.hold("a", nothing).release()
    other.end()


def test_who_waits_is_next(ledger: Ledger) -> None:
    """Who is next holds a lock too, and lets go of it once it has its turn."""
    turn = FileLock(ledger.folder / "held" / "a-next.lock", timeout=0)
    held = ledger.hold("a", nothing)
    with turn:
        pass

    def check() -> None:
        with pytest.raises(Timeout):
            turn.acquire()
        raise ConfigError("seen")

    # Seen by whoever waits: the first question is asked before the turnstile is.
    questions = iter([nothing, check])
    assert refusal(lambda: ledger.hold("a", lambda: next(questions)())) == "seen"
    held.release()


def test_another_thread_may_let_go(ledger: Ledger) -> None:
    held = ledger.hold("a", nothing)
    thread = threading.Thread(target=held.release)
    thread.start()
    thread.join()
    ledger.hold("a", nothing).release()


def test_how_long_locks_are_waited_for(
    output: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times that no test should wait for: each is what the lock is asked for."""
    waited: dict[str, float] = {}

    class Noted(FileLock):  # type: ignore[misc,valid-type]
        def __init__(self, path: Path, timeout: float = -1, **more: Any) -> None:
            waited[path.name] = timeout
            super().__init__(path, timeout, **more)

    monkeypatch.setattr(locks_module, "FileLock", Noted)
    other = begun(output, "gw0")
    other.hold("a", nothing).release()
    other.claim(INTENT, 1, 4)
    assert waited == {"gw0.lock": 2, "a-next.lock": 0, "a.lock": 0, "slots.lock": 30}
    waited.clear()
    assert is_live(other.folder)
    assert set(waited.values()) == {0}
    other.end()


# Who has been there


def test_a_process_has_been_seen_once_it_has_begun(output: Path, ledger: Ledger) -> None:
    assert ledger.has_seen("main")
    assert not ledger.has_seen("gw0")
    begun(output, "gw0").end()
    assert ledger.has_seen("gw0")


def test_a_main_process_is_one_that_lives(output: Path) -> None:
    assert not has_main_process(output, "owner")
    worker = begun(output, "gw0")
    assert not has_main_process(output, "owner")
    main = begun(output)
    assert has_main_process(output, "owner")
    assert not has_main_process(output, "another")
    main.end()
    assert not has_main_process(output, "owner")
    worker.end()


def test_a_lock_that_cant_be_looked_at_is_nobodys(output: Path) -> None:
    (folder_of(output, "owner") / "live" / "main.lock").mkdir(parents=True)
    assert not has_main_process(output, "owner")


def test_nobody_lives_where_no_folder_is(output: Path) -> None:
    assert not is_live(folder_of(output, "owner"))


# What is said where it can't be used

ADVICE = "without it a killed run could leak: give another --hydra-smoke-output"


def unusable(folder: Path, why: str) -> str:
    return f"the ledger in {folder} can't be written: {why}\n  next step: {ADVICE}"


def test_a_run_id_in_use(output: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    class Held(FileLock):  # type: ignore[misc,valid-type]
        def acquire(self, *given: Any, **more: Any) -> Any:
            raise Timeout(self.lock_file)

    monkeypatch.setattr(locks_module, "FileLock", Held)
    why = "another process holds it: give each run its own id"
    assert refusal(lambda: begun(output)) == unusable(ledger.folder, why)


def test_a_run_id_used_before(output: Path, ledger: Ledger) -> None:
    command = "hydra-smoke sweep --run-id owner"
    advice = f"give every run an id of its own; to delete what that one left: {command}"
    ledger.stop()
    used = "run id used before: a sweep has declared run owner over"
    assert refusal(lambda: begun(output, "gw0")) == f"{used}\n  next step: {advice}"
    (ledger.folder / "over").unlink()
    ledger.claim(INTENT, 1, 4)
    begun(output, "gw0").end()  # a worker's run has one as a matter of course
    folder = ledger.folder
    ledger.end()
    used = f"run id used before: run owner has left a ledger in {folder}"
    assert refusal(lambda: begun(output)) == f"{used}\n  next step: {advice}"
    assert not is_live(folder)


def test_a_folder_that_is_a_file(output: Path) -> None:
    output.write_text("taken", "utf-8")
    folder = folder_of(output, "owner")
    told = refusal(lambda: begun(output))
    assert told.startswith(f"the ledger in {folder} can't be written: [Errno ")
    assert told.endswith(f"\n  next step: {ADVICE}")
    told = refusal(lambda: mark_run_over(output, "owner"))
    assert told.startswith(f"{folder} can't be written: [Errno ")
    assert told.endswith("\n  next step: give another folder with --output")


def test_a_ledger_that_is_a_folder(ledger: Ledger) -> None:
    (ledger.folder / "ledger.jsonl").mkdir()
    why = f"[Errno 21] Is a directory: '{ledger.folder / 'ledger.jsonl'}'"
    for work in (
        ledger.look,
        lambda: ledger.claim(INTENT, 1, 4),
        lambda: ledger.claim_key("a-key", INTENT),
    ):
        assert refusal(work) == unusable(ledger.folder, why)
    (ledger.folder / "ledger.jsonl").rmdir()


def test_a_place_of_locks_that_is_a_file(ledger: Ledger) -> None:
    (ledger.folder / "held").write_text("taken", "utf-8")
    why = f"[Errno 20] A link, or not a folder: '{ledger.folder / 'held'}'"
    assert refusal(lambda: ledger.hold("a", nothing)) == unusable(ledger.folder, why)


# Systems


def test_a_ledger_s_first_line_is_on_the_disk_with_the_folders_that_lead_to_it(
    output: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []

    def noted(descriptor: int) -> None:
        place = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        flushed.append(str(place.relative_to(output.parent)))

    monkeypatch.setattr(os, "fsync", noted)
    ledger.claim_key("a-key", INTENT)
    runs, own = f"{output.name}/runs", f"{output.name}/runs/owner"
    assert flushed == [f"{own}/ledger.jsonl", own, runs, output.name, "."]
    flushed.clear()
    ledger.claim_key("another-key", INTENT)
    assert flushed == [f"{own}/ledger.jsonl"]


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
