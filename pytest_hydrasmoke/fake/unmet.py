"""The faults that no request has met, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from reprlib import repr as shortened
from textwrap import shorten

from .faults import Break, Drop, Failure, Fault
from .records import RequestRecord

_METHODS = {Failure: "fail", Drop: "drop", Break: "break_stream"}
_SHOWN = 600
"""Most characters of the requests that are shown."""


def in_words(faults: Sequence[Fault], requests: Sequence[RequestRecord]) -> str:
    """Return which faults were asked for, and which requests came instead, with their answers.

    The first line has all the faults, since a summary shows no other.
    """
    came = Counter(_request(it) for it in requests)
    seen = ", ".join(f"{what} x{count}" for what, count in came.items())
    return "\n".join(
        [
            f"no request met {', '.join(_call(it) for it in faults)}",
            f"requests that came: {shorten(seen, _SHOWN, placeholder=' ...') or 'none'}",
            "next step: correct the test, or allow this with optional=True",
        ]
    )


def _call(fault: Fault) -> str:
    """Return the call that asks for it."""
    given = [(it.name, getattr(fault, it.name), it.default) for it in fields(fault)]
    told = [f"{name}={shortened(value)}" for name, value, default in given if value != default]
    return f"{_METHODS[type(fault)]}({', '.join(told)})"


def _request(record: RequestRecord) -> str:
    what = record.route or f"{record.method} {record.path}"
    return f"{what} ({record.status or 'no answer'})"
