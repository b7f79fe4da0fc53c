"""The router's contract written down in FastAPI, with a memory and a sense of time of its own.

The fake words its answers by itself; this is what they are held against, and what wrong routers
are made of: every method of `Twin` is one rule, so that a router which breaks it alone is one that
overrides that method.
"""

# No postponed annotations here: FastAPI has to find the models that `build` makes.

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import FastAPI, Header, HTTPException, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, Field

from pytest_hydrasmoke.fake import FakeRouter

TOKEN = "a-token-of-the-twin"
PREFIX = "/internal/v1/smoke"
ONE = PREFIX + "/instances/{instance_id}"
LIMITS = {"idempotency_key": 255, "manifest_id": 100, "region_id": 80, "tier_id": 80}
LONGEST_MESSAGE = 4000
NOBODY = {"found": False, "instance_id": None, "status": None}


class SmokeProvisionResponse(BaseModel):
    idempotency_key: str
    instance_id: str | None = None
    task_id: str


class SmokePollResponse(BaseModel):
    found: bool
    instance_id: str | None = None
    status: str | None = None


class SmokeStatusResponse(BaseModel):
    id: str
    hostname: str | None = None
    status: str


class SmokeLlmEventsResponse(BaseModel):
    instance_id: str
    count: int
    providers: list[str]
    window_seconds: int


class SmokeDeleteResponse(BaseModel):
    instance_id: str
    status: str


@dataclass
class Row:
    """An instance, from the moment it was asked for."""

    key: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    task_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    born: float = 0.0
    deleted: bool = False

    @property
    def hostname(self) -> str:
        return f"smoke-{self.id[:8]}.example"


@dataclass
class LlmEvent:
    """A row of usage."""

    instance_id: str
    provider: str
    at: float


class AnswerError(Exception):
    """An answer given in the middle of a call, in place of the call's own."""

    def __init__(self, response: Response) -> None:
        self.response = response


def answer_at_once(request: Request, error: Exception) -> Response:
    assert isinstance(error, AnswerError)
    return error.response


Ids = Callable[[str], tuple[str, str]]


class Twin:
    """What the router knows, and its rules. All times are seconds of `clock`.

    `ids` gives the id and the task's id of a new row, by its key; they are random without it.
    """

    def __init__(self, ids: Ids | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.ids = ids
        self.clock = clock
        self.rows: list[Row] = []
        self.usage: list[LlmEvent] = []

    token = TOKEN
    row_after = 0.0
    boot: tuple[tuple[float, str], ...] = ((0.0, "queued"), (0.02, "booting"), (0.1, "running"))
    """The status words, and from how long after the row has come each is the one."""
    usage_after = 0.0
    providers: tuple[str, ...] = ("anthropic",)
    limits: Mapping[str, int] = LIMITS
    longest_message = LONGEST_MESSAGE
    default_window = 900
    codes: Mapping[str, int] = {}
    """Success codes by call, where they are not 200."""
    unauthorized = 401
    not_ready = 409
    second_delete = 404
    gone_word = "deleted"
    row_stays = False
    """Whether a deleted row is still seen, with `gone_word`, or not found any more."""
    unknown_key: Any = NOBODY
    """What poll says of a key without a row; a number is an error's code."""
    unknown_words = "Instance not found"
    optional: frozenset[str] = frozenset()
    """Fields that a body may leave out, beside the agent's name."""
    body: Mapping[str, Any] = {}
    """What the last provision has asked for."""

    # Who may ask, and about what

    def allows(self, call: str, authorization: str | None, about: str) -> bool:
        """Return whether a caller may make this call, about an instance's id or a key."""
        return authorization == f"Bearer {self.token}"

    def refuse(self, call: str, about: str) -> None:
        """Turn a caller away."""
        raise HTTPException(self.unauthorized, "Invalid or missing token")

    def reject(self, path: str, faults: list[Any]) -> Response:
        """Answer a request that is not as the contract has it."""
        return JSONResponse({"detail": jsonable_encoder(faults)}, 422)

    def has_row(self, row: Row) -> bool:
        """Return whether a worker has inserted the row."""
        return self.clock() >= row.born + self.row_after

    def named(self, key: str) -> Row | None:
        """Return the row that a provision or a poll means by a key, inserted or not."""
        return next((row for row in self.rows if row.key == key), None)

    def with_id(self, instance_id: str) -> Row | None:
        """Return the row that has an id."""
        return next((row for row in self.rows if row.id == instance_id), None)

    def found(self, call: str, instance_id: str) -> Row:
        """Return the row that a call is about, or say that there is none."""
        row = self.with_id(instance_id)
        if row is None or not self.has_row(row) or not self.shown(call, row):
            raise HTTPException(404, self.unknown_words)
        return row

    def shown(self, call: str, row: Row) -> bool:
        """Return whether a call sees a row, deleted ones among them."""
        return not row.deleted or (self.row_stays and call in ("poll", "status"))

    # What is said of it

    def word(self, row: Row) -> str:
        """Return an instance's status."""
        if row.deleted:
            return self.gone_word
        age = self.clock() - row.born - self.row_after
        return [word for after, word in self.boot if after <= age or not after][-1]

    def hostname(self, row: Row) -> str | None:
        """Return an instance's hostname, None before its boot is done."""
        if not self.is_ready(row):
            return f"{row.hostname}-deleted" if row.deleted else None
        return row.hostname

    def is_ready(self, row: Row) -> bool:
        """Return whether the agent takes a chat."""
        return self.word(row) == self.boot[-1][1]

    def counted(self, row: Row, window: int) -> list[str]:
        """Return the providers of the LLM events that a window holds, one for each event."""
        now = self.clock()
        return [
            event.provider
            for event in self.usage
            if event.instance_id == row.id and event.at <= now and now - event.at <= window
        ]

    def listed(self, providers: list[str]) -> list[str]:
        """Return the providers as they are told."""
        return sorted(set(providers))

    def answer(self, call: str, said: dict[str, Any]) -> Any:
        """Return what is answered where all is well: its fields, or a whole response."""
        return said

    # What is done

    def make(self, key: str) -> Row:
        """Make a new row."""
        row = Row(key, born=self.clock())
        if self.ids is not None:
            row.id, row.task_id = self.ids(key)
        self.rows.append(row)
        return row

    def provision(self, key: str) -> Row:
        """Return the row of a key, a new one if it has none."""
        return self.named(key) or self.make(key)

    def delete(self, row: Row) -> None:
        """Delete softly."""
        row.deleted = True

    def reply(self, message: str) -> Iterator[str]:
        """Say it in OpenAI's chunks."""
        for word in ("I am", " ready."):
            yield f'data: {{"choices":[{{"index":0,"delta":{{"content":"{word}"}}}}]}}\n\n'
        yield 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
        yield "data: [DONE]\n\n"

    def stream(self, row: Row, message: str) -> Response:
        """Answer a chat."""

        def turn() -> Iterator[str]:
            yield from self.reply(message)
            self.spent(row)

        return StreamingResponse(turn(), media_type="text/event-stream")

    def spent(self, row: Row) -> None:
        """Write the LLM events of a turn that has reached its end."""
        turns = sum(event.instance_id == row.id for event in self.usage)
        provider = self.providers[turns % len(self.providers)]
        self.usage.append(LlmEvent(row.id, provider, self.clock() + self.usage_after))


class AtOnce(Twin):
    """A router whose instances are ready from their first moment."""

    boot = ((0.0, "running"),)


def beside(router: FakeRouter) -> Ids:
    """Return the ids of what a fake has just made: ids are random, so a twin asks for them."""

    def ids(key: str) -> tuple[str, str]:
        made = next(it for it in router.instances if it.idempotency_key == key)
        return made.id, made.task_id

    return ids


Authorization = Annotated[str | None, Header()]


def build(router: Twin) -> FastAPI:
    """Make the application of a router."""
    app = FastAPI(title="HydraCore smoke router", version="1", docs_url=None, redoc_url=None)
    app.exception_handler(AnswerError)(answer_at_once)

    @app.exception_handler(RequestValidationError)
    async def rejection(request: Request, error: RequestValidationError) -> Response:
        return router.reject(request.url.path, list(error.errors()))

    longest = {**router.limits, "message": router.longest_message}

    def text(name: str) -> Any:
        if name in router.optional:
            return Field("", max_length=longest[name])
        return Field(max_length=longest[name])

    class SmokeProvisionRequest(BaseModel):
        idempotency_key: str = text("idempotency_key")
        manifest_id: str = text("manifest_id")
        region_id: str = text("region_id")
        tier_id: str = text("tier_id")
        agent_name: str | None = None

    class SmokeChatRequest(BaseModel):
        message: str = text("message")

    def admit(call: str, authorization: str | None, about: str) -> None:
        if not router.allows(call, authorization, about):
            router.refuse(call, about)

    def told(call: str, answer: BaseModel) -> Any:
        plain, code = answer.model_dump(), router.codes.get(call, 200)
        said = router.answer(call, dict(plain))
        if said == plain and code == 200:
            return answer
        return said if isinstance(said, Response) else JSONResponse(said, code)

    @app.post(PREFIX + "/provision", response_model=SmokeProvisionResponse)
    async def smoke_provision(
        body: SmokeProvisionRequest, authorization: Authorization = None
    ) -> Any:
        """Provision a smoke instance for the smoke customer."""
        key, router.body = body.idempotency_key, body.model_dump()
        admit("provision", authorization, key)
        row = router.provision(key)
        answer = SmokeProvisionResponse(
            idempotency_key=key, instance_id=row.id, task_id=row.task_id
        )
        return told("provision", answer)

    @app.get(PREFIX + "/instances/by-key/{idempotency_key}", response_model=SmokePollResponse)
    async def smoke_poll(idempotency_key: str, authorization: Authorization = None) -> Any:
        """Resolve an idempotency key to an instance id once the worker has inserted the row."""
        admit("poll", authorization, idempotency_key)
        row = router.named(idempotency_key)
        if row is None or not router.has_row(row) or not router.shown("poll", row):
            if isinstance(router.unknown_key, int):
                raise HTTPException(router.unknown_key, router.unknown_words)
            if router.unknown_key != NOBODY:
                return JSONResponse(router.unknown_key)
            return SmokePollResponse(found=False)
        answer = SmokePollResponse(found=True, instance_id=row.id, status=router.word(row))
        return told("poll", answer)

    @app.get(ONE, response_model=SmokeStatusResponse)
    async def smoke_status(instance_id: uuid.UUID, authorization: Authorization = None) -> Any:
        admit("status", authorization, str(instance_id))
        row = router.found("status", str(instance_id))
        answer = SmokeStatusResponse(
            id=row.id, hostname=router.hostname(row), status=router.word(row)
        )
        return told("status", answer)

    @app.delete(ONE, response_model=SmokeDeleteResponse)
    async def smoke_delete(instance_id: uuid.UUID, authorization: Authorization = None) -> Any:
        admit("delete", authorization, str(instance_id))
        row = router.with_id(str(instance_id))
        if row is not None and row.deleted and router.second_delete != 200:
            raise HTTPException(router.second_delete, "Instance already deleted")
        if row is None or not row.deleted:
            row = router.found("delete", str(instance_id))
            router.delete(row)
        answer = SmokeDeleteResponse(instance_id=row.id, status=router.gone_word)
        return told("delete", answer)

    @app.post(ONE + "/chat")
    async def smoke_chat(
        instance_id: uuid.UUID, body: SmokeChatRequest, authorization: Authorization = None
    ) -> Response:
        """One chat turn, streamed as server-sent events from the agent."""
        admit("chat", authorization, str(instance_id))
        row = router.found("chat", str(instance_id))
        if not router.is_ready(row) and not row.deleted:
            raise HTTPException(router.not_ready, "The agent is not ready")
        return router.stream(row, body.message)

    @app.get(ONE + "/llm-events", response_model=SmokeLlmEventsResponse)
    async def smoke_llm_events(
        instance_id: uuid.UUID,
        window_seconds: int = router.default_window,
        authorization: Authorization = None,
    ) -> Any:
        """Count the instance's llm_usage_events rows within a recent window."""
        admit("llm_events", authorization, str(instance_id))
        row = router.found("llm_events", str(instance_id))
        counted = router.counted(row, window_seconds)
        answer = SmokeLlmEventsResponse(
            instance_id=row.id,
            count=len(counted),
            providers=router.listed(counted),
            window_seconds=window_seconds,
        )
        return told("llm_events", answer)

    return app
