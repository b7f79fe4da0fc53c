"""Scenarios by name, and from files: found, played, or refused in words that help."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_tools import Caller, HandClock
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


def played(caller: Caller, step: str) -> Any:
    """Ask until there is an answer, as a client does."""
    for _ in range(3):
        [answer] = caller.ask(step)
        if answer not in ("lost", 429, 503):
            return answer
    raise AssertionError("no answer")


ROWS = {"contrary": 2, "no-llm-events": 0, "agent-dies": 0}


@pytest.mark.parametrize("name", READY_MADE)
def test_each_is_played_to_its_end(
    name: str, calling: Callable[..., Caller], clock: HandClock
) -> None:
    scenario = load(name)
    # The pauses of a stream pass in no time: nobody moves this clock meanwhile.
    fields = {it: getattr(scenario, it) for it in scenario.__dataclass_fields__}
    caller = calling(**{**fields, "event_pause": 0})
    assert played(caller, "provision") == scenario.provision_status
    clock.pass_by(60)
    assert played(caller, "poll") == 200
    boots = name != "failing-boot"
    assert caller.ask("chat") == [200 if boots else 409]
    clock.pass_by(5)
    assert played(caller, "llm_events") == 200
    assert len(caller.router.llm_events) == (ROWS.get(name, 1) if boots else 0)
    played(caller, "delete")
    assert caller.router.instances[0].deleted
    clock.pass_by(5)
    assert played(caller, "status") == (200 if scenario.after_delete == "row" else 404)


def test_a_toml_file(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(
        'base = "goose"\nrow_after = inf\nstatuses = [[0, "queued"], [2.5, "running"]]\n'
        'quota = 3\nextra = { version = 2, links = ["a"] }\n'
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
        extra={"version": 2, "links": ["a"]},
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


@pytest.mark.parametrize("text", [None, "{}", '{"schema_version": 2, "instances": []}'])
def test_a_report_is_no_scenario_and_recordings_are_named(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "runs" / "report.json"
    file.parent.mkdir()
    if text is not None:
        file.write_text(text)
    why = f"{file}: it is no scenario: a fake learns of a live router from recordings: give "
    with pytest.raises(ValueError) as caught:
        load(str(file))
    made = "a folder of them, which --hydra-smoke-record makes in a live run"
    assert str(caught.value) == why + made
    (tmp_path / "router.json").touch()
    with pytest.raises(ValueError) as caught:
        load(str(file))
    assert str(caught.value) == f"{why}their folder, {tmp_path}"


def test_a_file_that_can_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "deep.toml").write_text("x = " + "[" * 200_000)
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    (tmp_path / "folder.json").mkdir()
    for name, words in [
        ("", "there is no scenario ''"),
        ("deep.toml", "can't be read: it is nested too deeply"),
        ("bytes.toml", "can't be read: "),
        ("folder.json", "has no recordings"),
    ]:
        with pytest.raises(ValueError, match=words):
            load(name, tmp_path)
