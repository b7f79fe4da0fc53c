"""Recording a live run: which files there are, what is in them, and what the summary says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from plugin_tools import QUICK, Project
from recorder_tools import RECORD, WIDE, asked, recorded, texts, told

from pytest_hydrasmoke.fake import FakeRouter, Scenario

SUITE = """
    import pytest
    from pytest_hydrasmoke import ChatError, NotFoundError

    def test_shared(smoke_instance):
        smoke_instance.chat("Are you ready?").expect_llm_events()
        smoke_instance.chat("And now?")

    @pytest.mark.parametrize("language", ["de"])
    def test_own(smoke_instance_factory, wide, language):
        with smoke_instance_factory() as one, smoke_instance_factory() as other:
            with one.stream_chat("Hello") as events:
                next(events)
            other.chat("Hello")
            one.chat("Bye")
            wide.chat("Hello")

    @pytest.mark.hydra_smoke_runs(2)
    def test_twice(smoke_client, wide):
        with smoke_client.stream_chat(wide.id, "By its id") as events:
            assert list(events)

    def test_refused(smoke_instance_factory):
        with smoke_instance_factory() as one:
            one.delete()
            with pytest.raises(NotFoundError):
                one.chat("Are you there?")

    def test_provisions(smoke_client, smoke_spec, run_id):
        smoke_client.provision(smoke_spec, run_id)
        found = smoke_client.poll(run_id).instance_id
        with smoke_client.stream_chat(found, "Mine") as events:
            assert list(events)
        smoke_client.delete(found)

    def test_fails(wide):
        wide.chat("What is it?")
        raise AssertionError

    def test_sees(sighted):
        pass
"""
CONFTEST = f"""{WIDE}
    @pytest.fixture
    def run_id(smoke_config):
        return smoke_config.run_id

    @pytest.fixture(scope="module")
    def sighted(smoke_instance_factory):
        smoke_instance_factory().chat("Do you see me?")
        pytest.skip("It sees nothing.")

    def pytest_hydra_smoke_instance_ready(instance):
        if instance.idempotency_key.endswith(("-0", "-1")):
            instance.chat("In the hook")
"""


def test_what_tests_fixtures_and_hooks_say_is_written_once(
    project: Project, router: FakeRouter
) -> None:
    project.at(router, max_instances=9).pytester.makepyfile(test_it=SUITE)
    project.pytester.makeconftest(CONFTEST)
    result = project.live(*RECORD, "test_it.py")
    result.assert_outcomes(passed=5, failed=1, skipped=1)
    wide = {"of": "fixture ::wide", "number": 0}
    assert {owner: asked(turns) for owner, turns in recorded(project).items()} == {
        "test_it.py::test_shared": [
            (1, "shared", "Are you ready?", "closed"),
            (1, "shared", "And now?", "closed"),
        ],
        "test_it.py::test_own[de]": [
            (1, 0, "Hello", "left"),
            (1, 1, "Hello", "closed"),
            (1, 0, "Bye", "closed"),
            (1, wide, "Hello", "closed"),
        ],
        "test_it.py::test_twice": [
            (1, wide, "By its id", "closed"),
            (2, wide, "By its id", "closed"),
        ],
        "test_it.py::test_provisions": [(1, None, "Mine", "closed")],
        "test_it.py::test_refused": [(1, 0, "Are you there?", 404)],
        "fixture ::wide": [(1, 0, "In a fixture", "closed"), (1, 0, "At its end", "closed")],
        "fixture ::sighted": [(1, 0, "Do you see me?", "closed")],
        "hook pytest_hydra_smoke_instance_ready": [
            (1, "shared", "In the hook", "closed"),
            (1, wide, "In the hook", "closed"),
        ],
    }
    first, second = recorded(project)["test_it.py::test_shared"]
    assert first["llm_events"].items() >= {"count": 1, "providers": ["anthropic"]}.items()
    assert second["llm_events"] is None
    assert first["spec"]["tier_id"] == "tier-1"
    assert "".join(chunk for _, chunk in first["chunks"]).endswith("data: [DONE]\n\n")
    assert told(result)[0] == "8 new, 1 not recorded"
    assert told(result)[-1] == "not recorded: test_it.py::test_fails: it failed"

    before = texts(project)
    assert not [it for it in before if "tmp" in it]
    assert json.loads(before["router.json"])["ready_words"] == ["running"]
    shared = before["test_it/test_shared.json"].decode()
    for number in range(10):
        gone = shared.replace("::test_shared", f"::test_gone_{number}")
        project.write(f"recordings/gone/{number}.json", gone)
    router.reply("And now", "I am set.")
    project.set(bundled_checks="false")
    result = project.live(*RECORD)
    assert told(result) == [
        "1 changed, 7 unchanged, 1 not recorded",
        "changed: test_it.py::test_shared: turn 2, text: 'I am set.', and was 'I am ready.'",
        "not recorded: test_it.py::test_fails: it failed",
        "used by no test of this run: 10: gone/0.json, gone/1.json, gone/2.json and 7 more",
    ]
    after = texts(project)
    changed = [name for name in before if before[name] != after[name]]
    assert changed == ["test_it/test_shared.json"]


def test_another_runtime_and_new_reasoning_are_recorded(
    project: Project, routing: Callable[[Scenario], FakeRouter]
) -> None:
    project.write(
        "test_it.py",
        "def test_hello(smoke_instance): assert smoke_instance.chat('Hello').text\n"
        "def test_bye(smoke_instance): assert smoke_instance.chat('Bye').text\n",
    )
    first = routing(QUICK)
    first.reply("Bye", "I am ready.", reasoning="Am I?")
    project.at(first, bundled_checks="false")
    new = [f"new: test_it.py::test_{name}" for name in ("hello", "bye")]
    assert sorted(told(project.live(*RECORD))) == sorted(["2 new", *new])
    openai = routing(QUICK)
    openai.reply("Hello", "I am ready.", reasoning="Am I?")
    openai.reply("Bye", "I am ready.", reasoning="Let me see.")
    project.at(openai)
    assert told(project.live(*RECORD)) == [
        "1 changed, 1 unchanged",
        "changed: test_it.py::test_hello: turn 1, reasoning: some, and was none",
    ]
    goose = routing(replace(QUICK, runtime="goose"))
    goose.reply("Hello", "I am ready.", reasoning="Am I?")
    project.at(goose)
    assert told(project.live(*RECORD, "test_it.py::test_hello")) == [
        "1 changed",
        "changed: test_it.py::test_hello: turn 1, format: 'Goose', and was 'OpenAI chat'",
    ]


ELSEWHERE = """
import os
from pytest_hydrasmoke._run import locks

if "PYTEST_XDIST_WORKER" in os.environ:
    locks.has_main_process = lambda output, run_id: False
"""


def test_a_worker_on_another_host_sends_what_it_records(
    project: Project, router: FakeRouter
) -> None:
    test = "def test_it(smoke_instance): assert smoke_instance.chat('a').text"
    project.at(router).write("test_it.py", test)
    project.write("conftest.py", ELSEWHERE)
    result = project.live("-p", "xdist", "-n1", *RECORD, "test_it.py")
    result.assert_outcomes(passed=1)
    assert told(result) == ["1 new", "new: test_it.py::test_it"]
    assert asked(recorded(project)["test_it.py::test_it"]) == [(1, "shared", "a", "closed")]


LIVE = """
    import pytest

    @pytest.mark.hydra_smoke_live
    @pytest.mark.parametrize("fails", [False, True])
    def test_today(smoke_instance, fails):
        assert smoke_instance.chat("What day is it?").text
        assert not fails
"""


def test_what_a_replay_skips_is_not_recorded(project: Project, router: FakeRouter) -> None:
    project.at(router, bundled_checks="false").pytester.makepyfile(test_it=LIVE)
    # As it was recorded before it was marked.
    head = '{"format": "pytest-hydrasmoke recording", "version": 1'
    project.write("recordings/old.json", f'{head}, "of": "test_it.py::test_today[True]"}}')
    result = project.live(*RECORD)
    result.assert_outcomes(passed=1, failed=1)
    assert told(result) == [
        "there was nothing to record",
        "used by no test of this run: 1: old.json",
    ]
    assert list(texts(project)) == ["old.json", "router.json"]


def test_that_an_earlier_recording_stays_is_told(project: Project, router: FakeRouter) -> None:
    test = "def test_{}(smoke_instance): assert smoke_instance.chat('{}').text == '{}'\n"
    right = test.format("fails", "a", "I am ready.") + test.format("left", "secret", "I am ready.")
    project.at(router).write("test_it.py", right)
    assert told(project.live(*RECORD, "test_it.py"))[0] == "2 new"
    before = texts(project)
    project.write("test_it.py", right.replace("'a').text == 'I am", "'a').text == 'You are"))
    project.write("conftest.py", LEAVES_OUT)
    assert told(project.live(*RECORD, "test_it.py")) == [
        "2 not recorded",
        (
            "not recorded: test_it.py::test_fails: it failed; its earlier recording stays: "
            "test_it/test_fails.json"
        ),
        (
            "not recorded: test_it.py::test_left: pytest_hydra_smoke_record left out all of its "
            "turns; its earlier recording stays: test_it/test_left.json"
        ),
    ]
    assert texts(project) == before


LEAVES_OUT = """
def pytest_hydra_smoke_record(turn):
    return None if turn.message == "secret" else turn
"""


# Fixtures that are set up more than once

BY_MODULE = """
    import pytest

    @pytest.fixture(scope="module")
    def greeted(smoke_instance_factory, request):
        instance = smoke_instance_factory()
        instance.chat(f"Hello from {request.module.__name__}")
        return instance
"""
WARMS_UP = """
    def pytest_hydra_smoke_instance_ready(instance):
        if instance.spec.tier_id != "tier-1":
            instance.chat("Warm up")
"""
USES_IT = """
    import pytest

    @pytest.mark.parametrize("smoke_instance", [{"tier_id": __name__}], indirect=True)
    def test_it(greeted, smoke_instance):
        pass
"""


def of_each_module(project: Project) -> tuple[list[str], list[str]]:
    """Return what was said as the fixture was set up, and to instances of which tiers by a hook."""
    of_hook = recorded(project)["hook pytest_hydra_smoke_instance_ready"]
    greetings = [turn["message"] for turn in recorded(project)["fixture ::greeted"]]
    return sorted(greetings), sorted(turn["spec"]["tier_id"] for turn in of_hook)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param((), id="alone"),
        pytest.param(
            ("-p", "xdist", "-n2", "--dist=loadfile"), id="workers", marks=pytest.mark.kill
        ),
    ],
)
def test_each_set_up_of_a_fixture_and_what_hooks_say_to_each_spec_is_recorded_and_stays(
    project: Project, router: FakeRouter, options: tuple[str, ...]
) -> None:
    project.at(router, max_instances=9, bundled_checks="false")
    project.pytester.makeconftest(BY_MODULE + WARMS_UP)
    project.pytester.makepyfile(test_one=USES_IT, test_two=USES_IT)
    first = project.run(*options, "--hydra-smoke", *RECORD, "test_one.py", "test_two.py")
    first.assert_outcomes(passed=2)
    of_both = (["Hello from test_one", "Hello from test_two"], ["test_one", "test_two"])
    assert of_each_module(project) == of_both
    # A run of one module knows nothing of the other.
    assert told(project.live(*RECORD, "test_one.py")) == ["2 unchanged"]
    assert of_each_module(project) == of_both
    # Without the other module, a whole run does.
    (project.path / "test_two.py").unlink()
    assert told(project.live(*RECORD)) == [
        "1 changed, 1 unchanged",
        "changed: fixture ::greeted: removed: 'Hello from test_two'",
    ]
    assert of_each_module(project) == (["Hello from test_one"], ["test_one", "test_two"])


FAILS_ONCE = """
    @pytest.fixture(scope="module")
    def {name}(greeted):
        if {says}:
            greeted.chat("Is it so?")
        if "{name}" not in FAILED:
            FAILED.append("{name}")
            raise LookupError
"""


def test_a_fixture_s_set_up_that_is_repeated_is_recorded_as_it_went_in_the_end(
    project: Project, router: FakeRouter
) -> None:
    ways = {"always": "True", "once": "'once' not in FAILED"}
    fails = "".join(FAILS_ONCE.format(name=name, says=says) for name, says in ways.items())
    project.at(router, max_instances=9).pytester.makeconftest(
        f"{BY_MODULE}\n    FAILED = []\n{fails}"
    )
    project.pytester.makepyfile(
        test_one="def test_it(always):\n    pass\n", test_two="def test_it(once):\n    pass\n"
    )
    rerun = ("-p", "rerunfailures", "--reruns=1")
    result = project.live(*rerun, *RECORD, "test_one.py", "test_two.py")
    result.assert_outcomes(passed=2)
    said = {name: recorded(project).get(f"fixture ::{name}", []) for name in ways}
    assert [turn["message"] for turn in said["always"]] == ["Is it so?"]
    assert said["once"] == []
    assert told(result)[0] == "2 new"
