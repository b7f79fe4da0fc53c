"""A folder of recordings, held by one run: only whole files are written, and none is deleted."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
from functools import cached_property
from pathlib import Path

from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._base.files import NEW, opened
from pytest_hydrasmoke._options import how_to_set
from pytest_hydrasmoke._run.locks import Lock

from .format import HEAD, owner_in, path_of

LOCK = ".hydra-smoke.lock"
"""The file that a run holds locked while it records; no other run may."""
_TEMPORARY = ".hydra-smoke-*.tmp"
_MOST = 100_000
"""Most files and folders in it: with more it is a whole disk, and not a folder of recordings."""


class Recordings:
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
                    owner = owner_in(file.read(HEAD))
                    if owner is not None:
                        found.setdefault(owner, path)
        return found

    def _entries(self) -> list[Path]:
        """Return the files and folders in it, one too many at most."""
        every = (
            Path(place, name)
            for place, folders, names in os.walk(self.folder)
            for name in (*folders, *names)
        )
        return list(itertools.islice(every, _MOST + 1))

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
        if len(entries) > _MOST:
            raise ConfigError(
                f"record: {self.folder} has more than {_MOST} files: give a folder that is only "
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
            if path.match(_TEMPORARY):
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
    """Replace a file atomically, and create its folder; raises `OSError`."""
    # In the same folder: a rename works only within one file system.
    other = path.parent / _TEMPORARY.replace("*", secrets.token_hex(8))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with os.fdopen(opened(other, NEW, 0o666), "wb") as file:
            file.write(text.encode())
        other.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            other.unlink()
        raise
