"""Replays of recordings that somebody wrote by hand: what is noted, what is strict, what fails."""

from __future__ import annotations

from typing import Any

import pytest
from plugin_tools import Project, alone_or_workers, problems
from recorder_tools import ELSEWHERE
from recording_tools import SPEC, says, turn, write

REPLAY = ("--hydra-smoke-scenario=recordings", "-p", "anyio")
CONFTEST = """
import pytest
anyio_backend = pytest.fixture(lambda: 'asyncio')

def pytest_hydra_smoke_record(turn):
    return {"hook": 7, "drop": None}.get(turn.message, turn)
"""
SUITE = """
import os, threading
import httpx
import pytest
from pytest_hydrasmoke import ChatError, ChatTimeoutError, HydraSmokeError, RouterError

def ask(instance, messages):
    for message in messages.split():
        assert instance.chat(message).text == message

def in_thread(function, *arguments):
    thread = threading.Thread(target=function, args=arguments)
    thread.start()
    thread.join()

@pytest.fixture(scope="module")
def wide(smoke_instance_factory):
    with smoke_instance_factory() as instance:
        ask(instance, "Two One")
        yield instance

def test_as_recorded(smoke_instance, wide, smoke_spec):
    ask(smoke_instance, "One Two")
    tier = os.environ.get("HYDRA_SMOKE_TIER_ID", "basic")
    assert (smoke_spec.manifest_id, smoke_spec.tier_id) == ("hermes-basic", tier)

def test_swapped(smoke_instance):
    ask(smoke_instance, "Two One Three")

def test_fewer(smoke_instance):
    ask(smoke_instance, "Two One")
    with pytest.raises(ChatError, match="the stream was cut"):
        smoke_instance.chat("cut")

def test_by_message(smoke_instance, smoke_instance_factory):
    with smoke_instance_factory() as own:
        for message in ("One", "Two"):
            ask(smoke_instance, message)
            ask(own, message)

@pytest.mark.hydra_smoke_runs(2)
def test_runs(smoke_instance):
    ask(smoke_instance, "One Two")

@pytest.mark.hydra_smoke_runs(2)
def test_more_runs(smoke_instance):
    ask(smoke_instance, "One")

def test_thread(smoke_instance):
    in_thread(ask, smoke_instance, "Two One")

def test_threads(smoke_instance):
    for message in ("Two", "One"):
        in_thread(ask, smoke_instance, message)

def test_claimed_by_threads(smoke_instance_factory):
    def claim(messages):
        with smoke_instance_factory() as instance:
            ask(instance, messages)

    for messages in ("One Two", "Two One"):
        in_thread(claim, messages)

def test_spec(smoke_instance_factory):
    with smoke_instance_factory(manifest_id="expensive", agent_name="Ada") as own:
        ask(own, "One")

def test_of_a_matrix(smoke_instance):
    ask(smoke_instance, "One")

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

def test_missed(smoke_instance):
    ask(smoke_instance, "One")
    for message in ("Three", "Four", "Three"):
        with pytest.raises(HydraSmokeError):
            smoke_instance.chat(message)

def test_stood(smoke_instance):
    for _ in range(2):
        with pytest.raises(ChatTimeoutError, match="not accepted within .* with 503"):
            smoke_instance.chat("One")
    ask(smoke_instance, "One")

def test_client(smoke_instance, smoke_client):
    with pytest.raises(ChatTimeoutError), smoke_client.stream_chat(smoke_instance.id, "One"):
        pass

@pytest.mark.anyio
async def test_awaited(async_smoke_instance, async_smoke_client):
    with pytest.raises(ChatTimeoutError):
        await async_smoke_instance.chat("One")
    with pytest.raises(ChatTimeoutError):
        async with async_smoke_client.stream_chat(async_smoke_instance.id, "One"):
            pass

def test_specs_of_a_client(smoke_client, smoke_spec):
    for tier, said in (("small", "1"), ("large", "2")):
        smoke_client.provision(smoke_spec.model_copy(update={"tier_id": tier}), tier)
        instance_id = smoke_client.poll(tier).instance_id
        with smoke_client.stream_chat(instance_id, "One") as stream:
            assert [event.data for event in stream] == [said, "[DONE]"]
        smoke_client.delete(instance_id)
"""
BUSY = {"status": 503, "content_type": "application/json", "body": '{"detail": "busy"}'}


def said(messages: str, **more: Any) -> list[dict[str, Any]]:
    """Return turns in which the agent repeats each of these messages."""
    return [says(message, message, **more) for message in messages.split()]


REFUSED = turn("One", refused=BUSY)
RECORDED = {
    "as_recorded": said("One Two"),
    "swapped": said("One Two Three"),
    "fewer": [*said("One Two One Three"), turn("cut", b"data: 2\n\n", end="cut")],
    "by_message": [*said("One Two", instance=0), *said("One Two")],
    "runs": [*said("One Two"), *said("Two One", run=2)],
    "more_runs": said("One"),
    "thread": said("One Two"),
    "threads": said("One Two"),
    "claimed_by_threads": [*said("Two One", instance=0), *said("One Two", instance=1)],
    "spec": said("One", instance=0, spec={**SPEC, "manifest_id": "cheap"}),
    "of_a_matrix": said("One", spec={**SPEC, "manifest_id": "another"}),
    "another_message": [turn("Are you ready?", b"data: yes\n\n")],
    "raw": [turn("raw", b"data: bytes\n\n")],
    "missed": said("One"),
    # A refusal that stood is not asked again; a client's chats get the turns of their own test.
    "stood": [REFUSED, REFUSED, *said("One")],
    "client": [REFUSED],
    "awaited": [REFUSED],
    "specs_of_a_client": [
        says("One", text, instance=number, spec={**SPEC, "tier_id": tier})
        for number, (tier, text) in enumerate((("small", "1"), ("large", "2")))
    ],
    "that_is_gone": said("drop"),
}
MISSING = "asks what no recording answers:"
ONCE = "record it again"
NOTES = {
    "swapped": None,
    "fewer": "no longer asks what was recorded: 'One', 'Three'",
    "runs": None,
    "more_runs": None,
    "thread": None,
    "spec": None,
    "another_message": "failed, and did not ask what was recorded: 'Are you ready?'",
    # A test may pass though it was not answered.
    "hook": f"{MISSING} 'hook', 'drop'; {ONCE}",
    "raw": f"{MISSING} 'raw'; {ONCE}",
    "missed": f"{MISSING} 'Three', 'Four'; {ONCE}",
}
UNUSED = "recordings used by no test of this run: 1: tests/test_it.py::test_that_is_gone"


def notes(result: pytest.RunResult) -> list[str]:
    """Return what the summary notes, sorted."""
    mark = "hydra-smoke: note: "
    return sorted(it.removeprefix(mark) for it in result.outlines if it.startswith(mark))


@pytest.fixture
def recorded(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with a recording for each test, and for some more; pytest is called in `tests`."""
    for name, text in {"pytest.ini": "[pytest]", "conftest.py": CONFTEST}.items():
        project.write(name, text)
    project.write("tests/test_it.py", SUITE)
    project.table('scenario = "recordings"')
    folder = project.path / "recordings"
    for name, turns in RECORDED.items():
        write(folder, f"tests/test_it.py::test_{name}", *turns)
    write(
        folder,
        "fixture tests/test_it.py::wide",
        *said("One Two", instance=0),
        recorded="2020-01-31",
    )
    monkeypatch.chdir(project.path / "tests")
    # What is refused is not waited for.
    return project.set(chat_timeout=100_000, max_instances=20)


@alone_or_workers
def test_what_is_not_as_recorded_is_noted_or_fails(
    recorded: Project, workers: tuple[str, ...]
) -> None:
    result = recorded.fake("-p", "anyio", *workers, ".", passed=17, failed=2)
    told = [f"tests/test_it.py::test_{name} {note}" for name, note in NOTES.items() if note]
    assert notes(result) == sorted([*told, UNUSED])
    name = "test_it.py::test_another_message"
    again = f"pytest --hydra-smoke --hydra-smoke-record {recorded.path / 'recordings'}"
    result.says(
        (
            "E *'One': one run was recorded for tests/test_it.py::test_more_runs, and it is "
            f"sent in run 2; to record it: {again} test_it.py::test_more_runs"
        ),
        "E *1 of 2 runs passed, and 2 of 2 must:*",
        (
            f"*'Are you reddy?': it was not recorded for tests/{name}; the nearest that was: "
            f"'Are you ready?' (-'ready' +'reddy'); to record it: {again} {name}"
        ),
    )
    head = "hydra-smoke: FAKE, replaying 20 recordings of *-31*; the oldest is * days old; with*"
    assert workers or result.stdout.fnmatch_lines([head]) is None


def test_recordings_that_can_not_be_replayed(project: Project) -> None:
    project.write("recordings/router.json", "{}")
    [problem] = problems(project.fake(*REPLAY))
    assert "has no recordings: make them with --hydra-smoke-record" in problem
    write(project.path / "recordings", "test_it.py::test_it", *said("One"), version=2)
    project.write("recordings/cut.json", '{"format": ')
    both = problems(project.set(max_instances=0).fake(*REPLAY))
    assert len(both) == 2
    assert "cut.json is damaged: " in both[1]
    assert "it is of version 2 of the format, and this release reads 1" in both[1]


@pytest.mark.kill
def test_a_worker_on_another_host_replays_if_it_has_the_recordings(project: Project) -> None:
    project.write("test_it.py", "def test_it(smoke_instance): smoke_instance.chat('One')")
    write(project.path / "recordings", "test_it.py::test_it", *said("One"))
    project.write("elsewhere.py", ELSEWHERE)
    options = ("-p", "elsewhere", "-p", "xdist", "-n1", "--hydra-smoke-fake", *REPLAY)
    project.process(*options, "test_it.py", passed=1)
    without = "    import shutil\n    shutil.rmtree('recordings')\n"
    project.write("elsewhere.py", ELSEWHERE + without)
    result = project.process(*options, "test_it.py")
    assert result.ret != 0
    lacking = "*gw0: recordings can't be replayed here: there is no scenario 'recordings'*"
    result.says(lacking)
