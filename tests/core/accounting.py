"""Turns on an instance whose router counts rows that a test puts down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from scripted_io import (
    START,
    ScriptedIO,
    calls_of,
    events,
    record,
    stream,
)
from turns_told import know

from pytest_hydrasmoke._core.handle import Handle
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._core.reading import Reading
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._core.settle import WATCHED
from pytest_hydrasmoke._core.turn_account import TurnAccount
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._transport.protocol import drive

HI = b"data: Hi\n\n"


DONE = b"data: [DONE]\n\n"


class Rows:
    """A router that counts the rows of a window: `at` are seconds since START."""

    def __init__(self, *at: float, most: float = math.inf) -> None:
        self.at = list(at)
        self.most = most
        """The longest window that it gives."""
        self.io: ScriptedIO

    def __call__(self, request: Any) -> Any:
        window = min(int(request.path.rpartition("=")[2]), self.most)
        ages = [self.io.time - START - it for it in self.at]
        count = sum(-1e-9 <= age <= window for age in ages)
        return events(count, *["a"] * bool(count), window=int(window))


def ready(**changes: Any) -> InstanceRecord:
    it = record(state=State.READY)
    it.id = "0b0e9d5e-5d3c-4a64-9f0e-3a1b8f6d2c11"
    for name, value in changes.items():
        setattr(it, name, value)
    return it


def chatting(
    rows: Rows,
    *,
    settle: float = 5.0,
    it: InstanceRecord | None = None,
    chats: Sequence[Any] | None = None,
    timeout: float = 120.0,
) -> tuple[ScriptedIO, Handle]:
    """Return a handle on an instance whose router counts these rows."""
    it = it or ready()
    chat = [lambda _: stream(HI + DONE), ...] if chats is None else chats
    rows.io, calls = calls_of(it, llm_events=[rows, ...], chat=chat)
    policy = Policy(usage_settle=settle, chat_timeout=timeout)
    return rows.io, Handle(calls, it, policy, Reading())


def chat(io: ScriptedIO, handle: Handle) -> tuple[TurnAccount, float]:
    """Take a turn; gives its account, and the seconds that it was held up."""
    start = io.time
    return drive(handle.chat("hello", None))[0].account, io.time - start


def watched() -> InstanceRecord:
    it = ready()
    know(it, watched=WATCHED, longest=0.2, spec=it.spec_name)
    return it
