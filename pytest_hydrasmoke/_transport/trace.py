"""The trace that a run's requests belong to, by which the router's operators find each of them.

The headers are those of W3C's Trace Context, level 1. A pipeline that is traced itself gives its
trace in `TRACEPARENT` and `TRACESTATE`; else the run has one of its own, the same in each of its
processes.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?P<id>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-[0-9a-f]{2}")
_STATE = re.compile(r"[\x20-\x7e]{1,512}")
PLACE = "{trace_id}"
"""Where a link to a trace has its id."""


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace, and the link to it."""

    id: str
    """32 hexadecimal digits."""
    state: str | None = None
    """What a tracing system of the pipeline adds, as it stands."""
    url: str | None = None
    """A link, with `PLACE` in it."""

    def headers(self) -> dict[str, str]:
        """Return those of one request, which is a span of its own."""
        parent = f"00-{self.id}-{os.urandom(8).hex()}-01"
        state = {} if self.state is None else {"tracestate": self.state}
        return {"traceparent": parent, **state}

    @property
    def shown(self) -> str:
        """The link to it, or its id where there is none."""
        return self.id if self.url is None else self.url.replace(PLACE, self.id)


def trace_of(
    name: str | None, url: str | None = None, environ: Mapping[str, str] = os.environ
) -> Trace:
    """Return the pipeline's trace, else one of this name, else a new one."""
    parent = _PARENT.fullmatch(environ.get("TRACEPARENT", ""))
    if parent is not None and parent["id"].strip("0") and parent["span"].strip("0"):
        state = environ.get("TRACESTATE", "")
        return Trace(parent["id"], state if _STATE.fullmatch(state) else None, url)
    digest = hashlib.sha256((name or os.urandom(16).hex()).encode()).hexdigest()
    return Trace(digest[:32], None, url)
