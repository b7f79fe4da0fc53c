"""Where settings come from: who beats whom, and what is warned of."""

from __future__ import annotations

from pathlib import Path

import pytest
from plugin_tools import ALL, SOMEBODY, TOKEN, Project
from recording_tools import says, write
from settings_tools import NOWHERE, loaded, resolved, told
from tls_tools import CA, CLIENT

from pytest_hydrasmoke import ConfigError, HydraSmokeConfig, InstanceSpec
from pytest_hydrasmoke._options import SECRETS
from pytest_hydrasmoke._settings.sources import load
from pytest_hydrasmoke.fake import FakeRouter

# Who beats whom


def test_option_beats_environment_beats_table_beats_default(
    project: Project, router: FakeRouter
) -> None:
    given = {
        "run_id": "run",
        "agent_name": "by-env",
        "scope": "module",
        "gone_statuses": "left,gone",
    }
    project.suite("mixed").at(router, **given)
    project.table('agent_name = "by-table"', 'scope = "class"', 'prompt = "by-table"')
    result = project.live("--hydra-smoke-agent-name=by-option", "-k", "test_smoke")
    result.assert_outcomes(passed=1, deselected=2 + ALL)
    assert router.instances[0].agent_name == "by-option"
    result.stdout.fnmatch_lines(
        [
            f"hydra-smoke: live router {router.url}, run id run",
            (
                "hydra-smoke settings: agent_name by-option (option), *"
                "gone_statuses gone,left (environment), *"
                "prompt by-table (pyproject.toml), *run_id run (environment), "
                "scope module (environment), *token [*][*][*][*][*][*][*][*] (environment), *"
            ),
        ]
    )
    result.stdout.no_fnmatch_line("*chat_timeout*")


def test_defaults_are_those_of_the_documentation(live: Project) -> None:
    config = resolved(live)
    plain = config.model_dump(
        exclude={"url", *SECRETS, "run_id", *InstanceSpec.model_fields}
        | {"usage_settle", *(f"{word}_timeout" for word in ("ready", "llm_events", "delete"))}
    )
    assert plain == {
        "token_file": None,
        "chat_timeout": 120,
        "scope": "session",
        "instance": None,
        "report": "on-failure",
        "report_replies": True,
        "budgets": {},
        "row_settle": 3600,
        "keep": "never",
        "output": live.path / ".hydrasmoke",
        "max_instances": 4,
        "ready_statuses": {"running", "active", "ready", "online"},
        "failed_statuses": {"failed", "error", "provision_failed", "cancelled"},
        "gone_statuses": {"deleted", "deleting", "terminated"},
        "chat_end": "auto",
        "bundled_checks": True,
        "deadline": None,
        "trace_url": None,
        "prompt": "Reply with one short sentence: are you ready?",
        "expect_text": None,
        "expect_providers": set(),
        "expect_models": set(),
        "new_conversation": None,
        "allow_http": False,
        "trust_env": False,
        "ca_file": None,
        "client_cert": None,
        "client_key": None,
        "group": None,
        "record": None,
        "scenario": "default",
        "agent_url": None,
        "agent_api": "openai",
        "agent_model": None,
    }


def test_default_deadlines_and_a_random_run_id(
    live: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("READY_TIMEOUT", "LLM_EVENTS_TIMEOUT", "DELETE_TIMEOUT", "USAGE_SETTLE"):
        monkeypatch.delenv(f"HYDRA_SMOKE_{name}")
    one, other = resolved(live), resolved(live)
    assert (one.ready_timeout, one.llm_events_timeout, one.delete_timeout) == (900, 30, 60)
    assert one.usage_settle == 5
    assert one.run_id != other.run_id
    assert one.run_id.startswith("smoke-")


def test_the_nearest_table_upwards_is_read(live: Project) -> None:
    live.table('agent_name = "far"')
    inner = live.path / "a" / "b"
    inner.mkdir(parents=True)
    assert load({}, inner, fake=False).config.agent_name == "far"
    live.write("a/pyproject.toml", '[tool.hydra-smoke]\nagent_name = "near"')
    assert load({}, inner, fake=False).config.agent_name == "near"
    # Of a file without the table it makes no difference what else is in it.
    for text in ("", "[tool.other]\n", "[tool]\npytest = 3\n", "[project]\nname = 'b'\n"):
        live.write("a/b/pyproject.toml", text)
        assert load({}, inner, fake=False).config.agent_name == "near"


def test_without_any_table(live: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    live.write("pyproject.toml", "[project]\nname = 'x'\n")
    assert resolved(live).agent_name is None
    # Not even the folders above a test's own may hold one.
    monkeypatch.setattr(Path, "is_file", lambda self: False)
    assert resolved(live).agent_name is None


def test_an_empty_variable_is_not_set(live: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    live.table('agent_name = "by-table"')
    live.set(agent_name="", scope="", region_id="")
    assert told(live) == [
        (
            'region_id is not set: set HYDRA_SMOKE_REGION_ID, or region_id = "..." in '
            "[tool.hydra-smoke]; pytest takes --hydra-smoke-region-id too"
        )
    ]
    assert resolved(live.set(region_id="r")).agent_name == "by-table"
    # A variable is read in any case.
    monkeypatch.setenv("hydra_smoke_Agent_Name", "by-env")
    assert resolved(live).agent_name == "by-env"


def test_lists_come_from_variables_by_commas_and_from_tables_as_lists(live: Project) -> None:
    live.set(ready_statuses="Up, RUNNING,,", expect_providers="OpenAI, anthropic")
    live.table('gone_statuses = ["Gone"]', 'failed_statuses = "Broken,BAD"')
    config = resolved(live)
    assert config.ready_statuses == {"up", "running"}
    assert config.expect_providers == {"OpenAI", "anthropic"}
    assert config.gone_statuses == {"gone"}
    assert config.failed_statuses == {"broken", "bad"}


def test_files_are_relative_to_where_they_are_said(
    live: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = live.path / "below"
    below.mkdir()
    cert, key = (
        live.write(f"pki/{name}.pem", CLIENT[f"client_{name}"].read_text("utf-8"))
        for name in ("cert", "key")
    )
    file = live.write("ca.pem", CA.read_text("utf-8"))
    pems = ['client_cert = "pki/cert.pem"', 'client_key = "pki/key.pem"', 'ca_file = "ca.pem"']
    live.table('record = "recordings"', *pems)
    config = load({}, below, fake=False).config
    assert config.record == live.path / "recordings"
    assert (config.link.client_cert, config.link.client_key) == (cert, key)
    assert config.link.ca_file == file
    assert load({"record": "here"}, below, fake=False).config.record == below / "here"
    # A run against the fake has nothing to record.
    assert load({}, live.path, fake=True).config.record is None
    # What a variable says is found from wherever a test goes.
    live.table()
    config = resolved(live.set(ca_file="ca.pem"))
    monkeypatch.chdir("/")
    assert config.link.ca_file == file


def test_a_scenario_of_the_table_lies_beside_it(project: Project) -> None:
    write(project.path / "recordings", "t.py::test", says("a", "b"))
    for name in ("text", "inner"):
        (project.path / name).mkdir()
    for given, folder in (("recordings", project.path / "recordings"), ("text", None)):
        project.table(f'scenario = "{given}"')
        scenario = load({}, project.path / "inner", fake=True).scenario
        assert scenario is not None
        recordings = scenario.recordings
        assert (None if recordings is None else recordings.folder) == folder


def test_an_instance_needs_no_spec(project: Project, router: FakeRouter) -> None:
    project.suite("mixed").set(url=router.url, token=TOKEN, instance=SOMEBODY.upper())
    config = resolved(project)
    assert config.instance == SOMEBODY
    assert config.spec == InstanceSpec(manifest_id="", region_id="", tier_id="")


# What is warned of


def test_what_is_warned_of_is_told_once_and_before_the_router_is_asked(
    project: Project, router: FakeRouter
) -> None:
    project.suite("mixed").at(router, agent_nam="bob", region="r")
    names = (("AGENT_NAM", "AGENT_NAME"), ("REGION", "REGION_ID"))
    warnings = [
        f"HYDRA_SMOKE_{name} is not a setting: did you mean HYDRA_SMOKE_{meant}?"
        for name, meant in names
    ]
    result = project.live("test_mixed.py")
    assert (result.ret, result.errlines) == (0, [])
    result.stdout.fnmatch_lines([f"hydra-smoke: WARNING: {it}" for it in warnings])
    assert result.stdout.str().count("HYDRA_SMOKE_AGENT_NAM ") == 1
    # Where there is no header, it is in the summary, and before the run has begun.
    result = project.live("-q", "test_mixed.py", "--hydra-smoke-run-id=again")
    result.assert_outcomes(passed=3)
    told = [line for line in result.outlines if " is not a setting" in line]
    assert told == [f"hydra-smoke: {it}" for it in warnings]
    assert result.errlines == [f"hydra-smoke: WARNING: {it}" for it in warnings]
    router.fail("poll", status=401)
    result = project.live("-q", "test_mixed.py", "--hydra-smoke-run-id=refused")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.errlines[:2] == [f"hydra-smoke: WARNING: {it}" for it in warnings]
    assert result.errlines[2].startswith("ERROR: poll was refused with 401")


@pytest.mark.parametrize(
    "name",
    ["HYDRASMOKE_AGENT_NAME", "HYDRA_SMOKEAGENTNAME", "PYTEST_HYDRA_SMOKE_AGENT_NAME"],
)
def test_a_variable_that_is_spelt_nearly_right_is_warned_of(
    live: Project, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "bob")
    warning = f"{name} is not read: did you mean HYDRA_SMOKE_AGENT_NAME?"
    assert loaded(live).warnings == (warning,)
    # A script may make the one of the other.
    live.set(agent_name="bob")
    assert loaded(live).warnings == ()


@pytest.mark.parametrize("name", ["HYDRASMOKE_HOME", "hydra_smoke_agent_name", "AGENT_NAME"])
def test_a_variable_that_may_be_somebody_elses_is_not_warned_of(
    live: Project, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "bob")
    assert loaded(live).warnings == ()


# The settings as an object


def test_what_is_not_set_is_told_when_it_is_asked_for(live: Project) -> None:
    config = HydraSmokeConfig(region_id="r")
    assert config.url is None, "it reads no environment of its own"
    with pytest.raises(ConfigError, match="url and token are not set"):
        _ = config.link
    with pytest.raises(ConfigError, match="not set: manifest_id, tier_id"):
        _ = config.spec
    with pytest.raises(ConfigError, match="url and token are not set"):
        _ = HydraSmokeConfig(url=NOWHERE).link


def test_settings_travel_in_plain_types(live: Project) -> None:
    live.write("ca.pem", CA.read_text("utf-8"))
    live.set(ca_file="ca.pem", ready_statuses="up,on", max_instances=2)
    config = resolved(live)
    plain = config.to_plain()
    assert HydraSmokeConfig.from_plain(plain) == config
    assert plain["token"] == TOKEN
    without = HydraSmokeConfig(run_id="r")
    assert HydraSmokeConfig.from_plain(without.to_plain()) == without
    assert "token" not in without.to_plain()


def test_no_form_of_the_object_shows_the_token(live: Project) -> None:
    config = resolved(live)
    for text in (repr(config), str(config), str(config.model_dump()), repr(config.link)):
        assert TOKEN not in text
