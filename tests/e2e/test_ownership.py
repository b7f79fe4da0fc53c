"""A whole pytest run and what it owns: keeping, attaching, refusing, leaking, being interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from handlers import as_in_a_terminal
from owner_tools import ONLY, alive, environment_for

from pytest_hydrasmoke._core.states import State
from pytest_hydrasmoke._run.ledger import read
from pytest_hydrasmoke.fake import FakeRouter, Scenario

Live = Callable[..., pytest.RunResult]

PASSES = "def test_a(smoke_instance): pass"
FAILS = """
import pytest

def test_passes(smoke_instance): pass

@pytest.fixture
def broken(smoke_instance):
    raise LookupError

def test_call(smoke_instance): assert False
"""


def runs(pytester: pytest.Pytester) -> list[Path]:
    return sorted(pytester.path.glob(".hydrasmoke/runs/*"))


def open_states(pytester: pytest.Pytester) -> list[State]:
    """Return the states of all that a sweep still has to look at."""
    return [entry.state for run in runs(pytester) for entry in read(run).open]


# keep


def test_by_default_nothing_is_kept(
    live: Live, fake: FakeRouter, pytester: pytest.Pytester
) -> None:
    live(FAILS).assert_outcomes(passed=1, failed=1)
    assert alive(fake) == []
    assert runs(pytester) == []


IN_SET_UP = """
import pytest

@pytest.fixture
def broken(smoke_instance):
    raise LookupError

def test_a(broken): pass
"""
IN_CALL = "def test_a(smoke_instance): assert False"
IN_TEARDOWN = """
import pytest

@pytest.fixture
def broken(smoke_instance):
    yield
    raise LookupError

def test_a(broken): pass
"""


@pytest.mark.parametrize(
    ("scope", "text"),
    [
        ("session", IN_SET_UP),
        ("session", IN_CALL),
        ("session", IN_TEARDOWN),
        ("module", IN_TEARDOWN),
        ("function", IN_TEARDOWN),
    ],
    ids=["set-up", "call", "teardown", "teardown of a module", "teardown of a function"],
)
def test_a_failure_anywhere_keeps_on_failure(
    live: Live, fake: FakeRouter, monkeypatch: pytest.MonkeyPatch, text: str, scope: str
) -> None:
    monkeypatch.setenv("HYDRA_SMOKE_SCOPE", scope)
    result = live(text, "--hydra-smoke-keep", "on-failure")
    assert len(alive(fake)) == 1
    result.stdout.fnmatch_lines(["*provisioned 1, deleted 0, kept 1, leaked 0"])


def test_only_what_the_failing_test_used_is_kept(live: Live, fake: FakeRouter) -> None:
    text = """
import pytest

def test_a(smoke_instance): assert False

@pytest.mark.parametrize("smoke_instance", [{"tier_id": "other"}], indirect=True)
def test_b(smoke_instance): pass
"""
    live(text, "--hydra-smoke-keep", "on-failure").assert_outcomes(passed=1, failed=1)
    assert [one.tier_id for one in fake.instances if not one.deleted] == ["owner-tier"]


def test_without_a_failure_nothing_is_kept_on_failure(live: Live, fake: FakeRouter) -> None:
    live(PASSES, "--hydra-smoke-keep", "on-failure").assert_outcomes(passed=1)
    assert alive(fake) == []


def test_always_keeps_always(live: Live, fake: FakeRouter) -> None:
    live(PASSES, "--hydra-smoke-keep", "always").assert_outcomes(passed=1)
    assert len(alive(fake)) == 1


def test_the_end_of_a_with_keeps_what_failed_in_it(live: Live, fake: FakeRouter) -> None:
    text = """
def test_a(smoke_instance_factory):
    with smoke_instance_factory(tier_id="good"):
        pass
    with smoke_instance_factory(tier_id="bad"):
        assert False
"""
    live(text, "--hydra-smoke-keep", "on-failure").assert_outcomes(failed=1)
    assert [one.tier_id for one in fake.instances if not one.deleted] == ["bad"]


def test_what_was_to_be_deleted_is_not_kept_if_that_is_not_confirmed(
    live: Live, fake: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYDRA_SMOKE_DELETE_TIMEOUT", "0.5")
    text = """
import pytest

def test_a(smoke_instance_factory):
    smoke_instance_factory()

def test_b(smoke_instance_factory):
    with pytest.raises(Exception, match="may still run"):
        smoke_instance_factory().delete()
"""
    # Two to be learned from, and two to get ready: from then on, nobody can tell.
    fake.fail("status", status=500, times=999, after=4)
    result = live(text, "--hydra-smoke-keep", "always")
    result.stdout.fnmatch_lines(["*provisioned 2, deleted 0, kept 1, leaked 1"])
    assert result.ret == 1


# instance


def test_an_attached_instance_is_never_deleted(live: Live, fake: FakeRouter) -> None:
    live(PASSES, "--hydra-smoke-keep", "always")
    [instance] = fake.instances
    text = """
import pytest

def test_a(smoke_instance):
    smoke_instance.chat("hello")
    with pytest.raises(Exception, match="an attached instance is never deleted"):
        smoke_instance.delete()

def test_b(smoke_instance_factory): pass

def test_c(smoke_instance, smoke_spec): assert smoke_instance.idempotency_key is None
"""
    result = live(text, "--hydra-smoke-instance", instance.id)
    result.assert_outcomes(passed=2, skipped=1)
    assert [one.id for one in fake.instances if not one.deleted] == [instance.id]
    assert not any(request.route == "delete" for request in fake.requests)
    assert [request.route for request in fake.requests].count("provision") == 1


# Run ids


def test_a_run_id_that_the_router_knows_is_refused(live: Live, fake: FakeRouter) -> None:
    live(PASSES, "--hydra-smoke-run-id", "again", "--hydra-smoke-keep", "always")
    seen = len(fake.requests)
    result = live(PASSES, "--hydra-smoke-run-id", "again")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "*run id used before: again (the router knows its keys)*",
            "*hydra-smoke sweep --run-id again*",
        ]
    )
    assert len(fake.requests) == seen + 1
    assert len(alive(fake)) == 1


def test_a_run_id_that_a_ledger_knows_is_refused(live: Live, fake: FakeRouter) -> None:
    live(PASSES, "--hydra-smoke-run-id", "again", "--hydra-smoke-keep", "always")
    fake.reset()
    result = live(PASSES, "--hydra-smoke-run-id", "again")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*run id used before: again (*/used/again says so)"])


# max_instances


def test_no_more_than_max_instances_are_asked_for(
    live: Live, fake: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYDRA_SMOKE_MAX_INSTANCES", "2")
    text = """
import pytest

def test_a(smoke_instance, smoke_instance_factory):
    with pytest.raises(Exception, match="no room for 2 more: max_instances allows 2 in a run"):
        smoke_instance_factory.many(2)
    smoke_instance_factory()
"""
    live(text).assert_outcomes(passed=1)
    assert [request.route for request in fake.requests].count("provision") == 2


# pytest-timeout


@pytest.mark.parametrize(
    ("arguments", "warned"),
    [
        (["-p", "timeout", "--timeout-method", "thread"], True),
        (["-p", "timeout", "-o", "timeout_method=thread"], True),
        (["-p", "timeout"], False),
        ([], False),
    ],
)
def test_the_timeout_that_kills_without_teardown_is_warned_of(
    live: Live, arguments: list[str], warned: bool
) -> None:
    told = live(PASSES, *arguments).stdout.str()
    assert ("WARNING: pytest-timeout's thread method kills without any clean-up" in told) == warned


def test_the_time_limit_of_a_test_does_not_run_while_its_scope_ends(
    live: Live, fake: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYDRA_SMOKE_SCOPE", "function")
    fake.fail("delete", times=2, retry_after=1)
    arguments = ["-p", "timeout", "--timeout", "1.5", "--timeout-method", "signal"]
    live(PASSES, *arguments).assert_outcomes(passed=1)
    assert alive(fake) == []


# Leaks


def test_a_leak_is_a_failure_of_its_own_that_hides_no_other(
    live: Live, fake: FakeRouter, pytester: pytest.Pytester
) -> None:
    fake.fail("delete", status=403, times=100)
    result = live(
        "def test_a(smoke_instance): pass\ndef test_b(): assert False",
        "--junitxml=junit.xml",
        "--hydra-smoke-run-id",
        "leaky",
    )
    [instance] = fake.instances
    assert result.ret == 1
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        [
            f"*LEAK: {instance.id} (key leaky-0) may still run*",
            "*To delete it: cd * && hydra-smoke sweep --run-id leaky*",
            "*provisioned 1, deleted 0, kept 0, leaked 1",
        ]
    )
    assert f'name="{instance.id}"' in (pytester.path / "junit.xml").read_text()
    assert len(runs(pytester)) == 1


def test_a_leak_alone_fails_the_run(live: Live, fake: FakeRouter) -> None:
    fake.fail("delete", status=403, times=100)
    assert live(PASSES).ret == 1


MANY = "def test_a(smoke_instance_factory): smoke_instance_factory.many(3)"


def test_one_that_cant_be_deleted_does_not_keep_the_others(live: Live, fake: FakeRouter) -> None:
    fake.fail("delete", status=403)
    fake.fail("delete", status=403, after=3, times=100)
    result = live(MANY)
    assert len(alive(fake)) == 1
    result.stdout.fnmatch_lines(["*provisioned 3, deleted 2, kept 0, leaked 1"])


def test_one_that_could_not_be_deleted_is_tried_once_more_at_the_end(
    live: Live, fake: FakeRouter
) -> None:
    fake.fail("delete", status=403)
    result = live(MANY)
    result.assert_outcomes(passed=1)
    assert alive(fake) == []
    result.stdout.fnmatch_lines(
        [
            "*provisioned 3, deleted 3, kept 0, leaked 0",
            "*its deletion was proved only at the run's end*",
        ]
    )


# Failures to provision


def test_a_failure_to_provision_is_told_once(live: Live, fake: FakeRouter) -> None:
    fake.fail("provision", status=422, times=100)
    text = "def test_a(smoke_instance): pass\ndef test_b(smoke_instance): pass"
    result = live(text)
    result.assert_outcomes(errors=2)
    assert [request.route for request in fake.requests].count("provision") == 1
    result.stdout.fnmatch_lines(
        ["*no instance: provisioning failed in the set-up of test_it.py::test_a: *"]
    )


def test_one_that_fails_to_boot_is_deleted_at_once(
    live: Live, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = Scenario(row_after=0.0, statuses=((0.0, "failed"),))
    with FakeRouter(scenario) as router:
        for name, value in environment_for(router).items():
            monkeypatch.setenv(name, value)
        live(PASSES).assert_outcomes(errors=1)
        assert alive(router) == []
    # It was never ready: a sweep looks again once its boot would be over.
    assert open_states(pytester) == [State.GONE]


def test_of_several_all_are_ready_or_none_is_left(live: Live, fake: FakeRouter) -> None:
    fake.fail("provision", status=422, after=2)  # None is broken off on its way.
    text = "def test_a(smoke_instance_factory): smoke_instance_factory.many(3)"
    live(text).assert_outcomes(failed=1)
    assert alive(fake) == []


def test_of_several_all_are_ready_or_none_is_left_from_a_coroutine_too(
    live: Live, fake: FakeRouter
) -> None:
    fake.fail("provision", status=422, after=2)  # None is broken off on its way.
    text = """
import pytest

@pytest.mark.anyio
async def test_a(async_smoke_instance_factory):
    await async_smoke_instance_factory.many(3)

@pytest.mark.anyio
async def test_b(async_smoke_instance_factory):
    for instance in await async_smoke_instance_factory.many(2):
        await instance.chat("hello")

@pytest.fixture
def anyio_backend():
    return "asyncio"
"""
    live(text).assert_outcomes(failed=1, passed=1)
    assert alive(fake) == []


# Scopes


@pytest.mark.parametrize(
    ("scope", "number"),
    [("session", 1), ("package", 1), ("module", 1), ("class", 2), ("function", 3)],
)
def test_an_instance_ends_with_its_scope(
    live: Live, fake: FakeRouter, monkeypatch: pytest.MonkeyPatch, scope: str, number: int
) -> None:
    monkeypatch.setenv("HYDRA_SMOKE_SCOPE", scope)
    text = """
class TestTwo:
    def test_a(self, smoke_instance): pass
    def test_b(self, smoke_instance): pass

def test_c(smoke_instance): pass
"""
    live(text).assert_outcomes(passed=3)
    assert len(fake.instances) == number
    assert alive(fake) == []


# Interrupted


@pytest.fixture
def slow_boot(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRouter]:
    with FakeRouter(Scenario(row_after=0.3, statuses=((0.0, "queued"), (60.0, "running")))) as it:
        for name, value in environment_for(it).items():
            monkeypatch.setenv(name, value)
        yield it


def interrupted(
    pytester: pytest.Pytester, fake: FakeRouter, text: str, route: str, *numbers: int
) -> tuple[int, str]:
    """Run pytest, and signal it once the router has seen a call; gives exit code and output."""
    pytester.makepyfile(test_it=text)
    command = [sys.executable, "-m", "pytest", *ONLY, "--hydra-smoke"]
    process = subprocess.Popen(
        [*command, "test_it.py"],
        cwd=pytester.path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    limit = time.monotonic() + 30
    # What is asked to learn how the router refuses is refused.
    while not any(it.route == route and (it.status or 200) < 300 for it in fake.requests):
        assert time.monotonic() < limit
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(0.1)
    for number in numbers:
        process.send_signal(number)
    told = process.communicate(timeout=60)[0]
    return process.returncode, told


SLEEPS = """
import time

def test_a(smoke_instance):
    smoke_instance.chat("hello")
    time.sleep(60)

def test_b(smoke_instance): pass
"""


# The others are among those of `tests/kill`.
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_a_test_ends_the_run_through_its_clean_up(
    live: Live, fake: FakeRouter, pytester: pytest.Pytester, number: signal.Signals
) -> None:
    code, told = interrupted(pytester, fake, SLEEPS, "chat", number)
    assert code == 128 + number, told
    assert alive(fake) == []
    assert open_states(pytester) == [State.GONE], "there is no time for a last look"
    assert (
        "hydra-smoke: interrupted; deleting instances, another Ctrl-C does not make it faster:"
        in told
    )
    assert f"  {fake.instances[0].id} (key " in told
    assert "provisioned 1, deleted 1, kept 0, leaked 0" in told


def test_a_test_that_swallows_ctrl_c_is_the_last_one(
    live: Live, fake: FakeRouter, pytester: pytest.Pytester
) -> None:
    text = """
import time

def test_a(smoke_instance):
    smoke_instance.chat("hello")
    try:
        time.sleep(60)
    except BaseException:
        pass

def test_b(smoke_instance):
    smoke_instance.chat("hello")
"""
    code, told = interrupted(pytester, fake, text, "chat", signal.SIGINT)
    assert code == 130, told
    assert [request.route for request in fake.requests].count("chat") == 1
    assert alive(fake) == []


def test_ctrl_c_twice_in_provisioning_leaves_nothing(
    slow_boot: FakeRouter, pytester: pytest.Pytester
) -> None:
    code, told = interrupted(pytester, slow_boot, PASSES, "provision", signal.SIGINT, signal.SIGINT)
    assert code == 130, told
    assert alive(slow_boot) == []
    assert open_states(pytester) == [State.GONE]


def test_ctrl_c_while_several_boot_leaves_none(
    slow_boot: FakeRouter, pytester: pytest.Pytester
) -> None:
    code, told = interrupted(pytester, slow_boot, MANY, "status", signal.SIGINT)
    assert code == 130, told
    assert alive(slow_boot) == []
    assert open_states(pytester) == [State.GONE] * 3


def test_what_could_not_be_deleted_in_time_is_told_with_its_sweep(
    live: Live, fake: FakeRouter, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYDRA_SMOKE_DELETE_TIMEOUT", "1")
    fake.fail("delete", times=1000)
    code, told = interrupted(pytester, fake, SLEEPS, "chat", signal.SIGTERM)
    assert code == 143, told
    [instance] = fake.instances
    assert f"LEAK: {instance.id} (key {instance.idempotency_key}) may still run" in told
    assert f"hydra-smoke sweep --run-id {instance.idempotency_key[:-2]}" in told
    assert len(runs(pytester)) == 1


def test_a_signal_where_there_is_no_session_yet_interrupts_all_the_same(
    live: Live, fake: FakeRouter, pytester: pytest.Pytester
) -> None:
    with as_in_a_terminal():
        config = pytester.parseconfigure(*ONLY, "--hydra-smoke")
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        config._ensure_unconfigure()
    assert runs(pytester) == []


# xdist


def test_what_a_crashed_worker_left_and_nobody_can_delete_is_told(
    live: Live, fake: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYDRA_SMOKE_DELETE_TIMEOUT", "1")
    fake.fail("delete", status=403, times=100)
    result = live("import os\ndef test_a(smoke_instance): os._exit(7)", "-n", "1")
    [instance] = fake.instances
    result.stdout.fnmatch_lines(
        ["*LEAK: *may still run*", "*provisioned 1, deleted 0, kept 0, leaked 1"]
    )
    assert instance.id in result.stdout.str()


# From coroutines


def test_coroutines_share_the_instance_too(live: Live, fake: FakeRouter) -> None:
    text = """
import pytest

pytestmark = pytest.mark.anyio

@pytest.fixture
def anyio_backend():
    return "asyncio"

async def test_a(async_smoke_instance, async_smoke_client):
    await async_smoke_instance.chat("hello")
    await async_smoke_client.status(async_smoke_instance.id)

def test_b(smoke_instance, smoke_client):
    smoke_client.status(smoke_instance.id)
"""
    live(text).assert_outcomes(passed=2)
    assert len(fake.instances) == 1
    assert alive(fake) == []
