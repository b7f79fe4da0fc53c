"""The error for a chat message that was not accepted in time."""

from __future__ import annotations

from pytest_hydrasmoke._api.retry import RULES
from pytest_hydrasmoke._base.errors import (
    ChatTimeoutError,
    HydraSmokeError,
    RouterError,
    TransportError,
)

IF_LATE = (
    "raise HYDRA_SMOKE_CHAT_TIMEOUT, or this chat's own timeout, if turns take longer, "
    "else see the agent's log of this turn"
)


def not_taken(refusal: HydraSmokeError, timeout: float) -> ChatTimeoutError | None:
    """Return the error for a message not accepted in time; None for any other refusal."""
    if isinstance(refusal, RouterError):
        if refusal.status_code not in RULES["chat"].again:
            return None
        late = ChatTimeoutError(f"not accepted within {timeout:g} s: {refusal.message}")
        # The agent has never seen the message.
        late.next_step = refusal.next_step
        return late
    if isinstance(refusal, TransportError) and refusal.late:
        words = f"not answered within {timeout:g} s: {refusal.message}"
        return ChatTimeoutError(words, next_step=IF_LATE)
    return None
