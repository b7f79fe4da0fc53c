"""A run's files: their names, and everything that is created, checked and removed there.

- `<output>/.gitignore`: only in a folder that was created here, or found empty.
- `<output>/used/<run id>`: marks a run id that was chosen before.
- `<output>/runs/<run id>/`: what a run owns, see `ledger`.

The output folder may be a folder of the user's project that holds other files. So a run id is a
name that can't lead out of it, nothing is written through a link or over existing files, and a file
is removed only if it has both the name and the form of a run's file.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pytest_hydrasmoke._base import platform
from pytest_hydrasmoke._base.files import NEW, is_blocked, make_folder, opened
from pytest_hydrasmoke._base.run_keys import name_problem
from pytest_hydrasmoke._base.text import safe_line

LEDGER, SLOTS, OVER, PROGRESS = "ledger.jsonl", "slots.lock", "over", "live.log"
RECORDED = "recorded.jsonl"
SWEPT = "swept-*.jsonl"
LIVE, HELD, TURNS = "live", "held", "turns"
SEEN = ".seen"
"""Suffix of the file that shows that a process has held a lock of `live`."""
_IN_FOLDERS = (
    (LIVE, "*.lock"),
    (LIVE, f"*{SEEN}"),
    (HELD, "*.lock"),
    (TURNS, "*.json"),
    (TURNS, "*.tmp"),
)
"""All other files of a run's folder; locks, marks and `over` are empty."""
_FOLDERS = (LIVE, HELD, TURNS)


def folder_of(output: Path, run_id: str) -> Path:
    """Return a run's folder."""
    return output / "runs" / run_id


def swept_name(unique: str) -> str:
    """Return the name of a sweep's file in a run's folder."""
    return SWEPT.replace("*", unique)


def swept_files(folder: Path) -> list[Path]:
    """Return the files that sweeps have left in a run's folder."""
    return sorted(folder.glob(SWEPT))


def with_ledger_above(output: Path, run_id: str) -> Path | None:
    """Return the nearest output folder of this name, further up, that has a ledger of the run.

    It is there if pytest was called further up, with tests of this folder. `*` means any run.
    """
    above = (folder / output.name for folder in output.parent.parents)
    return next((place for place in above if any(place.glob(f"runs/{run_id}/{LEDGER}"))), None)


def used_mark(output: Path, run_id: str) -> Path:
    """Return the file that marks a run id as used."""
    return output / "used" / run_id


# Checks


def flaw(folder: Path) -> str | None:
    """Return why a folder can't be a run's; None if it may be."""
    try:
        return next(_flaws(folder), None)
    except FileNotFoundError:
        return None  # Another process is removing it.
    except OSError as error:
        return f"it can't be read: {error}"


def _flaws(folder: Path) -> Iterator[str]:
    problem = name_problem(folder.name)
    if problem is not None:
        yield f"a run's name {problem}"
    other = platform.name_on_disk(folder)
    if other is not None:
        yield f"it is the folder of run {safe_line(other)}: this disk ignores the case of names"
    for place in (folder.parent, folder, *(folder / name for name in _FOLDERS)):
        if is_blocked(place):
            yield f"{place} is a link, or not a folder"
    for file in _files(folder):
        with contextlib.suppress(FileNotFoundError):
            found = file.lstat()
            if not stat.S_ISREG(found.st_mode):
                yield f"{file} is a link, or not a file"
            elif found.st_size and (file.suffix in (".lock", SEEN) or file.name == OVER):
                yield f"{file} is not empty"
    there = {path.name for path in folder.iterdir()} if folder.exists() else set[str]()
    if there and there.isdisjoint((LIVE, OVER, LEDGER)):
        yield f"it contains other files, such as {safe_line(min(there))}, and none of a run"


def _files(folder: Path) -> Iterator[Path]:
    appended = (LEDGER, PROGRESS, RECORDED)
    for name in (*appended, SLOTS, OVER, *(f"{name}.lock" for name in appended)):
        if os.path.lexists(folder / name):
            yield folder / name
    yield from swept_files(folder)
    for name, pattern in _IN_FOLDERS:
        yield from sorted((folder / name).glob(pattern))


def all_found(output: Path) -> dict[Path, str | None]:
    """Return everything in the folder for runs, each with its flaw."""
    runs = output / "runs"
    return {path: flaw(path) for path in sorted(runs.iterdir())} if runs.is_dir() else {}


# Creation


def make_output(output: Path) -> None:
    """Create the output folder; if nothing else is in it, make git ignore it."""
    output.mkdir(parents=True, exist_ok=True)
    if next(output.iterdir(), None) is None:
        with (
            contextlib.suppress(FileExistsError),
            os.fdopen(opened(output / ".gitignore", NEW, 0o666), "wb") as file,
        ):
            file.write(b"*\n")


def make_run(output: Path, run_id: str) -> Path:
    """Create a run's folder, or accept the existing one; raises OSError."""
    folder = folder_of(output, run_id)
    make_output(output)
    why = flaw(folder)
    if why is not None:
        raise OSError(why)
    make_folder(folder.parent)
    make_folder(folder)
    return folder


# Removal


def discard(folder: Path) -> None:
    """Remove a run's files, and its folder if it is empty then."""
    if flaw(folder) is not None:
        return
    for file in _files(folder):
        with contextlib.suppress(OSError):
            file.unlink()
    for place in (*(folder / name for name in _FOLDERS), folder):
        with contextlib.suppress(OSError):
            place.rmdir()  # A folder with other files in it stays.


def discard_ledger(folder: Path) -> None:
    """Remove only a run's ledger, and what sweeps have added to it."""
    if flaw(folder) is None:
        for file in (folder / LEDGER, *swept_files(folder)):
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
