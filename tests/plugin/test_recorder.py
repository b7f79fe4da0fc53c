"""Recording a live run: which files there are, what is in them, and what the summary says."""

from __future__ import annotations

import pytest
from plugin_tools import Project
from recorder_tools import ELSEWHERE, RECORD, WIDE, asked, recorded, texts, told
from recording_tools import says, write

from pytest_hydrasmoke.fake import FakeRouter

SUITE = """
    import os
    import pytest
    from pytest_hydrasmoke import ChatError, NotFoundError, SmokeClient

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
        assert "HYDRA_SMOKE_FAILS" not in os.environ

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

    def test_outside(smoke_client, smoke_spec):
        url, token = os.environ["HYDRA_SMOKE_URL"], os.environ["HYDRA_SMOKE_TOKEN"]
        with SmokeClient(url, token=token) as other:
            key = f"another-{os.urandom(8).hex()}"
            other.provision(smoke_spec, key)
            found = other.poll(key).instance_id
            with smoke_client.stream_chat(found, "Theirs") as events:
                assert list(events)
            other.delete(found)

    def test_fails(wide):
        wide.chat("What is it?")
        raise AssertionError

    def test_sees(sighted):
        pass

    def test_asks_no_more(smoke_instance):
        pass

    # What a replay skips is not recorded, whatever becomes of it.
    @pytest.mark.hydra_smoke_live
    @pytest.mark.parametrize("fails", [False, True])
    def test_today(smoke_instance, fails):
        assert smoke_instance.chat("What day is it?").text
        assert not fails
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
LEAVES_OUT = """
    def pytest_hydra_smoke_record(turn):
        return None if turn.message == "By its id" else turn
"""


def test_what_tests_fixtures_and_hooks_say_is_written_once(
    project: Project, router: FakeRouter
) -> None:
    project.at(router, max_instances=9).pytester.makepyfile(test_it=SUITE)
    project.pytester.makeconftest(CONFTEST)
    # One is as it was recorded before its test was marked, one of a test that asked something, and
    # one of a test that is skipped, and may ask it again.
    unused = [*(f"test_it.py::test_gone_{at}" for at in range(10)), "test_it.py::test_today[True]"]
    unused += [f"test_it.py::test_{name}" for name in ("asks_no_more", "sees")]
    for owner in unused:
        write(project.path / "recordings" / "gone", owner, says("a", "b"))
    result = project.live(*RECORD, "test_it.py", passed=8, failed=2, skipped=1)
    wide = {"of": "fixture ::wide", "number": 0}
    found = recorded(project)
    assert {owner: asked(found[owner]) for owner in found if owner not in unused} == {
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
        "test_it.py::test_provisions": [(1, 0, "Mine", "closed")],
        "test_it.py::test_outside": [(1, None, "Theirs", "closed")],
        "test_it.py::test_refused": [(1, 0, "Are you there?", 404)],
        "fixture ::wide": [(1, 0, "In a fixture", "closed"), (1, 0, "At its end", "closed")],
        "fixture ::sighted": [(1, 0, "Do you see me?", "closed")],
        "hook pytest_hydra_smoke_instance_ready": [
            (1, "shared", "In the hook", "closed"),
            (1, wide, "In the hook", "closed"),
        ],
    }
    first, second = found["test_it.py::test_shared"]
    assert first["llm_events"].items() >= {"count": 1, "providers": ["anthropic"]}.items()
    assert second["llm_events"] is None
    assert first["spec"]["tier_id"] == "tier-1"
    assert "".join(chunk for _, chunk in first["chunks"]).endswith("data: [DONE]\n\n")
    assert told(result)[0] == "9 new, 1 not recorded"
    assert told(result)[-1] == "not recorded: test_it.py::test_fails: it failed"

    before = texts(project)
    assert not [it for it in before if "tmp" in it]
    router.reply("And now", "I am set.")
    project.pytester.makeconftest(CONFTEST + LEAVES_OUT)
    result = project.set(bundled_checks="false", fails=1).live(*RECORD)
    stays = "its earlier recording stays: test_it/test_"
    assert told(result) == [
        "1 changed, 6 unchanged, 3 not recorded",
        "changed: test_it.py::test_shared: turn 2 changed",
        "not recorded: test_it.py::test_fails: it failed",
        f"not recorded: test_it.py::test_own[de]: it failed; {stays}own[de].json",
        (
            "not recorded: test_it.py::test_twice: pytest_hydra_smoke_record left out all of its "
            f"turns; {stays}twice.json"
        ),
        "used by no test of this run: 12: gone/11.json, gone/0.json, gone/1.json and 9 more",
    ]
    after = texts(project)
    changed = [name for name in before if before[name] != after[name]]
    assert changed == ["test_it/test_shared.json"]


HIDES = """
    import dataclasses

    def pytest_hydra_smoke_record(turn):
        return dataclasses.replace(turn, text=turn.text.replace("chatcmpl-", "hidden-"))
"""


def test_what_a_new_hook_removes_does_not_stay_where_the_agent_says_the_same(
    project: Project, router: FakeRouter
) -> None:
    test = "def test_it(smoke_instance): assert smoke_instance.chat('a').text"
    project.at(router, usage_settle=0.01).write("test_it.py", test)
    project.live(*RECORD, "test_it.py", passed=1)
    assert b"chatcmpl-" in texts(project)["test_it/test_it.json"]
    project.pytester.makeconftest(HIDES)
    result = project.live(*RECORD, "test_it.py", passed=1)
    assert told(result) == ["1 changed", "changed: test_it.py::test_it: turn 1 changed"]
    hidden = texts(project)["test_it/test_it.json"]
    assert b"hidden-" in hidden
    assert b"chatcmpl-" not in hidden
    assert told(project.live(*RECORD, "test_it.py", passed=1)) == ["1 unchanged"]
    assert texts(project)["test_it/test_it.json"] == hidden


def test_a_worker_on_another_host_sends_what_it_records(
    project: Project, router: FakeRouter
) -> None:
    test = "def test_it(smoke_instance): assert smoke_instance.chat('a').text"
    project.at(router).write("test_it.py", test)
    project.write("conftest.py", ELSEWHERE)
    result = project.live("-p", "xdist", "-n1", *RECORD, "test_it.py", passed=1)
    assert told(result) == ["1 new", "new: test_it.py::test_it"]
    assert asked(recorded(project)["test_it.py::test_it"]) == [(1, "shared", "a", "closed")]


# Fixtures that are set up more than once

BY_MODULE = """
    import pytest

    FAILED = []

    @pytest.fixture(scope="module")
    def greeted(smoke_instance_factory, request):
        instance = smoke_instance_factory()
        instance.chat(f"Hello from {request.module.__name__}")
        return instance

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
FAILS_ONCE = """
    @pytest.fixture(scope="module")
    def {name}(greeted):
        if {says}:
            greeted.chat("Is it so?")
        if "{name}" not in FAILED:
            FAILED.append("{name}")
            raise LookupError
"""


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
    project.pytester.makeconftest(BY_MODULE)
    project.pytester.makepyfile(test_one=USES_IT, test_two=USES_IT)

    def of_each_module() -> tuple[list[str], list[str]]:
        greetings = [turn["message"] for turn in recorded(project)["fixture ::greeted"]]
        of_hook = recorded(project)["hook pytest_hydra_smoke_instance_ready"]
        return sorted(greetings), sorted(turn["spec"]["tier_id"] for turn in of_hook)

    project.run(*options, "--hydra-smoke", *RECORD, "test_one.py", "test_two.py", passed=2)
    of_both = (["Hello from test_one", "Hello from test_two"], ["test_one", "test_two"])
    assert of_each_module() == of_both
    # A run of one module knows nothing of the other; without that one, a whole run does.
    assert told(project.live(*RECORD, "test_one.py")) == ["2 unchanged"]
    assert of_each_module() == of_both
    (project.path / "test_two.py").unlink()
    assert told(project.live(*RECORD)) == [
        "1 changed, 1 unchanged",
        "changed: fixture ::greeted: 1 turn removed",
    ]
    assert of_each_module() == (["Hello from test_one"], ["test_one", "test_two"])


FAILS_FIRST = """
    TRIED = []

    def test_it(once):
        pass

    def test_again(smoke_instance_factory):
        with smoke_instance_factory(tier_id="own") as instance:
            instance.chat("And now?")
        TRIED.append(instance)
        assert len(TRIED) == 2
"""


def test_what_is_said_in_a_set_up_or_a_test_that_is_repeated_is_recorded_as_it_went_in_the_end(
    project: Project, router: FakeRouter
) -> None:
    ways = {"always": "True", "once": "'once' not in FAILED"}
    fails = "".join(FAILS_ONCE.format(name=name, says=says) for name, says in ways.items())
    project.at(router, max_instances=9).pytester.makeconftest(BY_MODULE + fails)
    project.pytester.makepyfile(test_one="def test_it(always): ...", test_two=FAILS_FIRST)
    result = project.live(
        "-p", "rerunfailures", "--reruns=1", *RECORD, "test_one.py", "test_two.py", passed=3
    )
    said = {name: recorded(project).get(f"fixture ::{name}", []) for name in ways}
    assert [turn["message"] for turn in said["always"]] == ["Is it so?"]
    assert said["once"] == []
    own = {"of": "test_two.py::test_again", "number": 0}
    hook = recorded(project)["hook pytest_hydra_smoke_instance_ready"]
    assert asked(hook) == [(1, own, "Warm up", "closed")]
    assert told(result)[0] == "4 new"
