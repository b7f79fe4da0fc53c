"""Turns over answers that are written down."""

from __future__ import annotations

import json
from typing import Any

from scripted_io import (
    ID,
    calls_of,
    stream,
)

from pytest_hydrasmoke import (
    HydraSmokeError,
)
from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._core.beside import Beside
from pytest_hydrasmoke._core.chat import OpenTurn
from pytest_hydrasmoke._core.reading import Reading
from pytest_hydrasmoke._runtimes.content import Content
from pytest_hydrasmoke._transport.protocol import drive

HI = b'data: {"choices": [{"delta": {"content": "Hi"}}]}\n\n'


DONE = b"data: [DONE]\n\n"


LOG = "see the agent's log of this turn"


IF_LATE = (
    f"raise HYDRA_SMOKE_CHAT_TIMEOUT, or this chat's own timeout, if turns take longer, else {LOG}"
)


def turn_of(calls: Calls, instance_id: str = ID, *, kept: bool = True, **changes: Any) -> OpenTurn:
    settings = {"timeout": 120.0, "end": "optional", "reading": Reading()} | changes
    content, it = Content() if kept else None, Beside(instance_id)
    return OpenTurn(calls, it, "hello", content=content, **settings)


class Chatted:
    """A turn run to its end: its events, its text, and the error if there was one."""

    def __init__(self, *steps: Any, chat: list[Any] | None = None, **changes: Any) -> None:
        self.stream = stream(*steps)
        self.io, calls = calls_of(None, chat=[self.stream] if chat is None else chat)
        self.turn = turn_of(calls, **changes)
        self.came = self.turn.came
        self.data: list[str] = []
        self.text = ""
        self.error: HydraSmokeError | None = None
        drive(self._run())

    async def _run(self) -> None:
        try:
            await self.turn.open()
            while (event := await self.turn.next()) is not None:
                self.data.append(event.data)
                self.text += event.text
        except HydraSmokeError as error:
            self.error = error
        finally:
            await self.turn.close()


def finished(reason: str) -> bytes:
    return f'data: {{"choices": [{{"delta": {{}}, "finish_reason": "{reason}"}}]}}\n\n'.encode()


def message(text: str, why: str) -> bytes:
    """Return a message of Anthropic's: what a model says in one call."""
    told = (
        {"type": "message_start", "message": {"role": "assistant", "content": []}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}},
        {"type": "message_delta", "delta": {"stop_reason": why}},
        {"type": "message_stop"},
    )
    return b"".join(b"data: %s\n\n" % json.dumps(it).encode() for it in told)


def typed(*told: dict[str, Any]) -> bytes:
    return b"".join(b"data: %s\n\n" % json.dumps(it).encode() for it in told)


LOOKS, SAYS = message("I look. ", "tool_use"), message("Cold.", "end_turn")


PING = b'event: ping\ndata: {"type": "ping"}\n\n'
