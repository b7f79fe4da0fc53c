"""Names of a run, its workers and its instances: composed, parsed and checked only here.

A run has an id, which is a file name; each of its instances a key, `<run id>-<slot>`. The commands
that take them, for pasting, are here too.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass

from .errors import ConfigError
from .text import safe_line

LONGEST_NAME = 64
_DIGITS = 5
"""Most digits of a slot number: a larger number is no reason to poll all slots before it."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_RANDOM = re.compile(r"smoke-[0-9a-f]{12}(-.+)?")
DEVICE = re.compile(r"(CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(\..*)?", re.IGNORECASE)
"""The names that are devices on Windows, whatever follows a dot."""


def name_problem(name: str) -> str | None:
    """Return why a name of a run or process is not a file name on every system; None if it is."""
    if _NAME.fullmatch(name) is None or name.endswith(".") or len(name) > LONGEST_NAME:
        return (
            f"must be 1 to {LONGEST_NAME} of A to Z, a to z, 0 to 9, dot, underscore and hyphen, "
            "the first a letter or a digit, the last no dot"
        )
    if DEVICE.fullmatch(name) is not None:
        return "must not be a device's name on Windows"
    return None


def check_name(what: str, name: str) -> None:
    """Raise `ConfigError` for a name that is not a valid file name on every system."""
    problem = name_problem(name)
    if problem is not None:
        raise ConfigError(f"the {what} {problem}: {safe_line(name)!r}")


def random_run_id() -> str:
    """Return a run id that no other run has."""
    return f"smoke-{secrets.token_hex(6)}"


def is_random(run_id: str) -> bool:
    """Return whether nobody named a run, so that no other run has its id by mistake."""
    return _RANDOM.fullmatch(run_id) is not None


def key_of(run_id: str, slot: int | str) -> str:
    """Return the idempotency key of a run's slot."""
    return f"{run_id}-{slot}"


def run_of(key: str | None) -> str | None:
    """Return the run id in a key."""
    return None if key is None else key.rpartition("-")[0]


def slot_of(run_id: str, key: str) -> str:
    """Return the part of a key after its run id; all of it for another run's key."""
    return key.removeprefix(key_of(run_id, ""))


def slot_number(run_id: str, key: str) -> int | None:
    """Return the number of a key's slot; None for a key of another form, or of another run."""
    number = slot_of(run_id, key)
    is_slot = number.isascii() and number.isdigit() and len(number) <= _DIGITS
    return int(number) if is_slot and key == key_of(run_id, int(number)) else None


def worker_run_id(run_id: str, worker: str) -> str:
    """Return the run id of a worker that is a run of its own, within the length limit."""
    whole = f"{run_id}-{worker}"
    if len(whole) <= LONGEST_NAME:
        return whole
    # Run ids of a pipeline differ at their end, which is cut off: the digest keeps them distinct.
    digest = hashlib.sha256(whole.encode()).hexdigest()[:12]
    return f"{whole[: LONGEST_NAME - 13]}-{digest}"


@dataclass(frozen=True, slots=True)
class Commands:
    """Commands about the instances of a run, with the folder, variables and options they need.

    They work in the shell in which the run was started.
    """

    begin: str = ""
    """The change to the folder in which the settings are found, and variables."""
    begin_attach: str = ""
    """More variables for a run."""
    output: str = ""
    """The folder of the ledger, quoted; empty if the settings found have it."""

    def sweep(self, run_id: str | None) -> str:
        """Return the command that deletes what a run has left behind."""
        after = f" --output {self.output}" if self.output else ""
        return f"{self.begin}hydra-smoke sweep --run-id {run_id}{after}"

    def attach(self, instance_id: str | None) -> str:
        """Return the command that runs tests on an existing instance."""
        # With `=`: a path that stands alone would have a part in which folder is pytest's rootdir.
        after = f" --hydra-smoke-output={self.output}" if self.output else ""
        command = f"pytest --hydra-smoke --hydra-smoke-instance {instance_id}{after}"
        return f"{self.begin}{self.begin_attach}{command}"


PLAIN = Commands()
"""The commands without folder, variables and options, where the settings are not known."""
