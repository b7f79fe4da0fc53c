"""Operations on one instance, written once for the sync and the async API."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._api.models import InstanceStatus, LlmEvents
from pytest_hydrasmoke._base.errors import ChatError, HydraSmokeError
from pytest_hydrasmoke._runtimes.content import Content

from .account import TurnAccount
from .arguments import text_of, timeout_of, window_of
from .cleanup import delete, delete_all, keep
from .counting import Counting
from .deletion import FIRST_LOOK
from .expected import Expected
from .expecting import Expecting
from .incoming import Incoming, Reading
from .instance import Instance
from .kept import HELD, STREAMED, Kept
from .lifecycle import until_ready, wait
from .looks import look, status_of
from .open_calls import end
from .open_turn import OpenTurn


class Handle:
    """An instance's operations, over the IO of its calls."""

    def __init__(self, calls: Calls, instance: Instance, reading: Reading) -> None:
        self._calls = calls
        self._reading = reading
        self.counting = Counting(calls, instance)
        self.instance = instance

    @property
    def id(self) -> str:
        assert self.instance.id is not None
        return self.instance.id

    async def status(self) -> InstanceStatus:
        return await status_of(self._calls, self.instance, self.id)

    async def is_gone(self) -> bool:
        """Ask in a single look whether the router says that it is gone."""
        until = self._calls.io.now() + FIRST_LOOK
        return (await look(self._calls, self.instance, self.id, until)).says_gone

    async def wait(
        self,
        ready: Callable[[InstanceStatus], bool],
        error: Callable[[InstanceStatus], bool] | None,
        timeout: float | None,
    ) -> InstanceStatus:
        io = self._calls.io
        limit = timeout_of(timeout, self.instance.policy.ready_timeout)
        # A test's own wait does not count as time to provision.
        with self.instance.phase("ready", io, timed=False):
            return await wait(
                self._calls, self.instance, ready, error=error, start=io.now(), timeout=limit
            )

    async def until_ready(self) -> None:
        io = self._calls.io
        deadline = io.now() + self.instance.policy.ready_timeout
        with self.instance.phase("ready", io, deadline=deadline):
            await until_ready(self._calls, self.instance, io.now())

    def turn(self, message: str, timeout: float | None, content: Content | None = None) -> OpenTurn:
        """Return a turn that is not open yet; its `content` may be bounded by its reader."""
        message = text_of("message", message)
        policy, target = self.instance.policy, self.instance.target
        content = content or Content(STREAMED)
        came = Incoming(self._reading, policy.chat_end, content)
        seconds = timeout_of(timeout, policy.chat_timeout)
        return OpenTurn(self._calls, target, message, came, timeout=seconds, counting=self.counting)

    async def open(self, turn: OpenTurn) -> None:
        """Begin a new conversation first, if the test needs one, and send the turn's message."""
        end(turn)
        if not turn.story.has_begun:
            await self._separate()
        await turn.open()

    async def _separate(self) -> None:
        """Begin a new conversation if another test has chatted with a shared instance before."""
        instance, stage = self.instance, self.instance.target.run_turns.stage
        if not stage.test or stage.is_between or instance.scene == stage.scene:
            return
        shared = instance.target.origin is None
        if shared and not stage.continues and instance.target.settling.last is not None:
            try:
                with stage.between():
                    anew = instance.keeper.begins_anew(instance)
                    if not anew and stage.new_conversation is not None:
                        await self.chat(stage.new_conversation, None)
            except HydraSmokeError as error:
                error.message = f"no new conversation could begin for this test: {error.message}"
                raise
        instance.scene = stage.scene

    async def chat(self, message: str, timeout: float | None) -> tuple[OpenTurn, Kept]:
        """Take a whole turn."""
        kept = Kept(Content())
        turn = self.turn(message, timeout, kept.content)
        try:
            await self.open(turn)
            while (event := turn.came.take() or await turn.next()) is not None:
                if not kept.add(event):
                    turn.fail(
                        ChatError(
                            f"the reply takes more than {HELD >> 20} MiB of memory: "
                            "the turn was broken off",
                            next_step="read it with stream_chat, which keeps nothing",
                        )
                    )
        except ChatError as error:
            error.events = tuple(kept.events)
            raise
        finally:
            await turn.close()
        return turn, kept

    async def llm_events(self, window_seconds: int) -> LlmEvents:
        window = window_of(window_seconds)
        counted = await self._calls.llm_events(self.id, window)
        await self.counting.for_recording()
        return counted

    async def expect(
        self,
        expected: Expected,
        timeout: float | None,
        account: TurnAccount | None = None,
        did: str | None = None,
    ) -> LlmEvents:
        """Expect LLM events of a turn, or of the last 900 s: see `Expecting`."""
        limit = timeout_of(timeout, self.instance.policy.llm_events_timeout)
        counted = await Expecting(self.counting, expected, limit, account, did).until_met()
        if account is None:
            await self.counting.for_recording()
        return counted

    async def delete(self) -> None:
        self.instance.keeper.check_process()
        await delete(self._calls, self.instance)

    async def leave(self, *, failed: bool) -> None:
        """Delete at the end of a `with`, unless `keep` keeps the instance for inspection."""
        if self.instance.keeper.forked:
            return  # The child may be leaving all of its parent's frames.
        if failed:
            self.instance.blame()
        if not keep(self.instance):
            await self.delete()

    @staticmethod
    async def leave_all(handles: Sequence[Handle], *, failed: bool) -> None:
        """Do what `leave` does for several instances, side by side: see `delete_all`."""
        instances = [it.instance for it in handles if not it.instance.keeper.forked]
        for instance in instances if failed else ():
            instance.blame()
        await delete_all(handles[0]._calls.io, instances)
