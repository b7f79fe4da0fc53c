"""The same run id in two output folders: two shards of a pipeline that were given one name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from liar import Liar, lying
from owner_tools import ONLY, SPEC, alive, config_for, running, session_for

from pytest_hydrasmoke import ConfigError
from pytest_hydrasmoke.fake import FakeRouter, Scenario

NOT_OURS = "another run uses this run id, or has used it"
GONE = "something else deleted it, or it died"


def test_a_key_that_has_a_row_is_not_provisioned_under(fake: FakeRouter, tmp_path: Path) -> None:
    # Both have begun before either had asked for anything.
    one = session_for(config_for(fake, tmp_path / "one"))
    with running(config_for(fake, tmp_path / "two")) as two:
        one.provision(one.config.spec)
        before = [request.route for request in fake.requests].count("provision")
        for _ in range(2):
            with pytest.raises(ConfigError, match=NOT_OURS):
                two.provision(two.config.spec)
        assert [request.route for request in fake.requests].count("provision") == before
        with pytest.raises(ConfigError, match=NOT_OURS):
            two.many(2, two.config.spec)
    assert alive(fake) == ["owner-0"], "what is another run's is not deleted"
    one.close()
    assert alive(fake) == []


@pytest.fixture
def shard(
    pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., pytest.RunResult]:
    """Give `shard(liar, text, during)`: a run that has its id in common with another one."""

    def run(
        liar: Liar, text: str, during: Callable[[], object], run_id: str = "night"
    ) -> pytest.RunResult:
        given = {"url": liar.url, "token": liar.token, "run_id": run_id, **SPEC}
        for name, value in {**given, "usage_settle": "0", "delete_timeout": "5"}.items():
            monkeypatch.setenv(f"HYDRA_SMOKE_{name.upper()}", value)

        class Other:
            """The other shard, at whose moments a test can be."""

            def pytest_configure(self, config: Any) -> None:
                config.other_shard = during

        (pytester.path / "test_it.py").write_text(text)
        arguments = (*ONLY, "--hydra-smoke", "test_it.py", f"--hydra-smoke-output={tmp_path}/out")
        return pytester.runpytest_inprocess(*arguments, plugins=[Other()])

    return run


def test_an_instance_that_another_run_has_deleted_makes_no_green_run(
    shard: Callable[..., pytest.RunResult], tmp_path: Path
) -> None:
    text = "def test_a(smoke_instance, request): request.config.other_shard()"
    with lying() as liar:
        ended = shard(liar, text, lambda: liar.fake._world.delete(liar.fake.instances[0].id))
    assert ended.ret == 1
    ended.assert_outcomes(passed=1, failed=1)
    ended.stdout.fnmatch_lines(
        [
            "CONFLICT: * (key night-0)",
            f"it was gone before this run deleted it: {GONE}.",
            "*See the router's log of it; if another run has run id night too, give each an id *",
        ]
    )
    [instance] = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))["instances"]
    assert instance["outcome"] == "deleted"
    assert instance["conflict"].startswith(f"it was gone before this run deleted it: {GONE}.\nSee")


def test_an_instance_that_died_is_no_other_runs_where_the_run_id_is_random(
    shard: Callable[..., pytest.RunResult],
) -> None:
    text = "def test_a(smoke_instance, request): request.config.other_shard()"
    with lying() as liar:
        # An empty variable is not set.
        died = lambda: liar.fake._world.delete(liar.fake.instances[0].id)  # noqa: E731
        ended = shard(liar, text, died, run_id="")
    assert ended.ret == 1
    ended.stdout.fnmatch_lines(
        ["CONFLICT: *", f"it was gone before this run deleted it: {GONE}.", "See the router's log*"]
    )
    ended.stdout.fnmatch_lines(["*See the router's log of it"])
    ended.stdout.no_fnmatch_line("*run id*own*")
    ended.stdout.no_fnmatch_line("*another run*")


@pytest.mark.parametrize("after", ["404", "row"])
def test_a_test_that_deletes_by_a_client_is_no_other_run(
    after: str, shard: Callable[..., pytest.RunResult]
) -> None:
    text = """
def test_a(smoke_instance, smoke_client):
    smoke_client.delete(smoke_instance.id)

def test_b(smoke_instance):
    smoke_instance.delete()
    smoke_instance.delete()
"""
    scenario = Scenario(row_after=0.0, statuses=((0.0, "running"),), after_delete=after)
    with lying(scenario) as liar:
        ended = shard(liar, text, lambda: None)
        assert (ended.ret, liar.alive, len(liar.fake.instances)) == (0, [], 2)
