"""Scenarios by name, and from files: found, played, or refused in words that help."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_tools import Caller, HandClock

from pytest_hydrasmoke.fake import FakeRouter, Scenario
from pytest_hydrasmoke.fake.presets import READY_MADE, load

Calling = Callable[..., Caller]


def told(file: Path) -> str:
    with pytest.raises(ValueError) as caught:
        load(file.name, file.parent)
    text = str(caught.value)
    assert text.startswith(f"{file}: ")
    return text.removeprefix(f"{file}: ")


def test_each_has_a_name_and_says_what_it_is() -> None:
    for name, (words, scenario) in READY_MADE.items():
        assert load(name) == scenario
        assert words[0].isupper()
        assert words.endswith(".")
    assert load("default") == Scenario()
    scenarios = [ready.scenario for ready in READY_MADE.values()]
    assert len(set(scenarios)) == len(scenarios) == 12


def test_a_router_takes_a_name_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text("quota = 3\n")
    assert FakeRouter("goose").scenario.runtime == "goose"
    assert FakeRouter(str(file)).scenario.quota == 3
    with pytest.raises(ValueError, match="there is no scenario '': give one of default"):
        FakeRouter("")


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(ValueError) as caught:
        load("slow_boot")
    assert str(caught.value) == (
        "there is no scenario 'slow_boot' (did you mean slow-boot?): give one of "
        + ", ".join(READY_MADE)
        + ", a .toml file, or a folder of recordings"
    )


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("slow_boots", "slow-boot"),
        ("recording", "recordings"),
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
    found = re.search(r" \(did you mean (.*?)\?\)", str(caught.value))
    assert (found and found[1]) == meant


def test_a_toml_file(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(
        'base = "goose"\n'
        "row_after = inf\n"
        'statuses = [[0, "queued"], [2.5, "running"]]\n'
        "quota = 3\n"
        'extra = { version = 2, links = ["a"] }\n'
    )
    expected = Scenario(
        runtime="goose",
        row_after=math.inf,
        statuses=((0, "queued"), (2.5, "running")),
        quota=3,
        extra={"version": 2, "links": ["a"]},
    )
    assert load("own.toml", tmp_path) == load(str(file)) == expected
    file.write_text("")
    assert load(str(file)) == Scenario()


BAD: list[tuple[str, str]] = [
    ('row_afer = 1\n"x" = 2', "unknown key row_afer (did you mean row_after?); unknown key x"),
    (
        "row_after = 1979-05-27",
        "row_after is datetime.date(1979, 5, 27); it should be a va",
    ),
    (
        "runtime = 'gooses'\nreplay = 1",
        "runtime is 'gooses' (did you mean goose?); it may be 'openai', 'hermes', 'hermes-run', ",
    ),
    ("[[reply]]\nmatch = ''", "reply is a text, not a list (did you mean [[replies]]?)"),
    (
        "base = 'flaky_router'",
        "base is 'flaky_router' (did you mean flaky-router?); it may be default, ",
    ),
    ("base = 'fast'", "base is 'fast'; it may be default, contrary, "),
    ("base = [1]", "base is [1]; it may be default, contrary, "),
    ("row_after = ", "Invalid value (at "),
]


@pytest.mark.parametrize(("text", "words"), BAD)
def test_what_is_wrong_in_a_toml_file_is_told(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "own.toml"
    file.write_text(text)
    assert told(file).startswith(words)


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
    with pytest.raises(ValueError, match=r"there is no file .*own\.toml"):
        load("own.toml", tmp_path)
    (tmp_path / "deep.toml").write_text("x = " + "[" * 200_000)
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    (tmp_path / "folder.json").mkdir()
    for name, words in [
        ("deep.toml", "it is nested too deeply"),
        ("bytes.toml", "can't be read: "),
        ("folder.json", "has no recordings"),
    ]:
        with pytest.raises(ValueError, match=words):
            load(name, tmp_path)


def play(caller: Caller, clock: HandClock) -> dict[str, Any]:
    """Go through the six calls until each has been answered, and tell what there was."""

    def until_answered(call: Callable[..., Any], *arguments: str) -> Any:
        for _ in range(3):
            try:
                answer = call(*arguments)
            except Exception:
                continue
            if answer.status_code not in (429, 503):
                return answer
        raise AssertionError("no answer")

    until_answered(caller.provision)
    clock.pass_by(60)
    polled = until_answered(caller.poll)
    instance_id = polled.json()["instance_id"]
    found: dict[str, Any] = {}
    if caller.router.instances[0].ready:
        found["said"] = caller.chat(instance_id).text
        clock.pass_by(5)
        found["rows"] = until_answered(caller.llm_events, instance_id).json()["count"]
    until_answered(caller.delete, instance_id)
    clock.pass_by(5)
    found["gone"] = until_answered(caller.status, instance_id).status_code
    return found


ROWS = {"contrary": 2, "no-llm-events": 0, "agent-dies": 0}


@pytest.mark.parametrize("name", READY_MADE)
def test_each_is_played_to_its_end(name: str, calling: Calling, clock: HandClock) -> None:
    scenario = load(name)
    # The pauses of a stream pass in no time: nobody moves this clock meanwhile.
    fields = {it: getattr(scenario, it) for it in scenario.__dataclass_fields__}
    caller = calling(**{**fields, "event_pause": 0})
    found = play(caller, clock)
    boots = name != "failing-boot"
    assert (found.get("said") is not None) == boots
    assert found.get("rows", 0) == (ROWS.get(name, 1) if boots else 0)
    assert found["gone"] == (200 if scenario.after_delete == "row" else 404)
