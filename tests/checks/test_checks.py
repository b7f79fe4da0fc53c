"""Each bundled check fails against a router that breaks its rule, and passes where it may vary."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from checks_tools import DELETION, Routing, check, fails, here, like, passes
from plugin_tools import ALL, CHECKS, FIRST, SOMEBODY, Project, answering

from pytest_hydrasmoke._run.slots import NAMES
from pytest_hydrasmoke.fake import FakeRouter, Scenario

__all__ = ["here"]

ANSWERS = "test_chat::test_chat_answers"
RECORDED = "test_chat::test_llm_events_of_a_chat_are_recorded"
ECHOED = "test_chat::test_llm_events_window_is_echoed"
READY = "test_instance::test_instance_becomes_ready"
FOUND = "test_instance::test_key_of_an_instance_is_found"
TWICE = "test_instance::test_same_key_twice_is_the_same_instance"
OTHER_BODY = "test_instance::test_same_key_with_another_body_is_the_same_instance"
UNKNOWN_KEY = "test_instance::test_unknown_key_is_not_found"
UNKNOWN = "test_instance::test_unknown_instance_is_not_found"
STRANGERS = 11
"""How many strangers try to delete an instance."""

POLLS, LOOKS = FIRST.count("poll"), FIRST.count("status")
"""How often a run asks for a key, or a status, before its first test."""
SOMEBODYS = {"id": SOMEBODY, "hostname": None, "status": "running"}
KNOWN = {"found": True, "instance_id": SOMEBODY, "status": "running"}
AN_INSTANCE = {"hostname": None, "status": "running"}


def counted(window: int) -> dict[str, Any]:
    return {"count": 0, "providers": [], "window_seconds": window}


Change = Callable[[FakeRouter], object]
Gate = Callable[[FakeRouter], AbstractContextManager[str]]


@dataclass(frozen=True)
class Wrong:
    """A router that breaks a rule, or a setting that it does not meet; and what is said of it."""

    check: str
    lines: tuple[str, ...]
    change: Change = lambda router: None
    gate: Gate | None = None
    scenario: Scenario = field(default_factory=like)
    settings: dict[str, object] = field(default_factory=dict[str, object])


WRONG: dict[str, Wrong] = {
    # The agent answers
    "a reply without a text": Wrong(
        ANSWERS,
        ("Failed: the reply has no text in any of its * events: <ChatTurn *, none with text: *>",),
        scenario=like(reply=" "),
    ),
    "a stream that breaks off": Wrong(
        ANSWERS, ("*ChatError: the stream was cut*",), lambda router: router.break_stream("cut")
    ),
    # What its model cost is recorded
    "LLM events that are never written": Wrong(
        RECORDED,
        ("*LlmEventsError: *", "*expected: *at least 1 LLM event"),
        scenario=like(llm_events_per_turn=0),
        settings={"llm_events_timeout": 0.5},
    ),
    "LLM events of nobody": Wrong(
        RECORDED,
        ("*ContractError: llm_events names no provider",),
        scenario=like(providers=(" ",)),
    ),
    **{
        f"a window that is not echoed ({window})": Wrong(
            ECHOED,
            ("*ContractError: llm_events answers for another window *",),
            gate=lambda router, window=window, after=after: answering(
                router, "llm_events", after, **counted(window)
            ),
        )
        for window, after in ((900, 0), (600, 1))
    },
    # An instance can be provisioned and found
    "a status of another instance": Wrong(
        READY,
        ("*ContractError: status answered for another instance", f"*{SOMEBODY}"),
        lambda router: router.fail("status", status=200, after=LOOKS + 1, body=SOMEBODYS),
    ),
    "an instance that does not stay ready": Wrong(
        READY,
        ("*ContractError: the instance was ready, and no longer is",),
        gate=lambda router: answering(router, "status", LOOKS + 1, hostname=None, status="Halted"),
    ),
    "a key that names another instance": Wrong(
        FOUND,
        ("*ContractError: poll does not find an instance by its key",),
        # After the question whether its key is free, and that for the row.
        lambda router: router.fail("poll", status=200, after=POLLS + 2, body=KNOWN),
    ),
    "a key that makes a second instance": Wrong(
        TWICE,
        ("*ContractError: there is a second instance for one key",),
        lambda router: router.fail(
            "provision",
            status=200,
            after=1,
            body={"idempotency_key": "run-0", "instance_id": SOMEBODY, "task_id": "t"},
        ),
        settings={"delete_timeout": 1},
    ),
    "a key that is not echoed": Wrong(
        TWICE,
        ("*ContractError: provision answered for another idempotency key",),
        lambda router: router.fail(
            "provision",
            status=200,
            after=1,
            body={"idempotency_key": "run-1", "instance_id": None, "task_id": "t"},
        ),
    ),
    "a key that comes to stand for another instance": Wrong(
        TWICE,
        ("*ContractError: there is a second instance for one key",),
        lambda router: router.fail("poll", status=200, after=POLLS + 2, body=KNOWN),
    ),
    "a key that is refused the second time": Wrong(
        TWICE,
        ("*RouterError: provision was refused with 400*",),
        lambda router: router.fail("provision", status=400, after=1),
    ),
    "another body that breaks the router": Wrong(
        OTHER_BODY,
        ("*RouterError: provision was refused with 501*",),
        lambda router: router.fail("provision", status=501, after=1),
    ),
    "a key that nobody used is found": Wrong(
        UNKNOWN_KEY,
        ("*ContractError: poll names an instance for a key that nobody used",),
        lambda router: router.fail("poll", status=200, after=POLLS, body=KNOWN),
    ),
    "an instance that nobody made is found": Wrong(
        UNKNOWN,
        ("*Error: status does not refuse an unknown instance*",),
        gate=lambda router: answering(router, "status", LOOKS, **AN_INSTANCE),
    ),
    "LLM events of an instance that nobody made": Wrong(
        UNKNOWN,
        ("*Error: llm_events does not refuse an unknown instance*",),
        gate=lambda router: answering(router, "llm_events", 0, **counted(900)),
    ),
    # What was provisioned is gone once it is deleted
    **{
        f"an instance that comes back after the {which}": Wrong(
            DELETION,
            ("*ContractError: an instance whose deletion was confirmed is there again",),
            # Once it and the shared one are ready, it is looked at after each stranger, a while
            # later, and when it is deleted.
            gate=lambda router, number=number: answering(
                router, "status", LOOKS + 2 + STRANGERS + 2 + number, **AN_INSTANCE
            ),
        )
        for number, which in enumerate(("first", "second"))
    },
    "a second deletion that is refused": Wrong(
        DELETION,
        ("*RouterError: delete was refused with 400*",),
        # After those of strangers, and the one that does it.
        lambda router: router.fail("delete", status=400, after=STRANGERS + 1, times=2),
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_router_that_breaks_a_rule_fails_its_check(
    project: Project, routing: Routing, case: str
) -> None:
    wrong = WRONG[case]
    router = routing(wrong.scenario)
    project.suite("bare").at(router, run_id="run", **wrong.settings)
    wrong.change(router)
    with ExitStack() as stack:
        if wrong.gate is not None:
            project.set(url=stack.enter_context(wrong.gate(router)))
        fails(project, wrong.check, *wrong.lines)


# The agent answers


def test_what_answers_is_what_is_expected_of_it_or_the_check_fails(
    here: Project, project: Project, router: FakeRouter, routing: Routing
) -> None:
    here.set(expect_text="I am (not|never) ready")
    words = "Failed: no match of expect_text 'I am (not|never) ready' in the reply: I am ready."
    fails(here, ANSWERS, words)
    here.set(expect_text="r.ady", run_id="again", expect_models="claude-*, gpt-5*")
    words = "Failed: smoke answered, and not a model of expect_models (claude-[*], gpt-5[*]): see*"
    fails(here, ANSWERS, words)
    here.set(expect_models="claude-*, sm*e", run_id="third", prompt="How do you do?")
    passes(here, ANSWERS)
    asked = [request.body for request in router.requests if request.route == "chat"]
    assert asked[-1] == {"message": "How do you do?"}
    project.at(routing(like(runtime="text")), run_id="fourth")
    fails(project, ANSWERS, "Failed: the agent's runtime names no model: nothing shows that a *")


def test_a_hostile_reply_is_made_safe(project: Project, routing: Routing) -> None:
    router = routing(like(reply="\x1b[31m##[error] and so on"))
    project.suite("bare").at(router, expect_text="no such words")
    result = check(project, ANSWERS)
    result.assert_outcomes(failed=1)
    assert "\x1b" not in result.stdout.str()
    assert "##[error]" not in result.stdout.str()


def test_a_reply_that_was_cut(project: Project, routing: Routing) -> None:
    project.suite("bare").at(routing(like(terminal=False)))
    cut = "*ChatError: the reply was cut: its stream ended without a terminal event"
    fails(project, ANSWERS, cut, "*expected: *as this runtime always sends one (chat_end = auto)")
    project.set(chat_end="optional")
    result = check(project, ANSWERS)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*note: a chat's stream ended without a terminal event"])


def test_llm_events_of_another_provider(project: Project, routing: Routing) -> None:
    router = routing(like(providers=("openai",)))
    project.suite("bare").at(router, llm_events_timeout=0.5, expect_providers="anthropic")
    fails(project, RECORDED, "*LlmEventsError: *", "*expected: *anthropic among them")
    project.set(expect_providers="openai")
    passes(project, RECORDED)


# An instance can be provisioned and found


def test_an_instance_that_fails(project: Project, routing: Routing) -> None:
    router = routing(Scenario(row_after=0, statuses=((0, "failed"),)))
    result = check(project.suite("bare").at(router), READY)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["E *ProvisionError: the instance is 'failed'"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_key_that_is_in_progress_the_second_time(here: Project, router: FakeRouter) -> None:
    router.fail("provision", status=409, after=1)
    passes(here, TWICE)


def test_a_second_answer_may_leave_out_the_id(project: Project, routing: Routing) -> None:
    passes(project.suite("bare").at(routing(like(provision_instance_id="null"))), TWICE)


# What was provisioned is gone once it is deleted


def test_a_deletion_that_does_nothing(here: Project, router: FakeRouter) -> None:
    here.set(delete_timeout=0.5)
    body = {"instance_id": SOMEBODY, "status": "queued"}
    router.fail("delete", status=200, times=999, body=body)
    result = check(here, DELETION)
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(["E *ContractError: delete *", "LEAK: *", "LEAK: *", "*leaked 2"])


CHATTY = """
def pytest_hydra_smoke_instance_ready(instance):
    instance.chat("Are you ready?").expect_llm_events()
"""


# The others are those of all checks, below, and of the fake's default.
@pytest.mark.parametrize("second", [200, 409])
def test_the_ways_to_be_gone(project: Project, routing: Routing, second: Any) -> None:
    scenario = like(second_delete=second, after_delete="row", gone_word="Terminated")
    # What a hook says to an instance is its own.
    project.suite("bare").at(routing(scenario)).write("conftest.py", CHATTY)
    passes(project, DELETION)


# All of them


def keys_of(router: FakeRouter) -> list[str]:
    """Return what keys were asked to be provisioned, without the run's id."""
    bodies = (one.body for one in router.requests if one.route == "provision")
    keys = (str(body["idempotency_key"]) for body in bodies if isinstance(body, dict))
    return [key.partition("-")[2] for key in keys]


def test_the_checks_pass_against_every_router_that_keeps_the_contract(
    project: Project, routing: Routing
) -> None:
    odd = Scenario(
        provision_status=202,
        provision_instance_id="absent",
        second_key="conflict",
        row_after=0.05,
        poll_before_row="404",
        statuses=((0, "warming"), (0.05, "online")),
        status_case="mixed",
        unauthorized_status=403,
        not_ready_status=425,
        after_delete="row",
        second_delete=410,
        runtime="anthropic",
        keep_alive=True,
        line_end="cr",
        providers=("openai", "anthropic"),
        providers_listed="repeated",
        llm_events_per_turn=3,
        llm_events_lag=0.1,
        extra={"news": [uuid.UUID(int=0).hex]},
    )
    router = routing(odd)
    result = project.suite("bare").at(router, run_id="run").live()
    result.assert_outcomes(passed=ALL)
    result.stdout.fnmatch_lines(["*note: unknown in the answer to poll: news"])
    # They need few instances, and a sweep knows their keys; the longest is just too long.
    assert [instance.deleted for instance in router.instances] == [True] * 2
    keys = keys_of(router)
    assert {key for key in keys if not key.isdigit() and len(key) < 200} == {*NAMES}
    assert {len(f"run-{key}") for key in keys if len(key) >= 200} == {255, 256}


def test_without_a_shared_instance_the_deleted_one_is_its_modules_only_one(
    here: Project, router: FakeRouter
) -> None:
    named = [f"{CHECKS}/{it.replace('::', '.py::')}" for it in (ANSWERS, READY, DELETION)]
    here.set(scope="module").live(*named).assert_outcomes(passed=3)
    assert len(router.instances) == 3
