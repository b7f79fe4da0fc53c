"""Where a run's files lie: their names, and all that is made, judged and removed there.

- `<output>/.gitignore`: only in a folder that was made here, or found empty.
- `<output>/used/<run id>`: tells that somebody has chosen this run id once.
- `<output>/runs/<run id>/`: what a run owns, see `_ledger`.

The output folder may hold other things: it is the project's own, where a user says so. So a run id
is a name that can't lead out of it, nothing is written through a link or over what is there, and
no more is removed than what has both the name and the form of a file that was written here.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from ._errors import ConfigError
from ._redact import safe_line

LEDGER, SLOTS, OVER, TOLD = "ledger.jsonl", "slots.lock", "over", "live.log"
LIVE, HELD, TURNS = "live", "held", "turns"
_IN_FOLDERS = ((LIVE, "*.lock"), (HELD, "*.lock"), (TURNS, "*.json"), (TURNS, "*.tmp"))
"""With these, all files that a run's folder is ever given; locks and `over` are empty."""
LONGEST_NAME = 64
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_DEVICE = re.compile(r"(CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(\..*)?", re.IGNORECASE)
_NEW = os.O_CREAT | os.O_EXCL
_NO_LINK: int = getattr(os, "O_NOFOLLOW", 0)


def name_problem(name: str) -> str | None:
    """Tell what keeps a run's id, or a process's name, from being a file's name everywhere."""
    if _NAME.fullmatch(name) is None or name.endswith(".") or len(name) > LONGEST_NAME:
        return (
            f"must be 1 to {LONGEST_NAME} of A to Z, a to z, 0 to 9, dot, underscore and hyphen, "
            "the first a letter or a digit, the last no dot"
        )
    if _DEVICE.fullmatch(name) is not None:
        return "must not be a device's name on Windows"
    return None


def check_name(what: str, name: str) -> None:
    """Raise `ConfigError` where a name can't be a file's name everywhere."""
    problem = name_problem(name)
    if problem is not None:
        raise ConfigError(f"the {what} {problem}: {safe_line(name)!r}")


def folder_of(output: Path, run_id: str) -> Path:
    """Give a run's folder."""
    return output / "runs" / run_id


def used_mark(output: Path, run_id: str) -> Path:
    """Give the file that tells that a run id was chosen once."""
    return output / "used" / run_id


# What is there


def flaw(folder: Path) -> str | None:
    """Tell what shows that a folder is no run's as it is made here; None if it may be one."""
    try:
        return next(_flaws(folder), None)
    except FileNotFoundError:
        return None  # It is being removed.
    except OSError as error:
        return f"it can't be looked at: {error}"


def _flaws(folder: Path) -> Iterator[str]:
    problem = name_problem(folder.name)
    if problem is not None:
        yield f"a run's name {problem}"
    for place in (folder.parent, folder, *(folder / name for name, _ in _IN_FOLDERS)):
        if is_blocked(place):
            yield f"{place} is a link, or no folder"
    for file in _files(folder):
        with contextlib.suppress(FileNotFoundError):
            found = file.lstat()
            if not stat.S_ISREG(found.st_mode):
                yield f"{file} is a link, or no file"
            elif found.st_size and (file.suffix == ".lock" or file.name == OVER):
                yield f"{file} has something in it"
    there = {path.name for path in folder.iterdir()} if folder.exists() else set[str]()
    if there and there.isdisjoint((LIVE, OVER, LEDGER)):
        yield f"it has other things in it, such as {safe_line(min(there))}, and nothing of a run's"


def is_blocked(place: Path) -> bool:
    """Tell whether something has the place of a folder: a file, or a link to whatever."""
    return os.path.islink(place) or (os.path.exists(place) and not os.path.isdir(place))


def _files(folder: Path) -> Iterator[Path]:
    for name in (LEDGER, SLOTS, OVER, TOLD):
        if os.path.lexists(folder / name):
            yield folder / name
    for name, pattern in _IN_FOLDERS:
        yield from sorted((folder / name).glob(pattern))


def all_found(output: Path) -> dict[Path, str | None]:
    """Give what lies where runs have their folders, each with its flaw."""
    runs = output / "runs"
    return {path: flaw(path) for path in sorted(runs.iterdir())} if runs.is_dir() else {}


def run_folders(output: Path) -> list[Path]:
    """Give the folders of all runs that have left one."""
    return [folder for folder, why in all_found(output).items() if why is None]


# What is made


def make_output(output: Path) -> None:
    """Make the output folder; one that has nothing else in it ignores itself in git."""
    output.mkdir(parents=True, exist_ok=True)
    if next(output.iterdir(), None) is None:
        with (
            contextlib.suppress(FileExistsError),
            os.fdopen(_opened(output / ".gitignore", _NEW, 0o666), "wb") as file,
        ):
            file.write(b"*\n")


def make_run(output: Path, run_id: str) -> Path:
    """Make a run's folder, or find it as it was made; raises OSError."""
    folder = folder_of(output, run_id)
    make_output(output)
    why = flaw(folder)
    if why is not None:
        raise OSError(why)
    make_folder(folder.parent)
    make_folder(folder)
    return folder


def make_folder(folder: Path) -> None:
    """Make a folder for its owner alone; raises OSError where a link or a file has its place."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if is_blocked(folder):
        raise NotADirectoryError(errno.ENOTDIR, "A link, or no folder", str(folder))


def make_mark(file: Path) -> None:
    """Make an empty file, unless it is there; raises OSError."""
    with contextlib.suppress(FileExistsError):
        os.close(_opened(file, _NEW))


def append(file: Path, line: bytes, *, make: bool = True, durable: bool = False) -> None:
    """Append in one write, `durable` on the disk when this returns; raises OSError."""
    descriptor = _opened(file, os.O_APPEND | (os.O_CREAT if make else 0))
    try:
        if os.write(descriptor, line) < len(line):
            raise OSError("the disk is full")
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _opened(file: Path, flags: int, mode: int = 0o600) -> int:
    return os.open(file, os.O_WRONLY | _NO_LINK | flags, mode)


# What is removed


def discard(folder: Path) -> None:
    """Remove what a run has written, and its folder if that leaves it empty."""
    if flaw(folder) is not None:
        return
    for file in _files(folder):
        with contextlib.suppress(OSError):
            file.unlink()
    for place in (*(folder / name for name, _ in _IN_FOLDERS), folder):
        with contextlib.suppress(OSError):
            place.rmdir()  # One that has something else in it stays.


def discard_ledger(folder: Path) -> None:
    """Remove a run's ledger alone."""
    if flaw(folder) is None:
        with contextlib.suppress(OSError):
            (folder / LEDGER).unlink(missing_ok=True)
