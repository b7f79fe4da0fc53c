"""test_agentevals.py: agentevals compares a turn's messages with those that are expected."""

from agentevals.trajectory.match import create_trajectory_match_evaluator


def test_looks_the_order_up(smoke_instance):
    turn = smoke_instance.chat("What of order 17?")
    call = {"function": {"name": "find_order", "arguments": '{"id": 17}'}}
    expected = [{"role": "assistant", "content": "", "tool_calls": [call]}]
    matches = create_trajectory_match_evaluator(trajectory_match_mode="superset")
    found = matches(outputs=turn.as_messages(), reference_outputs=expected)
    assert found["score"], turn.tool_calls
