"""A chat turn that later ones on its instance know of, whoever holds them."""

from __future__ import annotations

from typing import Any

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._base.errors import (
    HydraSmokeError,
    RouterError,
    TransportError,
    hide_own_frames,
)
from pytest_hydrasmoke._runtimes.frames import Meaning
from pytest_hydrasmoke._sse.decoder import ChatEvent

from .chat import Turn
from .settle import How
from .turn_log import TurnLog

__tracebackhide__ = hide_own_frames


class TracedTurn(Turn):
    """A turn whose beginning and end are in the log of its instance.

    Nothing is counted before it: whose the LLM events are that come now, nobody can tell.
    """

    def __init__(
        self, calls: Calls, instance_id: str, message: str, *, log: TurnLog, **how: Any
    ) -> None:
        super().__init__(calls, instance_id, message, **how)
        self._log = log
        self._logged = self._failed = False
        self._ended: float | None = None

    async def open(self) -> None:
        self.reserve()
        try:
            await self._begin()
        except BaseException:
            await self.close()
            raise

    async def _begin(self) -> None:
        self._log.refresh(self._calls.io.now())
        await self._send(None)

    async def _send(self, count: int | None) -> None:
        """Send the message; `count` is what was surely counted before it."""
        before = self._log.history
        self._log.begin(count, self._calls.io.now())
        self._logged = True
        try:
            await super().open()
        except HydraSmokeError:
            if not _may_run(self.refusal):
                self._logged = False
                self._log.undo(before)
            raise

    async def next(self) -> tuple[ChatEvent, Meaning] | None:
        step = await super().next()
        if step is None and self._ended is None:
            self._ended = self._calls.io.now()
        return step

    def _add_context(self, error: HydraSmokeError) -> None:
        super()._add_context(error)
        self._failed = True

    async def close(self) -> None:
        try:
            await super().close()
        finally:
            if self._logged:
                self._logged = False
                how: How = "ended"
                if self._failed:
                    how = "failed"
                elif self._ended is None:
                    how = "left"
                at = self._calls.io.now() if self._ended is None else self._ended
                self._log.end(how, at)


def _may_run(refusal: HydraSmokeError | None) -> bool:
    """Return whether the agent may be at a message although no stream came of it."""
    if isinstance(refusal, TransportError):
        return refusal.reached
    if isinstance(refusal, RouterError):
        code = refusal.status_code
        return code == 408 or not (400 <= code < 500 or code == 503)
    return True
