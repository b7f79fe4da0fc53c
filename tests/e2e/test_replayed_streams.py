"""Whatever a stream is, and however it came: replayed, it is read as it was."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recording_tools import turn, write
from scripted_io import ID, SPEC, calls_of, lost, stream

from pytest_hydrasmoke import HydraSmokeError
from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._base.token import Token
from pytest_hydrasmoke._core.chat_target import ChatTarget
from pytest_hydrasmoke._core.incoming import Incoming, Reading
from pytest_hydrasmoke._core.open_turn import OpenTurn
from pytest_hydrasmoke._runtimes.content import Content
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.links import Link
from pytest_hydrasmoke._transport.protocol import drive
from pytest_hydrasmoke.fake import FakeRouter

SAMPLES = [
    file.read_bytes() for file in sorted((Path(__file__).parents[1] / "data" / "sse").iterdir())
]
PIECES = st.sampled_from(
    [b"data: ", b"\n", b"\r", b"\r\n", b"\n\n", b": ", b"\xc3", b"\xef\xbb\xbf"]
)
BYTES = st.one_of(st.sampled_from(SAMPLES), st.lists(PIECES | st.binary(max_size=9)).map(b"".join))


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """Give the chunks of a stream, cut anywhere."""
    whole = b"".join(draw(st.lists(BYTES, min_size=1, max_size=3)))
    inside = st.integers(0, len(whole))
    cuts = sorted({0, len(whole), *draw(st.lists(inside, max_size=20))})
    return [whole[start:end] for start, end in pairwise(cuts)]


def told(calls: Calls, instance_id: str) -> Any:
    """Return all that a turn tells, but for its times."""
    content = Content()
    came = Incoming(Reading(), "optional", content)
    chat = OpenTurn(calls, ChatTarget.of_client(instance_id), "hello", came, timeout=30.0)
    events: list[Any] = []
    error: Any = None
    try:
        drive(chat.open())
        while (event := drive(chat.next())) is not None:
            events.append((event.event, event.data, event.id, event.retry, event.text))
    except HydraSmokeError as failed:
        # How a connection was lost is the network's to tell.
        error = type(failed), failed.message.partition(": httpx")[0].partition(": the")[0]
    finally:
        drive(chat.close())
    text = "".join(event[-1] for event in events)
    tools = [(it.name, it.arguments, it.id, it.result) for it in content.tool_calls]
    said = content.reasoning(text), tools, content.usage
    return events, chat.came.end.complete, chat.came.end.finish_reason, said, error


class Player:
    """One router, which is given another folder of recordings for every stream."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def told(self, chunks: list[bytes], end: str) -> Any:
        shutil.rmtree(self._folder, ignore_errors=True)
        write(self._folder, "t.py::test", turn("hello", *chunks, end=end))
        with FakeRouter(str(self._folder)) as router:
            io = SyncIO(Link(router.url, Token(router.token)))
            with closing(io):
                calls = Calls(io)
                accepted = drive(calls.provision(SPEC, "key-0"))
                return told(calls, str(accepted.instance_id))


@pytest.fixture
def player(tmp_path: Path) -> Iterator[Player]:
    with FakeRouter():  # The server stays, from one stream to the next.
        yield Player(tmp_path / "recordings")


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(chunks=streams(), end=st.sampled_from(["closed", "cut", "left"]))
def test_a_stream_is_replayed_as_it_was(player: Player, chunks: list[bytes], end: str) -> None:
    # What came after its reader left is not known. Without a chunk, what is lost is the answer.
    is_cut = end != "closed" and bool(chunks)
    _, direct = calls_of(None, chat=[stream(*chunks, *([lost()] if is_cut else []))])
    assert player.told(chunks, end if is_cut else "closed") == told(direct, ID)
