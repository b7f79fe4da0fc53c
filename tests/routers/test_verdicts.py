"""What `pytest --hydra-smoke` says of routers that are wrong, each in one way, and of right ones.

A sample in every run, of which each is found in another way; `-m routers` runs the rest.
"""

from __future__ import annotations

import pytest
from plugin_tools import Project
from right import RIGHT
from routers_tools import failures, smoke
from sizes import sampled
from wrong import WRONG

NAMED = {f"{kind}: {it.what}": it for kind, routers in WRONG.items() for it in routers}
# Between them they take every way through the bundled checks.
SAMPLE = {
    "authorization: status: a wrong token is taken",
    "authorization: provision: done, and then refused",
    "authorization: delete: done, and then refused",
    "isolation: LLM events of all are counted",
    "isolation: a key names the newest one",
    "isolation: all keys share one",
    "isolation: one deletion deletes all",
    "isolation: all share a hostname",
    "defaults: the window is a minute",
    "defaults: the window is 900 in name",
    "defaults: no hostname is told",
    "forms: poll: status is left out",
    "lifecycle: delete says that it runs",
    "stream: a reply in JSON",
    "usage: a window is echoed and ignored",
    "usage: what is out of one window is thrown away",
    "usage: providers of no events",
}
TOLERATED = {"the plainest", "strangers are told 401 by a gateway"}
BY_WHAT = {it.what: it for it in RIGHT}


@pytest.mark.parametrize("name", sampled("routers", NAMED, SAMPLE))
def test_a_wrong_router_is_found(project: Project, name: str) -> None:
    router = NAMED[name]
    twin, result = smoke(project, router)
    assert result.ret in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.USAGE_ERROR)
    told = failures(result)
    assert router.told_in(told), f"no {router.words!r} in {told!r}"
    # Whatever it made is gone, or told as what it is.
    alive = [row.key for row in twin.rows if not row.deleted]
    assert all(key in told for key in alive) if router.leaves else not alive


@pytest.mark.parametrize("name", sampled("routers", BY_WHAT, TOLERATED))
def test_a_right_router_is_green(project: Project, name: str) -> None:
    twin, result = smoke(project, BY_WHAT[name])
    assert failures(result) == ""
    assert result.ret == pytest.ExitCode.OK
    assert [row.deleted for row in twin.rows] == [True, True]


@pytest.mark.reference
def test_there_are_enough_of_them() -> None:
    assert len(NAMED) == sum(map(len, WRONG.values())) >= 80
    assert len(BY_WHAT) == len(RIGHT) >= 25
    assert NAMED.keys() >= SAMPLE
    assert BY_WHAT.keys() >= TOLERATED
