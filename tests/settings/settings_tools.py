"""What the tests of the settings share: the problems that a run tells, and the settings it has."""

from __future__ import annotations

from typing import Any

import pytest
from plugin_tools import Project, problems, shows_token

from pytest_hydrasmoke import ConfigError, HydraSmokeConfig
from pytest_hydrasmoke._options import SETTINGS
from pytest_hydrasmoke._settings.sources import Loaded, load


def refused(project: Project, *arguments: str) -> list[str]:
    """Run, and give the problems; nothing but they came out."""
    result = project.live(*arguments)
    assert "collected" not in result.stdout.str()
    return problems(result)


def told(project: Project, **options: str) -> list[str]:
    """Return the problems with the project's settings, as a live run would tell them."""
    with pytest.raises(ConfigError) as caught:
        loaded(project, **options)
    assert not shows_token(caught.value.message)
    head, *lines = caught.value.message.split("\n  - ")
    assert head == "hydra-smoke can't start:"
    assert not any("\n" in line or "\x1b" in line for line in lines)
    return lines


def loaded(project: Project, **options: str) -> Loaded:
    """Read the project's settings as a live run would."""
    given: dict[str, Any] = {**dict.fromkeys(SETTINGS), **options}
    return load(given, project.path, fake=False)


def resolved(project: Project, **options: str) -> HydraSmokeConfig:
    return loaded(project, **options).config
