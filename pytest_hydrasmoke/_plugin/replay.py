"""A run that replays recordings: each of its processes serves and follows a fake of its own.

It says to its fake who chats, by calls: requests of tests stay unchanged, so that clients of theirs
work, too. What has come of the recordings in xdist's workers is added up in the main process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from pytest_hydrasmoke._api.models import plain_id
from pytest_hydrasmoke._api.replayed import AllCounted, Replayed
from pytest_hydrasmoke._base.pytest_internals import worker_input, worker_output
from pytest_hydrasmoke._base.token import Token, scrubbing
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._recordings.format import NotWrittenError, RecordedTurn
from pytest_hydrasmoke._settings.model import SPEC, HydraSmokeConfig

from .bundled_checks import PACKAGE
from .flows import Flows
from .record_hook import edit_of

if TYPE_CHECKING:
    from pytest_hydrasmoke.fake import FakeRouter
    from pytest_hydrasmoke.fake.recordings import Recordings
    from pytest_hydrasmoke.fake.replay import Edit

LIVE_ONLY = "hydra_smoke_live"
"""The marker of tests that no recording can answer."""
_CAME = "hydra_smoke_replay"
"""What has come of the recordings in a worker, in its output."""


def as_argument(config: pytest.Config, test: str) -> str:
    """Return a test's name as an argument of pytest in the folder where it was started."""
    path, parts, rest = test.partition("::")
    file = os.path.relpath(config.rootpath / path, config.invocation_params.dir)
    return f"{file}{parts}{rest}"


class Replaying:
    """This process's replay: told who chats, and asked what no answer of a router says."""

    def __init__(self, pytest_config: pytest.Config, router: FakeRouter) -> None:
        from pytest_hydrasmoke.fake.router import stage_of

        self._pytest = pytest_config
        self._stage = stage_of(router, _edit(pytest_config, scrubbing(Token(router.token))))
        self._player = self._stage.player
        self.course = self._player.course
        """What has come of the recordings."""
        self.flows = Flows(self._player.has_no_order)
        """Who chats from several threads or tasks."""

    def on_stage(self, owner: str | None, run: int, test: str | None, *, begins: bool) -> None:
        """Say whose chats follow; `begins` if they start again at the first message."""
        if begins and owner is not None:
            self.flows.begin(owner)
        test = None if test is None else as_argument(self._pytest, test)
        self._player.enter(owner, run, begins=begins, test=test)

    def claims(self, record: InstanceRecord) -> None:
        """Say who owns an instance."""
        assert record.key is not None  # A run against a fake is attached to nothing.
        origin = record.origin
        whose = None if origin is None else (origin.owner, origin.number)
        self._player.claim(record.key, whose or "shared")

    # `_api.replayed.Replay`

    def last(self, instance_id: str) -> Replayed | None:
        return self._stage.last(plain_id(instance_id))

    def uncounted(self, instance_id: str) -> str | None:
        return self._stage.uncounted(plain_id(instance_id))

    def all_counted(self, instance_id: str) -> AllCounted | None:
        all_asked = self._stage.all_counted(plain_id(instance_id))
        return None if all_asked is None else AllCounted(*all_asked)

    # Hooks

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.course.collected = frozenset(item.nodeid for item in session.items)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if item.get_closest_marker(LIVE_ONLY) is not None:
            pytest.skip(f"{LIVE_ONLY}: it runs against a live router only")
        if item.nodeid.startswith(PACKAGE):
            pytest.skip("bundled checks are not recorded: run them against a router, or the fake")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        if worker_input(self._pytest) is not None:
            worker_output(self._pytest)[_CAME] = self.course.to_plain()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        """Add what has come of the recordings in a worker; one that crashed has not said it."""
        if (came := worker_output(node).get(_CAME)) is not None:
            self.course.add(came)


def _edit(config: pytest.Config, scrub: Callable[[str], str]) -> Edit:
    """Return the edit that a message went through when recorded: mask the token, then the hook."""

    def edit(owner: str, run: int, message: str) -> str:
        message = scrub(message)
        # Looked up each time: collection loads further conftest.py files.
        change = edit_of(config.pluginmanager)
        try:
            changed = None if change is None else change(RecordedTurn(owner, run, message, ""))
        except NotWrittenError as problem:
            # The fake answers the chat with it.
            raise ValueError(
                f"{problem}; correct this hook: in a replay, it gets each message, with an empty "
                "text"
            ) from None
        return message if changed is None else changed.message

    return edit


def spec_of(recordings: Recordings, without: Collection[str]) -> dict[str, str]:
    """Return the recorded spec, without some of its fields."""
    known = recordings.spec
    return {name: known[name] for name in SPEC if name in known and name not in without}


def unset_spec(config: HydraSmokeConfig, given: Collection[str]) -> dict[str, str]:
    """Return what a run that replays has for the fields of a spec that no setting gives."""
    return {name: getattr(config, name) for name in SPEC if name not in given}


def header_line(recordings: Recordings) -> str:
    """Return the line on the replay in a run's header."""
    what = recordings.in_words_with_age(datetime.now(UTC).date())
    return f"hydra-smoke: FAKE, {what}; without the bundled checks"
