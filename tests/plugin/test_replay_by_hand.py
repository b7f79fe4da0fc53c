"""Replaying recordings that somebody wrote by hand: what is strict, and what can't be replayed."""

from __future__ import annotations

import json
from textwrap import dedent
from typing import Any

import pytest
from plugin_tools import Project, problems

REPLAY = ("--hydra-smoke-scenario=recordings/", "-p", "anyio")
STRICT = """
import httpx
import pytest
from pytest_hydrasmoke import ChatError, RouterError

def test_hook(smoke_instance):
    with pytest.raises(RouterError, match="pytest_hydra_smoke_record returned 7: return the turn"):
        smoke_instance.chat("hook")
    with pytest.raises(RouterError, match="'drop': nothing was recorded for tests/test_it.py::"):
        smoke_instance.chat("drop")

def test_another_message(smoke_instance):
    smoke_instance.chat("Are you reddy?")

def test_raw(smoke_instance, smoke_config):
    path = f"/internal/v1/smoke/instances/{smoke_instance.id}/chat"
    token = smoke_config.token.reveal()
    with httpx.Client(base_url=smoke_config.url, trust_env=False) as client:
        client.headers["authorization"] = f"Bearer {token}"
        answers = [client.post(path, json={"message": it}) for it in ("raw", "raw")]
    assert (answers[0].text, answers[1].status_code) == ("data: bytes\\n\\n", 501)

def test_fewer(smoke_instance, smoke_spec):
    assert (smoke_spec.manifest_id, smoke_spec.tier_id) == ("hermes-basic", "mine")
    assert smoke_instance.chat("one").text == "1"
    try:
        smoke_instance.chat("cut")
    except ChatError as error:
        assert "the stream was cut" in str(error)
"""


HOOK = """
def pytest_hydra_smoke_record(turn):
    return {"hook": 7, "drop": None}.get(turn.message, turn)
"""
SPEC = {"manifest_id": "hermes-basic", "tier_id": "basic"}


def turn(message: str, data: str, end: str = "closed") -> dict[str, Any]:
    """Return a turn as somebody would write it by hand."""
    return {
        "run": 1,
        "instance": "shared",
        "spec": SPEC,
        "message": message,
        "llm_events": None,
        "end": end,
        "chunks": [[5, f"data: {data}\n\n"]],
    }


def record(project: Project, of: str, *turns: dict[str, Any], **more: Any) -> None:
    fields = {"format": "pytest-hydrasmoke recording", "version": 1, "recorded": "2020-01-31"}
    text = json.dumps({**fields, "of": of, "turns": turns, **more})
    project.write(f"recordings/{len(of)}-{of[-4:]}.json", text)


STOOD = """
import anyio
import pytest
from pytest_hydrasmoke import ChatTimeoutError, RouterError

def test_stood(smoke_instance):
    for _ in range(2):
        with pytest.raises(ChatTimeoutError, match="not accepted within .* with 503"):
            smoke_instance.chat("one")
    assert smoke_instance.chat("one").text == "1"

def test_client(smoke_instance, smoke_client):
    with pytest.raises(ChatTimeoutError), smoke_client.stream_chat(smoke_instance.id, "one"):
        pass

@pytest.mark.anyio
async def test_awaited(async_smoke_instance, async_smoke_client):
    with pytest.raises(ChatTimeoutError):
        await async_smoke_instance.chat("one")
    with pytest.raises(ChatTimeoutError):
        async with async_smoke_client.stream_chat(async_smoke_instance.id, "one"):
            pass
"""
REFUSED = {"status": 503, "content_type": "application/json", "body": '{"detail": "busy"}'}


CLIENT = """
import pytest
from pytest_hydrasmoke import ChatTimeoutError

def test_refused(smoke_instance, smoke_client):
    with pytest.raises(ChatTimeoutError), smoke_client.stream_chat(smoke_instance.id, "one"):
        pass

def test_said(smoke_instance, smoke_client):
    with smoke_client.stream_chat(smoke_instance.id, "one") as stream:
        assert [event.data for event in stream] == ["1"]

def test_specs(smoke_client, smoke_spec):
    for tier, said in (("small", "1"), ("large", "2")):
        smoke_client.provision(smoke_spec.model_copy(update={"tier_id": tier}), tier)
        instance_id = smoke_client.poll(tier).instance_id
        with smoke_client.stream_chat(instance_id, "one") as stream:
            assert [event.data for event in stream] == [said]
"""


BOUNDED = """
import pytest
from pytest_hydrasmoke._transport.blocking import SyncIO

@pytest.fixture
def slept(monkeypatch):
    slept, sleep = [], SyncIO.sleep

    def noted(io, seconds):
        slept.append(round(seconds, 1))
        return sleep(io, seconds)

    monkeypatch.setattr(SyncIO, "sleep", noted)
    return slept

def test_exactly(smoke_instance, slept):
    smoke_instance.chat("one").expect_llm_events(exactly=1)
    assert slept == []

def test_any(smoke_instance_factory, slept):
    with smoke_instance_factory() as instance:
        with instance.stream_chat("one") as stream:
            next(stream)
        # Nobody knows when the router notices that its reader has left.
        instance.expect_llm_events(exactly=1)
        assert all(seconds < 1 for seconds in slept)
"""


def test_what_was_written_by_hand(project: Project) -> None:
    project.write("test_stood.py", STOOD)
    project.write("test_client.py", CLIENT)
    project.write("test_bounded.py", BOUNDED)
    project.write("conftest.py", "import pytest\nanyio_backend = pytest.fixture(lambda: 'asyncio')")
    # A refusal that stood is not asked again.
    project.set(chat_timeout=100_000, scope="function", max_instances=9)
    said = turn("one", "1")
    refused = {name: it for name, it in said.items() if name not in ("end", "chunks")}
    refused["refused"] = REFUSED
    record(project, "test_stood.py::test_stood", refused, refused, said)
    record(project, "test_stood.py::test_client", refused)
    record(project, "test_stood.py::test_awaited", refused)
    # A client's chats get the turns of their own test.
    record(project, "test_client.py::test_refused", refused)
    record(project, "test_client.py::test_said", said)
    unknown = {"instance": None, "spec": {}}
    both = [{**turn("one", text), **unknown} for text in "12"]
    record(project, "test_client.py::test_specs", *both)
    # What is there at once is not waited for.
    counted = {"count": 1, "providers": ["anthropic"], "after": 0.8}
    record(project, "test_bounded.py::test_exactly", {**said, "llm_events": counted})
    left = {**turn("one", "1", "left"), "instance": 0, "llm_events": counted}
    record(project, "test_bounded.py::test_any", left)
    result = project.fake(*REPLAY, "test_stood.py", "test_client.py", "test_bounded.py")
    result.assert_outcomes(passed=3 + 3 + 2)
    result.stdout.no_fnmatch_line("hydra-smoke: note: *")


def test_what_is_strict(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write("pytest.ini", "[pytest]")
    project.write("tests/test_it.py", STRICT)
    project.write("conftest.py", HOOK)
    project.table('scenario = "recordings"', 'tier_id = "mine"')
    record(project, "tests/test_it.py::test_another_message", turn("Are you ready?", "yes"))
    record(project, "tests/test_it.py::test_raw", turn("raw", "bytes"))
    turns = (turn(str(number), "more") for number in range(4))
    record(
        project, "tests/test_it.py::test_fewer", turn("one", "1"), turn("cut", "2", "cut"), *turns
    )
    name = "tests/test_it.py::test_another_message"
    words = (
        f"*'Are you reddy?': it was not recorded for {name}; the nearest that was: "
        "'Are you ready?' (-'ready' +'reddy'); to record it: "
        f"pytest --hydra-smoke --hydra-smoke-record {project.path / 'recordings'} {name[6:]}"
    )
    monkeypatch.chdir(project.path / "tests")
    record(project, "tests/test_it.py::test_that_is_gone", turn("drop", "it"))
    record(project, "fixture tests::of_its_own", turn("drop", "it"))
    result = project.fake(".")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(
        [
            "hydra-smoke: FAKE, replaying 5 recordings of *-31; the oldest is * days old; with*",
            words,
            "hydra-smoke: note: *::test_fewer no longer asks what was recorded: '0', '1', '2' *",
            "hydra-smoke: note: *::test_another_message failed, and did not ask what was recorded*",
            "hydra-smoke: note: recordings used by no test of this run: 1: *::test_that_is_gone",
        ]
    )


def test_recordings_that_can_not_be_replayed(project: Project) -> None:
    project.write("test_it.py", STRICT)
    project.write("recordings/router.json", "{}")
    [problem] = problems(project.fake("--hydra-smoke-scenario=recordings"))
    assert "has no recordings: make them with --hydra-smoke-record" in problem
    record(project, "test_it.py::test_raw", version=2)
    project.write("recordings/cut.json", '{"format": ')
    project.set(max_instances=0)
    both = problems(project.fake("--hydra-smoke-scenario=recordings"))
    assert len(both) == 2
    assert "cut.json is damaged: " in both[1]
    assert "it is of version 2 of the format, and this release reads 1" in both[1]


@pytest.mark.kill
def test_a_worker_on_another_host_replays_if_it_has_the_recordings(project: Project) -> None:
    project.write("test_it.py", "def test_it(smoke_instance): smoke_instance.chat('a')")
    project.write("elsewhere.py", dedent(ELSEWHERE))
    record(project, "test_it.py::test_it", turn("a", "b"))
    options = ("-p", "elsewhere", "-p", "xdist", "-n1", "--hydra-smoke-fake", *REPLAY)
    project.process(*options, "test_it.py").assert_outcomes(passed=1)
    project.write("elsewhere.py", dedent(ELSEWHERE) + dedent(WITHOUT_FILES))
    result = project.process(*options, "test_it.py")
    assert result.ret != 0
    lacking = "*gw0: recordings can't be replayed here: there is no scenario 'recordings/'*"
    result.stdout.fnmatch_lines([lacking])


ELSEWHERE = """
    import os
    from pytest_hydrasmoke._run import locks

    if "PYTEST_XDIST_WORKER" in os.environ:
        locks.has_main_process = lambda output, run_id: False
"""
WITHOUT_FILES = """
    import shutil

    if "PYTEST_XDIST_WORKER" in os.environ:
        shutil.rmtree("recordings")
"""
