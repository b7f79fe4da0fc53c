"""The first questions to a router: is it one, does it take the token, is the run id fresh?

Asked once, before anything is collected or swept, so that a wrong URL or token is told once, and
not by every test. What it answers where there is nothing to be found is learned here: a deletion
is believed only in these forms.
"""

from __future__ import annotations

import contextlib

from pytest_hydrasmoke._api.calls import Calls, Observer
from pytest_hydrasmoke._base import files
from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._base.evidence import Forms
from pytest_hydrasmoke._base.run_keys import key_of, sweep_command
from pytest_hydrasmoke._core.probes import learn_forms
from pytest_hydrasmoke._settings.model import HydraSmokeConfig
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.protocol import drive

from . import folder as run_folder

FIRST_ANSWER_TIMEOUT = 60.0
"""Seconds for the router to tell; a run that waits less for an instance waits less here too."""


def check_unused(
    config: HydraSmokeConfig, *, named: bool, observer: Observer | None = None
) -> None:
    """Ask for the run's first key; raises `ConfigError` if the run id was used before.

    `named` tells that somebody chose the run id: it is remembered in the output folder then,
    since a router may know nothing any more of what a run has deleted. `observer` is told how the
    asking went. Raises too what asking raises.
    """
    io = SyncIO(config.link)
    try:
        known = drive(
            Calls(io, observer).poll(key_of(config.run_id, 0), deadline=_deadline(io, config))
        ).found
    finally:
        io.close()
    mark = run_folder.used_mark(config.output, config.run_id)
    if known or (named and mark.exists()):
        where = "the router knows its keys" if known else f"{mark} says so"
        raise ConfigError(
            f"run id used before: {config.run_id} ({where})",
            next_step="give every run an id of its own, such as run, attempt, job and matrix leg; "
            f"what the earlier one left: {sweep_command(config.run_id)}",
        )
    if named and files.is_blocked(mark.parent):
        raise ConfigError(
            f"{mark.parent} is a link, or no folder: which run ids were used can't be remembered",
            next_step="remove it, or give another --hydra-smoke-output",
        )
    if named:
        # A folder that can't be written is the ledger's to refuse.
        with contextlib.suppress(OSError):
            run_folder.make_output(config.output)
            files.make_folder(mark.parent)
            files.make_mark(mark)


def learn(config: HydraSmokeConfig, *, observer: Observer | None = None) -> Forms:
    """Learn how the router answers where there is nothing.

    Raises `ConfigError` where it can't be told from whatever else may answer at its URL, and what
    asking raises.
    """
    io = SyncIO(config.link)
    try:
        forms = drive(learn_forms(Calls(io, observer), _deadline(io, config)))
    finally:
        io.close()
    if not forms.can_prove:
        raise ConfigError(
            "the answers at this URL look like those of a path that does not exist: 404 for an "
            f"unknown key, {forms.malformed.code} for a malformed id, "
            f"{forms.missing.code} for a wrong path",
            next_step="check HYDRA_SMOKE_URL: it ends where /internal/v1/smoke begins, and keeps "
            "a prefix such as /api; no deletion could be believed here",
        )
    return forms


def _deadline(io: SyncIO, config: HydraSmokeConfig) -> float:
    return io.now() + min(FIRST_ANSWER_TIMEOUT, config.ready_timeout)
