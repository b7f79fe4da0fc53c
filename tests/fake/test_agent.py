"""A fake before a real agent: what is relayed, what is counted, and what becomes of faults."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fake_tools import LOST, Caller
from faulty_server import FaultyServer, Line, Received, answer
from plugin_tools import QUICK, until
from stub_agent import StubAgent, served

from pytest_hydrasmoke.fake import FakeRouter
from pytest_hydrasmoke.fake.agent import Agent
from pytest_hydrasmoke.fake.agent_events import Listener
from pytest_hydrasmoke.fake.router import answer_chats, to_come

STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
FIRST = b'data: {"choices": [{"delta": {"content": "I am "}}]}\n\n'
REST = b'data: {"choices": [{"delta": {"content": "here."}, "finish_reason": "stop"}]}\r\n\r\n'
DONE = b"data: [DONE]\n\n"
Behave = Callable[[Line, Received], None]


class Chats:
    """A router before an agent, with an instance, and who chats with that."""

    def __init__(self, stack: ExitStack, url: str, token: Any = None, **fields: Any) -> None:
        self.router = stack.enter_context(FakeRouter(replace(QUICK, **fields)))
        answer_chats(self.router, Agent(url, "stub-1", token))
        self.caller = Caller(self.router)
        stack.callback(self.caller.http.close)
        self.id = self.another("key-0")

    def another(self, key: str) -> str:
        self.caller.provision(key)
        return self.router.instances[-1].id

    def stream(self) -> Any:
        return self.caller.stream(self.id)

    def says(self, message: str = "hello", to: str | None = None) -> str:
        """Chat, and return the text of the chunks."""
        answered = self.caller.chat(to or self.id, message)
        assert answered.status_code == 200
        return text_in(answered.text)

    def left(self) -> int:
        """Return how many LLM events there are, once nothing more comes of a turn."""
        until(lambda: not any(to_come(self.router, it.id) for it in self.router.instances))
        return len(self.router.llm_events)


Before = Callable[..., Chats]


@pytest.fixture
def before() -> Iterator[Before]:
    """Give `before(agent)`: an agent's URL, or how it behaves on a line."""
    with ExitStack() as stack:

        def make(agent: str | Behave, **more: Any) -> Chats:
            url = agent if isinstance(agent, str) else stack.enter_context(FaultyServer(agent)).url
            return Chats(stack, url, **more)

        yield make


@pytest.fixture
def agent() -> Iterator[StubAgent]:
    with served(StubAgent()) as stub:
        yield stub


def text_in(stream: str) -> str:
    return "".join(re.findall(r'"content": "(.*?)"', stream))


def chunked(*parts: bytes, ends: bool = True) -> bytes:
    framed = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return STREAM + b"transfer-encoding: chunked\r\n\r\n" + framed + (b"0\r\n\r\n" if ends else b"")


# What is relayed


def test_a_stream_is_relayed_byte_for_byte(before: Before, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # None leads to this machine.
    odd = [b": hello\r", b"\n\r\n", FIRST[:9], FIRST[9:] + REST, b"\xff\xfe garbage\n\n", DONE]
    with FaultyServer(lambda line, _: line.send(chunked(*odd)) and None) as server:
        one = before(f"{server.url}/v1/")
        answered = one.caller.chat(one.id)
    assert answered.content == b"".join(odd)
    assert answered.headers["content-type"] == "text/event-stream; charset=utf-8"
    [request] = server.requests
    assert (request.method, request.target) == ("POST", "/v1/chat/completions")
    streams = {"model": "stub-1", "stream": True, "stream_options": {"include_usage": True}}
    assert request.json == {**streams, "messages": [{"role": "user", "content": "hello"}]}
    assert request.headers["accept"] == "text/event-stream"
    assert not {"authorization", "x-hermes-session-id"} & request.headers.keys()


def test_it_is_relayed_as_it_comes_and_cut_as_it_is(before: Before) -> None:
    read = threading.Event()

    def speaks(line: Line, request: Received) -> None:
        line.send(chunked(FIRST, ends=False))
        assert read.wait(30)
        line.close()

    one = before(speaks)
    with one.stream() as answered:
        parts = answered.iter_bytes()
        assert next(parts) == FIRST
        read.set()
        with pytest.raises(LOST):
            next(parts)
    one.router.break_stream("split")
    assert (one.caller.ask("chat"), one.left()) == (["lost"], 0)


NO_CREDIT = answer({"error": {"message": "no credit " * 31}}, 402)
UNREACHED = "can't be reached: Server disconnected without sending a response.; start it, or "


@pytest.mark.parametrize(
    ("behave", "words"),
    [
        (answer(b"no", 500, kind="text/plain"), "answered 500 (text/plain): no"),
        (answer(b"a\nb\x1b[1m", 400, kind=""), "answered 400 (no type): a b [1m"),
        (answer(b"", 204, kind="text/plain"), "answered 204 (text/plain): nothing"),
        (answer(b"", 307, "location: /there"), "answered 307 (application/json): to /there"),
        (answer(b"x" * 9_999, 500), f"answered 500 (application/json): {'x' * 300}..."),
        (answer({"error": "no"}, 500), 'answered 500 (application/json): {"error": "no"}'),
        (NO_CREDIT, f"answered 402 (application/json): {'no credit ' * 30}..."),
        (answer(b"<h1>It works", 200, kind="Text/HTML"), "answered 200 (text/html): <h1>It works"),
        (lambda line, request: line.close(), f"{UNREACHED}correct agent_url"),
    ],
)
def test_what_an_agent_answers_in_place_of_a_stream(
    before: Before, behave: Behave, words: str
) -> None:
    with FaultyServer(behave) as server:
        one = before(server.url)
        answered = one.caller.chat(one.id)
    who = "the agent" if words.startswith("answered") else f"the agent at {server.url}"
    assert (answered.status_code, answered.json()) == (502, {"detail": f"{who} {words}"})
    assert one.left() == 0


@pytest.mark.parametrize("way", ["silent", "begun", "to be broken"])
def test_an_agent_is_left_with_its_client(before: Before, way: str) -> None:
    left = threading.Event()

    def hangs(line: Line, request: Received) -> None:
        if way == "begun":
            line.send(chunked(FIRST, ends=False))
        line.hang()
        left.set()

    one = before(hangs)
    if way == "to be broken":
        one.router.break_stream("end")
    one.caller.http.timeout = httpx.Timeout(5, read=0.3)
    with pytest.raises(httpx.ReadTimeout):
        one.caller.chat(one.id)
    assert left.wait(30)
    assert one.left() == 0


def test_after_its_last_event_an_agent_is_left_a_moment_later(
    before: Before, agent: StubAgent
) -> None:
    left = threading.Event()

    def stays(line: Line, request: Received) -> None:
        line.send(chunked(FIRST, REST, DONE, ends=False))
        line.hang()
        left.set()

    for speaks in (agent.url, stays):
        one = before(speaks)
        with one.stream() as answered:
            assert any(line == "data: [DONE]" for line in answered.iter_lines())
            # A client may count as soon as it knows that the turn is over.
            assert one.caller.ask("llm_events.count") == [1]
            assert not to_come(one.router, one.id)
    until(lambda: agent.finished == ["hi"])
    assert left.wait(30)


# The conversation

TOLD = [("user", "First"), ("assistant", "I heard: First"), ("user", "Second")]


def test_an_agent_without_a_memory_gets_the_whole_conversation(
    before: Before, agent: StubAgent
) -> None:
    one = before(agent.url)
    assert one.says("First") == "I heard: First"
    assert one.says("Else", to=one.another("key-1")) == "I heard: Else"
    for way in ("cut", "early", "fail", "refuse"):  # Of none of them there is a whole turn.
        with suppress(*LOST):
            one.caller.chat(one.id, way)
    assert one.says("Second") == "I heard: First | Second"
    expected = [{"role": role, "content": content} for role, content in TOLD]
    assert agent.asked[-1]["messages"] == expected
    one.router.reset()
    assert one.says("Third", to=one.another("key-0")) == "I heard: Third"


def test_an_agent_with_a_memory_knows_the_instance_by_its_id(before: Before) -> None:
    with served(StubAgent(token="local-key", remembers=True)) as agent:
        one = before(agent.url, token="local-key")
        other = one.another("key-1")
        assert one.says("First") == "I heard: First"
        assert one.says("Else", to=other) == "I heard: Else"
        assert one.says("Second") == "I heard: First | Second"
        assert [it["x-hermes-session-id"] for it in agent.headers] == [one.id, other, one.id]


# What is counted

CALLS = {"hello": 1, "untold": 1, "twice": 2, "fail": 0, "early": 0, "refuse": 0}


def test_model_calls_are_counted_by_what_the_stream_tells(before: Before, agent: StubAgent) -> None:
    # What nobody tells is not made up.
    one = before(agent.url, providers=("anthropic",))
    for message, count in CALLS.items():
        already = one.left()
        one.caller.chat(one.id, message)
        assert one.left() == already + count, message
    assert {it.provider for it in one.router.llm_events} == {"unknown"}
    # A scenario may lose them.
    loses = before(agent.url, llm_events_per_turn=0)
    loses.says()
    assert loses.left() == 0


DELTA = b'data: {"choices": [{"delta": {"content": "%b"}}]}\n\n'
WHOLE = DELTA % b"I am here." + DONE
HALVES = b"".join(DELTA % it for it in (b"\\ud83d", b"\\udc19", b"\\ud83d"))
# The last delta has half a character. One that is whole, and tells no usage, is one call.
SAID: list[tuple[bytes, str, bool, list[str]]] = [
    (WHOLE, "I am here.", True, ["unknown"]),
    (WHOLE.replace(b"\n", b"\r\n"), "I am here.", True, ["unknown"]),
    (REST, "here.", True, ["unknown"]),
    (HALVES, "🐙\ufffd", False, []),
    (b"data: 3\n\ndata: {\n\ndata: {}\n\nevent: x\n\ndata: []\n\n", "", False, []),
    (b'data: {"choices": [3], "usage": {"a": 1}, "id": "x"}\n\n', "", False, ["unknown"]),
    (b'data: {"usage": {"a": 1}, "provider": "Groq"}\n\n', "", False, ["Groq"]),
    (b'data: {"usage": {"a": 0, "b": true}}\n\n' + DONE, "", True, ["unknown"]),
    (b'data: {"choices": [], "error": {"code": 3}}\n\n' + DONE, "", False, []),
    (b'data: {"choices": [{"finish_reason": "error"}]}\n\n' + DONE, "", False, []),
]


@pytest.mark.parametrize(("body", "said", "whole", "providers"), SAID)
def test_what_a_stream_says(body: bytes, said: str, whole: bool, providers: list[str]) -> None:
    for size in (1, 40, len(body)):
        heard = Listener()
        for at in range(0, len(body), size):
            heard.feed(body[at : at + size])
        assert (heard.said, heard.whole, heard.providers) == (said, whole, providers)
        assert heard.over == (b"[DONE]" in body)


# Faults


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_answer_may_be_lost_before_the_agent_has_worked_or_after(
    before: Before, agent: StubAgent, when: Any
) -> None:
    one = before(agent.url)
    one.router.fail("chat", when=when)
    one.router.drop("chat", when=when)
    assert one.caller.ask("chat chat") == [503, "lost"]
    worked = ["hello"] * 2 * (when == "after")
    assert (agent.finished, one.left()) == (worked, len(worked))
    assert one.says("Next") == f"I heard: {' | '.join([*worked, 'Next'])}"


# What comes after the first event, and what is left.
BROKEN = {
    "cut": (b"", 0),
    "end": (b"", 0),
    "error": (b'data: {"error":{"message":"the agent has failed"', 0),
    "garbage": (b"\xff\xfe", 0),
    "split": (b'data: {"id": "c1"', 1),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_stream_is_broken_as_it_is_of_the_fake_s_own_agent(
    before: Before, agent: StubAgent, kind: Any
) -> None:
    one = before(agent.url)
    one.router.break_stream(kind)
    got = b""
    with suppress(*LOST), one.stream() as answered:
        for part in answered.iter_bytes():
            got += part
        assert kind != "cut"
    first, _, rest = got.partition(b"\n\n")
    assert text_in(first.decode()) == "I heard: "
    begins, left = BROKEN[kind]
    assert rest.startswith(begins)
    assert (bool(rest), one.left()) == (bool(begins), left)
