"""A real Hermes Agent behind a router that relays it: the bundled checks, and a team's suite.

`HYDRA_AGENTS_REFRESH=1` writes what it sends as the captures that the normal tests read.
"""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest
from agents_cases import CAPTURES, CASES, MESSAGES, OUTCOMES, STREAMS, outcome_of
from plugin_tools import ALL, TOKEN, Project, until
from relay import Relay, relaying
from twin import PREFIX

pytestmark = pytest.mark.agents
REFRESH = "HYDRA_AGENTS_REFRESH" in os.environ
SUITE = 5
"""How many tests the team has."""


@pytest.fixture(scope="module")
def turns(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """Give what an agent sends, by the kind of its streams and the message."""
    said: dict[str, dict[str, bytes]] = {}
    for stream in STREAMS:
        with relaying(stream, tmp_path_factory.mktemp(stream)) as (relay, url):
            _talk(relay, url)
            said[stream] = relay.turns
    return said


def _talk(relay: Relay, url: str) -> None:
    headers = {"authorization": f"Bearer {TOKEN}"}
    with httpx.Client(
        base_url=url + PREFIX, headers=headers, trust_env=False, timeout=60
    ) as router:
        row = relay.make("k")
        until(lambda: relay.is_ready(row), patience=60)
        for message in MESSAGES.values():
            router.post(f"/instances/{row.id}/chat", json={"message": message}).raise_for_status()
        relay.delete(row)


@pytest.mark.parametrize(("stream", "behaviour"), CASES)
def test_a_turn(turns: dict[str, dict[str, bytes]], stream: str, behaviour: str) -> None:
    body = turns[stream][MESSAGES[behaviour]]
    if REFRESH:
        (CAPTURES / f"{stream}-{behaviour}.sse").write_bytes(body)
    assert outcome_of(body) == OUTCOMES[stream][behaviour]


@pytest.mark.parametrize("message", [None, "/new"])
def test_tests_see_what_others_have_said_unless_they_are_kept_apart(
    project: Project, tmp_path: Path, message: str | None
) -> None:
    with relaying("session", tmp_path / "agents") as (_, url):
        project.suite("remembering").at(url, manifest_id="hermes-session")
        project.set(ready_timeout=60, usage_settle=2, bundled_checks="false")
        if message is not None:
            project.set(new_conversation=message)
        result = project.live()
    apart = message is not None
    result.assert_outcomes(passed=3 if apart else 2, failed=0 if apart else 1)
    if not apart:
        result.says("E *My name is Ada.*", "*note: 3 tests share one agent's memory*")


@pytest.mark.parametrize("stream", STREAMS)
def test_a_run(project: Project, tmp_path: Path, stream: str) -> None:
    with relaying(stream, tmp_path / "agents") as (relay, url):
        project.suite("agents").at(url, manifest_id=f"hermes-{stream}")
        # A real process starts in seconds, and a busy one is late with what it tells.
        project.set(ready_timeout=60, usage_settle=2)
        result = project.live(ret=pytest.ExitCode.OK, passed=ALL + SUITE)
        result.says("*in a chat, the reported usage is 0 tokens*")
        assert relay.rows
        assert all(row.deleted for row in relay.rows)
        assert not any(agent.is_alive for agent in relay.agents.values())
