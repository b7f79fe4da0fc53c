"""P9: a whole turn with tools, from the socket to `ChatTurn`, beside httpx-sse and `json.loads`.

Theirs is what anybody would begin with: each event is read as JSON and kept, and nothing of it is
looked at. The server is a process of its own.
"""

from __future__ import annotations

import json
from functools import partial

import httpx
from bench_measure import rounds
from bench_result import Bar, Result
from bench_server import serving
from bench_streams import ID
from httpx_sse import EventSource
from p3_chat import BODY, PATH, TOKEN

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._base.token import Token
from pytest_hydrasmoke._core.chat_target import ChatTarget
from pytest_hydrasmoke._core.incoming import Incoming, Reading
from pytest_hydrasmoke._core.kept import Kept
from pytest_hydrasmoke._core.open_turn import OpenTurn
from pytest_hydrasmoke._runtimes.content import Content
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.links import Link
from pytest_hydrasmoke._transport.protocol import drive

OURS, THEIRS = "hydrasmoke", "httpx-sse + json.loads"


async def _read(calls: Calls) -> Kept:
    """Do as `SmokeInstance.chat` does, which counts LLM events too."""
    content = Content()
    came = Incoming(Reading(), "auto", content)
    turn = OpenTurn(calls, ChatTarget.of_client(ID), BODY["message"], came, timeout=60.0)
    kept = Kept(content)
    try:
        await turn.open()
        while (event := turn.came.take() or await turn.next()) is not None:
            assert kept.add(event)
    finally:
        await turn.close()
    return kept


def ours(calls: Calls, events: int, count: int) -> None:
    for _ in range(count):
        kept = drive(_read(calls))
        assert len(kept.events) == events
        assert kept.text.startswith(" word")
        assert all(call.arguments for call in kept.content.tool_calls)
        assert kept.content.usage is not None


def theirs(bare: httpx.Client, events: int, count: int) -> None:
    for _ in range(count):
        kept: list[object] = []
        with bare.stream("POST", PATH, json=BODY) as response:
            for event in EventSource(response).iter_sse():
                kept.append((event, None if event.data == "[DONE]" else json.loads(event.data)))
        assert len(kept) == events


def run(scale: float = 1.0, times: int = 9) -> Result:
    result = Result(["turn", "ms", THEIRS])
    events = max(int(20_000 * scale), 10)
    with serving(events, "tools") as url, httpx.Client(base_url=url) as bare:
        io = SyncIO(Link(url, Token(TOKEN)))
        subjects = {
            OURS: partial(ours, Calls(io), events, 4),
            THEIRS: partial(theirs, bare, events, 4),
        }
        turns = rounds(subjects, times)
        io.close()
    what = f"{events:,} OpenAI chunks with tools"
    ratio = turns.ratio(THEIRS, OURS)
    result.add(what, turns.seconds(OURS) / 4 * 1000, ratio)
    result.bars.append(Bar(f"{what}: against {THEIRS}", 1 / ratio, 1.0))
    return result
