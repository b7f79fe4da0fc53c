"""A run that replays recordings: each of its processes serves and follows a fake of its own.

It says to its fake who chats, by calls: requests of tests stay unchanged, so that clients of theirs
work, too. What has come of the recordings in xdist's workers is added up in the main process.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import anyio
import pytest

from pytest_hydrasmoke._base.text import first_few, safe_line
from pytest_hydrasmoke._base.token import Token, scrubbing
from pytest_hydrasmoke._core.instance import Instance
from pytest_hydrasmoke._recordings.format import KINDS, NotWrittenError, RecordedTurn
from pytest_hydrasmoke._report.parts import CaseReport

from .bundled_checks import PACKAGE
from .pytest_stage import LIVE_ONLY
from .recorder import edit_of

if TYPE_CHECKING:
    from pytest_hydrasmoke.fake import FakeRouter
    from pytest_hydrasmoke.fake.course import Course, Difference
    from pytest_hydrasmoke.fake.replay import Edit


def as_argument(config: pytest.Config, test: str) -> str:
    """Return a test's name as an argument of pytest in the folder where it was started."""
    path, parts, rest = test.partition("::")
    file = os.path.relpath(config.rootpath / path, config.invocation_params.dir)
    return f"{file}{parts}{rest}"


class Replaying:
    """Tells this process's replay who chats."""

    def __init__(self, pytest_config: pytest.Config, router: FakeRouter) -> None:
        from pytest_hydrasmoke.fake.router import replay_of

        self._pytest = pytest_config
        self.replay = replay_of(router, _edit(pytest_config, scrubbing(Token(router.token))))
        """What its calls ask."""
        self.course = self.replay.course
        """What has come of the recordings."""
        self.flows = Flows(lambda owner, key: self.course.note("unordered", owner, key))
        """Who chats from several threads or tasks."""

    def on_stage(self, owner: str | None, run: int, test: str | None, *, begins: bool) -> None:
        """Say whose chats follow; `begins` if they start again at the first message."""
        if begins and owner is not None:
            self.flows.begin(owner)
        test = None if test is None else as_argument(self._pytest, test)
        self.replay.enter(owner, run, begins=begins, test=test)

    def claims(self, instance: Instance) -> None:
        """Say who owns an instance."""
        assert instance.key is not None  # A run against a fake is attached to nothing.
        origin = instance.origin
        whose = None if origin is None else (origin.owner, origin.number)
        self.replay.claim(instance.key, whose or "shared")

    # Hooks

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.course.collected = frozenset(item.nodeid for item in session.items)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if item.get_closest_marker(LIVE_ONLY) is not None:
            pytest.skip(f"{LIVE_ONLY}: it runs against a live router only")
        if item.nodeid.startswith(PACKAGE):
            pytest.skip("bundled checks are not recorded: run them against a router, or the fake")


class Flows:
    """Tells of each owner and instance that more than one thread or task uses it.

    Their chats with it, and their claims of instances (whose key is None), have no certain order.
    """

    def __init__(self, tell: Callable[[str, str | None], object]) -> None:
        self._tell = tell
        self._first: dict[tuple[str, int, str | None], object] = {}

    def begin(self, owner: str) -> None:
        """Start an owner again: a test that is repeated may run in another task."""
        for place in [place for place in self._first if place[0] == owner]:
            del self._first[place]

    def goes(self, owner: str | None, run: int, key: str | None) -> None:
        """Note what an owner does with an instance, before it does it."""
        if owner is None:
            return
        try:
            # Not its id, which may be used again: what is kept is not.
            flow: object = anyio.get_current_task().coro
        except RuntimeError:
            flow = threading.current_thread()
        if self._first.setdefault((owner, run, key), flow) is not flow:
            self._tell(owner, key)


def _edit(config: pytest.Config, scrub: Callable[[str], str]) -> Edit:
    """Return the edit that a message went through when recorded: mask the token, then the hook."""

    def edit(owner: str, run: int, message: str) -> str:
        message = scrub(message)
        # Looked up each time: collection loads further conftest.py files.
        try:
            changed = edit_of(config.pluginmanager)(RecordedTurn(owner, run, message, ""))
        except NotWrittenError as problem:
            # The fake answers the chat with it.
            raise ValueError(
                f"{problem}; correct this hook: in a replay, it gets each message, with an empty "
                "text"
            ) from None
        return message if changed is None else changed.message

    return edit


# What is no longer as recorded, though its tests may pass


def notes(
    course: Course, tests: Sequence[CaseReport], *, unset: Mapping[str, str], whole: bool
) -> Iterator[str]:
    """Yield notes on messages, their order and specs; in a `whole` run on what nothing uses, too.

    `unset` are the parts of the run's spec that no setting gives.
    """
    outcomes = {test.id: test.outcome for test in tests}
    for owner, messages in course.unasked().items():
        outcome = outcomes.get(owner)
        # A test that did not run may still send its messages, and so may a hook or a fixture, with
        # the instances of tests that were not selected.
        unheard = not whole and owner.startswith(KINDS)
        if outcome not in ("skipped", "interrupted", "error") and not unheard:
            how = "failed, and did not ask" if outcome == "failed" else "no longer asks"
            yield f"note: {owner} {how} what was recorded: {_quoted(messages)}"
    for owner, messages in course.missed().items():
        # A test that failed says so itself; one may expect an error, and pass. Nobody is "".
        if owner and outcomes.get(owner) not in ("failed", "error"):
            asks = f"asks what no recording answers: {_quoted(messages)}"
            yield f"note: {owner} {asks}; record it again"
    for owner, messages in course.reordered().items():
        # Those of others are recorded in parts, by several processes, and so in no order.
        if not owner.startswith(KINDS):
            how = f"in another order than recorded: later {_quoted(messages)}"
            yield f"note: {owner} asks its messages {how}"
    # A setting may change the spec for all: they have one note.
    alike: dict[tuple[Difference, ...], list[str]] = {}
    for owner, differences in course.other_specs(unset).items():
        alike.setdefault(tuple(differences), []).append(owner)
    for differences, who in alike.items():
        ask, it = ("asks", "it") if len(who) == 1 else ("ask", "each")
        yield (
            f"note: {first_few(who)} {ask} for another spec than recorded: "
            f"{first_few([_in_words(*it) for it in differences])}; record {it} again to ask the "
            "agent that it means"
        )
    # A fixture or a hook may belong to tests that were skipped.
    gone = [owner for owner in course.not_on_stage() if whole and not owner.startswith(KINDS)]
    if gone:
        yield f"note: recordings used by no test of this run: {len(gone)}: {first_few(gone)}"


def _quoted(messages: Sequence[str]) -> str:
    return first_few([repr(safe_line(message, 60)) for message in messages])


def _in_words(name: str, recorded: str | None, asked: str) -> str:
    before = "recorded without" if recorded is None else f"recorded {safe_line(recorded, 60)!r}"
    return f"{name} {safe_line(asked, 60)!r} ({before})"
