"""Every process of the run takes itself for one on Windows, as far as that can be played."""

from __future__ import annotations

from pytest_hydrasmoke._base import platform

platform.here = platform.Windows()
