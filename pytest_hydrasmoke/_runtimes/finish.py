"""What a finish reason, in any runtime's word, says of the reply.

`tool_calls`, `tool-calls` and `toolCalls` are one word.
"""

from __future__ import annotations

import re

from .values import spelled_plainly

_FAILED = re.compile("(error|failed|failure|cancell?ed|abort|aborted)$")
_CUT_SHORT = frozenset(
    {
        "length",
        "maxtokens",
        "maxoutputtokens",
        "modelcontextwindowexceeded",
        "contentfilter",
        "safety",
        "refusal",
        "incomplete",
    }
)
_GOES_ON = frozenset({"toolcalls", "toolcall", "tooluse", "functioncall", "pauseturn"})


def is_failure(word: str) -> bool:
    """Return whether the agent has failed: it may send its usual end all the same."""
    return _FAILED.search(spelled_plainly(word)) is not None


def is_cut_short(word: str) -> bool:
    """Return whether the reply was cut short by a limit or a filter."""
    return spelled_plainly(word) in _CUT_SHORT


def goes_on(word: str | None) -> bool:
    """Return whether the model only waits for its tools: the agent is not done."""
    return word is not None and spelled_plainly(word) in _GOES_ON
