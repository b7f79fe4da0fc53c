"""A fake that stands before a real Hermes Agent: a team's suite, and a replay without the agent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gates import serving
from hermes_agent import HermesAgent
from plugin_tools import Project
from recorder_tools import RECORD, told
from stub_model import StubModel

pytestmark = pytest.mark.agents
SUITE = """
    import pytest
    from pytest_hydrasmoke import ChatError, TokenUsage

    def test_a_reply(smoke_instance):
        turn = smoke_instance.chat("Are you ready?")
        assert turn.text.startswith("I am ready.")
        assert turn.complete
        assert turn.usage == TokenUsage(input_tokens=11, output_tokens=4)
        turn.expect_llm_events(exactly=1)

    def test_a_tool(smoke_instance):
        turn = smoke_instance.chat("tool please: is it cold?")
        assert [call.name for call in turn.tool_calls] == ["todo"]
        assert turn.text.endswith("It is cold.")
        turn.expect_llm_events(exactly=1)  # It tells the usage of the whole turn.

    def test_no_credit(smoke_instance):
        before = smoke_instance.llm_events().count
        with pytest.raises(ChatError, match="HTTP 401: no credit left"):
            smoke_instance.chat("refuse this")
        assert smoke_instance.llm_events().count == before

    def test_conversations(smoke_instance_factory):
        with smoke_instance_factory() as one, smoke_instance_factory() as other:
            one.chat("recall apples")
            assert other.chat("recall pears").text == "You said: []"
            assert one.chat("recall plums").text == "You said: ['recall apples']"
"""


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[HermesAgent]:
    with serving(StubModel(lambda caller: None).app) as model:
        it = HermesAgent(tmp_path / "agent", f"{model}/a/v1")
        yield it
        it.kill()


def test_a_run_before_it(project: Project, agent: HermesAgent) -> None:
    project.pytester.makepyfile(test_it=SUITE)
    # It is still starting: the run waits for it.
    project.set(agent_token=agent.key, agent_url=agent.url, ready_timeout=60)
    result = project.fake(*RECORD, passed=4).says(
        "hydra-smoke agent: openai, model hermes-agent; the bundled checks run only if named",
        f"FAKE router before the agent at {agent.url}, run *",
    )
    assert told(result)[0] == "4 new"
    agent.kill()
    project.set(agent_url="")
    project.fake("--hydra-smoke-scenario=recordings", passed=4)


def test_its_key_is_needed(project: Project, agent: HermesAgent) -> None:
    project.pytester.makepyfile(test_it=SUITE)
    project.set(agent_url=agent.url, ready_timeout=60)
    project.fake().is_refused("ERROR: *answers GET /v1/models with 401 *AGENT_TOKEN*")
