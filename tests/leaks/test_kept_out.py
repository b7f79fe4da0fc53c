"""With `report_replies = false`, no word of an agent is in anything that a run leaves or shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gates import saying
from leaks_tools import SINKS, run, settings

from pytest_hydrasmoke.fake import FakeRouter, Scenario

TOKEN = "q7XwZt3mLk9vRb2yNd5Hc8Fj4Gs6Pa1T"
WORD = "walrus"
"""What is in all that the agent says and does, and in the message."""


def frame(**fields: Any) -> bytes:
    return f"data: {json.dumps(fields)}\n\n".encode()


AGENT = b"".join(
    [
        frame(type="REASONING_MESSAGE_CONTENT", delta=f"thought of a {WORD}"),
        frame(type="TOOL_CALL_START", toolCallId=f"id-{WORD}", toolCallName=f"{WORD}_finder"),
        frame(type="TOOL_CALL_ARGS", toolCallId=f"id-{WORD}", delta=f'{{"kind": "{WORD}"'),
        frame(type="TOOL_CALL_RESULT", toolCallId=f"id-{WORD}", content=f"a {WORD}"),
        frame(type="TEXT_MESSAGE_CONTENT", delta=f"I am a {WORD}."),
    ]
)
END = (
    frame(choices=[{"index": 0, "delta": {"content": WORD}, "finish_reason": "length"}])
    + b"data: [DONE]\n\n"
)
"""Of another runtime, which is noted."""


def test_no_word_of_an_agent_is_in_any_sink(tmp_path: Path) -> None:
    scenario = Scenario(row_after=0, statuses=((0, "running"),), llm_events_per_turn=0)
    # Every second turn is cut.
    with saying(FakeRouter(scenario, token=TOKEN), AGENT + END, AGENT) as url:
        more = {"report_replies": "false", "llm_events_timeout": 1, "chat_end": "required"}
        env = settings(url, TOKEN, **more)
        sinks = run(tmp_path / "run", "kept_out", "test_kept_out.py", env=env)
    assert sinks.texts.keys() >= SINKS
    assert sinks.code == 1
    shown = sinks.texts["stdout"]
    assert "2 failed, 1 passed" in shown
    assert "hydra-smoke: its chat turns" in shown
    assert "the reply was cut" in shown
    assert {name for name, text in sinks.texts.items() if WORD in text} == set()
