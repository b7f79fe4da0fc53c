"""A run that replays recordings: each of its processes serves and follows a fake of its own.

It says to its fake who chats, by calls: requests of tests stay unchanged, so that clients of theirs
work, too. What has come of the recordings in xdist's workers is added up in the main process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import pytest

from pytest_hydrasmoke._base.text import first_few, safe_line
from pytest_hydrasmoke._base.token import Token, scrubbing
from pytest_hydrasmoke._core.instance import Instance
from pytest_hydrasmoke._recordings.format import KINDS, NotWrittenError, RecordedTurn
from pytest_hydrasmoke._report.parts import CaseReport

from .bundled_checks import PACKAGE
from .context import LIVE_ONLY
from .record_hook import edit_of

if TYPE_CHECKING:
    from pytest_hydrasmoke.fake import FakeRouter
    from pytest_hydrasmoke.fake.course import Course
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

    def on_stage(self, owner: str | None, run: int, test: str | None, *, begins: bool) -> None:
        """Say whose chats follow; `begins` if they start again at the first message."""
        test = None if test is None else as_argument(self._pytest, test)
        self.replay.enter(owner, run, begins=begins, test=test)

    def claims(self, instance: Instance) -> None:
        """Say who owns an instance."""
        assert instance.key is not None  # A run against a fake is attached to nothing.
        origin = instance.target.origin
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


def notes(course: Course, tests: Sequence[CaseReport], *, whole: bool) -> Iterator[str]:
    """Yield notes on messages; in a `whole` run on recordings that nothing uses, too."""
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
    # A fixture or a hook may belong to tests that were skipped.
    gone = [owner for owner in course.not_on_stage() if whole and not owner.startswith(KINDS)]
    if gone:
        yield f"note: recordings used by no test of this run: {len(gone)}: {first_few(gone)}"


def _quoted(messages: Sequence[str]) -> str:
    return first_few([repr(safe_line(message, 60)) for message in messages])
