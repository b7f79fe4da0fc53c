"""A router whose instances are real agents: each a process, whose stream it relays as it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi.responses import Response, StreamingResponse
from gates import serving
from hermes_agent import HermesAgent
from plugin_tools import TOKEN
from stub_model import StubModel
from twin import Row, Twin, build


class Relay(Twin):
    """A router of Hermes Agents, which chat in one of its kinds of streams."""

    token = TOKEN
    boot = ((0.0, "booting"), (0.0, "running"))
    providers = ("stub",)

    def __init__(self, stream: str, folder: Path) -> None:
        super().__init__()
        self.model_url = ""
        self.agents: dict[str, HermesAgent] = {}
        self.turns: dict[str, bytes] = {}
        """What was relayed, by the message."""
        self._stream = stream
        self._folder = folder

    def make(self, key: str) -> Row:
        row = super().make(key)
        model = f"{self.model_url}/{row.id}/v1"
        self.agents[row.id] = HermesAgent(self._folder / row.id, model)
        return row

    def word(self, row: Row) -> str:
        if row.deleted:
            return self.gone_word
        return "running" if self.agents[row.id].is_up else "booting"

    def delete(self, row: Row) -> None:
        self.agents[row.id].kill()
        super().delete(row)

    def stream(self, row: Row, message: str) -> Response:
        async def turn() -> AsyncIterator[bytes]:
            self.turns[message] = b""
            async for chunk in self.agents[row.id].turn(self._stream, message):
                self.turns[message] += chunk
                yield chunk

        return StreamingResponse(turn(), media_type="text/event-stream")

    def spent_by(self, instance_id: str) -> None:
        """Write the LLM event of a model call that has run to its end."""
        self.spent(next(row for row in self.rows if row.id == instance_id))


@contextmanager
def relaying(stream: str, folder: Path) -> Iterator[tuple[Relay, str]]:
    """Serve a router of agents, and their model; gives the router and its URL."""
    relay = Relay(stream, folder)
    with serving(StubModel(relay.spent_by).app) as relay.model_url, serving(build(relay)) as url:
        try:
            yield relay, url
        finally:
            for agent in relay.agents.values():
                agent.kill()
