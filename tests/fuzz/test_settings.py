"""Any table, any environment, any option: settings, or one error that names every problem."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sizes import examples

from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._options import SETTINGS, variable
from pytest_hydrasmoke._settings.config import HydraSmokeConfig
from pytest_hydrasmoke._settings.sources import load

NAMES = sorted(HydraSmokeConfig.model_fields)
PATHS = ("token_file", "ca_file", "output", "scenario")
TOKEN = "ops-4Q7zL9rT2xW8"
BASE = {
    "HYDRA_SMOKE_URL": "https://router.example",
    "HYDRA_SMOKE_TOKEN": TOKEN,
    "HYDRA_SMOKE_MANIFEST_ID": "m",
    "HYDRA_SMOKE_REGION_ID": "r",
    "HYDRA_SMOKE_TIER_ID": "t",
}
# One file serves all examples: each writes it anew.
same_folder = settings(
    examples(25, 2_000), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
# What an environment can hold: no NUL, and bytes that are no UTF-8 as half surrogates.
env_text = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"])
    | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF),
    max_size=12,
)
near_values = st.sampled_from(
    [
        *["", " ", "0", "-1", "1e400", "nan", "inf", "true", "[", "{}", "a=b", "ready=1,x", ","],
        *["http://x", "https://u:p@router.example", "https://[", "//", "always", "../x", "(", "?"],
        "9" * 5000,
    ]
)
toml_values: st.SearchStrategy[Any] = st.recursive(
    st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats()
    | st.text(max_size=8)
    | near_values,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=4,
)


def outcome(
    folder: Path, env: Mapping[str, str], options: Mapping[str, str], *, fake: bool = False
) -> str:
    """Load; give the error's words, which are one list of problems, or nothing."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        try:
            assert load(options, folder, fake=fake).config.model_dump()
            return ""
        except ConfigError as error:
            told = str(error)
    first, *problems = told.split("\n")
    assert first == "hydra-smoke can't start:"
    assert problems
    assert TOKEN[:8] not in told
    return told


def toml(value: object) -> str:
    """Write a value as TOML: JSON is, but for floats without an end, and tables."""
    if isinstance(value, dict):
        inner = ", ".join(f"{toml(str(key))} = {toml(one)}" for key, one in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


values = env_text | near_values
HEAD = b"[tool.hydra-smoke]\n"
TOKENS = {"HYDRA_SMOKE_TOKEN": "000\udc80\udc80\udc80\udc80\udc80"}


@same_folder
@example(env={"HYDRA_SMOKE_TOKEN_FILE": "x" * 5000}, options={}, fake=False, file=b"")
@example(env=TOKENS, options={}, fake=False, file=b"")
@example(env={"HYDRA_SMOKE_SCENARIO": "x" * 5000 + ".toml"}, options={}, fake=True, file=b"")
@example(env={"HYDRA_SMOKE_CA_FILE": "\udcaf"}, options={}, fake=True, file=b"")
@example(env=BASE, options={}, fake=False, file=b"tool = 1")
@example(env=BASE, options={}, fake=False, file=b"[tool]\nhydra-smoke = 1")
@example(env=BASE, options={}, fake=False, file=b'[tool]\nhydra-smoke = "url"')
@example(env=BASE, options={}, fake=False, file=b"[[tool.hydra-smoke]]\nurl = 1")
@example(
    env=BASE,
    options={},
    fake=False,
    file=HEAD + b"url = 2020-01-01\nbudgets = 1979-05-27T07:32:00Z",
)
@example(env=BASE, options={}, fake=False, file=HEAD + b"max_instances = " + b"9" * 5000)
@example(env=BASE, options={}, fake=False, file=b"a = " + b"[" * 2000)
@example(env=BASE, options={}, fake=False, file=b"\xef\xbb\xbf" + HEAD)
@given(
    env=st.just({}) | st.dictionaries(st.sampled_from([variable(n) for n in NAMES]), values),
    options=st.just({}) | st.dictionaries(st.sampled_from(sorted(SETTINGS)), values, max_size=4),
    fake=st.booleans(),
    file=st.just(b"") | st.binary(max_size=60) | st.text(max_size=60).map(str.encode),
)
def test_any_environment_options_and_text_in_the_files_place(
    tmp_path: Path, env: dict[str, str], options: dict[str, str], fake: bool, file: bytes
) -> None:
    (tmp_path / "pyproject.toml").write_bytes(file)
    outcome(tmp_path, env, options, fake=fake)


@same_folder
@example(table=dict.fromkeys(PATHS, "a\0.toml"), fake=True)
@example(table=dict.fromkeys(PATHS, "a\0.toml"), fake=False)
@example(table=dict.fromkeys(PATHS, "x" * 5000 + ".toml"), fake=True)
@example(table=dict.fromkeys(PATHS, "."), fake=True)
@example(table={"scenario": "pyproject.toml"}, fake=True)
@given(
    table=st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=8), toml_values, max_size=6),
    fake=st.booleans(),
)
def test_any_table(tmp_path: Path, table: dict[str, Any], fake: bool) -> None:
    lines = [f"{toml(name)} = {toml(value)}\n" for name, value in table.items()]
    text = HEAD.decode() + "".join(lines)
    tomllib.loads(text)
    (tmp_path / "pyproject.toml").write_text(text, "utf-8")
    words = outcome(tmp_path, BASE, {}, fake=fake)
    for name in set(table) - set(NAMES):
        assert f"has the unknown key {name}" in words
    if table.get("token"):
        assert "token must not be in [tool.hydra-smoke]" in words
