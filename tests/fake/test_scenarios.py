"""Scenarios by name, and from files: found, read, or refused in words that help."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
from fake_tools import Caller
from recording_tools import says, write

from pytest_hydrasmoke.fake import FakeRouter, Scenario
from pytest_hydrasmoke.fake.presets import READY_MADE, load

NAMES = ", ".join(READY_MADE)


def test_each_has_a_name_and_says_what_it_is() -> None:
    for name, (words, scenario) in READY_MADE.items():
        assert load(name) == FakeRouter(name).scenario == scenario
        assert words[0].isupper()
        assert words.endswith(".")
    assert load("default") == Scenario()
    scenarios = [ready.scenario for ready in READY_MADE.values()]
    assert len(set(scenarios)) == len(scenarios) == 12


def test_a_toml_file(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(
        'base = "goose"\nrow_after = inf\nstatuses = [[0, "queued"], [2.5, "running"]]\n'
        "quota = 3\n"
        '[[replies]]\nmatch = "weather"\ntext = ["Cold.", "Warm."]\nreasoning = "Hm."\n'
        '[[replies.tool_calls]]\nname = "look"\narguments = { city = "Oslo" }\n'
    )
    tools = [{"name": "look", "arguments": {"city": "Oslo"}}]
    told = {"match": "weather", "text": ["Cold.", "Warm."], "reasoning": "Hm."}
    expected = Scenario(
        runtime="goose",
        row_after=math.inf,
        statuses=((0, "queued"), (2.5, "running")),
        quota=3,
        replies=[{**told, "tool_calls": tools}],
    )
    assert load("own.toml", tmp_path) == FakeRouter(str(file)).scenario == expected
    file.write_text("")
    assert load(str(file)) == Scenario()


def test_a_file_puts_trouble_and_replies_over_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "recordings", "t.py::test", says("hello", "Moin."))
    file = tmp_path / "busy.toml"
    file.write_text(
        'base = "recordings"\ntrouble = "unavailable"\ntrouble_calls = ["poll"]\n'
        'runtime = "text"\n[[replies]]\nmatch = "weather"\ntext = "Cold."\n'
    )
    for given, poll, cold in ((file, 503, True), (tmp_path / "recordings", 200, False)):
        with FakeRouter(str(given)) as router:
            caller = Caller(router)
            with caller.http:
                told = caller.ask("provision poll status.status")
                assert told == [200, poll, "running"]
                one = router.instances[0].id
                assert "Moin." in caller.chat(one, "hello").text
                assert ("data: Cold\n" in caller.chat(one, "weather").text) == cold


BAD: list[tuple[str, str]] = [
    ('row_afer = 1\n"x" = 2', "unknown key row_afer (did you mean row_after?); unknown key x"),
    ("row_after = 1979-05-27", "row_after is datetime.date(1979, 5, 27); it should be a va"),
    ("runtime = 'gooses'\nreplay = 1", "runtime is 'gooses' (did you mean goose?); it may be "),
    ("[[reply]]\nmatch = ''", "reply is a text, not a list (did you mean [[replies]]?)"),
    (
        "base = 'flaky_router'",
        f"base is 'flaky_router' (did you mean flaky-router?); it may be {NAMES}, or a folder of ",
    ),
    ("base = 'fast'", "base is 'fast'; it may be default, contrary, "),
    ("base = [1]", "base is [1]; it may be default, contrary, "),
    ("row_after = ", "Invalid value (at "),
]


@pytest.mark.parametrize(("text", "words"), BAD)
def test_what_is_wrong_in_a_toml_file_is_told(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "own.toml"
    file.write_text(text)
    with pytest.raises(ValueError) as caught:
        load(file.name, tmp_path)
    assert str(caught.value).startswith(f"{file}: {words}")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("slow_boot", "slow-boot"),
        ("recording/", "recordings"),
        ("./mine/../fault.toml", "faults.toml"),
        ("timings", "timings.toml"),
        ("report.toml", None),
        ("mine/faults.tom", None),
        ("gone/faults.toml", None),
    ],
)
def test_a_name_that_is_nearly_right_gets_a_hint(
    tmp_path: Path, given: str, meant: str | None
) -> None:
    for folder in ("mine", "recordings", ".recording"):
        (tmp_path / folder).mkdir()
    for file in ("faults.toml", "timings.toml"):
        (tmp_path / file).touch()
    with pytest.raises(ValueError) as caught:
        load(given, tmp_path)
    words = str(caught.value)
    found = re.search(r" \(did you mean (.*?)\?\)", words)
    assert (found and found[1]) == meant
    known = f": give one of {NAMES}, a .toml file, or a folder of recordings"
    assert words.endswith(known) == (not given.endswith(".toml"))
    assert words.startswith("there is no file" if given.endswith(".toml") else "there is no scena")


def test_a_file_that_can_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "deep.toml").write_text("x = " + "[" * 200_000)
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    (tmp_path / "folder.json").mkdir()
    for name, words in [
        ("", "there is no scenario ''"),
        ("herms", r"there is no scenario 'herms' \(did you mean hermes\?\): "),
        ("herms/", "there is no scenario 'herms/': give one of "),
        ("deep.toml", "can't be read: it is nested too deeply"),
        ("bytes.toml", "can't be read: "),
        ("folder.json", "has no recordings"),
    ]:
        with pytest.raises(ValueError, match=words):
            load(name, tmp_path)


def test_a_folder_of_recordings_is_replayed_at_once(tmp_path: Path) -> None:
    write(tmp_path, "t.py::test", says("hello", "x"))
    # Earlier releases have kept here how a router answers.
    old = {"format": "pytest-hydrasmoke router", "version": 1, "second_delete": [410]}
    (tmp_path / "router.json").write_text(json.dumps(old))
    replay = load(str(tmp_path))
    assert replay.statuses == ((0.0, "running"),)
    assert replay.second_delete == 200
    assert (replay.row_after, replay.cleanup_after, replay.llm_events_lag) == (0, 0, 0)
