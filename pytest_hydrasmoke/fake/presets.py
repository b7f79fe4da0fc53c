"""Scenarios by name, from a TOML file, or a folder of recordings."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from pytest_hydrasmoke.fake.recordings import read

from .scenario import Scenario
from .validity import meant

_BASE = "base"
"""The key of a file that names the ready-made scenario on which it is based."""
_REPLAY: dict[str, Any] = {
    "row_after": 0.0,
    "statuses": ((0.0, "running"),),
    "cleanup_after": 0.0,
    "second_delete": 200,
    "llm_events_lag": 0.0,
}
"""A replay waits for nothing, and a second delete is what most routers answer."""


class ReadyMade(NamedTuple):
    words: str
    scenario: Scenario


READY_MADE: Mapping[str, ReadyMade] = {
    "default": ReadyMade("Quick, with the simplest of the allowed answers.", Scenario()),
    "contrary": ReadyMade(
        "All that the contract leaves open, answered in the most unusual way.",
        Scenario(
            provision_status=202,
            provision_instance_id="absent",
            second_key="conflict",
            poll_before_row="404",
            statuses=((0.0, "waiting_for_host"), (0.1, "first boot"), (0.2, "online")),
            unauthorized_status=403,
            not_ready_status=425,
            after_delete="row",
            second_delete=410,
            gone_word="terminated",
            runtime="objects",
            terminal=False,
            keep_alive=True,
            providers=("openai", "anthropic"),
            llm_events_per_turn=2,
            trouble="limited",
            trouble_every=5,
            retry_after="date",
            retry_after_seconds=0,
        ),
    ),
    "hermes": ReadyMade(
        "OpenAI's chunks as Hermes sends them, with named events for tools.",
        Scenario(runtime="hermes"),
    ),
    "goose": ReadyMade("Goose's messages in pieces, then `Finish`.", Scenario(runtime="goose")),
    "text": ReadyMade("Lines of bare text, then `[DONE]`.", Scenario(runtime="text")),
    "slow-boot": ReadyMade(
        "Half a minute from the row to ready.",
        Scenario(
            row_after=2.0,
            statuses=((0.0, "queued"), (2.0, "provisioning"), (15.0, "booting"), (30.0, "running")),
            event_pause=0.2,
        ),
    ),
    "failing-boot": ReadyMade(
        "The boot ends in `provision_failed`.",
        Scenario(
            statuses=(
                (0.0, "queued"),
                (0.05, "provisioning"),
                (0.1, "booting"),
                (0.15, "provision_failed"),
            )
        ),
    ),
    "lost-answers": ReadyMade(
        "Every second request of a call is carried out, but its answer is lost; not chats.",
        Scenario(trouble="lost"),
    ),
    "flaky-router": ReadyMade(
        "Every second request of a call is answered 503; not chats.",
        Scenario(trouble="unavailable"),
    ),
    "rate-limited": ReadyMade(
        "Every third request of a call is answered 429 with `Retry-After` in seconds.",
        Scenario(trouble="limited", trouble_every=3, retry_after="seconds"),
    ),
    "agent-dies": ReadyMade(
        "The agent fails in the middle of a turn, with an error event.",
        Scenario(agent_dies="error"),
    ),
    "no-llm-events": ReadyMade("A turn leaves no LLM events.", Scenario(llm_events_per_turn=0)),
}


def load(given: str, folder: Path | None = None) -> Scenario:
    """Return the scenario of a name, a TOML file, or a folder of recordings.

    A path is relative to `folder`, else to the working directory. Raises ValueError with a readable
    message.
    """
    if given in READY_MADE:
        return READY_MADE[given].scenario
    file = (folder or Path()) / given
    if given and os.path.isdir(file):  # With a name that is too long, pathlib raises.
        return _from_recordings(file)
    if file.suffix != ".toml":
        hint = _meant(file, *(() if os.sep in given else READY_MADE))  # Those are no paths.
        raise ValueError(
            f"there is no scenario {given!r}{hint}: give one of "
            f"{', '.join(READY_MADE)}, a .toml file, or a folder of recordings"
        )
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        raise ValueError(f"there is no file {file}{_meant(file)}") from None
    except (OSError, ValueError) as problem:
        raise ValueError(f"{file} can't be read: {problem}") from None
    try:
        return _from_toml(text, file.parent)
    except RecursionError:
        raise ValueError(f"{file} can't be read: it is nested too deeply") from None
    except ValueError as problem:
        raise ValueError(f"{file}: {problem}") from None


def _meant(file: Path, *known: str) -> str:
    """Return a question that suggests a known name, or that of a file or folder beside it."""
    try:
        beside = [name for name in os.listdir(file.parent) if not name.startswith(".")]
    except (OSError, ValueError):
        beside = []
    return meant(file.name, (*known, *beside))


def _from_toml(text: str, home: Path) -> Scenario:
    given: dict[str, Any] = tomllib.loads(text)
    base = given.pop(_BASE, "default")
    # A list can't even be looked up.
    if isinstance(base, str) and base in READY_MADE:
        return replace(READY_MADE[base].scenario, **given)
    if isinstance(base, str) and os.path.isdir(home / base):
        return replace(_from_recordings(home / base), **given)
    hint, names = meant(base, READY_MADE), ", ".join(READY_MADE)
    raise ValueError(f"{_BASE} is {base!r}{hint}; it may be {names}, or a folder of recordings")


def _from_recordings(folder: Path) -> Scenario:
    return Scenario(recordings=read(folder), **_REPLAY)
