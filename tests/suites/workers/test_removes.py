"""A test, or a script beside it, that clears the project's folder."""

from __future__ import annotations

import shutil

from pytest_hydrasmoke import SmokeInstance


def test_removes(smoke_instance: SmokeInstance) -> None:
    shutil.rmtree(".hydrasmoke")
    assert smoke_instance.status().status == "running"
