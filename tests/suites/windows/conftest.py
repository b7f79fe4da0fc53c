"""Every process of the run takes itself for one on Windows, as far as that can be played."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock

from pytest_hydrasmoke._base import platform
from pytest_hydrasmoke._run import locks


class GoesWithItsHolder(FileLock):
    """The file of a process's own lock is gone with it."""

    def release(self, force: bool = False) -> None:
        held, path = self.is_locked, Path(self.lock_file)
        super().release(force)
        if held and path.parent.name == "live":
            path.unlink(missing_ok=True)


platform.here = platform.Windows()
locks.FileLock = GoesWithItsHolder  # type: ignore[misc]
