"""What a run that records has on disk: the folder of recordings, and its turns until it is over.

The folder is held by one run: only whole files are written, and none is deleted.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from pytest_hydrasmoke._base import files
from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._base.run_keys import DEVICE
from pytest_hydrasmoke._options import how_to_set
from pytest_hydrasmoke._run.locks import Lock

from .format import FORMAT, KINDS

LOCK = ".hydra-smoke.lock"
"""The file that a run holds locked while it records; no other run may."""
_TOO_MANY = 100_000
"""Files and folders: with so many it is a whole disk, and not a folder of recordings."""
_UNFINISHED = ".hydra-smoke-*.tmp"
"""Names of recordings that are not whole yet, and of no other file: the next run removes them."""
_UNSAFE = re.compile(r"[^a-z0-9_\-.,=+\[\] ]")
_BAD_END = re.compile(r"^\.|[. ]$")
_LONGEST = 100
"""Characters of a file's or folder's name, without its digest and suffix."""
_MOST_FOLDERS = 8
_HEAD = 1 << 16
"""The first bytes of a file, which name its owner."""
_OWNER = re.compile(rb'"of":\s*("(?:[^"\\]|\\.)*")')


class RecordingStore:
    """The recordings in a folder; the main process of one run at a time writes them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._held: Lock | None = None

    @cached_property
    def owners(self) -> dict[str, Path]:
        """Owners of the recordings, with their paths; read once, as files may be moved."""
        found: dict[str, Path] = {}
        for path in sorted(self._entries()):
            # Opening something that is not a file, such as a pipe, may block for ever.
            if path.suffix == ".json" and path.is_file():
                with contextlib.suppress(OSError), path.open("rb") as file:
                    owner = owner_in(file.read(_HEAD))
                    if owner is not None:
                        found.setdefault(owner, path)
        return found

    def _entries(self) -> list[Path]:
        """Return the files and folders in it, up to too many."""
        every = (
            Path(place, name)
            for place, folders, names in os.walk(self.folder)
            for name in (*folders, *names)
        )
        return list(itertools.islice(every, _TOO_MANY))

    def path(self, owner: str) -> Path:
        """Return the path of an owner's recording, existing or new."""
        return self.owners.get(owner) or self.folder / path_of(owner)

    def read(self, owner: str) -> bytes | None:
        """Return an owner's file; None where there is none. Raises `OSError`.

        Raises `FileExistsError` where another owner's file has its place.
        """
        path = self.path(owner)
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return None
        if owner_in(text) != owner:
            raise FileExistsError(f"{path} is not a recording of it: move it away")
        return text

    def write(self, owner: str, text: str) -> None:
        """Write an owner's file; raises `OSError`."""
        path = self.path(owner)
        replace(path, text)
        self.owners[owner] = path

    def begin(self) -> None:
        """Create the folder, lock it, and remove half-written files of killed runs.

        Raises `ConfigError` if it can't be written, is locked, or has too many other files.
        """
        entries = self._entries()
        if len(entries) == _TOO_MANY:
            raise ConfigError(
                f"record: {self.folder} has {_TOO_MANY} files or more: give a folder that is only "
                "for recordings",
                next_step=how_to_set("record"),
            )
        held = Lock(self.folder / LOCK)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not held.acquire():
                raise ConfigError(
                    f"record: another run records into {self.folder}, and only one at a time may",
                    next_step="wait until that run is over, or give this one another folder",
                )
        except OSError as error:
            raise ConfigError(
                f"record: {self.folder} can't be written: {error.strerror or error}",
                next_step=how_to_set("record"),
            ) from None
        self._held = held
        for path in entries:
            if path.match(_UNFINISHED):
                with contextlib.suppress(OSError):
                    path.unlink()

    def end(self) -> None:
        """Let other runs record into the folder; harmless if done before."""
        held, self._held = self._held, None
        if held is not None:
            # The folder is for version control.
            with contextlib.suppress(OSError):
                (self.folder / LOCK).unlink()
            held.release()


def replace(path: Path, text: str) -> None:
    """Replace a file, which others may read, and create its folder; raises `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.replace(path, text, 0o666, _UNFINISHED)


def owner_in(text: bytes) -> str | None:
    """Return the owner of a recording; None for any other file. The rest may be damaged."""
    if FORMAT.encode() not in text[:_HEAD] or (found := _OWNER.search(text[:_HEAD])) is None:
        return None
    try:
        return str(json.loads(found[1]))
    except ValueError:
        return None


def path_of(owner: str) -> PurePosixPath:
    """Return the path of a new recording, with a name that is valid on every disk."""
    kind, _, rest = owner.partition(" ") if owner.startswith(KINDS) else ("", "", owner)
    module, _, rest = rest.partition("::") if "::" in rest else ("", "", rest)
    last = f"{kind} {rest}".lstrip()
    wanted = [*filter(None, module.removesuffix(".py").split("/")), last.replace("::", ".")]
    safe = list(_safe(wanted[-_MOST_FOLDERS:]))
    # A dot may be literal, or separate a class; in a parameter, it is literal.
    name, _, param = last.partition("[")
    if safe != wanted or "." in name or "::" in param:
        digest = hashlib.sha256(owner.encode(errors="surrogatepass")).hexdigest()
        safe[-1] += f"-{digest[:8]}"
    return PurePosixPath(*safe[:-1], f"{safe[-1]}.json")


def _safe(parts: Sequence[str]) -> Iterator[str]:
    for part in parts:
        # Some disks treat two names that differ only in case as one.
        name = _UNSAFE.sub("_", part.lower())[:_LONGEST]
        name = _BAD_END.sub("_", name)
        yield f"_{name}" if DEVICE.fullmatch(name) else name


class Tape:
    """What has become of a run's turns, told by its processes while it lasts.

    A line for each owner whose turns are over: the turns, or why they are not recorded.

    It is in the run's folder, as a worker may be killed. What finds no room there, or is of a
    worker on another host (which has no `file`), is kept, and sent when the worker ends.
    """

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.kept: list[dict[str, str]] = []

    def add(self, **line: str) -> None:
        if self.file is not None:
            with contextlib.suppress(OSError):
                # Begins with a newline: the line before may have been cut short on a full disk.
                files.append(self.file, b"\n" + json.dumps(line).encode() + b"\n")
                return
        self.kept.append(line)

    def lines(self) -> Iterator[dict[str, str]]:
        if self.file is not None:
            with contextlib.suppress(OSError), self.file.open("rb") as lines:
                for line in lines:
                    with contextlib.suppress(ValueError):  # It is empty, or was cut short.
                        yield json.loads(line)
        yield from self.kept

    def discard(self) -> None:
        """Remove the file."""
        if self.file is not None:
            with contextlib.suppress(OSError):
                self.file.unlink()
