"""What a refused chat message means: whether it was only not accepted in time, or may be run."""

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


def may_run(refusal: HydraSmokeError) -> bool:
    """Return whether the agent may process a message although no stream came of it."""
    if isinstance(refusal, TransportError):
        return refusal.reached
    if isinstance(refusal, RouterError):
        code = refusal.status_code
        return code == 408 or not (400 <= code < 500 or code == 503)
    return True
