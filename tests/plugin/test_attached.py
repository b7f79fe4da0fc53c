"""A run that is attached to an instance: it is used, and never deleted."""

from __future__ import annotations

import pytest
from plugin_tools import ALL, CHECKS, FILES, SOMEBODY, TOKEN, Project, count

from pytest_hydrasmoke import InstanceSpec, SmokeClient
from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._run.ledger import Ledger
from pytest_hydrasmoke._run.session import SmokeSession
from pytest_hydrasmoke._settings.sources import load
from pytest_hydrasmoke.fake import FakeRouter, Scenario


def somebody_s(router: FakeRouter) -> str:
    """Provision an instance that is no run's, and give its id."""
    spec = InstanceSpec(manifest_id="m", region_id="r", tier_id="t")
    with SmokeClient(router.url, token=TOKEN) as client:
        client.provision(spec, "somebody-s")
    return router.instances[0].id


@pytest.fixture
def attached(project: Project, router: FakeRouter) -> Project:
    """A project that is attached to an instance that somebody else provisioned."""
    return project.suite("fixtures").at(router, instance=somebody_s(router))


def test_an_attached_instance_is_used_and_never_deleted(
    attached: Project, router: FakeRouter
) -> None:
    [instance] = router.instances
    result = attached.live("-rs", "-k", "not test_fixtures")
    result.assert_outcomes(passed=ALL - 15, skipped=15, deselected=10)
    assert count(router, "provision") == 1
    # What strangers are not to delete is none of the router's.
    assert not any(it.route == "delete" and instance.id in it.path for it in router.requests)
    result.stdout.fnmatch_lines(
        [
            f"*instance {instance.id} (environment)*",
            "*provisioned 0, deleted 0, kept 0, leaked 0",
            f"attached {instance.id} (attached)",
            f"SKIPPED *attached to {instance.id}: nothing is provisioned",
        ]
    )


def test_factories_are_skipped_where_attached(attached: Project, router: FakeRouter) -> None:
    attached.write("test_async_factory.py", "def test_it(async_smoke_instance_factory): ...\n")
    result = attached.live(".", "-k", "factory or test_it")
    result.assert_outcomes(skipped=7, deselected=4)
    # Nothing was executed.
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert count(router, "provision") == 1


def test_attached_to_something_that_is_not_there(project: Project, router: FakeRouter) -> None:
    project.suite("bare").at(router, instance=SOMEBODY, ready_timeout=1)
    result = project.live("-rs", f"{CHECKS}/test_chat.py")
    result.assert_outcomes(errors=1, skipped=FILES["test_chat.py"] - 1)
    result.stdout.fnmatch_lines(
        [
            "E *NotFoundError: status was refused with 404*",
            "*provisioned 0, deleted 0, kept 0, leaked 0",
            f"*not run: attaching failed in {CHECKS}/test_chat.py::test_chat_answers: *",
        ]
    )


def test_an_attached_instance_is_waited_for_and_deleted_by_no_scope_and_no_test(
    project: Project,
) -> None:
    with FakeRouter(Scenario(row_after=0), TOKEN) as router:
        project.suite("bare").at(router, instance=somebody_s(router), scope="function")
        project.write(
            "test_it.py",
            "import pytest\n"
            "def test_it(smoke_instance):\n"
            "    assert smoke_instance.idempotency_key is None\n"
            "    with pytest.raises(Exception, match='an attached instance is never deleted'):\n"
            "        smoke_instance.delete()\n",
        )
        project.live("-k", "test_it or chat_answers or echoed").assert_outcomes(passed=3)
        assert count(router, "delete") == 0


def test_an_attached_session_provisions_nothing(attached: Project, router: FakeRouter) -> None:
    config = load({}, attached.path, fake=False).config
    session = SmokeSession(config, Ledger(config.output, config.run_id))
    with pytest.raises(ConfigError, match="this run is attached to an instance"):
        session.provision(InstanceSpec(manifest_id="m", region_id="r", tier_id="t"))
    session.close()
    assert count(router, "provision") == 1
