"""What `pytest --hydra-smoke` says of routers that are wrong, each in one way, and of right ones.

A sample in every run, of which each is found in another way; `-m routers` runs the rest.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import pytest
from plugin_tools import CHECKS, Project
from right import RIGHT
from routers_tools import Router, failures, smoke
from wrong import WRONG, Wrong

NAMED = {f"{kind}: {it.what}": it for kind, routers in WRONG.items() for it in routers}
# Between them they take every way through the bundled checks, each met by the check for it alone.
AGE = "test_chat.py::test_llm_events_older_than_the_window_are_not_counted"
BODY = "test_instance.py::test_same_key_with_another_body_is_the_same_instance"
DEFAULT = "test_chat.py::test_llm_events_window_is_900_where_none_is_given"
NEAR = "test_refusals.py::test_token_that_is_nearly_right_is_refused"
PROVISION = "test_refusals.py::test_token_is_required_to_provision"
READ = "test_refusals.py::test_token_is_required_to_read_an_instance"
RECORDED = "test_chat.py::test_llm_events_of_a_chat_are_recorded"
SECONDS = "test_instance.py::test_llm_events_window_is_of_seconds"
DELETION = "test_deletion.py"
LONGEST = "test_refusals.py::test_longest_message_is_taken"
NAMED_KEY = "test_instance.py::test_key_of_an_instance_is_found"
# Those of one run are wrong in ways that do not touch each other: each is found by its own check.
BY_ITS_CHECK: list[dict[str, tuple[str, ...]]] = [
    {"isolation: all keys share one": (DELETION,), "defaults: the window is a minute": (DEFAULT,)},
    {
        "isolation: all share a hostname": (DELETION,),
        "fields: tier_id may be missing": ("test_refusals.py::test_missing_field_is_rejected",),
        "usage: a window is echoed and ignored": (AGE,),
    },
    {"isolation: a key names the newest one": (DELETION,)},
    {
        "usage: providers of no events": (AGE,),
        "fields: a message may be missing": ("test_refusals.py::test_missing_message_is_rejected",),
        "tokens: poll: an empty token is taken": (NEAR,),
    },
    {
        "isolation: LLM events of all are counted": (DELETION,),
        "forms: poll: status is left out": (NAMED_KEY,),
        "tokens: provision: any scheme is taken": (f"{NEAR}_to_provision",),
    },
    {
        "authorization: delete: done, and then refused": (DELETION,),
        "bodies: one key boots anew each time": (BODY,),
    },
    {
        "tokens: delete: a token in another case is taken": (DELETION,),
        "defaults: no hostname is told": ("test_instance.py::test_ready_instance_has_a_hostname",),
        "windows: a window is of ten seconds each": (SECONDS,),
    },
    {
        "usage: providers of other instances, too": (DELETION,),
        "bodies: one key and another tier_id make two": (BODY,),
    },
    {
        "later: a refused deletion is carried out 1.5 s later": (DELETION,),
        "usage: a count of one at most": ("test_chat.py::test_chat_answers", LONGEST),
    },
    {
        "later: a refused chat costs 1.5 s later": (DELETION,),
        "forms: poll: status is 'queued'": (NAMED_KEY,),
    },
    {
        "accounts: usage goes to the first instance, too": (RECORDED, DELETION),
        "identity: one key makes two": (
            "test_instance.py::test_same_key_twice_is_the_same_instance",
        ),
    },
    {
        "lifecycle: delete says that it runs": (DELETION,),
        "usage: what is out of one window is thrown away": (AGE,),
    },
    {
        "isolation: one deletion deletes all": (DELETION,),
        "authorization: status: a wrong token is taken": (READ,),
    },
    {
        "authorization: provision: done, and then refused": (PROVISION,),
        "defaults: the window is 900 in name": (RECORDED, DEFAULT),
    },
    {
        "authorization: provision: open to who knows a key, with a wrong token": (PROVISION,),
        "usage: a provider is invented": (RECORDED, LONGEST),
        "bodies: one key and another agent_name make two, and poll names the second": (BODY,),
    },
    {
        "authorization: provision: open to who knows a key, and makes another": (PROVISION,),
        "stream: a reply in JSON": ("test_chat.py::test_chat_answers",),
    },
]
TOLERATED: list[dict[str, tuple[str, ...]]] = [
    {
        "strangers are told 401 by a gateway": (READ, PROVISION),
        "an agent's clock is three seconds behind": (AGE, RECORDED),
        "one key and another body: 409": (BODY,),
        "poll tells a status a second late": ("test_instance.py",),
    },
    {"a count is read before its providers": ("test_chat.py",)},
]
BY_WHAT = {it.what: it for it in RIGHT}


def together(routers: Sequence[Router]) -> Router:
    """Return a router that is odd in all these ways."""
    rules = [rule for router in routers for rule in router.rules]
    assert len(rules) == len(set(rules)), "no rule takes another one's place"
    return Router(
        "; ".join(router.what for router in routers),
        {name: rule for router in routers for name, rule in router.rules.items()},
        hurried=all(router.hurried for router in routers),
    )


def places(checks: Iterable[tuple[str, ...]]) -> list[str]:
    """Return each of these checks once."""
    return [f"{CHECKS}/{it}" for it in dict.fromkeys(itertools.chain.from_iterable(checks))]


@pytest.mark.routers
@pytest.mark.parametrize("name", NAMED)
def test_a_wrong_router_is_found(project: Project, name: str) -> None:
    see_found(project, NAMED[name], [NAMED[name]])


@pytest.mark.parametrize("those", BY_ITS_CHECK, ids="; ".join)
def test_wrong_routers_are_found_by_the_checks_that_are_for_them(
    project: Project, those: dict[str, tuple[str, ...]]
) -> None:
    routers = [NAMED[name] for name in those]
    see_found(project, together(routers), routers, *places(those.values()))


def see_found(project: Project, router: Router, wrong: Sequence[Wrong], *checks: str) -> None:
    twin, result = smoke(project, router, *checks)
    assert result.ret in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.USAGE_ERROR)
    told = failures(result)
    for it in wrong:
        assert it.told_in(told), f"no {it.words!r} in {told!r}"
    # Whatever it made is gone, or told as what it is.
    alive = [row for row in twin.rows if not row.deleted]
    is_told = all(row.key in told or row.id in result.stdout.str() for row in alive)
    assert is_told if any(it.leaves for it in wrong) else not alive


@pytest.mark.routers
@pytest.mark.parametrize("name", BY_WHAT)
def test_a_right_router_is_green(project: Project, name: str) -> None:
    see_green(project, BY_WHAT[name])


@pytest.mark.parametrize("those", TOLERATED, ids="; ".join)
def test_right_routers_are_green_to_the_checks_that_meet_what_is_odd(
    project: Project, those: dict[str, tuple[str, ...]]
) -> None:
    router = together([BY_WHAT[name] for name in those])
    see_green(project, router, *places(those.values()))


def see_green(project: Project, router: Router, *checks: str) -> None:
    twin, result = smoke(project, router, *checks)
    assert failures(result) == ""
    assert result.ret == pytest.ExitCode.OK
    assert len(twin.rows) in ((1, 2) if checks else (2,))
    assert all(row.deleted for row in twin.rows)


@pytest.mark.reference
def test_there_are_enough_of_them() -> None:
    assert len(NAMED) == sum(map(len, WRONG.values())) >= 310
    assert len(BY_WHAT) == len(RIGHT) >= 115
    for all_of, sample in ((NAMED, BY_ITS_CHECK), (BY_WHAT, TOLERATED)):
        named = [name for those in sample for name in those]
        assert len(named) == len(set(named))
        assert all_of.keys() >= set(named)
