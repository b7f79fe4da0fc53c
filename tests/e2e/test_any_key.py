"""What a run's clients provision is the run's, whatever its key: claimed, counted and deleted."""

from __future__ import annotations

import pytest
from plugin_tools import ASYNCIO, Project, nothing_left, until

from pytest_hydrasmoke.fake import FakeRouter

BY_HAND = """
import os, signal
import pytest
from pytest_hydrasmoke import RejectedError

KEYS = ("ci-demo-7", "run-mine", "run-3", "a b?#\\u00e9", "k" * 255)

@pytest.mark.parametrize("key", KEYS)
def test_blocking(smoke_client, smoke_spec, key):
    smoke_client.provision(smoke_spec, key)

@pytest.mark.parametrize("key", KEYS)
async def test_async(async_smoke_client, smoke_spec, key):
    await async_smoke_client.provision(smoke_spec, f"a{key}"[:255])

def test_with_token(smoke_client, smoke_config, smoke_spec):
    with smoke_client.with_token(smoke_config.token.reveal()) as other:
        other.provision(smoke_spec, "by-token")

def test_refused(smoke_client, smoke_spec):
    with pytest.raises(RejectedError):
        smoke_client.provision(smoke_spec, "k" * 256)

@pytest.mark.parametrize("client", range(4))
def test_the_same_key(smoke_client, smoke_spec, client):
    made = smoke_client.provision(smoke_spec, "the-same")
    assert made.idempotency_key == "the-same"

def test_the_end(smoke_client):
    if os.path.exists("kill"):
        os.kill(os.getpid(), signal.SIGKILL)
"""
MADE = 12
"""Ten by keys of any form, one by a token, and one by all that ask for the same key."""


@pytest.fixture
def here(project: Project, router: FakeRouter) -> Project:
    project.suite("async_auto").at(router, run_id="run", bundled_checks="false")
    project.write("test_it.py", BY_HAND)
    return project


@pytest.mark.parametrize("workers", [(), ("-p", "xdist", "-n2")], ids=["alone", "workers"])
def test_it_is_deleted_counted_and_leaves_a_sweep_nothing(
    here: Project, router: FakeRouter, workers: tuple[str, ...]
) -> None:
    result = here.live(*ASYNCIO, *workers, "test_it.py", passed=17)
    counts = f"provisioned {MADE}, deleted {MADE}, kept 0, leaked 0, unsure 0"
    result.says(f"*{counts}")
    made = {it.idempotency_key for it in router.instances}
    reported = {it["idempotency_key"] for it in here.report()["instances"]}
    assert (len(made), made) == (MADE, reported)
    assert nothing_left(router)
    assert here.command("sweep").ret == 0
    assert here.command("sweep", "--run-id", "run").ret == 0


def test_a_sweep_of_its_ledger_finds_it_after_a_kill(here: Project, router: FakeRouter) -> None:
    here.write("kill", "")
    arguments = ("-m", "pytest", *ASYNCIO, "-p", "pytest_hydrasmoke.plugin", "--hydra-smoke")
    with here.started(*arguments, "test_it.py") as process:
        until(lambda: process.poll() is not None)
    assert sum(not it.deleted for it in router.instances) == MADE
    here.command("sweep", ret=0)
    assert nothing_left(router)
    assert here.command("sweep", ret=0).stdout.str().startswith("nothing is left")


def test_an_instance_of_another_run_survives(here: Project, router: FakeRouter) -> None:
    here.write("kill", "")
    # This run has made it before, for all that the next one knows.
    here.set(run_id="theirs")
    arguments = ("-m", "pytest", *ASYNCIO, "-p", "pytest_hydrasmoke.plugin", "--hydra-smoke")
    with here.started(*arguments, "test_it.py", "-k", "same or end") as process:
        until(lambda: process.poll() is not None)
    [theirs] = router.instances
    (here.path / "kill").unlink()
    result = here.set(run_id="run").live(*ASYNCIO, "test_it.py", "-k", "same", ret=0)
    result.says("*provisioned 0, deleted 0, *", "*note: its key the-same named it before this run*")
    assert not theirs.deleted
