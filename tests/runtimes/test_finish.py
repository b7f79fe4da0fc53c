"""Why a model stopped, in many words for it."""

from __future__ import annotations

import pytest

from pytest_hydrasmoke._runtimes.finish import goes_on, is_cut_short, is_failure

FAILURES = "error ERROR server_error network-error failed failure cancelled canceled abort aborted"
CUT_SHORT = """
    length max_tokens MAX_TOKENS max_output_tokens maxTokens content_filter content-filter safety
    SAFETY refusal incomplete model_context_window_exceeded
"""
GO_ON = "tool_calls tool-calls toolCalls tool_call tool_use function_call pause_turn"
ENDS = "stop STOP end_turn stop_sequence other unknown completed eos errors uncancelledly"


@pytest.mark.parametrize("word", [*FAILURES.split(), *CUT_SHORT.split(), *GO_ON.split(), "stop"])
def test_a_word_is_one_of_them_at_most(word: str) -> None:
    found = (is_failure(word), is_cut_short(word), goes_on(word))
    assert found == (word in FAILURES.split(), word in CUT_SHORT.split(), word in GO_ON.split())


@pytest.mark.parametrize("word", ENDS.split())
def test_any_other_word_is_a_plain_end(word: str) -> None:
    assert (is_failure(word), is_cut_short(word), goes_on(word)) == (False, False, False)
