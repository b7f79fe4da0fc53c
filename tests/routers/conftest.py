"""The plugin's project, in a clean environment."""

from __future__ import annotations

import pytest
from plugin_tools import Project, forget_settings


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    forget_settings(monkeypatch)
    return Project(pytester, monkeypatch)
