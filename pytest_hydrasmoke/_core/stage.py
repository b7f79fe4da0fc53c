"""Who is on stage in a process: what is claimed and chatted now is theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .chat import OpenTurn
    from .handle import Handle
    from .record import InstanceRecord, Origin


class Stage:
    """A stage with nobody on it, as outside of pytest; it tells nobody of anything."""

    test = ""
    """The running test; "" outside of any."""
    repeat: int | None = None
    """The current run of the test's body, from 1, where it has several."""
    in_teardown = False
    """Whether the running test is in its teardown."""

    def claims(self) -> Origin | None:
        """Return the user of an instance that is not shared; called once per instance."""

    def asks(self, turn: OpenTurn) -> None:
        """Hear of a turn before its message leaves: it may be recorded."""

    def is_ready(self, handle: Handle) -> None:
        """Hear that an instance is ready."""

    def changed(self, record: InstanceRecord) -> None:
        """Hear of an instance's state before it is so; from any thread."""
