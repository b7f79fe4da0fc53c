"""Whose chats are under way, from set-up to teardown, and from how many threads or tasks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from inner import only

from pytest_hydrasmoke._core.stage import Origin
from pytest_hydrasmoke._plugin.pytest_stage import PytestStage, owner_of

CONFTEST = """
    from pathlib import Path
    from types import SimpleNamespace

    import pytest
    from pytest_hydrasmoke._plugin.pytest_stage import PytestStage

    told = []

    def pytest_configure(config):
        global stage
        settings = SimpleNamespace(new_conversation=None)
        context = SimpleNamespace(pytestconfig=config, config=settings)
        stage = PytestStage(context, resources=None, refutations=None, replaying=None)
        config.pluginmanager.register(stage)

    def tell(place):
        claimed = stage.claims()
        told.append((place, stage.owner, claimed and claimed.number))

    def pytest_sessionfinish():
        tell("session finish")
        Path("told").write_text("\\n".join(" ".join(map(str, it)) for it in told))

    @pytest.fixture(scope="session")
    def wide():
        tell("wide set-up")
        yield
        tell("wide teardown")

    @pytest.fixture(scope="module")
    def narrower(wide):
        tell("narrower set-up")
        yield
        tell("narrower teardown")

    @pytest.fixture(scope="module")
    def failing(wide):
        tell("failing set-up")
        raise LookupError("on purpose")

    @pytest.fixture
    def own(wide):
        tell("own set-up")
        yield
        tell("own teardown")
"""
TESTS = """
    from conftest import tell

    def test_alone(own):
        tell("call")

    def test_set_up(failing):
        raise AssertionError("it is never called")

    def test_narrower(own, narrower):
        tell("call")
"""
TOLD = """\
wide set-up fixture ::wide 0
own set-up test_it.py::test_alone 0
call test_it.py::test_alone 1
own teardown test_it.py::test_alone 2
failing set-up fixture ::failing 0
narrower set-up fixture ::narrower 0
own set-up test_it.py::test_narrower 0
call test_it.py::test_narrower 1
own teardown test_it.py::test_narrower 2
narrower teardown fixture ::narrower 1
wide teardown fixture ::wide 1
session finish None None"""


def test_each_is_on_stage_in_its_own_set_up_and_teardown(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_it=TESTS)
    result = pytester.runpytest_inprocess(*only())
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.no_fnmatch_line("*_plugin*stage.py*")
    assert (pytester.path / "told").read_text("utf-8") == TOLD


def test_each_run_of_a_body_counts_its_instances_after_those_of_the_set_up(
    request: pytest.FixtureRequest,
) -> None:
    settings, item = SimpleNamespace(new_conversation=None), request.node
    context: Any = SimpleNamespace(pytestconfig=request.config, config=settings)
    nothing: Any = None
    stage = PytestStage(context, resources=nothing, refutations=nothing, replaying=None)
    protocol = stage.pytest_runtest_protocol(item)
    next(protocol)
    for _ in range(2):  # A plugin may run a test again.
        stage.pytest_runtest_setup(item)
        assert (stage.run, stage.claims()) == (1, Origin(item.nodeid, 0))
        stage.pytest_runtest_call(item)
        assert stage.claims() == Origin(item.nodeid, 1)
        stage.begins_repeat(2)
        assert (stage.run, stage.claims()) == (2, Origin(item.nodeid, 1))
        with stage._on("hook"):
            assert (stage.owner, stage.run) == ("hook", 1)
    with pytest.raises(StopIteration):
        protocol.send(None)
    assert stage.owner is None


@pytest.fixture(scope="module", params=["de", None, 1.5, object()])
def wide(request: pytest.FixtureRequest) -> str:
    definition: pytest.FixtureDef[object] = request._fixturedef
    return owner_of(definition, request)


def test_a_fixture_is_named_with_its_parameter(wide: str, request: pytest.FixtureRequest) -> None:
    module, _, name = request.node.nodeid.partition("::")
    assert wide == f"fixture {module}::wide{name[name.index('[') :]}"
