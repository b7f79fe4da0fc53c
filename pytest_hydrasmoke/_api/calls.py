"""The router's six calls: the request, asked again as `retry` decides, and what the answer is."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NoReturn, TypeVar

from pydantic import BaseModel

from pytest_hydrasmoke._base.errors import (
    ContractError,
    LlmEventsError,
    NotFoundError,
    TransportError,
)
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._base.threads import is_over
from pytest_hydrasmoke._transport.exchange import whole
from pytest_hydrasmoke._transport.protocol import IO, LAST_CHANCE, Answer, Request, Stream, Work
from pytest_hydrasmoke._transport.target import PREFIX, segment

from .hop import answered_by, charset_of, is_ascii_in, media_type, oddity, unreadable, words_of
from .models import (
    NONE,
    DeleteResult,
    InstanceSpec,
    InstanceStatus,
    LlmEvents,
    PollResult,
    ProvisionAccepted,
    Rows,
    check_explained,
    explained,
    plain_id,
    rows_of,
    same_id,
)
from .responses import Earlier, failure, parse, unexpected_success, unreadable_answer
from .retry import RULES, Observer, Outcome, Tried, asked_pause, pause

if TYPE_CHECKING:
    from pytest_hydrasmoke._transport.links import Link
    from pytest_hydrasmoke.fake.replay import AllAsked, Replay, Replayed

M = TypeVar("M", bound=BaseModel)
S = TypeVar("S", bound=Observer)
R = TypeVar("R", Answer, Stream | Answer)

CALL_TIMEOUT = 30.0
"""Seconds for one call, retries included, if no deadline is given."""
ATTEMPT_TIMEOUT = 30.0
"""Seconds for one attempt of what may be repeated: one that hangs leaves time for another."""
FIRST_CONTACT = 30.0
"""Seconds to reach the router for the first time: beyond it the URL is wrong, not the moment."""
FIRST_WORDS = 1.0
"""Seconds to read the beginning of what is no stream: it only helps to say what answered."""
GONE_ALREADY = frozenset({404, 409, 410})
"""Answers to a delete of an instance that is gone already, as far as the router knows."""

RECORD_THEM = (
    "run the command in the message above; a test that it names must expect its turns' LLM events "
    "(turn.expect_llm_events). Mark a test that no recording can answer with hydra_smoke_live"
)


class Calls:
    """The six calls over an IO, each until its `deadline` (a point of the IO's clock).

    A `replay` is asked what no answer says: whether a refusal is a recorded one, which is not
    retried, and what is known of LLM events. With a `link`, they have another token than the IO's.
    """

    def __init__(
        self,
        io: IO,
        observer: Observer | None = None,
        *,
        replay: Replay | None = None,
        link: Link | None = None,
    ) -> None:
        self.io = io
        self.link = link or io.link
        self._observer = observer
        self._replay = replay
        self._reached = False

    def beside(self, link: Link) -> Calls:
        """Return the same calls, over the same connections, with another token."""
        return Calls(self.io, self._observer, replay=self._replay, link=link)

    async def provision(
        self,
        spec: InstanceSpec,
        key: str,
        *,
        deadline: float | None = None,
        before: Callable[[], object] = lambda: None,
    ) -> ProvisionAccepted:
        """Queue the work; 409 (already in progress) is a `RouterError`.

        `before` is called before each attempt; what it raises ends the call.
        """
        body = {"idempotency_key": key, **spec.model_dump(exclude_none=True)}
        request = Request("provision", "POST", f"{PREFIX}/provision", body)
        answer = await self._until_answered(request, deadline, self.io.send, before=before)
        return self._parse(ProvisionAccepted, request, answer)

    async def poll(self, key: str, *, deadline: float | None = None) -> PollResult:
        """Resolve a key; one without a row yet is `found=False`, a 404 included."""
        try:
            return await self.find(key, deadline=deadline)
        except NotFoundError:
            return PollResult(found=False)

    async def find(self, key: str, *, deadline: float | None = None) -> PollResult:
        """Resolve a key as `poll` does, but raise `NotFoundError` for a 404."""
        request = Request("poll", "GET", f"{PREFIX}/instances/by-key/{segment(key)}")
        return self._parse(PollResult, request, await self._call(request, deadline))

    async def status(self, instance_id: str, *, deadline: float | None = None) -> InstanceStatus:
        """Read an instance; raises `NotFoundError` for one that has no row, yet or any more."""
        request = Request("status", "GET", f"{PREFIX}/instances/{segment(instance_id)}")
        status = self._parse(InstanceStatus, request, await self._call(request, deadline))
        return _about(instance_id, status, status.id, request)

    async def missing(self, path: str, *, deadline: float, anonymous: bool = False) -> NoReturn:
        """Request what does not exist, below the calls' prefix; raises its answer's error."""
        request = Request("missing", "GET", f"{PREFIX}/{path}", anonymous=anonymous)
        raise unexpected_success(request, await self._call(request, deadline))

    async def chat(
        self, instance_id: str, message: str, *, deadline: float | None = None
    ) -> tuple[Stream, float]:
        """Begin a turn; return its stream, which the caller closes, and when it was requested."""
        asked_at, before = self.io.now(), self._replayed(instance_id)

        def stands() -> bool:
            # A refusal may also be trouble that came before any recording was asked.
            last = self._replayed(instance_id)
            return last is not None and last is not before and last.refused

        async def open_stream(request: Request, deadline: float) -> Stream | Answer:
            nonlocal asked_at
            asked_at = self.io.now()
            return await self._open(request, deadline)

        path = f"{PREFIX}/instances/{segment(instance_id)}/chat"
        request = Request("chat", "POST", path, {"message": message}, accept="text/event-stream")
        stream = await self._until_answered(request, deadline, open_stream, stands)
        assert not isinstance(stream, Answer)
        answer = Answer(stream.status, stream.headers, b"")
        if media_type(stream.headers) != "text/event-stream":
            error = await self._no_stream(stream, deadline)
        elif unreadable(stream.headers) is not None:
            error = unreadable_answer(request, answer)
        elif not is_ascii_in(charset_of(stream.headers)):
            error = ContractError(
                "chat answered in a charset that no event stream can have",
                expected="charset=utf-8, or none",
                got=f"content-type: {safe_line(stream.headers['content-type'])}"
                f"{answered_by(stream.headers)}",
                next_step="correct the charset at the router, or at the gateway in front of it",
            )
        else:
            return stream, asked_at
        await stream.close()
        error.answer = answer
        raise error

    async def _no_stream(self, stream: Stream, deadline: float | None) -> ContractError:
        """Return the error of an answer to a chat that is no stream, with its first words."""
        soon = self.io.now() + FIRST_WORDS
        try:
            begun = await stream.read(soon if deadline is None else min(soon, deadline))
        except TransportError:
            begun = b""
        headers = dict(stream.headers)
        words = words_of(headers, begun)
        kind = safe_line(headers.pop("content-type", "")) or "(none)"
        return ContractError(
            "chat answered with something other than an event stream",
            expected="content-type: text/event-stream",
            got=f"content-type: {kind}{words and f', which says: {words}'}{answered_by(headers)}",
            next_step="find out what answers in the agent's place",
        )

    async def llm_events(
        self, instance_id: str, window_seconds: int | None, *, deadline: float | None = None
    ) -> LlmEvents:
        """Count the LLM events of the last `window_seconds`; None for the router's default.

        In a replay, raises `LlmEventsError` where those of a turn were not recorded.
        """
        counted, _ = await self.count_llm_events(instance_id, window_seconds, deadline=deadline)
        check_explained(rows_of(counted))
        return counted

    async def count_llm_events(
        self,
        instance_id: str,
        window_seconds: int | None,
        *,
        deadline: float | None = None,
        in_part: bool = False,
        before: Rows = NONE,
    ) -> tuple[LlmEvents, AllAsked | None]:
        """Do the same, and say whether a replay will count no more; None if it may.

        `in_part` counts the recorded ones even so, as for a turn among them. Whether what was added
        since `before` explains all names, is the caller's to check.
        """
        path = f"{PREFIX}/instances/{segment(instance_id)}/llm-events"
        query = "" if window_seconds is None else f"?window_seconds={window_seconds}"
        request = Request("llm_events", "GET", path + query)
        uncounted, known = None, None
        if self._replay is not None:
            # Before the request, so that it counts all that this tells of.
            uncounted = None if in_part else self._replay.uncounted(plain_id(instance_id))
            known = self._replay.all_counted(plain_id(instance_id))
        counted = self._parse(LlmEvents, request, await self._call(request, deadline))
        if not explained(rows_of(counted), before):
            # A router may read names and count one after the other, and a row come in between.
            counted = self._parse(LlmEvents, request, await self._call(request, deadline))
        if uncounted is not None:
            raise LlmEventsError(uncounted, next_step=RECORD_THEM)
        return _about(instance_id, counted, counted.instance_id, request), known

    def uncounted(self, instance_id: str) -> str | None:
        """Return a replay's words on the last chat's LLM events; None if it knows them."""
        last = self._replayed(instance_id)
        return None if last is None else last.uncounted

    def _replayed(self, instance_id: str) -> Replayed | None:
        return None if self._replay is None else self._replay.last(plain_id(instance_id))

    async def delete(self, instance_id: str, *, deadline: float | None = None) -> DeleteResult:
        """Delete; one that the router says is gone already is `status="deleted"`."""
        request, answer = await self._delete(instance_id, deadline)
        if answer.status in GONE_ALREADY:
            return DeleteResult.model_construct(instance_id=instance_id, status="deleted")
        return self._deleted(instance_id, request, answer)

    async def ask_to_delete(self, instance_id: str, *, deadline: float) -> int:
        """Delete; return the code: below 300 where the router accepts that, else there is none."""
        request, answer = await self._delete(instance_id, deadline)
        if answer.status != 204 and answer.status not in GONE_ALREADY:
            self._deleted(instance_id, request, answer)
        return answer.status

    async def _delete(self, instance_id: str, deadline: float | None) -> tuple[Request, Answer]:
        request = Request("delete", "DELETE", f"{PREFIX}/instances/{segment(instance_id)}")
        return request, await self._call(request, deadline)

    def _deleted(self, instance_id: str, request: Request, answer: Answer) -> DeleteResult:
        result = self._parse(DeleteResult, request, answer)
        return _about(instance_id, result, result.instance_id, request)

    async def _call(self, request: Request, deadline: float | None) -> Answer:
        return await self._until_answered(request, deadline, self.io.send)

    async def _open(self, request: Request, deadline: float) -> Stream | Answer:
        stream = await self.io.open(request, deadline)
        if RULES[request.call].decide(stream.status) == "answer":
            return stream
        return await whole(stream, deadline)

    async def _until_answered(
        self,
        request: Request,
        deadline: float | None,
        send: Callable[[Request, float], Awaitable[R]],
        stands: Callable[[], bool] = lambda: False,
        before: Callable[[], object] = lambda: None,
    ) -> R:
        io, start, number, earlier = self.io, self.io.now(), 0, Earlier()
        deadline = start + CALL_TIMEOUT if deadline is None else deadline
        while True:
            number += 1
            before()
            result = await self._attempt(request, number, deadline, send)
            outcome = result if isinstance(result, TransportError) else result.status
            verdict = RULES[request.call].decide(outcome)
            if verdict == "answer" and not isinstance(result, TransportError):
                return result
            limit = deadline if self._reached else min(deadline, start + FIRST_CONTACT)
            left = min(limit, io.cleanup_deadline()) - io.now() - LAST_CHANCE
            vain = left <= 0 or is_over() or (isinstance(result, Answer) and stands())
            if verdict == "fail" or vain:
                error = failure(request, result, number, earlier)
                error.trace = io.link.traced
                raise error
            earlier.add(result)
            wanted = asked_pause(result) if isinstance(result, Answer) else None
            await io.sleep(min(pause(number, wanted, random.random()), left))

    async def _attempt(
        self,
        request: Request,
        number: int,
        deadline: float,
        send: Callable[[Request, float], Awaitable[R]],
    ) -> R | TransportError:
        at = self.io.now()
        result: R | TransportError
        if self._observer is not None and self._observer.link is not None:
            request = dataclasses.replace(request, link=self._observer.link)
        elif self.link is not self.io.link:
            request = dataclasses.replace(request, link=self.link)
        try:
            limit = at + ATTEMPT_TIMEOUT if RULES[request.call].lost else deadline
            result = await send(request, min(deadline, limit))
        except TransportError as error:
            result = error
        outcome: Outcome = result if isinstance(result, TransportError) else result.status
        self._reached |= isinstance(outcome, int) or outcome.reached
        if self._observer is not None:
            seconds = self.io.now() - at
            odd = None if isinstance(result, TransportError) else oddity(request, result.headers)
            self._observer.saw_attempt(Tried(request, number, at, seconds, outcome, odd))
        return result

    def _parse(self, model: type[M], request: Request, answer: Answer) -> M:
        parsed = parse(model, request, answer)
        if self._observer is not None:
            self._observer.saw_answer(request.call, parsed)
        return parsed


def work(step: Callable[[Calls, S], Awaitable[object]], observer: S) -> Work:
    """Return a step with who observes its calls, as one of several that are done side by side."""

    async def take(io: IO) -> None:
        await step(Calls(io, observer), observer)

    return take


def _about(asked: str, answer: M, got: str, request: Request) -> M:
    """Check that an answer is about what was asked for; raises `ContractError`."""
    if not same_id(got, asked):
        raise ContractError(
            f"{request.call} answered for another instance",
            expected=asked,
            got=safe_line(got),
            next_step="tell the router's developers: it does not keep its instances apart",
        )
    return answer
