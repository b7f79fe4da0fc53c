"""Check the router before the run: is it one, does it accept the token, is the run id new?

Done once, before collection or a sweep, so that a wrong URL or token is reported once and not by
every test. It also learns whether a deletion could be proved there at all. As nothing else is shown
meanwhile, it says now and then that no answer has come yet.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._api.retry import Observer, Tried
from pytest_hydrasmoke._base import files
from pytest_hydrasmoke._base.clock import now
from pytest_hydrasmoke._base.errors import ConfigError, NotFoundError
from pytest_hydrasmoke._base.evidence import TAKEN, Absent, proves_router
from pytest_hydrasmoke._base.run_keys import key_of
from pytest_hydrasmoke._base.threads import Ticker
from pytest_hydrasmoke._core.controls import (
    malformed,
    missing,
    unknown,
    unknown_key,
)
from pytest_hydrasmoke._settings.config import HydraSmokeConfig
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.links import Link
from pytest_hydrasmoke._transport.protocol import CallName, drive

from . import folder as run_folder

if TYPE_CHECKING:
    from pydantic import BaseModel

FIRST_ANSWER_TIMEOUT = 60.0
"""Seconds for the router to answer; a run's shorter wait for an instance holds here too."""
FIRST = 10.0
"""Seconds without an answer until the first line that says so."""
EVERY = 30.0
"""Seconds between two lines after that."""
TICK = 1.0
"""Seconds between two looks at the time."""


def check_unused(
    config: HydraSmokeConfig, *, named: bool, observer: Observer | None = None
) -> None:
    """Poll the run's first key; raises `ConfigError` if the run id was used before.

    If the settings name the run id (`named`), it is recorded in the output folder, too: a router
    may have forgotten what a run has deleted. `observer` sees the outcome of the calls. Passes on
    the errors of the calls.
    """
    first_key = key_of(config.run_id, 0)
    with contextlib.closing(SyncIO(config.link)) as io:
        known = drive(Calls(io, observer).poll(first_key, deadline=_deadline(io, config))).found
    mark = run_folder.used_mark(config.output, config.run_id)
    if known or (named and mark.exists()):
        where = "the router knows its keys" if known else f"{mark} says so"
        raise ConfigError(
            f"run id used before: {config.run_id} ({where})",
            next_step="give every run an id of its own, such as run, attempt, job and matrix leg; "
            f"to delete what the earlier one left: {config.commands.sweep(config.run_id)}",
        )
    if named and files.is_blocked(mark.parent):
        raise ConfigError(
            f"{mark.parent} is a link, or not a folder: used run ids can't be remembered there",
            next_step="remove it, or give another --hydra-smoke-output",
        )
    if named:
        # If the folder can't be written, the ledger reports that.
        with contextlib.suppress(OSError):
            run_folder.make_output(config.output)
            files.make_folder(mark.parent)
            files.make_mark(mark)


def learn(
    config: HydraSmokeConfig, *, observer: Observer | None = None, io: SyncIO | None = None
) -> Absent:
    """Learn how the router answers for what does not exist; `observer` sees the calls.

    Raises `ConfigError` if the answers can't be distinguished from those of any other server at its
    URL, and passes on the errors of the calls.
    """
    with contextlib.closing(io or SyncIO(config.link)) as io:
        return drive(_learn(Calls(io, observer), _deadline(io, config)))


async def _learn(calls: Calls, deadline: float) -> Absent:
    # The key first: its answer shows what is wrong with the URL or the token.
    key = TAKEN
    try:
        await calls.find(unknown_key(), deadline=deadline)
    except NotFoundError as error:
        key = error.form or TAKEN
    path = await missing(calls, deadline)
    stranger = TAKEN
    if key.is_worded_as([path]):
        stranger = await unknown(calls, "key", deadline, anonymous=True)
    known = await unknown(calls, "id", deadline)
    word = await malformed(calls, deadline)
    # The router turns strangers away. Where they are told that there is no such path, the path of
    # keys is another server's, and the malformed id proves that of ids alone.
    misled = key.is_worded_as([path]) and stranger.is_worded_as([path])
    if key != TAKEN and (misled or not proves_router(word, [path])):
        raise ConfigError(
            "the answers at this URL look like those of a path that does not exist: 404 for an "
            f"unknown key, {word.code} for a malformed id, {path.code} for a wrong path",
            next_step="check HYDRA_SMOKE_URL: it ends where /internal/v1/smoke begins, and keeps "
            "a prefix such as /api; no deletion could be believed here",
        )
    return Absent(key != TAKEN, any(it.is_worded_as([path]) for it in (key, known)))


def _deadline(io: SyncIO, config: HydraSmokeConfig) -> float:
    return io.now() + min(FIRST_ANSWER_TIMEOUT, config.ready_timeout)


class WaitingAloud:
    """Observe attempts to reach a router, and report while none of them is answered.

    A context manager: outside it nothing is reported. `say` is called by a thread of its own.
    """

    link: Link | None = None

    def __init__(self, url: str | None, say: Callable[[str], None]) -> None:
        self._url = url
        self._say = say
        self._began = now()
        self._due = FIRST
        self._attempt = 1
        self._ticker = Ticker(self.tick)

    def __enter__(self) -> Self:
        self._ticker.start(TICK)
        return self

    def __exit__(self, *raised: object) -> None:
        self._ticker.stop()

    def saw_attempt(self, attempt: Tried) -> None:
        """Count an attempt; another one follows, unless an answer does."""
        self._attempt = attempt.number + 1

    def again(self) -> None:
        """Count one more attempt, where these are not a router's calls."""
        self._attempt += 1

    def saw_answer(self, call: CallName, answer: BaseModel) -> None:
        """Record an answer: the next call begins with its first attempt."""
        self._attempt = 1

    def tick(self) -> None:
        """Report the state, if it is time."""
        elapsed = now() - self._began
        if elapsed >= self._due:
            self._due = FIRST + EVERY * ((elapsed - FIRST) // EVERY + 1)
            self._say(f"reaching {self._url}, {elapsed:.0f} s, attempt {self._attempt}")
