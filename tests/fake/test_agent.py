"""A fake before a real agent: what is relayed, what is counted, and what becomes of faults."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from fake_tools import Caller
from faulty_server import FaultyServer, Line, Received, answer
from plugin_tools import QUICK, until
from stub_agent import StubAgent, served

from pytest_hydrasmoke.fake import FakeRouter, Scenario
from pytest_hydrasmoke.fake.agent import Agent
from pytest_hydrasmoke.fake.agent_events import Api, Heard
from pytest_hydrasmoke.fake.router import to_come

LOST = (httpx.RemoteProtocolError, httpx.ReadError)
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
FIRST = b'data: {"choices": [{"delta": {"content": "I am "}}]}\n\n'
REST = b'data: {"choices": [{"delta": {"content": "here."}, "finish_reason": "stop"}]}\r\n\r\n'
DONE = b"data: [DONE]\n\n"
Before = Callable[..., Caller]


@pytest.fixture
def before() -> Iterator[Before]:
    """Give `before(url)`: a caller of a router that stands before the agent at a URL."""
    with ExitStack() as stack:

        def make(url: str, *, api: Api = "openai", token: str | None = None, **more: Any) -> Caller:
            scenario = Scenario(**{"row_after": 0, "statuses": QUICK.statuses, **more})
            router = stack.enter_context(FakeRouter(scenario))
            Agent(url, api, "stub-1", token).answer_chats_of(router)
            caller = Caller(router)
            stack.callback(caller.http.close)
            return caller

        yield make


@pytest.fixture
def agent() -> Iterator[StubAgent]:
    with served(StubAgent()) as stub:
        yield stub


def provisioned(caller: Caller, key: str = "key-0") -> str:
    caller.provision(key)
    return caller.router.instances[-1].id


def reply(caller: Caller, instance_id: str, message: str = "hello") -> str:
    """Chat, and return the text of OpenAI's chunks, or of AG-UI's events."""
    answered = caller.chat(instance_id, message)
    assert answered.status_code == 200
    events = [line[6:] for line in answered.text.splitlines() if line.startswith("data: {")]
    return "".join(map(_text, map(json.loads, events)))


def _text(event: dict[str, Any]) -> str:
    if "type" in event:
        return str(event.get("delta", ""))
    return "".join(it["delta"].get("content", "") for it in event["choices"])


def chunked(*parts: bytes, ends: bool = True) -> bytes:
    framed = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return STREAM + b"transfer-encoding: chunked\r\n\r\n" + framed + (b"0\r\n\r\n" if ends else b"")


# What is relayed


def test_a_stream_is_relayed_byte_for_byte(before: Before) -> None:
    odd = [b": hello\r", b"\n\r\n", FIRST[:9], FIRST[9:] + REST, b"\xff\xfe garbage\n\n", DONE]
    with FaultyServer(lambda line, _: line.send(chunked(*odd)) and None) as server:
        caller = before(server.url)
        answered = caller.chat(provisioned(caller))
    assert answered.content == b"".join(odd)
    assert answered.headers["content-type"] == "text/event-stream; charset=utf-8"
    [request] = server.requests
    assert (request.method, request.target) == ("POST", "/v1/chat/completions")
    assert request.json == {
        "model": "stub-1",
        "messages": [{"role": "user", "content": "hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert "authorization" not in request.headers
    assert "x-hermes-session-id" not in request.headers


def test_it_is_relayed_as_it_comes(before: Before) -> None:
    read = threading.Event()

    def speaks(line: Line, request: Received) -> None:
        line.send(STREAM + b"\r\n")
        line.send(FIRST)
        assert read.wait(30)
        line.send(REST + DONE)
        line.close()

    with FaultyServer(speaks) as server:
        caller = before(server.url)
        with caller.stream(provisioned(caller)) as answered:
            parts = answered.iter_bytes()
            assert next(parts) == FIRST
            read.set()
            assert b"".join(parts) == REST + DONE


def test_the_base_url_may_end_with_the_version(before: Before, agent: StubAgent) -> None:
    caller = before(f"{agent.url}/v1/")
    assert reply(caller, provisioned(caller)) == "I heard: hello"


@pytest.mark.parametrize("ends", ["cut", "reset"])
def test_a_stream_that_is_cut_is_cut(before: Before, ends: str) -> None:
    def cuts(line: Line, request: Received) -> None:
        line.send(chunked(FIRST, ends=False))
        line.close() if ends == "cut" else line.reset()

    with FaultyServer(cuts) as server:
        caller = before(server.url, llm_events_lag=0)
        with caller.stream(instance_id := provisioned(caller)) as answered:
            parts = answered.iter_bytes()
            assert next(parts) == FIRST
            with pytest.raises(LOST):
                next(parts)
        until(lambda: not to_come(caller.router, instance_id))
    assert caller.router.llm_events == ()


def test_an_agent_that_refuses_a_chat_is_a_bad_gateway(before: Before, agent: StubAgent) -> None:
    caller = before(agent.url)
    answered = caller.chat(provisioned(caller), "refuse it")
    assert answered.status_code == 502
    words = f"the agent answered 402 (application/json): no credit left {'x' * 285}..."
    assert answered.json() == {"detail": words}
    assert caller.chat(caller.router.instances[0].id, "html please").json() == {
        "detail": "the agent answered 200 (text/html): <h1>It works</h1>"
    }
    assert caller.router.llm_events == ()


@pytest.mark.parametrize(
    ("behave", "words"),
    [
        (answer(b"no", 500, kind="text/plain"), "answered 500 (text/plain): no"),
        (answer(b"a\nb\x1b[1m", 400, kind=""), "answered 400 (no type): a b [1m"),
        (answer(b"", 204, kind="text/plain"), "answered 204 (text/plain): nothing"),
        (answer(b"", 307, "location: /there"), "answered 307 (application/json): to /there"),
        (answer(b"x" * 9_999, 500), f"answered 500 (application/json): {'x' * 300}..."),
        (answer({"error": "no"}, 500), 'answered 500 (application/json): {"error": "no"}'),
        (
            lambda line, request: line.close(),
            (
                "at URL can't be reached: Server disconnected without sending a response.; "
                "start it, or correct agent_url"
            ),
        ),
    ],
)
def test_what_an_agent_answers_in_place_of_a_stream(
    before: Before, behave: Callable[[Line, Received], None], words: str
) -> None:
    with FaultyServer(behave) as server:
        caller = before(server.url)
        answered = caller.chat(provisioned(caller))
    assert answered.status_code == 502
    assert answered.json() == {"detail": f"the agent {words.replace('URL', server.url)}"}


def test_an_agent_that_is_gone_is_a_bad_gateway(before: Before) -> None:
    with FaultyServer(lambda line, request: None, refusing=True) as server:
        caller = before(server.url)
        answered = caller.chat(provisioned(caller))
    assert answered.status_code == 502
    assert answered.json()["detail"].startswith(f"the agent at {server.url} can't be reached: ")


@pytest.mark.parametrize("begun", [False, True])
def test_an_agent_is_left_with_its_client(before: Before, begun: bool) -> None:
    left = threading.Event()

    def hangs(line: Line, request: Received) -> None:
        if begun:
            line.send(chunked(FIRST, ends=False))
        line.hang()
        left.set()

    with FaultyServer(hangs) as server:
        caller = before(server.url)
        instance_id = provisioned(caller)
        with pytest.raises(httpx.ReadTimeout):
            caller.http.post(
                f"/instances/{instance_id}/chat", json={"message": "hello"}, timeout=0.3
            )
        assert left.wait(30)
        until(lambda: not to_come(caller.router, instance_id))
    assert caller.router.llm_events == ()


def test_an_agent_can_end_its_turn_if_the_client_leaves_after_the_last_event(
    before: Before, agent: StubAgent
) -> None:
    caller = before(agent.url, llm_events_lag=0)
    with caller.stream(instance_id := provisioned(caller)) as answered:
        assert any(line == "data: [DONE]" for line in answered.iter_lines())
        # A client may count as soon as it knows that the turn is over.
        assert caller.llm_events(instance_id).json()["count"] == 1
        assert not to_come(caller.router, instance_id)
    until(lambda: agent.finished == ["hi"])


def test_it_does_not_wait_long_for_that(before: Before) -> None:
    left = threading.Event()

    def stays(line: Line, request: Received) -> None:
        line.send(chunked(FIRST, REST, DONE, ends=False))
        line.hang()
        left.set()

    with FaultyServer(stays) as server:
        caller = before(server.url)
        with caller.stream(provisioned(caller)) as answered:
            assert any(line == "data: [DONE]" for line in answered.iter_lines())
        assert left.wait(30)


# The conversation


def test_an_agent_without_a_memory_gets_the_whole_conversation(
    before: Before, agent: StubAgent
) -> None:
    caller = before(agent.url)
    one, other = provisioned(caller), provisioned(caller, "key-1")
    assert reply(caller, one, "First") == "I heard: First"
    assert reply(caller, other, "Else") == "I heard: Else"
    assert reply(caller, one, "Second") == "I heard: First | Second"
    assert agent.asked[-1]["messages"] == [
        {"role": "user", "content": "First"},
        {"role": "assistant", "content": "I heard: First"},
        {"role": "user", "content": "Second"},
    ]


@pytest.mark.parametrize("way", ["cut", "early", "fail", "refuse"])
def test_a_turn_that_is_not_whole_is_no_part_of_it(
    before: Before, agent: StubAgent, way: str
) -> None:
    caller = before(agent.url)
    one = provisioned(caller)
    try:
        caller.chat(one, way)
    except LOST:
        assert way == "cut"
    assert reply(caller, one, "Next") == "I heard: Next"


def test_an_agent_with_a_memory_knows_the_instance_by_its_id(before: Before) -> None:
    with served(StubAgent(token="local-key", remembers=True)) as agent:
        caller = before(agent.url, token="local-key")
        one, other = provisioned(caller), provisioned(caller, "key-1")
        assert reply(caller, one, "First") == "I heard: First"
        assert reply(caller, other, "Else") == "I heard: Else"
        assert reply(caller, one, "Second") == "I heard: First | Second"
        assert [it["x-hermes-session-id"] for it in agent.headers] == [one, other, one]


def test_a_delete_and_a_reset_forget_it(before: Before, agent: StubAgent) -> None:
    caller = before(agent.url)
    one = provisioned(caller)
    reply(caller, one, "First")
    caller.delete(one)
    assert caller.chat(one, "Second").status_code == 404
    other = provisioned(caller, "key-1")
    assert reply(caller, other, "Third") == "I heard: Third"
    caller.router.reset()
    assert reply(caller, provisioned(caller), "Fourth") == "I heard: Fourth"


def test_ag_ui_is_asked_for_a_run_of_a_thread(before: Before, agent: StubAgent) -> None:
    caller = before(agent.ag_ui, api="ag-ui")
    one = provisioned(caller)
    assert reply(caller, one, "First") == "I heard: First"
    assert reply(caller, one, "fail it") == "I heard: "
    assert reply(caller, one, "Second") == "I heard: First | Second"
    first, _, second = agent.asked
    assert {it["threadId"] for it in agent.asked} == {one}
    assert len({it["runId"] for it in agent.asked}) == 3
    assert first.keys() - {"threadId", "runId", "messages"} == {
        *("state", "tools", "context", "forwardedProps"),
    }
    said = [(it["role"], it["content"]) for it in second["messages"]]
    assert said == [("user", "First"), ("assistant", "I heard: First"), ("user", "Second")]
    assert [it["id"] for it in second["messages"]][:2] == [first["messages"][0]["id"], "m1"]


# What is counted


@pytest.mark.parametrize(
    ("message", "count"),
    [("hello", 1), ("untold", 1), ("twice", 2), ("fail", 0), ("early", 0), ("refuse", 0)],
)
def test_model_calls_are_counted_by_what_the_stream_tells(
    before: Before, agent: StubAgent, message: str, count: int
) -> None:
    caller = before(agent.url, llm_events_lag=0, providers=("anthropic",))
    instance_id = provisioned(caller)
    caller.chat(instance_id, message)
    until(lambda: not to_come(caller.router, instance_id))
    # What nobody tells is not made up.
    assert [it.provider for it in caller.router.llm_events] == ["unknown"] * count


def test_ag_ui_tells_providers(before: Before, agent: StubAgent) -> None:
    caller = before(agent.ag_ui, api="ag-ui", llm_events_lag=0)
    one = provisioned(caller)
    reply(caller, one, "usage please")
    assert caller.llm_events(one).json()["providers"] == ["anthropic", "openai"]
    reply(caller, one, "hello")
    assert len(caller.router.llm_events) == 3


def test_a_scenario_may_lose_them(before: Before, agent: StubAgent) -> None:
    caller = before(agent.url, llm_events_per_turn=0)
    reply(caller, provisioned(caller))
    assert caller.router.llm_events == ()


HALVES = (b"\\ud83d", b"\\udc19", b"\\ud83d")
WHOLE = b'data: {"choices": [{"delta": {"content": "I am here."}}]}\n\n' + DONE


@pytest.mark.parametrize(
    ("chunks", "text", "whole", "providers"),
    [
        *(
            (chunks, "I am here.", True, ("unknown",))
            for body in (WHOLE, WHOLE.replace(b"\n", b"\r\n"))
            for chunks in ([body], [bytes([it]) for it in body], [body[:40], body[40:]])
        ),
        (
            [b'data: {"choices": [{"delta": {"content": "%b"}}]}\n\n' % it for it in HALVES],
            "🐙\ufffd",
            False,
            (),
        ),
        ([b"data: 3\n\ndata: {\n\ndata: {}\n\nevent: x\n\n", b"data: []\n\n"], "", False, ()),
        ([b'data: {"choices": [3], "usage": {"a": 1}, "id": "x"}\n\n'], "", False, ("unknown",)),
        ([b'data: {"usage": {"a": 1}, "provider": "Groq"}\n\n'], "", False, ("Groq",)),
        ([b'data: {"usage": {"a": 0, "b": true}}\n\n', DONE], "", True, ("unknown",)),
        ([b'data: {"choices": [], "error": {"code": 3}}\n\n', DONE], "", False, ()),
    ],
)
def test_what_a_stream_says(
    chunks: list[bytes], text: str, whole: bool, providers: tuple[str, ...]
) -> None:
    heard = Heard("openai")
    for chunk in chunks:
        heard.feed(chunk)
    assert (heard.whole, tuple(heard.providers)) == (whole, providers)
    assert heard.said.get("", "") == text


def test_chunks_of_ag_ui_may_leave_out_whose_they_are() -> None:
    heard = Heard("ag-ui")
    for event in (
        {"type": "TEXT_MESSAGE_CHUNK", "messageId": "m1", "delta": "One"},
        {"type": "TEXT_MESSAGE_CHUNK", "delta": " two"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m2", "delta": "Three"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m2"},
        {"type": "RUN_FINISHED"},
    ):
        heard.feed(f"data: {json.dumps(event)}\n\n".encode())
    assert heard.said == {"m1": "One two", "m2": "Three"}
    assert heard.whole


# Faults


def test_a_scenario_s_faults_come_before_the_agent(before: Before, agent: StubAgent) -> None:
    caller = before(agent.url)
    one = provisioned(caller)
    caller.router.fail("chat", status=503)
    assert caller.chat(one).status_code == 503
    caller.router.drop("chat")
    with pytest.raises(LOST):
        caller.chat(one)
    assert agent.asked == []


@pytest.mark.parametrize("fault", ["fail", "drop"])
def test_an_answer_may_be_lost_once_the_agent_has_worked(
    before: Before, agent: StubAgent, fault: str
) -> None:
    caller = before(agent.url, llm_events_lag=0)
    one = provisioned(caller)
    if fault == "fail":
        caller.router.fail("chat", status=503, when="after")
        assert caller.chat(one, "First").status_code == 503
    else:
        caller.router.drop("chat", when="after")
        with pytest.raises(LOST):
            caller.chat(one, "First")
    assert agent.finished == ["First"]
    assert len(caller.router.llm_events) == 1
    assert reply(caller, one, "Second") == "I heard: First | Second"


@pytest.mark.parametrize("kind", ["cut", "end", "error", "garbage"])
def test_a_stream_is_broken_as_it_is_of_the_fake_s_own_agent(
    before: Before, agent: StubAgent, kind: Any
) -> None:
    caller = before(agent.url, llm_events_lag=0)
    one = provisioned(caller)
    caller.router.break_stream(kind, after_events=1)
    with caller.stream(one) as answered:
        parts = answered.iter_bytes()
        got = next(parts)
        if kind == "cut":
            with pytest.raises(LOST):
                next(parts)
        else:
            got += b"".join(parts)
    assert _text(json.loads(got.partition(b"\n\n")[0].removeprefix(b"data: "))) == "I heard: "
    assert b"| hi" not in got
    assert (b'"error"' in got) == (kind == "error")
    until(lambda: not to_come(caller.router, one))
    assert caller.router.llm_events == ()


def test_a_split_stream_is_whole(before: Before, agent: StubAgent) -> None:
    caller = before(agent.ag_ui, api="ag-ui", llm_events_lag=0, agent_dies="error")
    one = provisioned(caller)
    caller.router.break_stream("split")
    assert reply(caller, one) == "I heard: hello"
    assert len(caller.router.llm_events) == 1
    assert '"RUN_ERROR"' in caller.chat(one).text


@pytest.mark.parametrize("begun", [False, True])
def test_a_broken_stream_of_an_agent_that_fails(before: Before, begun: bool) -> None:
    def fails(line: Line, request: Received) -> None:
        if begun:
            line.send(chunked(FIRST, ends=False))
        line.close()

    with FaultyServer(fails) as server:
        caller = before(server.url)
        caller.router.break_stream("split")
        if begun:
            with pytest.raises(LOST):
                caller.chat(provisioned(caller))
        else:
            assert caller.chat(provisioned(caller)).status_code == 502


def test_a_client_may_leave_while_the_agent_works_for_a_broken_stream(before: Before) -> None:
    with FaultyServer(lambda line, request: line.hang()) as server:
        caller = before(server.url)
        caller.router.break_stream("end")
        instance_id = provisioned(caller)
        with pytest.raises(httpx.ReadTimeout):
            caller.http.post(
                f"/instances/{instance_id}/chat", json={"message": "hello"}, timeout=0.3
            )
        until(lambda: not to_come(caller.router, instance_id))
    assert caller.router.llm_events == ()
