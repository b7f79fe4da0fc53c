"""An agent that can't be used is said before the first test, and before anything is provisioned."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from faulty_server import FaultyServer, Line, Received, answer
from plugin_tools import TOKEN, Project, problems
from recording_tools import says, write
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from stub_agent import StubAgent, served

HTML = HTMLResponse("<h1>It works</h1>")
MODELS = {"data": [{"id": "one"}]}


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
    assert report["exit_code"] == pytest.ExitCode.USAGE_ERROR
    assert report["ended"].startswith("refused: preflight: the agent at ")
    assert report["agent"] == url
    return words.removeprefix(f"the agent at {url} ")


NO_LIST = (
    "answers GET {} with {}; agent_url is the base of an API like OpenAI's, such as "
    "http://127.0.0.1:8642; if that lists no models, set HYDRA_SMOKE_AGENT_MODEL"
)
START = "start it, or correct agent_url"
WHICH = "set HYDRA_SMOKE_AGENT_MODEL to the one to ask"
TOKEN_NEEDED = "set HYDRA_SMOKE_AGENT_TOKEN, in the environment, to a token that it accepts"


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (StubAgent(models=()), f"lists no models: {WHICH}"),
        (StubAgent(models=("a", "b")), f"lists 2 models (a, b): {WHICH}"),
        (StubAgent(answers=HTML), "200 (text/html): <h1>It works</h1>"),
        (StubAgent(answers=Response()), "200 (no type): nothing"),
        (StubAgent(answers=PlainTextResponse("no", 404)), "404 (text/plain): no"),
        (StubAgent(answers=JSONResponse({"data": 3})), '200 (application/json): {"data":3}'),
    ],
)
def test_what_answers_otherwise_than_an_agent(here: Project, agent: StubAgent, words: str) -> None:
    with served(agent):
        told = refused(here, agent.url)
        if not words.startswith("lists"):
            words = NO_LIST.format(f"/{agent.url.rpartition('/')[2]}/v1/models", words)
        assert told == words
    assert agent.asked == []


@pytest.mark.parametrize("given", ["", "another-key-of-mine"])
def test_a_token_that_it_does_not_accept(here: Project, given: str) -> None:
    here.set(agent_token=given)
    with served(StubAgent(token=TOKEN)) as agent:
        told = refused(here, agent.url)
    repeated = "Bearer ********" if given else "None"
    assert told.partition(" with ")[2] == (
        f"401 (application/json): not a key of mine: {repeated}; {TOKEN_NEEDED}"
    )


def test_nothing_listens(here: Project) -> None:
    here.set(ready_timeout=0.5)
    with FaultyServer(answer(MODELS), refusing=True) as server:
        told = refused(here, server.url)
    assert told == f"can't be reached: [Errno 111] Connection refused; {START}"


def test_what_speaks_no_tls_is_not_waited_for(here: Project) -> None:
    with served(StubAgent()) as agent:
        told = refused(here, agent.url.replace("http:", "https:"))
    assert told.startswith("can't be reached: [SSL")
    assert told.endswith("; it may speak http:// only")


@pytest.mark.parametrize(
    ("behave", "words"),
    [
        (lambda line, request: line.close(), "Server disconnected without sending a response."),
        (
            lambda line, request: line.send(b"what?\r\n\r\n"),
            "illegal status line: bytearray(b'what?')",
        ),
    ],
)
def test_what_is_no_answer_at_all(
    here: Project, behave: Callable[[Line, Received], None], words: str
) -> None:
    with FaultyServer(behave) as server:
        told = refused(here, server.url)
    assert told == f"can't be reached: {words}; {START}"


def test_an_agent_that_is_still_starting_is_waited_for(
    here: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed, chats = answer(MODELS), answer(b"data: [DONE]\n\n", kind="text/event-stream")

    def behave(line: Line, request: Received) -> None:
        (listed if request.target.endswith("/models") else chats)(line, request)

    with FaultyServer(behave, refusing=True) as server:
        monkeypatch.setattr("pytest_hydrasmoke.fake.agent.pause", lambda _: server.listen())
        here.fake(f"--hydra-smoke-agent-url={server.url}").assert_outcomes(passed=1)


def test_a_list_is_not_needed_where_the_model_is_set(here: Project) -> None:
    here.set(agent_model="mine")
    agent = StubAgent(models=("a", "b"))
    with served(agent):
        here.fake(f"--hydra-smoke-agent-url={agent.url}").assert_outcomes(passed=1)
        assert agent.asked[0]["model"] == "mine"
        agent.answers = PlainTextResponse("no", 404)
        # It is asked for a chat, and refuses that too.
        result = here.fake(f"--hydra-smoke-agent-url={agent.url}")
        result.assert_outcomes(failed=1)
        agent.answers = HTML
        assert "with 200 (text/html)" in refused(here, agent.url)


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (HTML, "200 (text/html): <h1>It works</h1>"),
        (PlainTextResponse("no", 404), "404 (text/plain): no"),
        (HTMLResponse("no", 500), "500 (text/html): no"),
        (
            Response(status_code=307, headers={"location": "/there"}),
            "307 (no type): to /there",
        ),
        (JSONResponse({}, 403), "403 (application/json): {}"),
    ],
)
def test_what_takes_no_runs(here: Project, answers: Response, words: str) -> None:
    with served(StubAgent(answers=answers)) as agent:
        told = refused(here, agent.ag_ui, "--hydra-smoke-agent-api=ag-ui")
    advice = (
        TOKEN_NEEDED
        if "403" in words
        else "agent_url is where runs of AG-UI are posted; another API is agent_api = openai"
    )
    assert told.partition(" with ")[2] == f"{words}; {advice}"


def test_a_run_without_input_may_be_taken(here: Project) -> None:
    """Some agents take what others refuse: it is not read to its end."""
    streams = Response("data: {}\n\n", media_type="text/event-stream")
    with served(StubAgent(answers=streams)) as agent:
        result = here.fake(
            f"--hydra-smoke-agent-url={agent.ag_ui}", "--hydra-smoke-agent-api=ag-ui"
        )
    result.assert_outcomes(passed=1)


# Settings


def settings_refused(project: Project, *arguments: str, live: bool = False) -> list[str]:
    run = project.live if live else project.fake
    return problems(run(*arguments))


def test_a_live_run_has_no_agent_of_its_own(here: Project) -> None:
    here.at("https://router.example")
    url = "--hydra-smoke-agent-url=http://127.0.0.1:1"
    words = "needs --hydra-smoke-fake: a live router has agents of its own"
    assert settings_refused(here, url, live=True) == [f"agent_url (option) {words}"]
    told = settings_refused(here, "--hydra-smoke-agent-api=openai", live=True)
    assert told == [f"--hydra-smoke-agent-api {words}"]
    here.set(agent_url="http://127.0.0.1:1")
    assert settings_refused(here, live=True) == [f"agent_url (environment) {words}"]


def test_an_api_needs_an_agent(here: Project) -> None:
    told = settings_refused(here, "--hydra-smoke-agent-api=ag-ui")
    assert told == ["--hydra-smoke-agent-api needs --hydra-smoke-agent-url"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("127.0.0.1:8642", "must begin with http:// or https://, such as http://127.0.0.1:8642"),
        ("http://agent.example", "would send the token in clear: use https://, or set allow_http"),
        ("http://me:pass@127.0.0.1", "must not have a user or password"),
    ],
)
def test_a_url_is_checked_as_that_of_the_router(here: Project, url: str, words: str) -> None:
    [told] = settings_refused(here, f"--hydra-smoke-agent-url={url}")
    assert told.startswith("agent_url = ")
    assert words in told
    assert "me:pass" not in told


def test_its_token_is_neither_in_a_table_nor_on_the_command_line(here: Project) -> None:
    result = here.fake(f"--hydra-smoke-agent-token={TOKEN}")
    words = "--hydra-smoke-agent-token would show the token to everybody on this machine"
    result.stderr.fnmatch_lines([f"ERROR: {words}: set HYDRA_SMOKE_AGENT_TOKEN in the environment"])
    here.table(f'agent_token = "{TOKEN}"')
    [told] = settings_refused(here)
    assert told == (
        f"agent_token must not be in [[]tool.hydra-smoke] of {here.path / 'pyproject.toml'}, which "
        "others can read: set HYDRA_SMOKE_AGENT_TOKEN in the environment"
    ).replace("[[]", "[")
    here.table()
    here.set(agent_token="short")
    [told] = settings_refused(here)
    assert told == "agent_token (environment): is too short (5 characters; at least 8)"


def test_its_token_is_in_no_other_setting(here: Project) -> None:
    here.set(agent_token=TOKEN)
    [told] = settings_refused(here, f"--hydra-smoke-agent-url=http://127.0.0.1:1/{TOKEN}")
    assert told.startswith("agent_url contains the token, and is printed and written into files")


def test_a_scenario_that_answers_chats_itself_is_refused(here: Project) -> None:
    url = "--hydra-smoke-agent-url=http://127.0.0.1:1"
    write(here.path / "recordings", "t.py::test", says("a", "b"))
    [told] = settings_refused(here, url, "--hydra-smoke-scenario=recordings")
    assert told == "scenario = 'recordings' answers chats itself: remove it, or agent_url"
    here.write("mine.toml", '[[replies]]\nmatch = "x"\ntext = "y"\n')
    [told] = settings_refused(here, url, "--hydra-smoke-scenario=mine.toml")
    assert told == "scenario = 'mine.toml' answers chats itself: remove it, or agent_url"
