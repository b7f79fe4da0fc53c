"""A folder of recordings, as it is written: whole files alone, and nothing deleted."""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pytest_hydrasmoke._base import platform
from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._base.files import NEW, opened
from pytest_hydrasmoke._options import how_to_set

from .recording import owner_in, path_of

ROUTER = "router.json"
_TEMPORARY = ".hydra-smoke-*.tmp"


@dataclass
class Recordings:
    """The recordings in a folder; one process at a time may write them."""

    folder: Path

    @cached_property
    def owners(self) -> dict[str, Path]:
        """Whose recordings there are, and where; looked for once, as files may be moved."""
        found: dict[str, Path] = {}
        for path in sorted(self.folder.rglob("*.json")):
            with contextlib.suppress(OSError):
                owner = owner_in(path.read_bytes())
                if owner is not None:
                    found.setdefault(owner, path)
        return found

    def path(self, owner: str) -> Path:
        """Return where an owner's recording is, or is to be."""
        return self.owners.get(owner) or self.folder / path_of(owner)

    def read(self, owner: str) -> bytes | None:
        """Return an owner's file; None where there is none. Raises `OSError`.

        It raises `FileExistsError` where what has its place is somebody else's.
        """
        path = self.path(owner)
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return None
        if owner_in(text) != owner:
            raise FileExistsError(f"{path} is no recording of it: move it away")
        return text

    def write(self, owner: str, text: str) -> None:
        """Write an owner's file, so that nobody ever finds half of it; raises `OSError`."""
        path = self.path(owner)
        replace(path, text)
        self.owners[owner] = path

    def begin(self) -> None:
        """Make the folder, and remove what killed runs have left half written.

        Raises `ConfigError` where nothing can be written.
        """
        probe = self.folder / _TEMPORARY.replace("*", "probe")
        try:
            replace(probe, "")
        except OSError as error:
            raise ConfigError(
                f"record: {self.folder} can't be written: {error.strerror or error}",
                next_step=how_to_set("record"),
            ) from None
        for path in self.folder.rglob(_TEMPORARY):
            with contextlib.suppress(OSError):
                path.unlink()


def replace(path: Path, text: str) -> None:
    """Put a whole file in the place of another; raises `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder: a file can only be renamed within its file system.
    other = path.parent / _TEMPORARY.replace("*", secrets.token_hex(8))
    try:
        with os.fdopen(opened(other, NEW, 0o666), "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        platform.here.patiently(lambda: other.replace(path))
    except BaseException:
        with contextlib.suppress(OSError):
            other.unlink()
        raise
