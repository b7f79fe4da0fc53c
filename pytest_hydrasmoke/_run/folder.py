"""A run's files: their names, and everything that is created, checked and removed there.

- `<output>/.gitignore`: only in a folder that was created here, or found empty.
- `<output>/used/<run id>`: marks a run id that was chosen before.
- `<output>/runs/<run id>/`: what a run owns, see `ledger`.

The output folder may be a folder of the user's project that holds other files, and other tools
keep theirs in `runs`, too. So a run id is a name that can't lead out of it, and nothing is written
through a link or over existing files. A folder is a run's if a ledger is in it, or nothing at all
but files of a run; and a file is removed only from such a folder, and only if it has both the name
and the form of a run's file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._base.files import NEW, is_blocked, make_folder, name_on_disk, opened
from pytest_hydrasmoke._base.run_keys import name_problem
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._journal.journal import JOURNAL

from .ledger_lines import parse

LEDGER, SLOTS = "ledger.jsonl", "slots.lock"
OVER, STOPPED = "over", "stopped"
RECORDED, TURNS = "recorded.jsonl", "turns.jsonl"
LIVE, HELD = "live", "held"
SEEN = ".seen"
"""Suffix of the file that shows that a process has held a lock of `live`."""
SWEPT = f"swept-{'[0-9a-f]' * 16}.jsonl"
_LINES = re.compile(rb'(\n\{"at": |$)')
_FORMS = {
    LEDGER: None,
    RECORDED: re.compile(rb'\s*\{.*"of": '),
    TURNS: _LINES,
    SLOTS: None,
    OVER: None,
    STOPPED: None,
    SWEPT: _LINES,
    f"{LIVE}/*.lock": None,
    f"{LIVE}/*{SEEN}": None,
    f"{HELD}/*.lock": None,
    f"{JOURNAL}/*.jsonl": re.compile(rb'(\{"at": |$)'),
}
"""All files of a run, and how those begin that are no ledger; without a form they are empty."""
_FOLDERS = (LIVE, HELD, JOURNAL)
_NONE_BEFORE = 1_735_689_600.0
"""2025-01-01: older than this package, so no run has written a file by then."""
_HEAD = 1 << 16
"""Bytes of a file that are compared with its form."""


def folder_of(output: Path, run_id: str) -> Path:
    return output / "runs" / run_id


def swept_name() -> str:
    """Return a new name of a sweep's file in a run's folder."""
    return f"swept-{secrets.token_hex(8)}.jsonl"


def swept_files(folder: Path) -> list[Path]:
    """Return the files that sweeps have left in a run's folder."""
    return sorted(folder.glob(SWEPT))


def has_entries(folder: Path) -> bool:
    """Return whether a ledger, or what a sweep has found instead, is in a run's folder."""
    with contextlib.suppress(FileNotFoundError):
        return (folder / LEDGER).exists() or any(it.stat().st_size for it in swept_files(folder))
    return False  # Another sweep has just ended.


def with_ledger_above(output: Path, run_id: str) -> Path | None:
    """Return the nearest output folder of this name, further up, that has a ledger of the run.

    It is there if pytest was called further up, with tests of this folder. `*` means any run.
    """
    above = (folder / output.name for folder in output.parent.parents)
    return next((place for place in above if any(place.glob(f"runs/{run_id}/{LEDGER}"))), None)


def age_of(folder: Path) -> float:
    """Return the seconds since a folder was written to, by file times; 0 if they can't be told."""
    try:
        written = folder.stat().st_mtime
        with tempfile.NamedTemporaryFile(dir=folder.parent) as now:
            return os.fstat(now.fileno()).st_mtime - written
    except OSError:
        return 0.0


def written_at(folder: Path) -> float | None:
    """Return when the run itself last wrote to its folder, by file times; None if none tells."""
    own = (LEDGER, TURNS, RECORDED, SLOTS, f"{LIVE}/*", f"{JOURNAL}/*.jsonl")
    times = [time_of(file.stat()) for name in own for file in folder.glob(name)]
    return max((it for it in times if it is not None), default=None)


def time_of(found: os.stat_result) -> float | None:
    """Return when a file was written; None where its time was lost, as by an archive."""
    return None if found.st_mtime < _NONE_BEFORE else found.st_mtime


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
    other = name_on_disk(folder)
    if other is not None:
        yield f"it is the folder of run {safe_line(other)}: this disk ignores the case of names"
    for place in (folder.parent, folder, *(folder / name for name in _FOLDERS)):
        if is_blocked(place):
            yield f"{place} is a link, or not a folder"
    for file, form in _files(folder):
        with contextlib.suppress(FileNotFoundError):
            found = file.lstat()
            if not stat.S_ISREG(found.st_mode):
                yield f"{file} is a link, or not a file"
            elif found.st_size and form is None and file.name != LEDGER:
                yield f"{file} is not empty"
    if folder.exists() and not _has_ledger(folder):
        other_file = next(_foreign(folder), None)
        if other_file is not None:
            yield f"it contains other files, such as {safe_line(other_file)}, and no ledger"


def _has_ledger(folder: Path) -> bool:
    """Return whether something is in a ledger's place: nobody's, until it was read."""
    path = folder / LEDGER
    return os.path.lexists(path) and path.lstat().st_size > 0


def _foreign(folder: Path) -> Iterator[str]:
    """Yield the files of a folder that are no run's; raises OSError."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=_raise):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        found += (Path(place, name) for name in sorted([*links, *names]))
    # After the walk: other processes of the run may begin meanwhile.
    own = {file for file, form in _files(folder) if _has_form(file, form)}
    # Without a sign of a process that has begun, or of a sweep's, a run has left only empty files.
    begun = any(file.suffix == SEEN or file.match(SWEPT) for file in own)
    for file in found:
        if os.path.lexists(file) and (file not in own or (file.lstat().st_size and not begun)):
            yield file.relative_to(folder).as_posix()


def _raise(error: OSError) -> None:
    raise error


def _has_form(file: Path, form: re.Pattern[bytes] | None) -> bool:
    """Return whether a file with a run's name looks like a run's inside, too; raises OSError."""
    if file.name == LEDGER:
        text = file.read_bytes()
        return not text or parse(text).has_own
    if form is None:
        return file.lstat().st_size == 0
    with file.open("rb") as opened_file:
        return form.match(opened_file.read(_HEAD)) is not None


def _files(folder: Path) -> Iterator[tuple[Path, re.Pattern[bytes] | None]]:
    """Yield what is there of a run's files, each with its form."""
    for name, form in _FORMS.items():
        # A link that leads nowhere is found by its very name only.
        files = sorted(folder.glob(name)) or [folder / name]
        yield from ((file, form) for file in files if os.path.lexists(file))


def listed(output: Path) -> list[Path] | None:
    """Return everything in the folder for runs; None if there is no such folder.

    Raises `ConfigError` if it can't be read.
    """
    runs = output / "runs"
    try:
        with os.scandir(runs) as entries:
            return sorted(runs / entry.name for entry in entries)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(
            f"{runs} can't be read ({error.strerror or error}): nobody knows what is left",
            next_step="make it readable, or give another folder with --output",
        ) from None


def all_found(output: Path) -> dict[Path, str | None]:
    """Return everything in the folder for runs, each with its flaw; raises `ConfigError`."""
    return {path: flaw(path) for path in listed(output) or ()}


def may_have_ledger(folder: Path) -> bool:
    """Return whether a ledger is there, or what a sweep has found instead, or nobody can tell."""
    try:
        (folder / LEDGER).lstat()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return True
        with contextlib.suppress(OSError):
            return has_entries(folder)
    return True


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


def _is_own(folder: Path) -> bool:
    """Return whether a folder is a run's for sure, so that it may lose files."""
    try:
        return flaw(folder) is None and _has_form(folder / LEDGER, None)
    except FileNotFoundError:
        return True  # What stands there instead of a ledger is all of a run.
    except OSError:
        return False


def discard(folder: Path, *, whole: bool = True) -> None:
    """Remove a run's files, and its folder if it is empty then.

    If not the `whole` of it, then what it has told, and what sweeps have added; its id stays used.
    """
    if not _is_own(folder):
        return
    # The ledger goes last: without it, what a kill leaves of the rest might be anybody's.
    for file, form in sorted(_files(folder), key=lambda it: it[0].name == LEDGER):
        told = file.name == LEDGER or file.match(SWEPT) or file.parent == folder / JOURNAL
        with contextlib.suppress(OSError):
            if (whole or told) and _has_form(file, form):
                file.unlink()
    for place in (*(folder / name for name in _FOLDERS), folder) if whole else ():
        with contextlib.suppress(OSError):
            place.rmdir()  # A folder with other files in it stays.
