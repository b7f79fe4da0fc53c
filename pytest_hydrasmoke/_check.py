"""What can be found out about a router without provisioning anything."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from ._address import Link
from ._calls import Calls
from ._contract import differences
from ._errors import HydraSmokeError, NotFoundError, TransportError, UnauthorizedError
from ._io import SyncIO
from ._redact import safe_line
from ._settings import HydraSmokeConfig
from ._wire import Request, drive

PATIENCE = 10.0
"""Seconds for each thing that is found out."""
DOCUMENT_LIMIT = 32 << 20
"""Bytes of an OpenAPI document: a platform's own has more in it than the six calls."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found out."""

    what: str
    good: bool
    words: str


def findings(config: HydraSmokeConfig) -> Iterator[Finding]:
    """Find out about router, token, answers and contract, one after the other.

    Ends where going on makes no sense: an unreachable router has no token to test.
    """
    link = config.link
    io = SyncIO(link)
    calls = Calls(io)
    try:
        start = time.monotonic()
        try:
            found = drive(calls.poll(f"{config.run_id}-check", deadline=io.now() + PATIENCE))
        except TransportError as error:
            yield Finding("router", False, str(error))
            return
        except UnauthorizedError as error:
            yield Finding("router", True, "reached")
            yield Finding("token", False, str(error))
            return
        except HydraSmokeError as error:
            yield Finding("router", False, str(error))
            return
        yield Finding("router", True, f"reached in {time.monotonic() - start:.2f} s")
        yield Finding("token", True, "accepted")
        words = "found, although nobody provisioned under it" if found.found else "not found"
        yield Finding("unknown key", not found.found, words)
        yield _unknown_instance(calls)
        yield _contract(link)
    finally:
        io.close()


def _unknown_instance(calls: Calls) -> Finding:
    unknown = str(uuid.uuid4())
    try:
        status = drive(calls.status(unknown, deadline=calls.io.now() + PATIENCE))
    except NotFoundError:
        return Finding("unknown instance", True, "not found")
    except HydraSmokeError as error:
        return Finding("unknown instance", False, str(error))
    return Finding("unknown instance", False, f"has the status {safe_line(status.status)!r}")


def _contract(link: Link) -> Finding:
    try:
        status, body = _document(link)
    except HydraSmokeError as error:
        return Finding("contract", False, str(error))
    if status != 200:
        return Finding("contract", True, f"not compared: /openapi.json is not served ({status})")
    try:
        served: object = json.loads(body)
    except ValueError:
        served = None
    if not isinstance(served, Mapping):
        return Finding("contract", True, "not compared: /openapi.json is not a JSON object")
    found = differences(cast("Mapping[str, Any]", served))
    if found:
        return Finding("contract", False, "\n  ".join(["broken", *map(safe_line, found)]))
    return Finding("contract", True, "as in /openapi.json")


def _document(link: Link) -> tuple[int, bytes]:
    io = SyncIO(link)
    deadline = io.now() + PATIENCE
    try:
        stream = drive(io.open(Request("openapi", "GET", "/openapi.json"), deadline))
        body = bytearray()
        while len(body) < DOCUMENT_LIMIT and (chunk := drive(stream.read(deadline))):
            body += chunk
        drive(stream.close())
    finally:
        io.close()
    return stream.status, bytes(body)
