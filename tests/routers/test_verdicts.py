"""What `pytest --hydra-smoke` says of routers that are wrong, each in one way, and of right ones.

A sample in every run, of which each is found in another way; `-m routers` runs the rest.
"""

from __future__ import annotations

import pytest
from plugin_tools import CHECKS, Project
from right import RIGHT
from routers_tools import failures, smoke
from wrong import WRONG

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
BY_ITS_CHECK = {
    "authorization: status: a wrong token is taken": (READ, PROVISION),
    "authorization: provision: done, and then refused": (PROVISION,),
    "authorization: provision: open to who knows a key, with a wrong token": (PROVISION,),
    "authorization: provision: open to who knows a key, and makes another": (PROVISION,),
    "authorization: delete: done, and then refused": ("test_deletion.py",),
    "isolation: LLM events of all are counted": ("test_deletion.py",),
    "isolation: a key names the newest one": ("test_deletion.py",),
    "isolation: all keys share one": ("test_deletion.py",),
    "identity: one key makes two": ("test_instance.py::test_same_key_twice_is_the_same_instance",),
    "isolation: one deletion deletes all": ("test_deletion.py",),
    "isolation: all share a hostname": ("test_deletion.py",),
    "defaults: the window is a minute": (DEFAULT,),
    "defaults: the window is 900 in name": (RECORDED, DEFAULT),
    "defaults: no hostname is told": ("test_instance.py::test_ready_instance_has_a_hostname",),
    "forms: poll: status is left out": ("test_instance.py::test_key_of_an_instance_is_found",),
    "forms: poll: status is 'queued'": ("test_instance.py::test_key_of_an_instance_is_found",),
    "lifecycle: delete says that it runs": ("test_deletion.py",),
    "stream: a reply in JSON": ("test_chat.py::test_chat_answers",),
    "usage: a count of one at most": (
        "test_chat.py::test_chat_answers",
        "test_refusals.py::test_longest_message_is_taken",
    ),
    "usage: a window is echoed and ignored": (AGE,),
    "usage: what is out of one window is thrown away": (AGE,),
    "usage: providers of no events": (AGE,),
    "usage: providers of other instances, too": ("test_deletion.py",),
    "usage: a provider is invented": (RECORDED, "test_refusals.py::test_longest_message_is_taken"),
    "tokens: poll: an empty token is taken": (NEAR,),
    "tokens: provision: any scheme is taken": (f"{NEAR}_to_provision",),
    "tokens: delete: a token in another case is taken": ("test_deletion.py",),
    "later: a refused deletion is carried out 1.5 s later": ("test_deletion.py",),
    "later: a refused chat costs 1.5 s later": ("test_deletion.py",),
    "windows: a window is of ten seconds each": (SECONDS,),
    "accounts: usage goes to the first instance, too": (RECORDED, "test_deletion.py"),
    "fields: tier_id may be missing": ("test_refusals.py::test_missing_field_is_rejected",),
    "fields: a message may be missing": ("test_refusals.py::test_missing_message_is_rejected",),
    "bodies: one key and another tier_id make two": (BODY,),
    "bodies: one key and another agent_name make two, and poll names the second": (BODY,),
    "bodies: one key boots anew each time": (BODY,),
}
TOLERATED = {
    "strangers are told 401 by a gateway": (READ, PROVISION),
    "an agent's clock is three seconds behind": (AGE, RECORDED),
    "one key and another body: 409": (BODY,),
    "poll tells a status a second late": ("test_instance.py",),
    "a count is read before its providers": ("test_chat.py",),
}
BY_WHAT = {it.what: it for it in RIGHT}


@pytest.mark.routers
@pytest.mark.parametrize("name", NAMED)
def test_a_wrong_router_is_found(project: Project, name: str) -> None:
    see_found(project, name)


@pytest.mark.parametrize("name", BY_ITS_CHECK)
def test_a_wrong_router_is_found_by_the_check_that_is_for_it(project: Project, name: str) -> None:
    see_found(project, name, *(f"{CHECKS}/{check}" for check in BY_ITS_CHECK[name]))


def see_found(project: Project, name: str, *checks: str) -> None:
    router = NAMED[name]
    twin, result = smoke(project, router, *checks)
    assert result.ret in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.USAGE_ERROR)
    told = failures(result)
    assert router.told_in(told), f"no {router.words!r} in {told!r}"
    # Whatever it made is gone, or told as what it is.
    alive = [row.key for row in twin.rows if not row.deleted]
    assert all(key in told for key in alive) if router.leaves else not alive


@pytest.mark.routers
@pytest.mark.parametrize("name", BY_WHAT)
def test_a_right_router_is_green(project: Project, name: str) -> None:
    see_green(project, name)


@pytest.mark.parametrize("name", TOLERATED)
def test_a_right_router_is_green_to_the_checks_that_meet_what_is_odd(
    project: Project, name: str
) -> None:
    see_green(project, name, *(f"{CHECKS}/{check}" for check in TOLERATED[name]))


def see_green(project: Project, name: str, *checks: str) -> None:
    twin, result = smoke(project, BY_WHAT[name], *checks)
    assert failures(result) == ""
    assert result.ret == pytest.ExitCode.OK
    assert len(twin.rows) in ((1, 2) if checks else (2,))
    assert all(row.deleted for row in twin.rows)


@pytest.mark.reference
def test_there_are_enough_of_them() -> None:
    assert len(NAMED) == sum(map(len, WRONG.values())) >= 310
    assert len(BY_WHAT) == len(RIGHT) >= 115
    assert NAMED.keys() >= BY_ITS_CHECK.keys()
    assert BY_WHAT.keys() >= TOLERATED.keys()
