"""Where settings come from, and what is wrong with them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from plugin_tools import ALL, SOMEBODY, TOKEN, Project, count
from recording_tools import says, write
from settings_tools import NOWHERE, resolved, told
from tls_tools import CA, CLIENT

from pytest_hydrasmoke import ConfigError, HydraSmokeConfig, InstanceSpec
from pytest_hydrasmoke._settings.sources import load
from pytest_hydrasmoke.fake import FakeRouter

# Who beats whom


def test_option_beats_environment_beats_table_beats_default(
    project: Project, router: FakeRouter
) -> None:
    project.suite("mixed").at(router, run_id="run", agent_name="by-env", scope="module")
    project.table('agent_name = "by-table"', 'scope = "class"', 'prompt = "by-table"')
    result = project.live("--hydra-smoke-agent-name=by-option", "-k", "test_smoke")
    result.assert_outcomes(passed=1, deselected=2 + ALL)
    assert router.instances[0].agent_name == "by-option"
    result.stdout.fnmatch_lines(
        [
            (
                "hydra-smoke settings: agent_name by-option (option), *"
                "prompt by-table (pyproject.toml), *run_id run (environment), "
                "scope module (environment), *"
            )
        ]
    )
    result.stdout.no_fnmatch_line("*chat_timeout*")


def test_the_header_names_each_source_and_hides_the_token(
    project: Project, router: FakeRouter
) -> None:
    project.suite("mixed").at(router, run_id="run", gone_statuses="left,gone")
    result = project.live("test_mixed.py")
    result.stdout.fnmatch_lines(
        [
            f"hydra-smoke: live router {router.url}, run id run",
            (
                "hydra-smoke settings: *gone_statuses gone,left (environment), *"
                "token [*][*][*][*][*][*][*][*] (environment), *"
            ),
        ]
    )


def test_defaults_are_those_of_the_documentation(live: Project) -> None:
    config = resolved(live)
    plain = config.model_dump(
        exclude={"url", "token", "run_id", *InstanceSpec.model_fields}
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
        "prompt": "Reply with one short sentence: are you ready?",
        "expect_text": None,
        "expect_providers": set(),
        "allow_http": False,
        "trust_env": False,
        "ca_file": None,
        "client_cert": None,
        "client_key": None,
        "group": None,
        "record": None,
        "scenario": "default",
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


@pytest.fixture
def monorepo(live: Project) -> Project:
    """Two services with a table each, and tests of the whole without one."""
    for name in ("agent", "billing"):
        live.write(
            f"services/{name}/pyproject.toml", f'[tool.hydra-smoke]\nagent_name = "{name}"\n'
        )
        live.write(f"services/{name}/tests/test_{name}.py", "def test_one(smoke_instance): ...")
    live.write("pyproject.toml", "[project]\nname = 'whole'")
    return live


def name_in_header(project: Project, *arguments: str) -> str:
    """Return the agent's name in the header of a run without tests."""
    result = project.fake(*arguments, "-k", "nothing")
    [line] = [
        line for line in result.outlines if line.startswith("hydra-smoke settings: agent_name")
    ]
    return line.split()[3]


@pytest.mark.parametrize("place", ["", "/tests", "/tests/test_agent.py::test_one"])
def test_tests_that_are_named_have_the_table_of_their_own(monorepo: Project, place: str) -> None:
    monorepo.table('agent_name = "whole"')
    assert name_in_header(monorepo, f"services/agent{place}") == "agent"


def test_the_header_names_the_folder_of_that_table(monorepo: Project, router: FakeRouter) -> None:
    monorepo.at(router)
    result = monorepo.live("services/agent", "services/agent/tests/test_agent.py::test_one")
    result.assert_outcomes(passed=1)
    assert router.instances[0].agent_name == "agent"
    file = os.path.join("services", "agent", "pyproject.toml")
    result.stdout.fnmatch_lines([f"hydra-smoke settings: agent_name agent ({file}), *"])


def test_tests_of_different_tables_are_refused(monorepo: Project) -> None:
    [problem] = told(monorepo, "services/agent", "services/billing", "test_mixed.py")
    files = [monorepo.path / "services" / name / "pyproject.toml" for name in ("agent", "billing")]
    assert problem == (
        f"each of {files[0]}, {files[1]} has a table [tool.hydra-smoke] for some of the tests of "
        "this run, and a run has one set of settings: run pytest once for each of them"
    )


def not_read(monorepo: Project, *names: str) -> str:
    """Return the beginning of the error about tables that a run has not read, as a pattern."""
    files = [monorepo.path / "services" / name / "pyproject.toml" for name in names]
    return (
        f"*tests of this run have a table [[]tool.hydra-smoke[]] of their own, which was not read: "
        f"*{', *'.join(map(str, files))}*"
    )


@pytest.mark.parametrize("named", [(), ("services",), (".",), ("-p", "xdist", "-n2")])
@pytest.mark.parametrize("switch", ["--hydra-smoke", "--hydra-smoke-fake"])
def test_tables_below_are_not_left_unread_in_silence(
    monorepo: Project, router: FakeRouter, switch: str, named: tuple[str, ...]
) -> None:
    result = monorepo.at(router).run(switch, *named)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    words = result.stdout if "xdist" in named else result.stderr
    words.fnmatch_lines(
        [
            (
                f"{not_read(monorepo, 'agent', 'billing')}. A run has one set of settings: name "
                "the tests of one table, as in pytest --hydra-smoke services/agent, and run pytest "
                "once for each, or have one table for all of them, in "
                f"{monorepo.path}/pyproject.toml*"
            )
        ]
    )
    assert router.instances == ()


def test_the_table_of_the_folder_does_not_stand_in_for_one_below(
    monorepo: Project, router: FakeRouter
) -> None:
    monorepo.at(router).table('agent_name = "whole"')
    result = monorepo.live("test_mixed.py", "services")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([not_read(monorepo, "agent", "billing")])
    result = monorepo.live("--ignore=services/billing")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([not_read(monorepo, "agent")])


def test_a_table_of_no_smoke_test_of_the_run_is_none_of_its_matter(
    monorepo: Project, router: FakeRouter
) -> None:
    monorepo.at(router, bundled_checks="false")
    monorepo.write("services/billing/tests/test_billing.py", "def test_one(): ...")
    result = monorepo.live("--deselect=services/agent")
    result.assert_outcomes(passed=4, deselected=1)


def test_testpaths_decide_whose_table_is_read(monorepo: Project) -> None:
    monorepo.write("pytest.ini", "[pytest]\ntestpaths = services/agent/tests")
    assert name_in_header(monorepo) == "agent"
    monorepo.write("pytest.ini", "[pytest]\ntestpaths = services/*")
    [problem] = told(monorepo)
    assert "services/agent/pyproject.toml" in Path(problem.split(",")[0]).as_posix()


def test_without_a_table_of_their_own_that_of_the_folder_counts(monorepo: Project) -> None:
    (monorepo.path / "services/agent/pyproject.toml").write_text("", "utf-8")
    monorepo.table('agent_name = "whole"')
    for named in ("services/agent", "test_mixed.py", "pytest_hydrasmoke/checks/test_chat.py"):
        assert name_in_header(monorepo, named) == "whole"


def test_a_broken_file_of_the_tests_is_told(monorepo: Project) -> None:
    file = monorepo.write("services/agent/pyproject.toml", "tool = 1")
    with pytest.raises(ConfigError) as caught:
        load({}, monorepo.path, fake=False, places=[file.parent])
    assert f"[tool.hydra-smoke] of {file} can't be read: " in str(caught.value)


def test_without_any_table(live: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    # Not even the folders above a test's own may hold one.
    monkeypatch.setattr(Path, "is_file", lambda self: False)
    assert resolved(live).agent_name is None


def test_an_empty_variable_is_not_set(live: Project) -> None:
    live.table('agent_name = "by-table"')
    live.set(agent_name="", scope="", region_id="")
    assert told(live) == [
        (
            'region_id is not set: set HYDRA_SMOKE_REGION_ID, or region_id = "..." in '
            "[tool.hydra-smoke]; pytest takes --hydra-smoke-region-id too"
        )
    ]
    assert resolved(live.set(region_id="r")).agent_name == "by-table"


def test_a_variable_is_read_in_any_case(live: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("hydra_smoke_Agent_Name", "by-env")
    assert resolved(live).agent_name == "by-env"


def test_lists_come_from_variables_by_commas(live: Project) -> None:
    live.set(ready_statuses="Up, RUNNING,,", expect_providers="OpenAI, anthropic")
    config = resolved(live)
    assert config.ready_statuses == {"up", "running"}
    assert config.expect_providers == {"OpenAI", "anthropic"}


def test_lists_come_from_tables_as_lists(live: Project) -> None:
    live.table('gone_statuses = ["Gone"]', 'failed_statuses = "Broken,BAD"')
    config = resolved(live)
    assert config.gone_statuses == {"gone"}
    assert config.failed_statuses == {"broken", "bad"}


def test_what_is_warned_of_is_in_the_summary_where_there_is_no_header(
    project: Project, router: FakeRouter
) -> None:
    project.suite("mixed").at(router, agent_nam="x")
    result = project.live("-q", "test_mixed.py")
    result.assert_outcomes(passed=3)
    warning = "HYDRA_SMOKE_AGENT_NAM is not a setting: did you mean HYDRA_SMOKE_AGENT_NAME?"
    told = [line for line in result.outlines if "HYDRA_SMOKE_AGENT_NAM" in line]
    assert told == [f"hydra-smoke: {warning}"]
    # Before the run has begun, too.
    assert result.errlines == [f"hydra-smoke: WARNING: {warning}"]


def test_a_warning_that_the_header_shows_is_told_once(project: Project, router: FakeRouter) -> None:
    project.suite("mixed").at(router, agent_nam="x")
    result = project.live("test_mixed.py")
    assert result.stdout.str().count("HYDRA_SMOKE_AGENT_NAM ") == 1
    assert result.errlines == []


def test_a_warning_comes_before_the_router_is_asked(project: Project, router: FakeRouter) -> None:
    project.suite("mixed").at(router, agent_nam="x")
    router.fail("poll", status=401)
    result = project.live("-q", "test_mixed.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.errlines[0].startswith("hydra-smoke: WARNING: HYDRA_SMOKE_AGENT_NAM ")
    assert result.errlines[1].startswith("ERROR: poll was refused with 401")


def test_a_token_given_in_another_place_too_is_not_shown(live: Project) -> None:
    [problem] = told(live.set(ready_timeout=TOKEN))
    assert problem.startswith("ready_timeout = '********' (environment): must be a number of ")


# What is wrong, all at once


def test_nothing_set(project: Project) -> None:
    assert told(project.suite("mixed")) == [
        *(
            f"{name} is not set: set HYDRA_SMOKE_{name.upper()}, or "
            f'{name} = "..." in [tool.hydra-smoke]; '
            f"pytest takes --hydra-smoke-{name.replace('_', '-')} too"
            for name in ("url", "manifest_id", "region_id", "tier_id")
        ),
        (
            "the token is not set: set HYDRA_SMOKE_TOKEN (or OPS_BEARER_TOKEN) in the environment, "
            "or HYDRA_SMOKE_TOKEN_FILE; pytest takes --hydra-smoke-token-file too"
        ),
    ]


def test_what_is_missing_is_told_with_what_is_nearly_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.suite("mixed").set(url="https://router.example", region_id="eu", tier_id="small")
    monkeypatch.setenv("HYDRA_SMOKE_TOKN", "a-token-of-a-test")
    found = told(project)
    assert len(found) == 3
    assert found[2] == "HYDRA_SMOKE_TOKN is not a setting: did you mean HYDRA_SMOKE_TOKEN?"


@pytest.mark.parametrize(
    "name",
    ["HYDRASMOKE_AGENT_NAME", "HYDRA_SMOKEAGENTNAME", "PYTEST_HYDRA_SMOKE_AGENT_NAME"],
)
def test_a_variable_that_is_spelt_nearly_right_is_warned_of(
    live: Project, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "bob")
    warning = f"{name} is not read: did you mean HYDRA_SMOKE_AGENT_NAME?"
    assert load({}, live.path, fake=False).warnings == (warning,)
    # A script may make the one of the other.
    live.set(agent_name="bob")
    assert load({}, live.path, fake=False).warnings == ()


@pytest.mark.parametrize("name", ["HYDRASMOKE_HOME", "hydra_smoke_agent_name", "AGENT_NAME"])
def test_a_variable_that_may_be_somebody_elses_is_not_warned_of(
    live: Project, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "bob")
    assert load({}, live.path, fake=False).warnings == ()


def test_every_problem_is_in_one_message(live: Project) -> None:
    live.set(url="http://router.example", token="short", tier_id="", max_instances=0)
    live.table('manifestid = "x"', f'token = "{TOKEN}"', 'scope = "galaxy"')
    found = told(live, "--hydra-smoke-instance=nobody", "--hydra-smoke-scenario=default")
    starts = [
        "token must not be in [tool.hydra-smoke] of ",
        "[tool.hydra-smoke] of ",
        "--hydra-smoke-scenario needs --hydra-smoke-fake",
        "token (environment): is too short",
        "scope = 'galaxy' (pyproject.toml): must be 'session', 'package', 'module', 'class'",
        "instance = 'nobody' (option): is not a UUID",
        "max_instances = '0' (environment): must be greater than or equal to 1",
        (
            "url = 'http://router.example' would send the token in clear: use https://, or set "
            "allow_http = true"
        ),
    ]
    assert [any(line.startswith(start) for line in found) for start in starts] == [True] * 8
    assert len(found) == len(starts)


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("manifestid", "did you mean manifest_id?"),
        ("tier", "did you mean tier_id?"),
        ("time_out", "did you mean chat_timeout?"),
        ("Keep", "did you mean keep?"),
        ("URL", "did you mean url?"),
        ("zzz", "docs/reference/settings.md lists all keys"),
    ],
)
def test_an_unknown_key_is_told_with_the_nearest_right_one(
    live: Project, key: str, meant: str
) -> None:
    live.table(f"{key} = 1")
    file = live.path / "pyproject.toml"
    assert told(live) == [f"[tool.hydra-smoke] of {file} has the unknown key {key}: {meant}"]


@pytest.mark.parametrize(
    "text", ["[tool.hydra-smoke\n", "tool = 5", "[tool]\nhydra-smoke = 5", "a = '\udcff'"]
)
def test_a_table_that_can_not_be_read_is_told(live: Project, text: str) -> None:
    file = live.path / "pyproject.toml"
    file.write_text(text, "utf-8", errors="surrogateescape")
    with pytest.raises(ConfigError) as told:
        resolved(live)
    head, problem = told.value.message.splitlines()
    assert head == "hydra-smoke can't start:"
    assert problem.startswith(f"  - [tool.hydra-smoke] of {file} can't be read: ")


def test_a_pyproject_without_the_table_sets_nothing(live: Project) -> None:
    live.write("pyproject.toml", "[project]\nname = 'x'\n")
    assert resolved(live).agent_name is None


HOW_TO_BUDGET = (
    "write name=number, with commas between budgets, such as ready=300,first_event=5. "
    "A name is one of provision, row, "
)
WRONG = [
    ("run_id", "no spaces", "must be 1 to 64 of A to Z, a to z, 0 to 9, dot, underscore and "),
    ("run_id", "x" * 65, "must be 1 to 64 of"),
    ("run_id", "nul", "must not be a device's name on Windows"),
    ("expect_text", "(", "is not a regular expression: "),
    ("instance", "not-a-uuid", "is not a UUID"),
    ("ca_file", "none.pem", "there is no file "),
    # A file whose first bytes nobody can read, whoever asks.
    *([("ca_file", "/proc/self/mem", "can't be read: ")] if sys.platform == "linux" else []),
    ("ca_file", __file__, "has no certificate in it: give the CA's, as PEM"),
    ("ready_timeout", "0", "must be greater than 0"),
    ("ready_timeout", "5m", "must be a number of seconds, such as 300"),
    ("chat_timeout", "-1", "must be greater than 0"),
    ("llm_events_timeout", "nan", "must be"),
    ("usage_settle", "-1", "must be"),
    ("usage_settle", "inf", "must be a finite number"),
    ("delete_timeout", "inf", "must be a finite number"),
    ("scope", "galaxy", "must be 'session', 'package', 'module', 'class' or 'function'"),
    ("keep", "sometimes", "must be 'never', 'on-failure' or 'always'"),
    ("max_instances", "0", "must be greater than or equal to 1"),
    ("max_instances", "1.5", "must be a whole number"),
    ("chat_end", "never", "must be 'auto', 'required' or 'optional'"),
    ("bundled_checks", "perhaps", "must be true or false"),
    ("prompt", "x" * 4001, "should have at most 4000 characters"),
    ("report", "perhaps", "must be 'never', 'on-failure' or 'always'"),
    ("report_replies", "perhaps", "must be true or false"),
    (
        "budgets",
        "redy=1",
        "'redy' can't have a budget (did you mean ready?): it must be one of provision, row, ",
    ),
    ("budgets", "boot=1", "'boot' can't have a budget: it must be one of provision, row, "),
    *(
        ("budgets", value, f"{part!r} is not a budget: {HOW_TO_BUDGET}")
        for value, part in [
            ("300", "300"),
            ("ready", "ready"),
            ("turn=5,ready", "ready"),
            ("ready=", "ready="),
            ("=5", "=5"),
            ("ready=5 turn=3", "ready=5 turn=3"),
            ("ready:5", "ready:5"),
        ]
    ),
    ("budgets", "ready=soon", "'ready' must be a number, such as 300"),
    ("budgets", "ready=0", "'ready' must be greater than 0"),
    ("manifest_id", "x" * 101, "should have at most 100 characters"),
    ("group", "x" * 201, "must be 1 to 200 printable characters"),
    ("group", "one\ntwo", "must be 1 to 200 printable characters"),
    ("group", " one", "must be 1 to 200 printable characters, with no blank at either end"),
    ("region_id", "x" * 81, "should have at most 80 characters"),
    ("tier_id", "x" * 81, "should have at most 80 characters"),
]


@pytest.mark.parametrize(("name", "value", "words"), WRONG)
def test_a_wrong_value_is_told_with_its_source(
    live: Project, name: str, value: str, words: str
) -> None:
    [problem] = told(live.set(**{name: value}))
    assert problem.startswith(f"{name} = ")
    assert " (environment): " in problem
    assert words in problem


def test_a_wrong_value_is_shown_on_one_short_line(live: Project) -> None:
    [problem] = told(live, "--hydra-smoke-run-id", "\x1b[31m::error::\n" + "x" * 500)
    assert "\x1b" not in problem
    assert len(problem) < 400


def test_where_to_record_is_relative_to_where_it_is_said(live: Project) -> None:
    (live.path / "below").mkdir()
    live.table('record = "recordings"')
    found = load({}, live.path / "below", fake=False).config
    assert found.record == live.path / "recordings"
    found = load({"record": "here"}, live.path / "below", fake=False).config
    assert found.record == live.path / "below" / "here"
    # A run against the fake has nothing to record.
    assert load({}, live.path, fake=True).config.record is None


def test_an_output_that_is_no_path_is_told(live: Project) -> None:
    live.table("output = 5")
    [problem] = told(live)
    assert problem.startswith("output = '5' (pyproject.toml): ")


def test_a_budget_without_a_figure_is_a_short_line(live: Project) -> None:
    [problem] = told(live.set(budgets="\x1b[1m" + "x" * 500))
    assert "\x1b" not in problem
    assert len(problem) < 600


def test_budgets_that_are_no_table_are_told(live: Project) -> None:
    live.table("budgets = 5")
    [problem] = told(live)
    assert problem.startswith(
        "budgets = '5' (pyproject.toml): must be a table, such as { ready = 300 }"
    )


def test_a_variable_that_is_no_setting_is_warned_of(project: Project, router: FakeRouter) -> None:
    project.suite("mixed").at(router).set(region="r", agent_nam="bob")
    result = project.live("test_mixed.py")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            f"hydra-smoke: WARNING: {name} is not a setting: did you mean {meant}?"
            for name, meant in (
                ("HYDRA_SMOKE_AGENT_NAM", "HYDRA_SMOKE_AGENT_NAME"),
                ("HYDRA_SMOKE_REGION", "HYDRA_SMOKE_REGION_ID"),
            )
        ]
    )


def test_a_ca_file_is_relative_to_its_table(live: Project) -> None:
    live.table('ca_file = "ca.pem"')
    file = live.write("ca.pem", CA.read_text("utf-8"))
    assert resolved(live).link.ca_file == file


def test_a_client_certificate_is_relative_to_its_table(live: Project) -> None:
    live.table('client_cert = "pki/cert.pem"', 'client_key = "pki/key.pem"')
    cert = live.write("pki/cert.pem", CLIENT["client_cert"].read_text("utf-8"))
    key = live.write("pki/key.pem", CLIENT["client_key"].read_text("utf-8"))
    link = resolved(live).link
    assert (link.client_cert, link.client_key) == (cert, key)


def test_a_certificate_is_found_from_wherever_a_test_goes(
    live: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = live.write("ca.pem", CA.read_text("utf-8"))
    config = resolved(live.set(ca_file="ca.pem"))
    monkeypatch.chdir("/")
    assert config.link.ca_file == file


def test_an_instance_needs_no_spec(project: Project, router: FakeRouter) -> None:
    project.suite("mixed").set(url=router.url, token=TOKEN, instance=SOMEBODY.upper())
    config = resolved(project)
    assert config.instance == SOMEBODY
    assert config.spec == InstanceSpec(manifest_id="", region_id="", tier_id="")


# The settings as an object


def test_what_is_not_set_is_told_when_it_is_asked_for() -> None:
    config = HydraSmokeConfig(region_id="r")
    with pytest.raises(ConfigError, match="url and token are not set"):
        _ = config.link
    with pytest.raises(ConfigError, match="not set: manifest_id, tier_id"):
        _ = config.spec
    with pytest.raises(ConfigError, match="url and token are not set"):
        _ = HydraSmokeConfig(url=NOWHERE).link


def test_the_object_reads_no_environment_of_its_own(live: Project) -> None:
    assert HydraSmokeConfig().url is None


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


def test_wrong_settings_reach_no_router(project: Project, router: FakeRouter) -> None:
    project.suite("mixed").at(router, max_instances="many")
    assert told(project)
    assert count(router, "provision") == 0
    assert router.requests == ()


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
