"""Controls: how the router answers, at this moment, for what does not exist.

Each request for what does not exist uses a random word, so that no cache between here and the
router knows the answer. Written once for sync and async: see `_transport.protocol`.
"""

from __future__ import annotations

import math
import secrets
import uuid
from collections.abc import Awaitable, Generator
from contextlib import contextmanager
from typing import Literal

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._api.retry import TRANSIENT
from pytest_hydrasmoke._base.errors import ContractError, RouterError
from pytest_hydrasmoke._base.evidence import TAKEN, Absent, Form, proves_router, says_unknown
from pytest_hydrasmoke._transport.protocol import IO

Kind = Literal["id", "key"]
GOOD_FOR = 1.0
"""Seconds for which controls are of the same moment as a look, at least."""
RANDOM_ONES = 2
"""Most random ids, or keys, that are asked for beside one answer."""
TICK = 0.02
"""Seconds between two looks at whether another look's controls have come."""


class Controls:
    """The controls of one token, shared by the looks of a round."""

    def __init__(self) -> None:
        self._good_until = -math.inf
        """Until when they are of the same moment as a look, on the IO's clock."""
        self._busy = False
        self._forget()

    def _forget(self) -> None:
        self._of: dict[Kind, list[Form]] = {"id": [], "key": []}
        self._missing = list[Form]()
        self._malformed: Form | None = None

    async def say_unknown(
        self, calls: Calls, form: Form, kind: Kind, absent: Absent, deadline: float
    ) -> bool:
        """Return whether an answer for an id, or a key, is the one for what does not exist.

        Where it differs from all controls so far, more of them join these. Raises the errors of the
        calls.
        """
        await self._wait(calls.io, deadline)
        with self._asking(calls.io):
            own = self._of[kind]
            await self._ask_missing(calls, deadline)
            # Two versions may answer by turns, so that the first random one is the other's.
            for _ in range(RANDOM_ONES):
                if says_unknown(form, own, self._missing, absent):
                    return True
                own.append(await unknown(calls, kind, deadline))
            return says_unknown(form, own, self._missing, absent)

    async def prove_router(self, calls: Calls, deadline: float) -> bool:
        """Return whether the router itself answers; raises the errors of the calls."""
        await self._wait(calls.io, deadline)
        with self._asking(calls.io):
            if self._malformed is None:
                self._malformed = await malformed(calls, deadline)
            await self._ask_missing(calls, deadline)
            return proves_router(self._malformed, self._missing)

    async def _ask_missing(self, calls: Calls, deadline: float) -> None:
        if not self._missing:
            self._missing.append(await missing(calls, deadline))

    async def _wait(self, io: IO, deadline: float) -> None:
        """Let another look's controls come; after a signal nobody waits for others."""
        while self._busy and io.now() < min(deadline, io.cleanup_deadline()):
            await io.sleep(TICK)

    @contextmanager
    def _asking(self, io: IO) -> Generator[None]:
        began = io.now()
        anew = began > self._good_until
        if anew:
            self._forget()
        self._busy = True
        try:
            yield
        finally:
            self._busy = False
            if anew:
                # A moment is as long as the router takes for them.
                self._good_until = io.now() + max(GOOD_FOR, io.now() - began)


async def unknown(calls: Calls, kind: Kind, deadline: float, *, anonymous: bool = False) -> Form:
    """Return how the status of a random id, or the poll of a random key, is answered."""
    path = f"instances/{uuid.uuid4() if kind == 'id' else f'by-key/{unknown_key()}'}"
    question = calls.missing(path, deadline=deadline, anonymous=anonymous)
    return await form_of_answer(question)


def unknown_key() -> str:
    """Return a key that nobody has."""
    return f"unknown-{secrets.token_hex(8)}"


async def missing(calls: Calls, deadline: float) -> Form:
    """Return how a path that no router has is answered."""
    path = f"no-such-call-{secrets.token_hex(8)}"
    return await form_of_answer(calls.missing(path, deadline=deadline))


async def malformed(calls: Calls, deadline: float) -> Form:
    """Return how the status of a word that can't be an id is answered."""
    path = f"instances/not-a-uuid-{secrets.token_hex(8)}"
    return await form_of_answer(calls.missing(path, deadline=deadline))


async def form_of_answer(question: Awaitable[object]) -> Form:
    """Return the form of a refusal, `TAKEN` for any other answer; raises transient errors."""
    try:
        await question
    except RouterError as error:
        if error.status_code in TRANSIENT or error.form is None:
            raise
        return error.form
    except ContractError:
        pass  # Any other answer shows that the router took it for what there is.
    return TAKEN
