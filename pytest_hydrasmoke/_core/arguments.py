"""Check a caller's arguments before anything is sent: a clear error beats a `TypeError`."""

from __future__ import annotations

import math
from uuid import UUID

from pytest_hydrasmoke._api.models import InstanceSpec
from pytest_hydrasmoke._base.errors import ConfigError


def id_of(instance_id: object) -> str:
    """Return an id as a string; raises `ConfigError` for what is neither a string nor a UUID."""
    if isinstance(instance_id, UUID):
        return str(instance_id)
    return text_of("instance_id", instance_id, "a string or a uuid.UUID")


def text_of(name: str, value: object, wanted: str = "a string") -> str:
    """Return a string; raises `ConfigError` for anything else."""
    if isinstance(value, str):
        return value
    raise _wrong(name, value, wanted)


def window_of(value: object) -> int:
    """Return a whole number of seconds; raises `ConfigError` for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _wrong("window_seconds", value, "a whole number")


def spec_of(value: object) -> InstanceSpec:
    """Return a spec; raises `ConfigError` for anything else."""
    if isinstance(value, InstanceSpec):
        return value
    raise _wrong("spec", value, "an InstanceSpec")


def timeout_of(value: object, default: float) -> float:
    """Return seconds, the default for None; raises `ConfigError` for anything else."""
    if value is None:
        return default
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
        return float(value)
    raise _wrong("timeout", value, "a number of seconds, or None")


def _wrong(name: str, value: object, wanted: str) -> ConfigError:
    shown = repr(value) if isinstance(value, int | float) else type(value).__name__
    return ConfigError(f"{name} can't be {shown}", next_step=f"give {wanted}")
