"""A run whose fake stands before a real agent: what tests see of it, and what is told of it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from plugin_tools import CHECKS, TOKEN, Project, Ran, shows_token
from recorder_tools import RECORD, recorded, told
from stub_agent import StubAgent, served

TALK = """
    def test_one(smoke_instance):
        turn = smoke_instance.chat("First")
        assert turn.text == "I heard: First"
        turn.expect_llm_events(exactly=1)
        assert turn.usage.input_tokens == 11
        assert smoke_instance.chat("Second").text == "I heard: First | Second"

    def test_other(smoke_instance_factory):
        with smoke_instance_factory() as one:
            assert one.chat("Third").text == "I heard: Third"

    def test_anew(smoke_instance):
        assert smoke_instance.chat("Fourth").text == "I heard: Fourth"
        assert smoke_instance.chat("Fifth").text == "I heard: Fourth | Fifth"
"""
SHARED = """
    import pytest

    @pytest.mark.parametrize("number", range(4))
    def test_it(smoke_instance, number):
        text = smoke_instance.chat(f"Message {number}").text
        assert text.endswith(f"Message {number}")
        print("HEARD", text)
"""


@pytest.fixture
def agent() -> Iterator[StubAgent]:
    with served(StubAgent()) as stub:
        yield stub


def before(project: Project, url: str, *arguments: str, **expected: int) -> Ran:
    return project.fake(f"--hydra-smoke-agent-url={url}", *arguments, **expected)


def test_chats_go_to_the_agent_and_are_replayed_without_it(project: Project) -> None:
    project.set(new_conversation="/new", agent_token=TOKEN).pytester.makepyfile(test_it=TALK)
    with served(StubAgent(token=TOKEN, remembers=True)) as agent:
        url = agent.url
        options = ("--hydra-smoke-report=always", "--junit-xml=it.xml")
        result = before(project, url, *RECORD, *options, passed=3)
    # What is asked anew is so for the agent, too.
    asked = [it["messages"][-1]["content"] for it in agent.asked]
    assert asked == ["First", "Second", "Third", "/new", "Fourth", "Fifth"]
    assert [len(it["messages"]) for it in agent.asked[-3:-1]] == [1, 1]
    assert {it["model"] for it in agent.asked} == {"stub-1"}
    words = f"before the agent at {url}"
    result.says(
        f"hydra-smoke: the bundled FAKE router at * {words}, run id *",
        "hydra-smoke agent: openai, model stub-1; the bundled checks run only if named",
        f"FAKE router {words}, run *: provisioned 2, deleted 2, kept 0, leaked 0, unsure 0",
    )
    result.stdout.no_fnmatch_line("*live router*")
    report = project.report()
    assert (report["fake"], report["agent"]) == (True, url)
    assert f"FAKE router {words}" in project.left("report.html")
    assert 'name="hydra_smoke.router" value="fake"' in (project.path / "it.xml").read_text("utf-8")
    assert told(result)[0] == "3 new"
    assert sorted(recorded(project)) == [
        f"test_it.py::test_{name}" for name in ("anew", "one", "other")
    ]
    project.fake("--hydra-smoke-scenario=recordings", passed=3)
    assert project.report()["agent"] is None


def test_the_bundled_checks_run_only_if_they_are_named(project: Project, agent: StubAgent) -> None:
    project.pytester.makepyfile(test_it="def test_it(): ...")
    for checks in ("core", "true"):
        project.set(agent_url=agent.url, bundled_checks=checks)
        # Nothing else is executed without being said, and a run of nothing is red.
        project.fake(ret=pytest.ExitCode.TESTS_FAILED, passed=1)
        assert agent.asked == []
    named = (f"{CHECKS}/test_chat.py::test_chat_answers", f"{CHECKS}/test_deletion.py")
    project.fake(*named, passed=2)


def test_a_failure_is_told_in_the_agent_s_words(project: Project, agent: StubAgent) -> None:
    project.pytester.makepyfile(
        test_it="""
        import pytest

        @pytest.mark.parametrize("message", ["cut it", "refuse it", "early end", "hello"])
        def test_it(smoke_instance, message):
            smoke_instance.chat(message)
        """
    )
    project.write("recordings/test_it/test_it[hello].json", "{}")
    result = before(project, agent.url, *RECORD, passed=1, failed=4)
    # What could not be recorded names the command.
    command = f"pytest --hydra-smoke-fake --hydra-smoke-agent-url {agent.url}"
    result.says(
        "E *ChatError: *",
        "E *RouterError: *502*the agent answered 402 *: no credit left x*",
        f"*record it again: {command} --hydra-smoke-record *",
    )
    assert project.report()["instances"][0]["outcome"] == "deleted"


@pytest.mark.parametrize("workers", ["-n1", pytest.param("-n2", marks=pytest.mark.kill)])
def test_workers_reach_the_one_fake_and_its_token_is_in_no_output(
    project: Project, workers: str
) -> None:
    """The agent repeats it in its replies and in its refusal, and so does the test."""
    project.set(agent_token=TOKEN, report="always")
    project.pytester.makepyfile(
        test_it="""
        import os

        def test_it(smoke_instance_factory):
            instance = smoke_instance_factory()
            turn = instance.chat("Repeat " + os.environ["HYDRA_SMOKE_AGENT_TOKEN"])
            print(turn.text)
            assert not turn.text
        """,
        test_shared=SHARED,
    )
    options = (workers, "-p", "xdist", "--junit-xml=it.xml", "-l", "--debug", "-rP")
    with served(StubAgent(token=TOKEN)) as agent:
        # `Project` searches what is printed.
        result = before(project, agent.url, *options, *RECORD, passed=4, failed=1)
        result.says("*agent_token [*][*][*][*][*][*][*][*] (environment)*")
        nothing_shown(project, "report.html", "it.xml", "pytestdebug.log")
        heard = sorted((it.split("HEARD ")[1] for it in result.outlines if "HEARD " in it), key=len)
        # One instance, and one conversation, beside the one for itself.
        assert all(later.startswith(earlier) for earlier, later in pairwise(heard))
        assert len(heard) == 4
        assert len(project.report()["instances"]) == 2
        agent.token = "another-key-of-the-agent"
        assert before(project, agent.url).ret == pytest.ExitCode.USAGE_ERROR
    nothing_shown(project, "report.json")


def nothing_shown(project: Project, *names: str) -> None:
    files = [it for it in project.path.rglob("*") if it.is_file()]
    assert {*names} <= {it.name for it in files}
    for file in files:
        assert not shows_token(file.read_bytes().decode("latin-1")), file
