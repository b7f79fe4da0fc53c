"""Ends this process with SIGKILL at its n-th checkpoint: `checkpoints.py SCRIPT ARGUMENTS...`.

Checkpoints lie around every request (before it leaves, after its answer came) and around every
line of the ledger (before, half written, after). `HYDRA_KILL_AT` is the number, 0 for none;
whatever it is, the names of those passed are printed to the file `HYDRA_KILL_LOG`.
"""

from __future__ import annotations

import itertools
import os
import runpy
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytest_hydrasmoke._journal.events import Became, Entry
from pytest_hydrasmoke._run import ledger as ledgers
from pytest_hydrasmoke._transport.blocking import SyncIO

_numbers = itertools.count(1)


def checkpoint(name: str, last_words: Callable[[], None] = lambda: None) -> None:
    number = next(_numbers)
    with Path(os.environ["HYDRA_KILL_LOG"]).open("a") as log:
        log.write(f"{number} {name}\n")
    if number == int(os.environ["HYDRA_KILL_AT"]):
        last_words()
        os.kill(os.getpid(), signal.SIGKILL)


def around_request(name: str) -> None:
    inner = getattr(SyncIO, name)

    async def wrapped(self: SyncIO, request: Any, deadline: float) -> Any:
        checkpoint(f"{request.call}: before")
        answer = await inner(self, request, deadline)
        checkpoint(f"{request.call}: answered")
        return answer

    setattr(SyncIO, name, wrapped)


def around_note() -> None:
    inner = ledgers.append

    def wrapped(folder: Path, entry: Entry, *, make: bool = False) -> None:
        what = type(entry.event).__name__.lower()
        what = entry.event.state if isinstance(entry.event, Became) else what

        def half() -> None:
            with (folder / "ledger.jsonl").open("a") as file:
                file.write(f'\n{{"at": {entry.at}, "of": "{entry.of}", "is": "{what}')

        checkpoint(f"note {what}: before")
        checkpoint(f"note {what}: half", half)
        inner(folder, entry, make=make)
        checkpoint(f"note {what}: after")

    ledgers.append = wrapped


if __name__ == "__main__":
    around_request("send")
    around_request("open")
    around_note()
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
