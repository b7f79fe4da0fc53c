"""`FakeRouter`: one world on a server, with controls to inspect it and to make it fail."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from anyio import CancelScope, to_thread
from starlette.applications import Starlette

from .app import build_app
from .course import Course
from .faults import Break, BreakKind, Drop, Fail, Fault, When
from .presets import load
from .records import FakeInstance, Json, LlmEvent, RequestRecord, Route, public
from .replay import Edit, Replay
from .replies import ScriptedReply
from .scenario import Scenario
from .server import Mounted, mount, unmount
from .state import Clock, RealClock, World

if TYPE_CHECKING:
    from .agent import Agent


@public
class FakeRouter:
    """A private fake router on 127.0.0.1, which runs until the end of the `with`, or `async with`.

    `scenario` is a `Scenario`, or a name, file or folder, as in `hydra-smoke fake --scenario`;
    raises ValueError for a wrong one. Without a token it makes a random one, without a clock it
    uses the machine's monotonic time. Without a `port`, it has a free one, and its URL a path; to
    enter it raises OSError where the port is taken. The end of the `with` closes the connections of
    unfinished answers; its requests and instances stay readable, and it can be entered again.
    """

    def __init__(
        self,
        scenario: Scenario | str | None = None,
        token: str | None = None,
        clock: Clock | None = None,
        port: int = 0,
    ) -> None:
        if token is not None and not (token and all("!" <= char <= "~" for char in token)):
            raise ValueError("a token is printable ASCII without spaces, and not empty")
        if not 0 <= port <= 65535:
            raise ValueError(f"there is no port {port}: give 1 to 65535, or 0 for any that is free")
        self.token = secrets.token_urlsafe(24) if token is None else token
        """The bearer token it expects."""
        if not isinstance(scenario, Scenario):
            scenario = load("default" if scenario is None else scenario)
        self.scenario = scenario
        """How it behaves."""
        self.clock: Clock = RealClock() if clock is None else clock
        """Its clock."""
        self._world = World(self.scenario, self.clock)
        recordings = scenario.recordings
        self._replay = None if recordings is None else Replay(Course(recordings), self._world)
        self.app: Starlette = build_app(self._world, self.token, self._replay)
        """The router as a plain ASGI app, for a server of your own; needs no `with`."""
        self._port = port
        self._place: Mounted | None = None

    def __repr__(self) -> str:
        return f"<FakeRouter {'not serving' if self._place is None else self._place.url}>"

    def __enter__(self) -> FakeRouter:
        if self._place is not None:
            raise RuntimeError("this fake router is being used already; make another one")
        self._place = mount(self.app, self._port)
        return self

    def __exit__(self, *raised: object) -> None:
        place, self._place = self._place, None
        if place is not None:
            unmount(place)

    async def __aenter__(self) -> FakeRouter:
        # Not in a thread, which would go on to serve where asyncio cancels the task.
        return self.__enter__()

    async def __aexit__(self, *raised: object) -> None:
        with CancelScope(shield=True):
            await to_thread.run_sync(self.__exit__, None, None, None)

    @property
    def url(self) -> str:
        """The base URL, a path prefix included; raises RuntimeError outside the `with`."""
        if self._place is None:
            raise RuntimeError("a fake router has a URL only inside its `with`")
        return self._place.url

    @property
    def instances(self) -> tuple[FakeInstance, ...]:
        """Every instance in its current state, in order of provision, with deleted ones."""
        return self._world.instances()

    @property
    def requests(self) -> tuple[RequestRecord, ...]:
        """Every request that arrived, in order of arrival."""
        return self._world.requests()

    @property
    def llm_events(self) -> tuple[LlmEvent, ...]:
        """The LLM events written so far, in the order of their turns."""
        return self._world.llm_events()

    def reset(self) -> None:
        """Remove instances, requests, LLM events, added replies and faults not used yet."""
        self._world.reset()
        if self._replay is not None:
            self._replay.reset()

    def reply(
        self,
        match: str,
        text: str | Sequence[str],
        *,
        tool_calls: Sequence[Mapping[str, object]] = (),
        reasoning: str = "",
    ) -> None:
        """Answer messages in which the regular expression `match` is found.

        If there are several texts, each turn gets the next one, and after the last the first again,
        separately for each instance. A tool call is `{"name": ..., "arguments": {...}, "result":
        ...}`; only the name is required, and the scenario's runtime may send less. Added replies
        are tried in order, before the scenario's `replies`; the same `match` again replaces the
        earlier one. Raises ValueError.
        """
        # Checked, and made what they are there, by the class.
        given: dict[str, Any] = {"match": match, "text": text, "tool_calls": tool_calls}
        self._world.replies.add(ScriptedReply(reasoning=reasoning, **given))

    def fail(
        self,
        route: Route,
        *,
        status: int = 503,
        times: int = 1,
        after: int = 0,
        when: When = "before",
        retry_after: int | str | None = None,
        body: Json = None,
        optional: bool = False,
    ) -> None:
        """Answer the next `times` requests of a route with `status`, 200 to 599.

        `after` lets that many requests pass first. With `when="before"` the request is not read,
        with `when="after"` the work is done and its answer replaced. `retry_after` is seconds, or
        an HTTP date. `body` is the answer's JSON, or a text for an HTML page; by default an object
        with `detail`. A test with `smoke_fake` fails at its end if no request has met the fault,
        unless it is `optional`. Raises ValueError.
        """
        self._add(
            Fail,
            route=route,
            status=status,
            times=times,
            after=after,
            when=when,
            retry_after=retry_after,
            body=body,
            optional=optional,
        )

    def drop(
        self,
        route: Route,
        *,
        when: When = "before",
        times: int = 1,
        after: int = 0,
        optional: bool = False,
    ) -> None:
        """Close the connections of the next `times` requests of a route without an answer.

        `after`, `when` and `optional` are as in `fail`. Raises ValueError.
        """
        self._add(Drop, route=route, when=when, times=times, after=after, optional=optional)

    def break_stream(
        self,
        kind: BreakKind,
        *,
        after_events: int = 1,
        times: int = 1,
        after: int = 0,
        when: When = "before",
        split_at: Sequence[int] | None = None,
        optional: bool = False,
    ) -> None:
        """Break the next `times` chat streams, each after its first `after_events` events.

        `cut` closes the connection, `end` ends the stream early without an error, `stall` sends
        nothing more, `error` sends the runtime's error event, `garbage` sends bytes that are not
        events, `flood` never ends. `trickle` sends the whole turn, the rest of it byte by byte.
        `split` sends the whole turn in chunks, cut at the offsets `split_at`, or else at the worst
        places: in characters, line ends and words.

        `after` lets that many streams pass first. A turn that does not reach its end leaves no LLM
        events, unless `when="after"`: then the agent had finished when its stream broke.
        `optional` is as in `fail`. Raises ValueError.
        """
        self._add(
            Break,
            kind=kind,
            after_events=after_events,
            times=times,
            after=after,
            when=when,
            split_at=split_at,
            optional=optional,
        )

    def _add(self, kind: type[Fault], /, **given: Any) -> None:
        self._world.faults.add(kind(**given))


def replay_of(router: FakeRouter, edit: Edit) -> Replay:
    """Return the replay of a process of a run, for which the router then plays recordings."""
    replay = router._replay  # pyright: ignore[reportPrivateUsage]
    assert replay is not None  # Its scenario has recordings.
    replay.follow(edit)
    return replay


def to_come(router: FakeRouter, instance_id: str) -> bool:
    """Return whether LLM events of an instance's turns so far may still be written."""
    return router._world.to_come(instance_id)  # pyright: ignore[reportPrivateUsage]


def unmet(router: FakeRouter) -> str | None:
    """Return in words which faults no request has met, and what came; None if all were met."""
    return router._world.faults.unmet(router.requests)  # pyright: ignore[reportPrivateUsage]


def answer_chats(router: FakeRouter, agent: Agent) -> None:
    """Let a real agent answer all chats with a router's instances from now on."""
    router._world.agent = agent  # pyright: ignore[reportPrivateUsage]
