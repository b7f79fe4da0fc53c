"""Scenarios by name, from a TOML file, or a folder of recordings."""

from __future__ import annotations

import contextlib
import math
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from .field_checks import meant
from .manners import changes_in
from .recording_files import FORMAT, ROUTER, read
from .scenario import Scenario

_BASE = "base"
"""The key of a file that names the ready-made scenario on which it is based."""


class ReadyMade(NamedTuple):
    """A scenario with a name and a description."""

    words: str
    scenario: Scenario


READY_MADE: Mapping[str, ReadyMade] = {
    "default": ReadyMade("Quick, with the simplest of the allowed answers.", Scenario()),
    "openai": ReadyMade("Chunks with `choices`, then `[DONE]`.", Scenario(runtime="openai")),
    "hermes": ReadyMade(
        "OpenAI's chunks as Hermes sends them, with named events for tools.",
        Scenario(runtime="hermes"),
    ),
    "hermes-run": ReadyMade(
        "Hermes' events of a run, with their type in the data.", Scenario(runtime="hermes-run")
    ),
    "hermes-session": ReadyMade(
        "Hermes' named events of a session.", Scenario(runtime="hermes-session")
    ),
    "responses": ReadyMade(
        "OpenAI's Responses, `response.created` to `response.completed`.",
        Scenario(runtime="responses"),
    ),
    "anthropic": ReadyMade(
        "Named events, `message_start` to `message_stop`.", Scenario(runtime="anthropic")
    ),
    "goose": ReadyMade("Goose's messages in pieces, then `Finish`.", Scenario(runtime="goose")),
    "ag-ui": ReadyMade("AG-UI, `RUN_STARTED` to `RUN_FINISHED`.", Scenario(runtime="ag-ui")),
    "ai-sdk": ReadyMade(
        "The AI SDK's UI message stream, `start` to `finish` and `[DONE]`.",
        Scenario(runtime="ai-sdk"),
    ),
    "objects": ReadyMade(
        "JSON objects with a `type` and a `content`.", Scenario(runtime="objects")
    ),
    "named": ReadyMade("Events `token` and `done`.", Scenario(runtime="named")),
    "text": ReadyMade("Lines of bare text, then `[DONE]`.", Scenario(runtime="text")),
    "comments": ReadyMade(
        "A comment as keep-alive before every event, and lines that end in CRLF.",
        Scenario(keep_alive=True, line_end="crlf"),
    ),
    "no-terminal": ReadyMade(
        "Streams end before the agent has finished: the reply is cut.", Scenario(terminal=False)
    ),
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
    "stuck-boot": ReadyMade(
        "The boot never gets beyond `booting`. A run waits `ready_timeout` (900 s) for each "
        "instance: set a short one.",
        Scenario(statuses=((0.0, "queued"), (0.05, "provisioning"), (0.1, "booting"))),
    ),
    "late-row": ReadyMade(
        "The row appears after ten seconds; until then poll answers with `found` only.",
        Scenario(row_after=10.0, poll_before_row="bare"),
    ),
    "no-row": ReadyMade(
        "No worker ever inserts the row. A run waits `ready_timeout` (900 s) for each instance, "
        "and `delete_timeout` (60 s) to see that none comes: set short ones, such as "
        "`HYDRA_SMOKE_READY_TIMEOUT=5` and `HYDRA_SMOKE_DELETE_TIMEOUT=5`.",
        Scenario(row_after=math.inf),
    ),
    "busy-queue": ReadyMade(
        "One worker for all tasks, which needs a second for each.",
        Scenario(workers=1, row_after=1.0, cleanup_after=1.0),
    ),
    "quota": ReadyMade("A second instance at the same time is refused.", Scenario(quota=1)),
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
    "no-llm-events": ReadyMade("A turn leaves no LLM events.", Scenario(llm_events_per_turn=0)),
    "late-llm-events": ReadyMade(
        "A turn's LLM events come three seconds late.", Scenario(llm_events_lag=3.0)
    ),
    "several-providers": ReadyMade(
        "Three LLM events for each turn, of two providers, which are listed once for each row.",
        Scenario(
            providers=("openai", "anthropic", "openai"),
            providers_listed="repeated",
            llm_events_per_turn=3,
        ),
    ),
    "duplicates": ReadyMade(
        "Each LLM event is written twice, a second apart.",
        Scenario(llm_events_per_turn=2, llm_events_gap=1.0),
    ),
    "agent-dies": ReadyMade(
        "The agent fails in the middle of a turn, with an error event.",
        Scenario(agent_dies="error"),
    ),
    "agent-cut": ReadyMade(
        "The connection to the agent is cut in the middle of a turn.", Scenario(agent_dies="cut")
    ),
    "agent-ends-early": ReadyMade(
        "The stream ends in the middle of a turn, without an error.", Scenario(agent_dies="end")
    ),
    "agent-falls-silent": ReadyMade(
        "The agent falls silent in the middle of a turn: the stream stays open, without another "
        "byte, until the client leaves. A run waits `chat_timeout` (120 s) for each chat: set a "
        "short one, such as `HYDRA_SMOKE_CHAT_TIMEOUT=2`.",
        Scenario(agent_dies="stall"),
    ),
    "soft-delete": ReadyMade(
        "A deleted row can still be read: `deleting`, then `deleted` after the clean-up.",
        Scenario(
            after_delete="row",
            second_delete=200,
            gone_word="deleting",
            cleaned_word="deleted",
            cleanup_after=0.5,
        ),
    ),
    "contrary": ReadyMade(
        "Everything that the contract leaves open, answered in the most unusual way.",
        Scenario(
            provision_status=202,
            provision_instance_id="absent",
            second_key="conflict",
            poll_before_row="404",
            statuses=((0.0, "waiting_for_host"), (0.1, "first boot"), (0.2, "online")),
            status_case="mixed",
            early_hostname=True,
            unauthorized_status=403,
            not_ready_status=425,
            after_delete="row",
            second_delete=410,
            gone_word="terminated",
            runtime="objects",
            terminal=False,
            keep_alive=True,
            line_end="cr",
            providers=("openai", "anthropic"),
            providers_listed="repeated",
            llm_events_per_turn=2,
            llm_events_lag=0.2,
        ),
    ),
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
    if file.suffix == ".json":
        raise ValueError(_no_scenario(file))
    if file.suffix != ".toml":
        if given.endswith(("/", os.sep)):
            raise ValueError(f"there is no folder {file}{meant(file.name, _beside(file, ''))}")
        known = (*READY_MADE, *_beside(file, "", ".toml"))
        raise ValueError(
            f"there is no scenario {given!r}{meant(file.name, known)}: give one of "
            f"{', '.join(READY_MADE)}, a .toml file, or a folder of recordings"
        )
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        hint = meant(file.name, _beside(file, file.suffix))
        raise ValueError(f"there is no file {file}{hint}") from None
    except (OSError, ValueError) as problem:
        raise ValueError(f"{file} can't be read: {problem}") from None
    try:
        return _from_toml(text, file.parent)
    except RecursionError:
        raise ValueError(f"{file} can't be read: it is nested too deeply") from None
    except ValueError as problem:
        raise ValueError(f"{file}: {problem}") from None


def _no_scenario(file: Path) -> str:
    """Return why a JSON file is no scenario, and what to give instead."""
    try:
        with file.open("rb") as text:
            is_recording = FORMAT.encode() in text.read(_HEAD)
    except (OSError, ValueError):
        is_recording = False
    # It may be any number of levels below the folder that has the router's file.
    homes = (home for home in file.parents if (home / ROUTER).is_file())
    if is_recording:
        return f"{file}: it is a single recording: give its folder, {next(homes, file.parent)}"
    folder = next(homes, None)
    they = "a folder of them, which --hydra-smoke-record makes in a live run"
    return (
        f"{file}: it is no scenario: a fake learns of a live router from recordings: give "
        f"{they if folder is None else f'their folder, {folder}'}"
    )


def _beside(file: Path, *suffixes: str) -> Iterator[str]:
    """Yield the names beside a file that have one of the suffixes; "" means a folder."""
    with contextlib.suppress(OSError, ValueError), os.scandir(file.parent) as found:
        for entry in found:
            kind = "" if entry.is_dir() else os.path.splitext(entry.name)[1]
            if kind in suffixes and not entry.name.startswith("."):
                yield entry.name


def _from_toml(text: str, home: Path) -> Scenario:
    given: dict[str, Any] = tomllib.loads(text)
    problems: list[str] = []
    base = given.pop(_BASE, "default")
    scenario = Scenario()
    # A list can't even be looked up.
    if isinstance(base, str) and base in READY_MADE:
        scenario = READY_MADE[base].scenario
    elif isinstance(base, str) and os.path.isdir(home / base):
        scenario = _from_recordings(home / base)
    else:
        hint, names = meant(base, READY_MADE), ", ".join(READY_MADE)
        problems.append(f"{_BASE} is {base!r}{hint}; it may be {names}, or a folder of recordings")
    known = [field.name for field in fields(Scenario)]
    for name in [name for name in given if name not in known]:
        del given[name]
        problems.append(f"unknown key {name}{meant(name, [*known, _BASE])}")
    try:
        scenario = replace(scenario, **given)
    except ValueError as problem:
        problems.append(str(problem))
    if problems:
        raise ValueError("; ".join(problems))
    return scenario


def _from_recordings(folder: Path) -> Scenario:
    recordings = read(folder)
    router = folder / ROUTER
    manners = changes_in(router) if router.is_file() else {}
    try:
        return Scenario(recordings=recordings, **{**_AT_ONCE, **manners})
    except ValueError as problem:
        raise ValueError(f"{router}: {problem}") from None


_AT_ONCE: dict[str, Any] = {
    "row_after": 0.0,
    "statuses": ((0.0, "running"),),
    "cleanup_after": 0.0,
    "llm_events_lag": 0.0,
}
"""What makes instances ready, and their LLM events come, at once."""
_HEAD = 1 << 16
"""The first bytes of a recording, which show that it is one."""
