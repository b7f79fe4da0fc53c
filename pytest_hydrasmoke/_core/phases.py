"""A phase of an instance: its times, and what it adds to an error."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from pytest_hydrasmoke._base.errors import HydraSmokeError
from pytest_hydrasmoke._journal.events import Doing, Interrupted
from pytest_hydrasmoke._journal.story import BOOT
from pytest_hydrasmoke._transport.protocol import IO, StoppedError

from .record import InstanceRecord


@contextmanager
def phase(
    name: str,
    io: IO,
    record: InstanceRecord,
    *,
    deadline: float | None = None,
    timed: bool = True,
) -> Generator[None]:
    """Time a phase, and add its name and times to an error that leaves it."""
    start = io.now()
    try:
        if timed:
            record.note(Doing(name, deadline), start)
        yield
    except BaseException as error:
        if isinstance(error, HydraSmokeError) and not isinstance(error, StoppedError):
            error.add_context(
                phase=name,
                seconds=io.now() - start,
                last=record.last_state,
                instance=record.name,
                trace=io.link.traced,
            )
            record.fails(error, error.brief, io.now())
        elif name in BOOT:
            # Ctrl-C, or a test that timed out: no failure, but no completed boot either.
            record.note(Interrupted(name))
        raise
    finally:
        if timed:
            record.took(name, start, io.now() - start)
            record.note(Doing(None), io.now())
