"""What the tests of the settings share: the problems that a run tells, and the settings it has."""

from __future__ import annotations

from plugin_tools import Project, problems

from pytest_hydrasmoke import HydraSmokeConfig
from pytest_hydrasmoke._options import SETTINGS
from pytest_hydrasmoke._settings.sources import load

NOWHERE = "https://router.example"


def told(project: Project, *arguments: str) -> list[str]:
    """Run, and give the problems; nothing but they came out."""
    result = project.live(*arguments)
    assert "collected" not in result.stdout.str()
    return problems(result)


def resolved(project: Project, **options: str) -> HydraSmokeConfig:
    """Resolve the project's settings as a live run would."""
    return load({**dict.fromkeys(SETTINGS), **options}, project.path, fake=False).config
