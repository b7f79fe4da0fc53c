"""Why a model stopped, in many words for it."""

from __future__ import annotations

import itertools

from pytest_hydrasmoke._runtimes.finish import goes_on, is_cut_short, is_failure

FAILURES = "error ERROR server_error network-error failed failure cancelled canceled abort aborted"
CUT_SHORT = """
    length max_tokens MAX_TOKENS max_output_tokens maxTokens content_filter content-filter safety
    SAFETY refusal incomplete model_context_window_exceeded
"""
GO_ON = "tool_calls tool-calls toolCalls tool_call tool_use function_call pause_turn"
ENDS = "stop STOP end_turn stop_sequence other unknown completed eos errors uncancelledly"


def test_a_word_is_one_of_them_at_most() -> None:
    kinds = [it.split() for it in (FAILURES, CUT_SHORT, GO_ON)]
    for word in (*itertools.chain(*kinds), *ENDS.split()):
        found = (is_failure(word), is_cut_short(word), goes_on(word))
        assert found == tuple(word in kind for kind in kinds), word
