"""A test that clears the project's folder, and then ends its worker."""

from __future__ import annotations

import os
import shutil

from pytest_hydrasmoke import SmokeInstance


def test_removes_and_crashes(smoke_instance: SmokeInstance) -> None:
    shutil.rmtree(".hydrasmoke")
    os._exit(7)
