"""The router refuses what it must refuse, or its check fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from checks_tools import Routing, check, fails, here, like
from plugin_tools import FIRST, SOMEBODY, TOKEN, Project, tampered

from pytest_hydrasmoke.fake import FakeRouter

__all__ = ["here"]

MALFORMED = "test_refusals::test_malformed_instance_id_is_rejected"
MESSAGE = "test_refusals::test_overlong_message_is_rejected"
FIELD = "test_refusals::test_overlong_field_is_rejected"
KEY = "test_refusals::test_overlong_idempotency_key_is_rejected"
FIELDS = {"manifest_id": 100, "region_id": 80, "tier_id": 80}
ANOTHER_KEY = "*got: *provision answered for another idempotency key*"
Body = dict[str, Any]


def no_field(name: str) -> Body:
    return {"detail": [{"loc": ["body", name], "msg": "no", "type": "t"}]}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"status": 404}, "*got: *status was refused with 404*"),
        (
            {"status": 200, "body": {"id": SOMEBODY, "hostname": None, "status": "running"}},
            "*ContractError: the router does not reject the status of 'not-a-uuid'",
        ),
        ({"status": 422, "body": no_field("hostname")}, "*does not name only instance_id"),
    ],
)
def test_a_malformed_id(here: Project, router: FakeRouter, answer: Body, told: str) -> None:
    router.fail("status", after=FIRST.count("status"), **answer)
    fails(here, MALFORMED, told)


@pytest.mark.parametrize(
    ("name", "route", "field"),
    [(MESSAGE, "chat", "message"), (KEY, "provision", "idempotency_key")],
)
def test_what_is_too_long_and_is_rejected_without_being_named(
    here: Project, router: FakeRouter, name: str, route: Any, field: str
) -> None:
    router.fail(route, status=422, body=no_field("agent_name"))
    fails(here, name, f"*does not name only {field}")


def test_an_overlong_message_that_is_taken(here: Project, router: FakeRouter) -> None:
    def cut(scope: Body, body: Body) -> None:
        if "message" in body:
            body["message"] = body["message"][:4000]

    with tampered(router, cut) as url:
        words = "*ContractError: the router does not reject a message of 4001 characters"
        fails(here.set(url=url), MESSAGE, words)


def test_overlong_fields_that_are_taken_or_rejected_without_being_named(
    here: Project, router: FakeRouter
) -> None:
    def cut(scope: Body, body: Body) -> None:
        body.update({name: body[name][:most] for name, most in FIELDS.items() if name in body})

    with tampered(router, cut) as url:
        words = "*ContractError: the router does not reject a {} of {} characters"
        told = [words.format(name, most + 1) for name, most in FIELDS.items()]
        fails(here.set(url=url), FIELD, *told, number=3)
    assert [instance.deleted for instance in router.instances] == [True] * 3
    router.fail("provision", status=422, body=no_field("agent_name"), times=3)
    told = [f"*does not name only {name}" for name in FIELDS]
    fails(here.set(url=router.url, run_id="again"), FIELD, *told, number=3)


# An overlong key


def cut_key(scope: Body, body: Body) -> None:
    """Make a key short in body and path, as a router would whose column is too small."""
    if "idempotency_key" in body:
        body["idempotency_key"] = body["idempotency_key"][:255]
    head, found, key = scope["path"].partition("/by-key/")
    scope["path"] = f"{head}{found}{key[:255]}"


@pytest.mark.parametrize("given", ["present", "absent"])
def test_an_overlong_key_that_is_taken(project: Project, routing: Routing, given: Any) -> None:
    router = routing(like(provision_instance_id=given))
    with tampered(router, cut_key) as url:
        fails(project.suite("bare").at(url), KEY, ANOTHER_KEY)
    assert [instance.deleted for instance in router.instances] == [True]


def test_an_overlong_key_that_is_taken_and_forgotten(here: Project, router: FakeRouter) -> None:
    router.fail("provision", status=200, body={"idempotency_key": "run-0", "task_id": "t"})
    here.set(delete_timeout=0.6)
    result = check(here, KEY)
    result.assert_outcomes(failed=2)
    shows_none = "*accepted the request, but shows no instance for its key*"
    result.stdout.fnmatch_lines([f"E *{ANOTHER_KEY}", shows_none, "*leaked 1"])


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


# Strangers


def letting_in(route: str) -> Callable[[Body, Body], None]:
    """Let a caller in on one route, whoever it is."""
    ends = {"poll": "/by-key/", "status": "/instances/", "llm_events": "/llm-events"}
    others = [end for name, end in ends.items() if name not in (route, "status")]

    def change(scope: Body, body: Body) -> None:
        if ends[route] in scope["path"] and not any(end in scope["path"] for end in others):
            rest = [pair for pair in scope["headers"] if pair[0] != b"authorization"]
            scope["headers"] = [*rest, (b"authorization", f"Bearer {TOKEN}".encode())]

    return change


@pytest.mark.parametrize(
    ("route", "words"),
    [
        ("poll", "an answer, as with the right token, or 404"),
        ("status", "status was refused with 404*"),
        ("llm_events", "llm_events was refused with 404*"),
    ],
)
def test_strangers_who_are_let_in(
    here: Project, router: FakeRouter, route: str, words: str
) -> None:
    with tampered(router, letting_in(route)) as url:
        told = [
            line
            for token in ("missing", "wrong")
            for line in (
                f"*ContractError: {route} does not refuse a {token} token",
                f"*got: *{words}",
            )
        ]
        fails(here.set(url=url), "test_refusals::test_token_is_required", *told, number=2)
