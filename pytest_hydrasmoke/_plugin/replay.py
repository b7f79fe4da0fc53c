"""A run that replays recordings: report to its fake who chats, and show what is replayed.

Each process of the run has its own base URL on the one fake, and sends the owner over a connection
of its own: requests of tests stay unchanged, so that clients of theirs work, too.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from pytest_hydrasmoke._base.token import Token, scrubbing
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._run.recording import RecordedTurn
from pytest_hydrasmoke._run.taped import NotWrittenError
from pytest_hydrasmoke._settings.model import SPEC, HydraSmokeConfig

from .bundled_checks import PACKAGE
from .flows import Flows
from .record_hook import edit_of

if TYPE_CHECKING:
    from pytest_hydrasmoke.fake import FakeRouter, Scenario
    from pytest_hydrasmoke.fake.recordings import Recordings
    from pytest_hydrasmoke.fake.replay import Edit

LIVE_ONLY = "hydra_smoke_live"
"""The marker of tests that no recording can answer."""
AT_ONCE = 0.1
"""Seconds for LLM events to settle, and for duplicates, where they all come at once."""
_NOTIFY_TIMEOUT = 30.0


def as_argument(config: pytest.Config, test: str) -> str:
    """Return a test's name as an argument of pytest in the folder where it was started."""
    path, parts, rest = test.partition("::")
    file = os.path.relpath(config.rootpath / path, config.invocation_params.dir)
    return f"{file}{parts}{rest}"


class Replaying:
    """One process's messages to the fake; also skips what can't be replayed."""

    def __init__(self, pytest_config: pytest.Config, config: HydraSmokeConfig) -> None:
        self._pytest = pytest_config
        assert config.url is not None
        assert config.token is not None
        place = urlsplit(config.url)
        assert place.hostname is not None
        self._prefix = place.path
        self._headers = {"authorization": f"Bearer {config.token.reveal()}"}
        self._connection = http.client.HTTPConnection(
            place.hostname, place.port, timeout=_NOTIFY_TIMEOUT
        )
        self._lock = threading.Lock()
        self._claimed: set[str] = set()
        self.flows = Flows(self._have_no_order)
        """Who chats from several threads or tasks."""

    def on_stage(self, owner: str | None, run: int, test: str | None, *, begins: bool) -> None:
        """Report whose chats follow; `begins` if they start again at the first message."""
        if begins and owner is not None:
            self.flows.begin(owner)
        test = None if test is None else as_argument(self._pytest, test)
        self._notify("stage", {"owner": owner, "run": run, "test": test, "begins": begins})

    def claims(self, record: InstanceRecord) -> None:
        """Report the owner of an instance, once."""
        if record.key is None or record.key in self._claimed:
            return
        self._claimed.add(record.key)
        origin = record.origin
        claim = "shared" if origin is None else [origin.owner, origin.number]
        self._notify("instance", {"key": record.key, "claim": claim})

    def _have_no_order(self, owner: str, key: str | None) -> None:
        self._notify("unordered", {"owner": owner, "key": key})

    def _notify(self, what: str, words: Mapping[str, object]) -> None:
        with self._lock:
            try:
                self._connection.request(
                    "POST", f"{self._prefix}/_fake/{what}", json.dumps(words), self._headers
                )
                answer = self._connection.getresponse()
                answer.read()
            except BaseException:
                # A signal may interrupt this; the next message uses a new connection.
                self._connection.close()
                raise
        assert answer.status == http.HTTPStatus.NO_CONTENT, answer.status

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if item.get_closest_marker(LIVE_ONLY) is not None:
            pytest.skip(f"{LIVE_ONLY}: it runs against a live router only")
        if item.nodeid.startswith(PACKAGE):
            pytest.skip("bundled checks are not recorded: run them against a router, or the fake")

    def pytest_unconfigure(self) -> None:
        self._connection.close()


def serve_stage(config: pytest.Config, router: FakeRouter) -> str:
    """Return a base URL for one process of a run that replays."""
    from pytest_hydrasmoke.fake.router import stage_of

    return stage_of(router, _edit(config, scrubbing(Token(router.token))))


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


def comes_at_once(scenario: Scenario) -> bool:
    """Return whether all LLM events of a turn are there once its stream has ended."""
    later = scenario.llm_events_lag or scenario.llm_events_gap
    return scenario.recordings is not None and not later


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
