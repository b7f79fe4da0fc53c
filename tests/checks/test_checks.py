"""Each bundled check fails against a router that breaks its rule, and passes where it may vary."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from plugin_tools import ALL, CHECKS, FILES, FIRST, SOMEBODY, TOKEN, Project, answering, tampered

from pytest_hydrasmoke._run.slots import NAMES
from pytest_hydrasmoke.fake import FakeRouter, Scenario

Routing = Callable[[Scenario], FakeRouter]
RUNNING: tuple[tuple[float, str], ...] = ((0, "running"),)


def like(**more: Any) -> Scenario:
    """Return a scenario whose instances are ready at once."""
    return Scenario(row_after=0, statuses=RUNNING, **more)


@pytest.fixture
def here(project: Project, router: FakeRouter) -> Project:
    """A project against `router`."""
    return project.suite("bare").at(router, run_id="run")


def check(project: Project, name: str) -> pytest.RunResult:
    """Run one bundled check, given as `test_file::test_name`."""
    file, _, test = name.partition("::")
    return project.live(f"{CHECKS}/{file}.py::{test}")


def fails(project: Project, name: str, *lines: str) -> None:
    """Run one bundled check, which is to fail in its call with these words, and leave nothing."""
    result = check(project, name)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([*(f"E *{line}" for line in lines), "*kept 0, leaked 0"])


def passes(project: Project, name: str) -> None:
    check(project, name).assert_outcomes(passed=1)


def instance_body(**more: object) -> dict[str, Any]:
    return {"id": SOMEBODY, "hostname": None, "status": "running", **more}


# The agent answers

ANSWERS = "test_chat::test_chat_answers"


def test_a_reply_without_a_text(project: Project, routing: Routing) -> None:
    project.suite("bare").at(routing(like(reply=" ")))
    fails(project, ANSWERS, "Failed: the reply has no text in any of its * events")


def test_a_reply_that_says_something_else(here: Project) -> None:
    here.set(expect_text="I am (not|never) ready")
    words = "Failed: no match of expect_text 'I am (not|never) ready' in the reply: I am ready."
    fails(here, ANSWERS, words)
    here.set(expect_text="r.ady", run_id="again")
    passes(here, ANSWERS)


def test_a_hostile_reply_is_made_safe(project: Project, routing: Routing) -> None:
    router = routing(like(reply="\x1b[31m##[error] and so on"))
    project.suite("bare").at(router, expect_text="no such words")
    result = check(project, ANSWERS)
    result.assert_outcomes(failed=1)
    assert "\x1b" not in result.stdout.str()
    assert "##[error]" not in result.stdout.str()


def test_a_stream_that_breaks_off(here: Project, router: FakeRouter) -> None:
    router.break_stream("cut")
    fails(here, ANSWERS, "*ChatError: the stream was cut*")


def test_a_reply_that_was_cut(project: Project, routing: Routing) -> None:
    project.suite("bare").at(routing(like(terminal=False)))
    cut = "*ChatError: the reply was cut: its stream ended without a terminal event"
    fails(project, ANSWERS, cut, "*expected: *as this runtime always sends one (chat_end = auto)")
    project.set(chat_end="optional")
    result = check(project, ANSWERS)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*note: a chat's stream ended without a terminal event"])


def test_the_prompt_is_what_is_asked(here: Project, router: FakeRouter) -> None:
    here.set(prompt="How do you do?")
    passes(here, ANSWERS)
    [chat] = [request.body for request in router.requests if request.route == "chat"]
    assert chat == {"message": "How do you do?"}


# What its model cost is recorded

RECORDED = "test_chat::test_llm_events_of_a_chat_are_recorded"


def test_llm_events_that_are_never_written(project: Project, routing: Routing) -> None:
    router = routing(like(llm_events_per_turn=0))
    project.suite("bare").at(router, llm_events_timeout=0.5)
    fails(project, RECORDED, "*LlmEventsError: *", "*expected: *at least 1 LLM event")


def test_llm_events_of_another_provider(project: Project, routing: Routing) -> None:
    router = routing(like(providers=("openai",)))
    project.suite("bare").at(router, llm_events_timeout=0.5, expect_providers="anthropic")
    fails(project, RECORDED, "*LlmEventsError: *", "*expected: *anthropic among them")
    project.set(expect_providers="openai")
    passes(project, RECORDED)


def test_llm_events_of_nobody(project: Project, routing: Routing) -> None:
    project.suite("bare").at(routing(like(providers=(" ",))))
    fails(project, RECORDED, "*ContractError: llm_events names no provider")


ECHOED = "test_chat::test_llm_events_window_is_echoed"


@pytest.mark.parametrize(("window", "after"), [(900, 0), (600, 1)])
def test_a_window_that_is_not_echoed(
    here: Project, router: FakeRouter, window: int, after: int
) -> None:
    counted = {"count": 0, "providers": [], "window_seconds": window}
    with answering(router, "llm_events", after, **counted) as url:
        fails(here.set(url=url), ECHOED, "*ContractError: llm_events answers for another window *")


# An instance can be provisioned and found

READY = "test_instance::test_instance_becomes_ready"


def test_a_status_of_another_instance(here: Project, router: FakeRouter) -> None:
    router.fail("status", status=200, after=FIRST.count("status") + 1, body=instance_body())
    fails(here, READY, "*ContractError: status answered for another instance", f"*{SOMEBODY}")


def test_an_instance_that_does_not_stay_ready(here: Project, router: FakeRouter) -> None:
    after = FIRST.count("status") + 1
    with answering(router, "status", after, hostname=None, status="Halted") as url:
        fails(here.set(url=url), READY, "*ContractError: the instance was ready, and no longer is")


def test_an_instance_that_fails(project: Project, routing: Routing) -> None:
    router = routing(Scenario(row_after=0, statuses=((0, "failed"),)))
    result = check(project.suite("bare").at(router), READY)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["E *ProvisionError: the instance is 'failed'"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED


FOUND = "test_instance::test_key_of_an_instance_is_found"


def test_a_key_that_names_another_instance(here: Project, router: FakeRouter) -> None:
    body = {"found": True, "instance_id": SOMEBODY, "status": "running"}
    # After the question whether its key is free, and that for the row.
    router.fail("poll", status=200, after=FIRST.count("poll") + 2, body=body)
    fails(here, FOUND, "*ContractError: poll does not find an instance by its key")


TWICE = "test_instance::test_same_key_twice_is_the_same_instance"


def test_a_key_that_makes_a_second_instance(here: Project, router: FakeRouter) -> None:
    body = {"idempotency_key": "run-0", "instance_id": SOMEBODY, "task_id": "t"}
    router.fail("provision", status=200, after=1, body=body)
    here.set(delete_timeout=1)
    fails(here, TWICE, "*ContractError: there is a second instance for one key")


def test_a_key_that_is_not_echoed(here: Project, router: FakeRouter) -> None:
    body = {"idempotency_key": "run-1", "instance_id": None, "task_id": "t"}
    router.fail("provision", status=200, after=1, body=body)
    fails(here, TWICE, "*ContractError: provision answered for another idempotency key")


def test_a_key_that_comes_to_stand_for_another_instance(here: Project, router: FakeRouter) -> None:
    body = {"found": True, "instance_id": SOMEBODY, "status": "running"}
    # After the question whether its key is free, and that for the row.
    router.fail("poll", status=200, after=FIRST.count("poll") + 2, body=body)
    fails(here, TWICE, "*ContractError: there is a second instance for one key")


def test_a_key_that_is_refused_the_second_time(here: Project, router: FakeRouter) -> None:
    router.fail("provision", status=400, after=1)
    fails(here, TWICE, "*RouterError: provision was refused with 400*")


def test_another_body_that_breaks_the_router(here: Project, router: FakeRouter) -> None:
    router.fail("provision", status=501, after=1)
    name = "test_instance::test_same_key_with_another_body_is_the_same_instance"
    fails(here, name, "*RouterError: provision was refused with 501*")


def test_a_key_that_is_in_progress_the_second_time(here: Project, router: FakeRouter) -> None:
    router.fail("provision", status=409, after=1)
    passes(here, TWICE)


@pytest.mark.parametrize("given", ["present", "null", "absent"])
def test_a_second_answer_may_leave_out_the_id(
    project: Project, routing: Routing, given: Any
) -> None:
    passes(project.suite("bare").at(routing(like(provision_instance_id=given))), TWICE)


def test_a_key_that_nobody_used_is_found(here: Project, router: FakeRouter) -> None:
    body = {"found": True, "instance_id": SOMEBODY, "status": "running"}
    router.fail("poll", status=200, after=FIRST.count("poll"), body=body)
    words = "*ContractError: poll names an instance for a key that nobody used"
    fails(here, "test_instance::test_unknown_key_is_not_found", words)


def test_an_instance_that_nobody_made_is_found(here: Project, router: FakeRouter) -> None:
    name = "test_instance::test_unknown_instance_is_not_found"
    with answering(router, "status", FIRST.count("status"), hostname=None, status="running") as url:
        fails(here.set(url=url), name, "*Error: status does not refuse an unknown instance*")


def test_llm_events_of_an_instance_that_nobody_made(here: Project, router: FakeRouter) -> None:
    name = "test_instance::test_unknown_instance_is_not_found"
    counted = {"count": 0, "providers": [], "window_seconds": 900}
    with answering(router, "llm_events", 0, **counted) as url:
        fails(here.set(url=url), name, "*Error: llm_events does not refuse an unknown instance*")


# What was provisioned is gone once it is deleted

STRANGERS = 11
"""How many strangers try to delete it."""
DELETION = "test_deletion::test_deletion_is_confirmed_and_a_second_one_does_no_harm"


@pytest.mark.parametrize("checked", [0, 1], ids=["after the first", "after the second"])
def test_an_instance_that_comes_back(here: Project, router: FakeRouter, checked: int) -> None:
    # Once it and the shared one are ready, it is looked at after each stranger, a while later, and
    # when it is deleted.
    after = FIRST.count("status") + 2 + STRANGERS + 1 + 1 + checked
    with answering(router, "status", after, hostname=None, status="running") as url:
        words = "*ContractError: an instance whose deletion was confirmed is there again"
        fails(here.set(url=url), DELETION, words)


def test_a_second_deletion_that_is_refused(here: Project, router: FakeRouter) -> None:
    # After those of strangers, and the one that does it.
    router.fail("delete", status=400, after=STRANGERS + 1, times=2)
    fails(here, DELETION, "*RouterError: delete was refused with 400*")


def test_a_deletion_that_does_nothing(here: Project, router: FakeRouter) -> None:
    here.set(delete_timeout=0.5)
    body = {"instance_id": SOMEBODY, "status": "queued"}
    router.fail("delete", status=200, times=999, body=body)
    result = check(here, DELETION)
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(["E *LeakError: not confirmed as deleted*", "*leaked 2"])


@pytest.mark.parametrize("after_delete", ["404", "row"])
@pytest.mark.parametrize("second", [200, 404, 409, 410])
def test_the_ways_to_be_gone(
    project: Project, routing: Routing, second: Any, after_delete: Any
) -> None:
    scenario = like(second_delete=second, after_delete=after_delete, gone_word="Terminated")
    passes(project.suite("bare").at(routing(scenario)), DELETION)


def test_what_a_hook_says_to_an_instance_is_its_own(here: Project) -> None:
    here.write("conftest.py", CHATTY)
    passes(here, DELETION)


CHATTY = """
def pytest_hydra_smoke_instance_ready(instance):
    instance.chat("Are you ready?").expect_llm_events()
"""


# The router refuses what it must refuse


def no_field(*names: str) -> dict[str, Any]:
    return {"detail": [{"loc": ["body", name], "msg": "no", "type": "t"} for name in names]}


MALFORMED = "test_refusals::test_malformed_instance_id_is_rejected"


def test_a_malformed_id_that_is_just_not_found(here: Project, router: FakeRouter) -> None:
    router.fail("status", status=404, after=FIRST.count("status"))
    fails(here, MALFORMED, "*got: *status was refused with 404*")


def test_a_malformed_id_that_is_taken(here: Project, router: FakeRouter) -> None:
    router.fail("status", status=200, after=FIRST.count("status"), body=instance_body())
    fails(here, MALFORMED, "*ContractError: the router does not reject the status of 'not-a-uuid'")


def test_a_malformed_id_that_is_rejected_without_naming_it(
    here: Project, router: FakeRouter
) -> None:
    router.fail("status", status=422, after=FIRST.count("status"), body=no_field("hostname"))
    fails(here, MALFORMED, "*does not name only instance_id")


MESSAGE = "test_refusals::test_overlong_message_is_rejected"


def test_an_overlong_message_that_is_taken(here: Project, router: FakeRouter) -> None:
    def cut(scope: dict[str, Any], body: dict[str, Any]) -> None:
        if "message" in body:
            body["message"] = body["message"][:4000]

    with tampered(router, cut) as url:
        here.set(url=url)
        fails(
            here, MESSAGE, "*ContractError: the router does not reject a message of 4001 characters"
        )


def test_an_overlong_message_that_is_rejected_without_naming_it(
    here: Project, router: FakeRouter
) -> None:
    router.fail("chat", status=422, body=no_field("text"))
    fails(here, MESSAGE, "*does not name only message")


FIELDS = [("manifest_id", 100), ("region_id", 80), ("tier_id", 80)]
FIELD = "test_refusals::test_overlong_field_is_rejected"


@pytest.mark.parametrize(("field", "limit"), FIELDS)
def test_an_overlong_field_that_is_taken(
    here: Project, router: FakeRouter, field: str, limit: int
) -> None:
    def cut(scope: dict[str, Any], body: dict[str, Any]) -> None:
        if field in body:
            body[field] = body[field][:limit]

    with tampered(router, cut) as url:
        here.set(url=url)
        words = f"*ContractError: the router does not reject a {field} of {limit + 1} characters"
        fails(here, f"{FIELD}[{field}-{limit}]", words)
    assert [instance.deleted for instance in router.instances] == [True]


@pytest.mark.parametrize(("field", "limit"), FIELDS)
def test_an_overlong_field_that_is_rejected_without_naming_it(
    here: Project, router: FakeRouter, field: str, limit: int
) -> None:
    router.fail("provision", status=422, body=no_field("agent_name"))
    fails(here, f"{FIELD}[{field}-{limit}]", f"*does not name only {field}")


KEY = "test_refusals::test_overlong_idempotency_key_is_rejected"


def cut_key(scope: dict[str, Any], body: dict[str, Any]) -> None:
    """Make a key short in body and path, as a router would whose column is too small."""
    if "idempotency_key" in body:
        body["idempotency_key"] = body["idempotency_key"][:255]
    head, found, key = scope["path"].partition("/by-key/")
    scope["path"] = f"{head}{found}{key[:255]}"


ANOTHER_KEY = "*got: *provision answered for another idempotency key*"


@pytest.mark.parametrize("given", ["present", "absent"])
def test_an_overlong_key_that_is_taken(project: Project, routing: Routing, given: Any) -> None:
    router = routing(like(provision_instance_id=given))
    with tampered(router, cut_key) as url:
        fails(project.suite("bare").at(url), KEY, ANOTHER_KEY)
    assert [instance.deleted for instance in router.instances] == [True]


def test_an_overlong_key_that_is_taken_and_forgotten(here: Project, router: FakeRouter) -> None:
    body = {"idempotency_key": "run-0", "task_id": "t"}
    router.fail("provision", status=200, body=body)
    here.set(delete_timeout=0.6)
    result = check(here, KEY)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            f"E *{ANOTHER_KEY}",
            "*accepted the request, but shows no instance for its key*",
            "*leaked 1",
        ]
    )


def test_an_overlong_key_that_is_taken_for_good(here: Project, router: FakeRouter) -> None:
    key, made_up = "run-overlong_".ljust(256, "x"), "0b0e9d5e-5d3c-4a64-9f0e-3a1b8f6d2c11"
    found = {"found": True, "instance_id": made_up, "status": "running"}
    router.fail("provision", status=200, body={"idempotency_key": key, "task_id": "t"})
    router.fail("poll", after=FIRST.count("poll") + 1, status=200, body=found)
    # It is ready, and still there when it is looked at before its deletion.
    running = {"id": made_up, "status": "running"}
    router.fail("status", after=FIRST.count("status"), times=2, status=200, body=running)
    words = "*ContractError: the router does not reject an idempotency key of 256 characters"
    fails(here, KEY, words)
    # Nothing was accepted: it must be not found for a while, and at the run's end too.
    look = ["status", "poll"]
    assert [request.route for request in router.requests][-7:] == ["delete", *look * 3]


def test_an_overlong_key_that_is_rejected_without_naming_it(
    here: Project, router: FakeRouter
) -> None:
    router.fail("provision", status=422, body=no_field("agent_name"))
    fails(here, KEY, "*does not name only idempotency_key")


def test_the_overlong_key_is_just_too_long(here: Project, router: FakeRouter) -> None:
    passes(here, KEY)
    [request] = [one for one in router.requests if one.route == "provision"]
    assert isinstance(request.body, dict)
    assert len(str(request.body["idempotency_key"])) == 256


def letting_in(wrong: bool, route: str) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    """Let a caller in on one route who has no token, or a wrong one."""
    ends = {"poll": "/by-key/", "status": "/instances/", "llm_events": "/llm-events"}

    def change(scope: dict[str, Any], body: dict[str, Any]) -> None:
        path = scope["path"]
        others = [end for name, end in ends.items() if name != route and name != "status"]
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if (
            ends[route] in path
            and not any(end in path for end in others)
            and (bool(given) == wrong)
        ):
            rest = [pair for pair in scope["headers"] if pair[0] != b"authorization"]
            scope["headers"] = [*rest, (b"authorization", f"Bearer {TOKEN}".encode())]

    return change


@pytest.mark.parametrize("token", ["missing", "wrong"])
@pytest.mark.parametrize(
    ("route", "words"),
    [
        ("poll", "an answer, as with the right token, or 404"),
        ("status", "status was refused with 404*"),
        ("llm_events", "llm_events was refused with 404*"),
    ],
)
def test_a_stranger_who_is_let_in(
    here: Project, router: FakeRouter, route: str, words: str, token: str
) -> None:
    with tampered(router, letting_in(token == "wrong", route)) as url:
        here.set(url=url)
        told = f"*ContractError: {route} does not refuse a {token} token"
        fails(here, f"test_refusals::test_token_is_required[{token}]", told, f"*got: *{words}")
    # What it let in was the one kind of stranger and no other.
    assert [one.route for one in router.requests if one.status != 401][-1] == route


def test_a_sweep_knows_the_keys_that_a_router_might_make_something_of(
    here: Project, router: FakeRouter
) -> None:
    check(here, "test_refusals::test_token_that_is_nearly_right_is_refused_to_provision")
    here.set(run_id="more")
    check(here, "test_refusals::test_missing_field_is_rejected")
    keys = [
        str(request.body["idempotency_key"]).partition("-")[2]
        for request in router.requests
        if request.route == "provision" and isinstance(request.body, dict)
    ]
    names = [key for key in keys if not key.isdigit()]
    assert sorted(names) == sorted({*NAMES} - {"stranger_missing", "stranger_wrong"})


@pytest.mark.parametrize("status", [401, 403])
def test_a_stranger_may_be_refused_in_two_ways(
    project: Project, routing: Routing, status: Any
) -> None:
    project.suite("bare").at(routing(like(unauthorized_status=status)))
    project.live(f"{CHECKS}/test_refusals.py").assert_outcomes(passed=FILES["test_refusals.py"])


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
    result = project.suite("bare").at(routing(odd)).live()
    result.assert_outcomes(passed=ALL)
    result.stdout.fnmatch_lines(["*drift: unknown in the answer to poll: news"])


@pytest.mark.parametrize(("scope", "number"), [("session", 2), ("module", 4)])
def test_the_checks_need_few_instances(
    here: Project, router: FakeRouter, scope: str, number: int
) -> None:
    here.set(scope=scope).live().assert_outcomes(passed=ALL)
    assert [instance.deleted for instance in router.instances] == [True] * number
