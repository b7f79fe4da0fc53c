"""conftest.py: pydantic-evals judges replies; a stub does, where the agent is a fake."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

import anyio
import pytest
from pydantic_ai.messages import ModelMessage, ModelResponse, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_evals.evaluators.llm_as_a_judge import judge_output


class Verdict(NamedTuple):
    holds: bool
    reason: str


def stub(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    """Grade by a rule, so that a run against the fake needs no model."""
    prompt = str(messages[-1].parts[-1].content)
    reply = prompt.partition("<Output>")[2].partition("</Output>")[0]
    says_sorry = "sorry" in reply.lower()
    reason = "It says sorry." if says_sorry else "It does not say sorry."
    grade = {"reason": reason, "pass": says_sorry, "score": float(says_sorry)}
    return ModelResponse(parts=[ToolCallPart(info.output_tools[0].name, grade)])


@pytest.fixture(scope="session")
def judge(pytestconfig: pytest.Config) -> Callable[[str, str], Verdict]:
    is_fake = pytestconfig.getoption("--hydra-smoke-fake")
    # By its name in pydantic-ai; it finds its own key in the environment.
    model = FunctionModel(stub) if is_fake else os.environ["JUDGE_MODEL"]

    def judged(reply: str, rubric: str) -> Verdict:
        # In a coroutine, await `judge_output` itself.
        grade = anyio.run(judge_output, reply, rubric, model)
        return Verdict(grade.pass_, grade.reason)

    return judged
