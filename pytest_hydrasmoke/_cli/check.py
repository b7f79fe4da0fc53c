"""Check a router without provisioning anything."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._api.contract import breaches
from pytest_hydrasmoke._api.hop import turns_away
from pytest_hydrasmoke._base import clock
from pytest_hydrasmoke._base.errors import (
    ContractError,
    HydraSmokeError,
    NotFoundError,
    RejectedError,
    UnauthorizedError,
)
from pytest_hydrasmoke._base.evidence import object_in
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._run.preflight import WaitingAloud
from pytest_hydrasmoke._settings.config import HydraSmokeConfig
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.links import Link
from pytest_hydrasmoke._transport.protocol import Answer, Request, drive

ANSWER_TIMEOUT = 10.0
"""Seconds for each check."""
DOCUMENT_LIMIT = 32 << 20
"""Most bytes of an OpenAPI document: a platform's own covers more than the six calls."""


@dataclass(frozen=True, slots=True)
class Checked:
    what: str
    good: bool
    words: str


Shown = tuple[bool, str]
"""Whether it is good, and in what words."""


def findings(config: HydraSmokeConfig, wait_aloud: Callable[[str], None]) -> Iterator[Checked]:
    """Check router, token, answers and contract, in this order.

    `wait_aloud` is called with a line now and then while the router can't be reached. If the router
    or the token fails, the checks that need it are left out.
    """
    with closing(SyncIO(config.link)) as io:
        calls = Calls(io)
        with WaitingAloud(config.url, wait_aloud) as waiting:
            router = _checked("router", lambda: _router(Calls(io, waiting), config))
        yield router
        if not router.good:
            return
        token = _checked("token", lambda: _token(calls, config))
        yield token
        if token.good:
            yield _checked("unknown key", lambda: _unknown_key(calls, config))
            yield _checked("unknown instance", lambda: _unknown_instance(calls))
            yield _checked("contract", lambda: _contract(config.link))


def _checked(what: str, check: Callable[[], Shown]) -> Checked:
    try:
        good, words = check()
    except HydraSmokeError as error:
        good, words = False, str(error)
    return Checked(what, good, words)


def _deadline(calls: Calls) -> float:
    return calls.io.now() + ANSWER_TIMEOUT


def _router(calls: Calls, config: HydraSmokeConfig) -> Shown:
    # A malformed id is refused before the token is checked, and only by this router: a wrong path
    # answers 404, as an unknown instance does.
    start = clock.now()
    words = "something else answers: it accepted 'not-a-uuid' as an id"
    try:
        drive(calls.status("not-a-uuid", deadline=_deadline(calls)))
    except (RejectedError, UnauthorizedError) as error:
        took = clock.now() - start
        # Some routers check the token first: the next check reports what is wrong with it. Some
        # gateways reject such an id, but pass everything else.
        turned_away = isinstance(error.answer, Answer) and turns_away(error.answer)
        if not turned_away or _checked("token", lambda: _token(calls, config)).good:
            return True, f"reached in {took:.2f} s"
        words = f"a gateway in front of it answered in its place: {error}"
    except NotFoundError as error:
        where = "check HYDRA_SMOKE_URL: it ends where /internal/v1/smoke begins"
        return False, f"not at this path: {error.message}\n  next step: {where}"
    except ContractError as error:
        words = f"something else answers: {error}"
    return False, words


def _token(calls: Calls, config: HydraSmokeConfig) -> Shown:
    drive(calls.poll(f"{config.run_id}-check", deadline=_deadline(calls)))
    return True, "accepted"


def _unknown_key(calls: Calls, config: HydraSmokeConfig) -> Shown:
    found = drive(calls.poll(f"{config.run_id}-{uuid.uuid4()}", deadline=_deadline(calls))).found
    words = "found, although nothing was provisioned under it" if found else "not found"
    return not found, words


def _unknown_instance(calls: Calls) -> Shown:
    try:
        status = drive(calls.status(str(uuid.uuid4()), deadline=_deadline(calls)))
    except NotFoundError:
        return True, "not found"
    return False, f"has the status {safe_line(status.status)!r}"


def _contract(link: Link) -> Shown:
    status, body = _document(link)
    if status != 200:
        return True, f"not compared: /openapi.json is not served ({status})"
    if len(body) >= DOCUMENT_LIMIT:
        return True, "not compared: /openapi.json is too large"
    served = object_in(body)
    if served is None:
        return True, "not compared: /openapi.json is not a JSON object"
    found = breaches(served)
    if not found:
        return True, "as in /openapi.json"
    return False, "\n  ".join(["broken", *(f"breaks: {safe_line(words)}" for words in found)])


def _document(link: Link) -> tuple[int, bytes]:
    with closing(SyncIO(link)) as io:
        deadline = io.now() + ANSWER_TIMEOUT
        stream = drive(io.open(Request("openapi", "GET", "/openapi.json"), deadline))
        body = bytearray()
        try:
            while len(body) < DOCUMENT_LIMIT and (chunk := drive(stream.read(deadline))):
                body += chunk
        finally:
            drive(stream.close())
    return stream.status, bytes(body)
