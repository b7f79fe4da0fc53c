"""A run before an agent of pydantic-ai, behind its AG-UI adapter; `tox -e heavy -- readers`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from gates import serving
from plugin_tools import Project
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

pytestmark = pytest.mark.readers
SUITE = """
    import pytest
    from pytest_hydrasmoke import ChatError

    def test_a_conversation(smoke_instance):
        turn = smoke_instance.chat("My cat is called Tom.")
        assert turn.text == "I know: My cat is called Tom."
        assert [call.name for call in turn.tool_calls] == ["look"]
        turn.expect_llm_events(exactly=1)
        again = smoke_instance.chat("What is it called?")
        assert again.text == "I know: My cat is called Tom. What is it called?"

    def test_another(smoke_instance_factory):
        with smoke_instance_factory() as one:
            assert "Tom" not in one.chat("What is my cat called?").text
            with pytest.raises(ChatError, match="the model is gone"):
                one.chat("fail")
"""


def agent() -> Any:
    from pydantic_ai import Agent
    from pydantic_ai.messages import ModelMessage, ModelRequest, UserPromptPart
    from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

    async def speak(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        parts = [part for it in messages if isinstance(it, ModelRequest) for part in it.parts]
        said = [str(part.content) for part in parts if isinstance(part, UserPromptPart)]
        if said[-1] == "fail":
            raise RuntimeError("the model is gone")
        if parts[-1].part_kind != "tool-return":
            yield {0: DeltaToolCall(name="look", json_args="{}", tool_call_id="call_1")}
            return
        yield "I know: "
        yield " ".join(said)

    it: Any = Agent(FunctionModel(stream_function=speak))

    @it.tool_plain
    def look() -> int:
        return 3

    return it


@pytest.fixture
def url() -> Iterator[str]:
    from pydantic_ai.ui.ag_ui import AGUIAdapter

    async def run(request: Request) -> Response:
        answer: Response = await AGUIAdapter.dispatch_request(
            request, agent=agent(), include_usage=True
        )
        return answer

    with serving(Starlette(routes=[Route("/", run, methods=["POST"])])) as url:
        yield f"{url}/"


def test_its_conversations(project: Project, url: str) -> None:
    project.pytester.makepyfile(test_it=SUITE)
    project.fake(f"--hydra-smoke-agent-url={url}", "--hydra-smoke-agent-api=ag-ui", passed=2)
