"""Write recordings into a folder: only whole files, and nothing is deleted."""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._base.files import NEW, opened
from pytest_hydrasmoke._options import how_to_set

from .locks import Lock
from .recording import HEAD, owner_in, path_of

LOCK = ".hydra-smoke.lock"
"""The file that a run holds locked while it records; no other run may."""
_TEMPORARY = ".hydra-smoke-*.tmp"
_MOST = 100_000
"""Most files and folders in it: with more it is a whole disk, and not a folder of recordings."""


@dataclass
class Recordings:
    """The recordings in a folder; one process at a time may write them."""

    folder: Path
    _held: Lock | None = field(default=None, repr=False)

    @cached_property
    def owners(self) -> dict[str, Path]:
        """Owners of the recordings, with their paths; read once, as files may be moved."""
        found: dict[str, Path] = {}
        for path in sorted(self._files()[0]):
            # Opening something that is not a file, such as a pipe, may block for ever.
            if path.suffix == ".json" and path.is_file():
                with contextlib.suppress(OSError), path.open("rb") as file:
                    owner = owner_in(file.read(HEAD))
                    if owner is not None:
                        found.setdefault(owner, path)
        return found

    def _files(self) -> tuple[list[Path], bool]:
        """Return the files of the folder, and whether these are all."""
        found: list[Path] = []
        seen = 0
        for place, _, names in os.walk(self.folder):
            seen += 1 + len(names)
            if seen > _MOST:
                return found, False
            found += [Path(place, name) for name in names]
        return found, True

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
        """Write an owner's file atomically; raises `OSError`."""
        path = self.path(owner)
        replace(path, text)
        self.owners[owner] = path

    def begin(self) -> None:
        """Create the folder, lock it, and remove half-written files of killed runs.

        Raises `ConfigError` if it can't be written, is locked, or has too many other files.
        """
        files, all_of_it = self._files()
        if not all_of_it:
            raise ConfigError(
                f"record: {self.folder} has more than {_MOST} files: give a folder that is only "
                "for recordings",
                next_step=how_to_set("record"),
            )
        probe = self.folder / _TEMPORARY.replace("*", "probe")
        held = Lock(self.folder / LOCK)
        try:
            replace(probe, "")
            probe.unlink()
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
        for path in files:
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
    """Replace a file atomically; raises `OSError`."""
    # In the same folder: a rename works only within one file system.
    other = path.parent / _TEMPORARY.replace("*", secrets.token_hex(8))
    try:
        with os.fdopen(_created(other), "wb") as file:
            file.write(text.encode())
        other.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            other.unlink()
        raise


def _created(path: Path) -> int:
    """Create a file, with its folder if that is missing; return its descriptor."""
    with contextlib.suppress(FileNotFoundError):
        return opened(path, NEW, 0o666)
    path.parent.mkdir(parents=True, exist_ok=True)
    return opened(path, NEW, 0o666)
