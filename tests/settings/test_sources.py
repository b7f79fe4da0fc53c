"""Where settings come from: who beats whom, what is warned of, and what a run has in the end."""

from __future__ import annotations

import os

import pytest
from plugin_tools import ALL, SOMEBODY, TOKEN, Project
from recording_tools import says, write
from settings_tools import loaded, refused, resolved, told
from tls_tools import CA, CLIENT

from pytest_hydrasmoke import ConfigError, HydraSmokeConfig, InstanceSpec
from pytest_hydrasmoke._base.token import Token
from pytest_hydrasmoke._settings.sources import load
from pytest_hydrasmoke.fake import FakeRouter


def test_option_beats_environment_beats_table_beats_default(
    project: Project, router: FakeRouter
) -> None:
    given = {"agent_name": "by-env", "scope": "module", "gone_statuses": "left,gone"}
    project.suite("mixed").at(router, run_id="run", **given)
    project.table('agent_name = "by-table"', 'scope = "class"', 'prompt = "by-table"')
    result = project.live("--hydra-smoke-agent-name=by-option", "-k", "test_smoke")
    result.assert_outcomes(passed=1, deselected=2 + ALL)
    assert router.instances[0].agent_name == "by-option"
    head, settings = [line for line in result.outlines if line.startswith("hydra-smoke")][:2]
    assert head == f"hydra-smoke: live router {router.url}, run id run"
    for words in (
        "hydra-smoke settings: agent_name by-option (option), ",
        "gone_statuses gone,left (environment), ",
        "prompt by-table (pyproject.toml), ",
        "run_id run (environment), scope module (environment), ",
        "token ******** (environment), ",
    ):
        assert words in settings
    assert "chat_timeout" not in settings


def test_what_is_the_default_is_another_one_in_each_run_and_folder(live: Project) -> None:
    # The others are those of the page on settings, which is compared with them.
    one, other = resolved(live), resolved(live)
    assert one.run_id.startswith("smoke-")
    assert one.run_id != other.run_id
    assert one.output == live.path / ".hydrasmoke"


def test_the_nearest_table_upwards_is_read(live: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    live.table('agent_name = "far"')
    inner = live.path / "a" / "b"
    inner.mkdir(parents=True)
    assert load({}, inner, fake=False).config.agent_name == "far"
    live.write("a/pyproject.toml", '[tool.hydra-smoke]\nagent_name = "near"')
    # Of a file without the table it makes no difference what else is in it.
    for text in ("", "[tool.other]\n", "[tool]\npytest = 3\n", "[project]\nname = 'b'\n"):
        live.write("a/b/pyproject.toml", text)
        assert load({}, inner, fake=False).config.agent_name == "near"
    live.write("pyproject.toml", "[project]\nname = 'x'\n")
    assert resolved(live).agent_name is None
    # Not even the folders above a test's own may hold one.
    monkeypatch.setattr(os.path, "isfile", lambda path: False)
    assert resolved(live).agent_name is None


def test_an_empty_variable_is_not_set_and_lists_have_commas(
    live: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = ('gone_statuses = [" Gone ", ""]', 'failed_statuses = "Broken,BAD"')
    live.table('agent_name = "by-table"', *lists)
    live.set(ready_statuses="Up, RUNNING,,", expect_providers="OpenAI, anthropic")
    live.set(agent_name="", scope="", region_id="")
    [problem] = told(live)
    assert problem.startswith("region_id is not set: ")
    config = resolved(live.set(region_id="r"))
    assert config.agent_name == "by-table"
    assert config.ready_statuses == {"up", "running"}
    assert config.expect_providers == {"OpenAI", "anthropic"}
    assert config.gone_statuses == {"gone"}
    assert config.failed_statuses == {"broken", "bad"}
    # A variable is read in any case.
    monkeypatch.setenv("hydra_smoke_Agent_Name", "by-env")
    assert resolved(live).agent_name == "by-env"


def test_files_are_relative_to_where_they_are_said(
    live: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = live.path / "below"
    below.mkdir()
    for name, pem in {**CLIENT, "ca_file": CA}.items():
        live.write(f"pki/{name}.pem", pem.read_text("utf-8"))
    pems = {name: live.path / "pki" / f"{name}.pem" for name in (*CLIENT, "ca_file")}
    live.table('record = "recordings"', *(f'{name} = "pki/{name}.pem"' for name in pems))
    config = load({}, below, fake=False).config
    assert config.record == live.path / "recordings"
    assert {name: getattr(config.link, name) for name in pems} == pems
    assert load({"record": "here"}, below, fake=False).config.record == below / "here"
    # A run against the fake has nothing to record.
    assert load({}, live.path, fake=True).config.record is None
    # What a variable says is found from wherever a test goes.
    live.table()
    config = resolved(live.set(ca_file="pki/ca_file.pem"))
    monkeypatch.chdir("/")
    assert config.link.ca_file == pems["ca_file"]


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


# The token


@pytest.fixture
def bare(live: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project of which everything is set but the token."""
    monkeypatch.delenv("HYDRA_SMOKE_TOKEN")
    return live


def test_a_nearer_source_of_the_token_wins(live: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("option", "table", "variable"):
        live.write(f"secret/by-{name}", f"token-by-{name}")
    inner = live.path / "secret"
    live.table('token_file = "secret/by-table"')
    monkeypatch.setenv("OPS_BEARER_TOKEN", "the-other-token")
    assert (resolved(live).token, resolved(live).token_file) == (Token(TOKEN), None)
    assert resolved(live, token_file="secret/by-option").token == Token("token-by-option")
    both = "HYDRA_SMOKE_TOKEN and HYDRA_SMOKE_TOKEN_FILE are both set: remove one of them"
    assert told(live.set(token_file="secret/by-variable")) == [both]
    live.set(token="", token_file="by-variable")
    # A file is looked for where it is named.
    monkeypatch.chdir(inner)
    assert load({}, inner, fake=False).config.token == Token("token-by-variable")
    live.set(token_file="")
    assert resolved(live).token == Token("the-other-token")
    monkeypatch.delenv("OPS_BEARER_TOKEN")
    read = load({}, inner, fake=False)
    source = "pyproject.toml's token_file"
    assert (read.config.token, read.sources["token"]) == (Token("token-by-table"), source)


def test_a_run_with_a_token_file_names_it(bare: Project, router: FakeRouter) -> None:
    bare.set(url=router.url).write("token.txt", f"{TOKEN}\n")
    result = bare.live("--hydra-smoke-token-file=token.txt", "test_mixed.py", passed=3)
    assert "token ******** (option's token_file), token_file token.txt (option)" in str(
        result.stdout
    )


def test_what_a_token_file_may_be(bare: Project) -> None:
    file = bare.path / "secret"
    for begin, end in (("", ""), ("", "\n"), ("\ufeff", "\r\n")):
        file.write_bytes(f"{begin}{TOKEN}{end}".encode())
        assert resolved(bare, token_file="secret").token == Token(TOKEN)
    if os.name == "posix":
        for mode, open_to_others in ((0o600, False), (0o640, True), (0o604, True)):
            file.chmod(mode)
            warning = f"others can read secret (mode {mode:03o}): chmod 600 secret"
            warnings = (warning,) if open_to_others else ()
            assert loaded(bare, token_file="secret").warnings == warnings
    file.write_bytes(b"\xff\xfe" + TOKEN.encode())
    [problem] = told(bare, token_file="secret")
    assert problem.startswith("token_file secret can't be read: ")
    # One that is missing is named only where that looks like a place.
    assert told(bare, token_file="none") == [
        "token_file (option): there is no file of this name (not shown: it may be the token)"
    ]
    missing = bare.path / "none"
    shown = f"token_file (option): there is no file {missing}"
    assert told(bare, token_file=str(missing)) == [shown]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (f"Bearer {TOKEN}", 'begins with "Bearer ": give the token alone'),
        (f" {TOKEN}", "has white space or a newline around it: remove it"),
        (f"{TOKEN}\n", "has white space or a newline around it: remove it"),
        (f"{TOKEN[:9]} {TOKEN[9:]}", "has white space in it"),
        (f"{TOKEN}ä", "has a character that is not ASCII"),
        (f"{TOKEN}\x07", "has a control character in it"),
        ("short", "is too short (5 characters; at least 8)"),
        (" ", "is empty"),
        # Bytes that are no text.
        ("made-up-\udc80\udcff-token", "has a character that is not ASCII"),
    ],
)
def test_a_malformed_token_is_told_and_not_shown(
    bare: Project, monkeypatch: pytest.MonkeyPatch, value: str, words: str
) -> None:
    for name in ("OPS_BEARER_TOKEN", "HYDRA_SMOKE_TOKEN"):
        monkeypatch.setenv(name, value)
        assert told(bare) == [f"token (environment): {words}"]
    if not value.isascii():
        assert refused(bare) == [f"token (environment): {words}"]


# What is warned of


def test_what_is_warned_of_is_told_once_and_before_the_router_is_asked(
    project: Project, router: FakeRouter
) -> None:
    project.suite("mixed").at(router, agent_nam="bob", region="r")
    names = {"AGENT_NAM": "AGENT_NAME", "REGION": "REGION_ID"}
    told = [
        f"HYDRA_SMOKE_{name} is not a setting: did you mean HYDRA_SMOKE_{meant}?"
        for name, meant in names.items()
    ]
    warnings = [f"hydra-smoke: WARNING: {it}" for it in told]
    result = project.live("test_mixed.py")
    assert (result.ret, result.errlines) == (0, [])
    assert [line for line in result.outlines if " is not a setting" in line] == warnings
    # Where there is no header, it is in the summary, and before the run has begun.
    result = project.live("-q", "test_mixed.py", "--hydra-smoke-run-id=again", passed=3)
    summary = [line for line in result.outlines if " is not a setting" in line]
    assert summary == [f"hydra-smoke: {it}" for it in told]
    assert result.errlines == warnings
    router.fail("poll", status=401)
    result = project.live("-q", "test_mixed.py", "--hydra-smoke-run-id=refused")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.errlines[:2] == warnings
    assert result.errlines[2].startswith("ERROR: poll was refused with 401")


def test_a_variable_that_is_spelt_nearly_right_is_warned_of(
    live: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = ("HYDRASMOKE_AGENT_NAME", "HYDRA_SMOKEAGENTNAME", "PYTEST_HYDRA_SMOKE_AGENT_NAME")
    # They may be somebody else's.
    for name in (*near, "HYDRASMOKE_HOME", "hydra_smoke_agent_name", "AGENT_NAME"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "bob")
            warning = f"{name} is not read: did you mean HYDRA_SMOKE_AGENT_NAME?"
            assert loaded(live).warnings == ((warning,) if name in near else ())
            # A script may make the one of the other.
            patch.setenv("HYDRA_SMOKE_AGENT_NAME", "bob")
            assert loaded(live).warnings == ()


# The settings as an object


def test_what_is_not_set_is_told_when_it_is_asked_for(live: Project) -> None:
    config = HydraSmokeConfig(region_id="r")
    assert config.url is None, "it reads no environment of its own"
    for without in (config, HydraSmokeConfig(url="https://router.example")):
        with pytest.raises(ConfigError, match="url and token are not set"):
            _ = without.link
    with pytest.raises(ConfigError, match="not set: manifest_id, tier_id"):
        _ = config.spec


def test_settings_travel_in_plain_types_and_show_no_token(project: Project) -> None:
    given = {"ready_statuses": "up,on", "max_instances": 2, "ca_file": CA}
    project.set(url="https://router.example", token=TOKEN, instance=SOMEBODY.upper(), **given)
    config = resolved(project)
    assert config.instance == SOMEBODY
    assert config.spec == InstanceSpec(manifest_id="", region_id="", tier_id="")
    plain = config.to_plain()
    assert HydraSmokeConfig.from_plain(plain) == config
    assert plain["token"] == TOKEN
    without = HydraSmokeConfig(run_id="r")
    assert HydraSmokeConfig.from_plain(without.to_plain()) == without
    assert "token" not in without.to_plain()
    for text in (repr(config), str(config), str(config.model_dump()), repr(config.link)):
        assert TOKEN not in text
