"""The settings that the documentation shows for a proxy: an agent's words come as they are said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from blocks import blocks
from infra_tools import haproxy, nginx, see
from plugin_tools import Project
from shown import ROOT

pytestmark = pytest.mark.infra

PAGE = ROOT / "docs" / "pipelines" / "network.md"
SLOW = {"first": 1.3, "pause": 0.05, "words": tuple("abcdefgh")}
LOOKS = """
def test_it(smoke_instance):
    turn = smoke_instance.chat("hello")
    arrivals = [event.at for event in turn.events if event.text]
    pauses = [after - before for before, after in zip(arrivals, arrivals[1:])]
    assert sum(pause > 0.02 for pause in pauses) >= 5, pauses
"""


def shown(name: str) -> str:
    [block] = [it for it in blocks(PAGE) if it.name == name]
    return block.text


def test_nginx_hands_words_on(
    project: Project, tmp_path: Path, serving: Callable[..., int]
) -> None:
    with nginx(tmp_path / "nginx", serving(**SLOW), location=shown("location.conf")) as port:
        seen = see(project, f"http://127.0.0.1:{port}", suite=LOOKS)
    assert (seen.passed, seen.errors, seen.notes) == (True, [], [])


def test_haproxy_hands_words_on(
    project: Project, tmp_path: Path, serving: Callable[..., int]
) -> None:
    lines = shown("backend.cfg").replace("\n", "\n  ")
    with haproxy(tmp_path / "haproxy", serving(**SLOW), backend=lines) as port:
        seen = see(project, f"http://127.0.0.1:{port}", suite=LOOKS)
    assert (seen.passed, seen.errors, seen.notes) == (True, [], [])
