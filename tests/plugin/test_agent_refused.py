"""An agent that can't be used is said before the first test, and before anything is provisioned."""

from __future__ import annotations

from typing import Any

import pytest
from faulty_server import FaultyServer, Line, Received, answer
from plugin_tools import TOKEN, Project, problems
from recording_tools import says, write
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from stub_agent import StubAgent, served

HTML = HTMLResponse("<h1>It works</h1>")
NO = PlainTextResponse("no", 404)


@pytest.fixture
def here(project: Project) -> Project:
    project.pytester.makepyfile("def test_it(smoke_instance): smoke_instance.chat('Hello')")
    return project


def refused(here: Project, url: str, *arguments: str) -> str:
    """Return the words of a refusal."""
    result = here.fake(f"--hydra-smoke-agent-url={url}", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "collected" not in result.stdout.str()
    [words] = [it.removeprefix("ERROR: ") for it in result.errlines if it.startswith("ERROR: ")]
    report = here.report()
    assert (report["exit_code"], report["agent"]) == (pytest.ExitCode.USAGE_ERROR, url)
    assert report["ended"].startswith("refused: preflight: the agent at ")
    return words.removeprefix(f"the agent at {url} ")


BASE = (
    "; agent_url is the base of an API like OpenAI's, such as http://127.0.0.1:8642; if that lists "
    "no models, set HYDRA_SMOKE_AGENT_MODEL"
)
START = "; start it, or correct agent_url"
WHICH = ": set HYDRA_SMOKE_AGENT_MODEL to the one to ask"
NEEDED = "; set HYDRA_SMOKE_AGENT_TOKEN, in the environment, to a token that it accepts"
NOT_MINE = "401 (application/json): not a key of mine: "
THERE = Response(status_code=307, headers={"location": "/there"})


@pytest.mark.parametrize(
    ("agent", "settings", "words"),
    [
        ({"models": ()}, {}, f"lists no models{WHICH}"),
        ({"models": ("a", "b")}, {}, f"lists 2 models (a, b){WHICH}"),
        ({"answers": HTML}, {}, f"200 (text/html): <h1>It works</h1>{BASE}"),
        # Its list is not needed where the model is set, and what is no API is none all the same.
        ({"answers": HTML}, {"agent_model": "m"}, f"200 (text/html): <h1>It works</h1>{BASE}"),
        ({"answers": Response()}, {}, f"200 (no type): nothing{BASE}"),
        ({"answers": NO}, {}, f"404 (text/plain): no{BASE}"),
        ({"answers": JSONResponse({"data": 3})}, {}, f'200 (application/json): {{"data":3}}{BASE}'),
        ({"token": TOKEN}, {"agent_token": ""}, f"{NOT_MINE}None{NEEDED}"),
        ({"token": TOKEN}, {"agent_token": "mine-is-it"}, f"{NOT_MINE}Bearer ********{NEEDED}"),
        ({"answers": THERE}, {}, f"307 (no type): to /there{BASE}"),
        ({"answers": JSONResponse({}, 403)}, {}, f"403 (application/json): {{}}{NEEDED}"),
    ],
)
def test_what_answers_otherwise_than_an_agent(
    here: Project, agent: dict[str, Any], settings: dict[str, str], words: str
) -> None:
    with served(StubAgent(**agent)) as stub:
        told = refused(here.set(**settings), stub.url)
        place = f"GET /{stub.url.rpartition('/')[2]}/v1/models"
    assert told == (words if words.startswith("lists") else f"answers {place} with {words}")
    assert stub.asked == []


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (None, "[Errno 111] Connection refused"),
        (b"", "Server disconnected without sending a response."),
        (b"what?\r\n\r\n", "illegal status line: bytearray(b'what?')"),
    ],
)
def test_what_is_no_answer_at_all(here: Project, sent: bytes | None, words: str) -> None:
    def behave(line: Line, request: Received) -> None:
        line.send(sent) if sent else line.close()

    here.set(ready_timeout=0.5 if sent is None else 5)
    with FaultyServer(behave, refusing=sent is None) as server:
        told = refused(here, server.url)
    assert told == f"can't be reached: {words}{START}"


def test_what_speaks_no_tls_is_not_waited_for(here: Project) -> None:
    with served(StubAgent()) as agent:
        told = refused(here, agent.url.replace("http:", "https:"))
    assert told.startswith("can't be reached: [SSL")
    assert told.endswith("; it may speak http:// only")


def test_an_agent_that_is_still_starting_is_waited_for(
    here: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = answer({"data": [{"id": "one"}]})
    chats = answer(b"data: [DONE]\n\n", kind="text/event-stream")

    def behave(line: Line, request: Received) -> None:
        (listed if request.target.endswith("/models") else chats)(line, request)

    with FaultyServer(behave, refusing=True) as server:
        monkeypatch.setattr("pytest_hydrasmoke.fake.agent.pause", lambda _: server.listen())
        here.fake(f"--hydra-smoke-agent-url={server.url}", passed=1)


def test_what_is_not_needed_may_be_missing(here: Project) -> None:
    here.set(agent_model="mine")
    with served(StubAgent(models=("a", "b"))) as agent:
        url = f"--hydra-smoke-agent-url={agent.url}"
        here.fake(url, passed=1)
        assert agent.asked[0]["model"] == "mine"
        # Without a list it is asked for a chat, and refuses that too.
        agent.answers = NO
        here.fake(url, failed=1)


# Settings

LIVE = "needs --hydra-smoke-fake: a live router has agents of its own"
IN_TABLE = (
    "agent_token must not be in [tool.hydra-smoke] of {}, which others can read: set "
    "HYDRA_SMOKE_AGENT_TOKEN in the environment"
)


@pytest.mark.parametrize(
    ("switch", "options", "settings", "words"),
    [
        ("", ["agent-url=http://127.0.0.1:1"], {}, f"agent_url (option) {LIVE}"),
        ("", [], {"agent_url": "http://127.0.0.1:1"}, f"agent_url (environment) {LIVE}"),
        (
            *("-fake", ["agent-url=127.0.0.1:8642"], {}),
            "agent_url = *must begin with http:// or https://, such as http://127.0.0.1:8642*",
        ),
        (
            *("-fake", ["agent-url=http://agent.example"], {}),
            "agent_url = *would send the token in clear: use https://, or set allow_http*",
        ),
        (
            *("-fake", ["agent-url=http://me:pass@127.0.0.1"], {}),
            "agent_url = *must not have a user or password*",
        ),
        (
            *("-fake", [], {"agent_token": "short"}),
            "agent_token (environment): is too short (5 characters; at least 8)",
        ),
        (
            *("-fake", [f"agent-url=http://127.0.0.1:1/{TOKEN}"], {"agent_token": TOKEN}),
            "agent_url contains the token, and is printed and written into files*",
        ),
        (
            *("-fake", ["agent-url=http://127.0.0.1:1", "scenario=recordings"], {}),
            "scenario = 'recordings' answers chats itself: remove it, or agent_url",
        ),
        (
            *("-fake", ["agent-url=http://127.0.0.1:1", "scenario=mine.toml"], {}),
            "scenario = 'mine.toml' answers chats itself: remove it, or agent_url",
        ),
    ],
)
def test_settings_that_are_wrong(
    here: Project, switch: str, options: list[str], settings: dict[str, str], words: str
) -> None:
    write(here.path / "recordings", "t.py::test", says("a", "b"))
    here.write("mine.toml", '[[replies]]\nmatch = "x"\ntext = "y"\n')
    if not switch:
        here.at("https://router.example")
    given = [f"--hydra-smoke-{it}" for it in options]
    told = problems(here.set(**settings).run(f"--hydra-smoke{switch}", *given))
    pytest.LineMatcher(told).fnmatch_lines([words], consecutive=True)
    assert len(told) == 1
    assert "me:pass" not in told[0]


def test_its_token_is_in_no_table(here: Project) -> None:
    here.table(f'agent_token = "{TOKEN}"')
    assert problems(here.fake()) == [IN_TABLE.format(here.path / "pyproject.toml")]
