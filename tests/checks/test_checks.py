"""Each bundled check fails against a router that breaks its rule, and passes where it may vary.

Routers that are wrong in all other ways, and right ones, are in tests/routers.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from checks_tools import Body, cut, letting_in, no_field
from other_form import odd
from plugin_tools import ALL, CHECKS, FIRST, SOMEBODY, Project, Ran, answering, count, tampered

from pytest_hydrasmoke._run.swept_run import NAMES
from pytest_hydrasmoke.fake import FakeRouter, Scenario
from pytest_hydrasmoke.fake.presets import load

Routing = Callable[[Scenario], FakeRouter]
ANSWERS = "test_chat::test_chat_answers"
RECORDED = "test_chat::test_llm_events_of_a_chat_are_recorded"
ECHOED = "test_chat::test_llm_events_window_is_echoed"
READY = "test_instance::test_instance_becomes_ready"
FOUND = "test_instance::test_key_of_an_instance_is_found"
TWICE = "test_instance::test_same_key_twice_is_the_same_instance"
OTHER_BODY = "test_instance::test_same_key_with_another_body_is_the_same_instance"
UNKNOWN_KEY = "test_instance::test_unknown_key_is_not_found"
UNKNOWN = "test_instance::test_unknown_instance_is_not_found"
DELETION = "test_deletion::test_deletion_is_confirmed_and_a_second_one_does_no_harm"
MALFORMED = "test_refusals::test_malformed_instance_id_is_rejected"
MESSAGE = "test_refusals::test_overlong_message_is_rejected"
FIELD = "test_refusals::test_overlong_field_is_rejected"
KEY = "test_refusals::test_overlong_idempotency_key_is_rejected"
TOKENS = "test_refusals::test_token_is_required"
# How many try to delete an instance; how often a run asks for a key, or a status, before its tests.
STRANGERS, POLLS, LOOKS = 11, FIRST.count("poll"), FIRST.count("status")
KNOWN = {"found": True, "instance_id": SOMEBODY, "status": "running"}
AN_INSTANCE = {"hostname": None, "status": "running"}


def like(**more: Any) -> Scenario:
    """Return a scenario whose instances are ready at once."""
    return Scenario(row_after=0, statuses=((0, "running"),), **more)


def check(project: Project, *names: str, **expected: int) -> Ran:
    """Run bundled checks, given as `test_file::test_name`."""
    checks = (f"{CHECKS}/{name.replace('::', '.py::')}" for name in names)
    return project.live(*checks, **expected)


def fails(project: Project, names: tuple[str, ...], *lines: str, failures: int = 1) -> None:
    """Run bundled checks, which are to fail in their call with these words, and leave nothing."""
    result = check(project, *names)
    outcomes = result.parseoutcomes()
    assert (outcomes["failed"], outcomes.get("errors")) == (failures, None)
    for line in (*(f"E *{line}" for line in lines), "*kept 0, leaked 0, unsure 0"):
        result.says(line)


Fault = tuple[Any, int, Body]  # A route, after how many requests it answers otherwise, and how.


def wrong(
    checks: str | tuple[str, ...],
    *lines: str,
    faults: tuple[Fault, ...] = (),
    answer: Fault | None = None,
    request: Callable[[Body, Body], None] = lambda scope, body: None,
    failures: int | None = None,
    **scenario: Any,
) -> Callable[[Project, Routing], None]:
    """Return a run against a router that breaks a rule of each check, and is told with these lines.

    It has faults, one `answer` about what it is asked for, or its requests are changed.
    """

    def run(project: Project, routing: Routing) -> None:
        router = routing(like(**scenario))
        project.suite("bare").at(router, run_id="run")
        for route, after, fault in faults:
            router.fail(route, after=after, **{"status": 200, **fault})
        if answer is None:
            gate = tampered(router, request)
        else:
            gate = answering(router, answer[0], answer[1], **answer[2])
        names = (checks,) if isinstance(checks, str) else checks
        with gate as url:
            fails(project.set(url=url), names, *lines, failures=failures or len(names))
        assert all(instance.deleted for instance in router.instances)

    return run


NOTHING: Body = {"count": 0, "providers": []}
OTHER_FIELD = {"status": 422, "body": no_field("agent_name")}
# After the question whether the key is free, and that for the row.
ANOTHER: Fault = ("poll", POLLS + 2, {"body": KNOWN})
MADE_UP = {"idempotency_key": "run-1", "instance_id": None, "task_id": "t"}
MALFORMED_ANSWERS: tuple[Fault, ...] = (
    ("status", LOOKS, {"status": 404}),
    ("llm_events", 0, {"body": {**NOTHING, "instance_id": SOMEBODY, "window_seconds": 900}}),
    ("delete", 0, {"status": 422, "body": no_field("hostname")}),
)
NO_REJECTION = "*ContractError: the router does not reject"
SECOND = "*ContractError: there is a second instance for one key"
BACK = "*ContractError: an instance whose deletion was confirmed is there again"
ANOTHER_KEY = "*got: *provision answered for another idempotency key*"
FIELDS = {"manifest_id": 100, "region_id": 80, "tier_id": 80}
GUARDED = [
    ("poll", "/by-key/", "an answer, as with the right token, or 404"),
    ("status", "/instances/", "status was refused with 404*"),
    ("llm_events", "/llm-events", "llm_events was refused with 404*"),
]
WRONG = {
    # The agent answers, and what its model cost is recorded
    "no text and no provider": wrong(
        (ANSWERS, RECORDED),
        "Failed: the reply has no text in any of its * events: <ChatTurn *, none with text: *>",
        "*ContractError: llm_events names no provider",
        reply=" ",
        providers=(" ",),
    ),
    "the second window is not echoed": wrong(
        ECHOED,
        "*ContractError: llm_events answers for another window *",
        answer=("llm_events", 1, {**NOTHING, "window_seconds": 600}),
    ),
    # An instance can be provisioned and found
    "not ready any more, another one's key, broken by another body": wrong(
        (READY, FOUND, OTHER_BODY),
        "*ContractError: the instance was ready, and no longer is",
        "*ContractError: poll does not find an instance by its key",
        "*RouterError: provision was refused with 501*",
        faults=(ANOTHER, ("provision", 1, {"status": 501})),
        answer=("status", LOOKS + 1, {**AN_INSTANCE, "status": "Halted"}),
    ),
    "a key that is not echoed": wrong(
        TWICE,
        "*ContractError: provision answered for another idempotency key",
        faults=(("provision", 1, {"body": MADE_UP}),),
    ),
    # No row of it ever comes.
    "a key that makes a second instance": wrong(
        TWICE, SECOND, faults=(("provision", 1, {"body": {**MADE_UP, "instance_id": SOMEBODY}}),)
    ),
    "a key that comes to stand for another instance": wrong(TWICE, SECOND, faults=(ANOTHER,)),
    "a key that is refused the second time": wrong(
        TWICE,
        "*RouterError: provision was refused with 400*",
        faults=(("provision", 1, {"status": 400}),),
    ),
    "a key and an instance of nobody are found": wrong(
        (UNKNOWN_KEY, UNKNOWN),
        "*ContractError: poll names an instance for a key that nobody used",
        "*Error: status does not refuse an unknown instance*",
        faults=(("poll", POLLS, {"body": KNOWN}),),
        answer=("status", LOOKS, AN_INSTANCE),
    ),
    "LLM events of an instance that nobody made": wrong(
        UNKNOWN,
        "*Error: llm_events does not refuse an unknown instance*",
        answer=("llm_events", 0, {**NOTHING, "window_seconds": 900}),
    ),
    # What was provisioned is gone once it is deleted. Once it and the shared one are ready, it is
    # looked at after each stranger, a while later, and when it is deleted.
    **{
        f"it is back after the {which} deletion": wrong(
            DELETION, BACK, answer=("status", LOOKS + STRANGERS + 5 + number, AN_INSTANCE)
        )
        for number, which in enumerate(("first", "second"))
    },
    # The router refuses what it must refuse
    "a malformed id is answered": wrong(
        (MALFORMED, f"{MALFORMED}_by"),
        "*got: *status was refused with 404*",
        f"{NO_REJECTION} llm_events of 'not-a-uuid'",
        "*does not name only instance_id",
        faults=MALFORMED_ANSWERS,
        failures=3,
    ),
    "what is too long is taken": wrong(
        (MESSAGE, FIELD, KEY),
        f"{NO_REJECTION} a message of 4001 characters",
        *(f"{NO_REJECTION} a {name} of {most + 1} characters" for name, most in FIELDS.items()),
        ANOTHER_KEY,
        request=cut,
        failures=5,
    ),
    "what is too long is rejected without being named": wrong(
        (MESSAGE, FIELD, KEY),
        *(f"*does not name only {it}" for it in ("message", *FIELDS, "idempotency_key")),
        faults=(("chat", 0, OTHER_FIELD), ("provision", 1, {**OTHER_FIELD, "times": 99})),
        failures=5,
    ),
    "an overlong key is taken, and no id is given": wrong(
        KEY, ANOTHER_KEY, request=cut, provision_instance_id="absent"
    ),
    **{
        f"strangers are let in to {call}": wrong(
            TOKENS,
            f"*ContractError: {call} does not refuse a missing token",
            f"*got: *{got}",
            f"*ContractError: {call} does not refuse a wrong token",
            request=letting_in(end),
            failures=2,
        )
        for call, end, got in GUARDED
    },
}


@pytest.mark.parametrize("case", WRONG)
def test_a_router_that_breaks_a_rule_fails_its_check(
    project: Project, routing: Routing, case: str
) -> None:
    WRONG[case](project, routing)


# What a router may do, and what is expected of it


def test_what_answers_is_what_is_expected_of_it_or_the_check_fails(
    project: Project, routing: Routing
) -> None:
    router = routing(like(reply="\x1b[31m##[error] I am ready."))
    project.suite("bare").at(router, run_id="run", llm_events_timeout=0.5)
    project.set(expect_text="I am (not|never) ready", expect_providers="openai")
    result = check(project, ANSWERS, RECORDED, failed=2)
    words = "E *Failed: no match of expect_text 'I am (not|never) ready' in the reply: *I am ready."
    events = ["E *LlmEventsError: *", "E *expected: *openai among them"]
    result.says(words, *events)
    # A hostile reply is made safe.
    assert not any(it in result.stdout.str() for it in ("\x1b", "##[error]"))
    project.set(expect_text="r.ady", run_id="again", expect_models="claude-*, gpt-5*")
    words = "Failed: smoke answered, and not a model of expect_models (claude-[*], gpt-5[*]): see*"
    fails(project, (ANSWERS,), words)
    project.set(expect_models="claude-*, sm*e", expect_providers="anthropic", run_id="third")
    check(project.set(prompt="How do you do?"), ANSWERS, RECORDED, passed=2)
    asked = [request.body for request in router.requests if request.route == "chat"]
    assert asked[-1] == {"message": "How do you do?"}
    project.at(routing(like(runtime="text")), run_id="fourth")
    words = "Failed: the agent's runtime names no model: nothing shows that a *"
    fails(project, (ANSWERS,), words)


def test_a_key_that_is_in_progress_the_second_time(here: Project, router: FakeRouter) -> None:
    router.fail("provision", status=409, after=1)
    check(here, TWICE, passed=1)


def test_an_overlong_key_that_is_taken_and_forgotten(here: Project, router: FakeRouter) -> None:
    router.fail("provision", status=200, body={"idempotency_key": "run-0", "task_id": "t"})
    result = check(here.set(delete_timeout=1.5), KEY, failed=2)
    shows_none = "*accepted the request, but shows no instance for its key*"
    result.says(f"E *{ANOTHER_KEY}", shows_none, "*leaked 1, unsure 0")


def test_an_overlong_key_that_is_taken_for_good(here: Project, router: FakeRouter) -> None:
    key, made_up = "run-overlong_".ljust(256, "x"), "0b0e9d5e-5d3c-4a64-9f0e-3a1b8f6d2c11"
    found = {"found": True, "instance_id": made_up, "status": "running"}
    router.fail("provision", status=200, body={"idempotency_key": key, "task_id": "t"})
    router.fail("poll", after=POLLS + 1, status=200, body=found)
    # It is ready, and still there when it is looked at before its deletion.
    running = {"id": made_up, "status": "running"}
    router.fail("status", after=LOOKS, times=2, status=200, body=running)
    fails(here, (KEY,), f"{NO_REJECTION} an idempotency key of 256 characters")
    # Nothing was accepted: it must be not found for a while, and at the run's end too.
    look = ["status", "poll"]
    about = [it.route for it in router.requests if made_up in it.path or key in it.path]
    assert about[-7:] == ["delete", *look * 3]


def test_a_deletion_that_does_nothing(here: Project, router: FakeRouter) -> None:
    body = {"instance_id": SOMEBODY, "status": "queued"}
    router.fail("delete", status=200, times=999, body=body)
    result = check(here.set(delete_timeout=0.5), DELETION, failed=3)
    result.says("E *ContractError: delete *", "LEAK: *", "LEAK: *", "*leaked 2, unsure 0")


CHATTY = """
def pytest_hydra_smoke_instance_ready(instance):
    instance.chat("Are you ready?").expect_llm_events()
"""


# Other ways are those of all checks, below, and of the fake's default.
def test_a_deleted_instance_may_keep_its_row(project: Project, routing: Routing) -> None:
    router = routing(like(second_delete=200, after_delete="row", gone_word="Terminated"))
    # What a hook says to an instance is its own.
    project.suite("bare").at(router).write("conftest.py", CHATTY)
    check(project, DELETION, passed=1)
    # Those of strangers, and of its owner; the shared instance's is one more.
    own = [it for it in router.requests if it.route == "delete" and it.status == 200]
    assert (count(router, "delete") - len(own), len(own)) == (STRANGERS, 4)


def test_the_checks_pass_against_every_router_that_keeps_the_contract(
    project: Project, routing: Routing
) -> None:
    contrary = replace(load("contrary"), trouble="none", runtime="anthropic", llm_events_per_turn=3)

    def with_news(answer: dict[str, Any]) -> dict[str, Any]:
        return {**odd(answer), "news": [uuid.UUID(int=0).hex]}

    router = routing(replace(contrary, terminal=True), change=with_news, line_end=b"\r")
    result = project.suite("bare").at(router, run_id="run").live(passed=ALL)
    result.says("*note: unknown in the answer to poll: news")
    # They need few instances, and a sweep knows their keys; the longest is just too long.
    assert [instance.deleted for instance in router.instances] == [True] * 2
    bodies = (one.body for one in router.requests if one.route == "provision")
    asked = (str(body["idempotency_key"]) for body in bodies if isinstance(body, dict))
    keys = [key.partition("-")[2] for key in asked]
    assert {key for key in keys if not key.isdigit() and len(key) < 200} == {*NAMES}
    assert {len(f"run-{key}") for key in keys if len(key) >= 200} == {255, 256}


def test_without_a_shared_instance_the_deleted_one_is_its_modules_only_one(
    here: Project, router: FakeRouter
) -> None:
    check(here.set(scope="module"), ANSWERS, READY, DELETION, passed=3)
    assert len(router.instances) == 3


def test_trouble_after_a_deletion_is_no_instance_that_is_gone(
    here: Project, router: FakeRouter
) -> None:
    router.fail("status", after=LOOKS + STRANGERS + 5, status=501)
    fails(here, (DELETION,), "*RouterError: status was refused with 501*")
