"""A fake that replays recordings has the manners that their `router.json` tells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from recording_tools import says, write

from pytest_hydrasmoke.fake import Scenario
from pytest_hydrasmoke.fake.presets import load

HEAD = {"format": "pytest-hydrasmoke router", "version": 1}


def learned(folder: Path, **answers: Any) -> Scenario:
    folder /= str(len(list(folder.iterdir())))
    write(folder, "t.py::test", says("hello", "x"))
    (folder / "router.json").write_text(json.dumps({**HEAD, **answers}))
    return load(str(folder))


FIRST: dict[str, list[Any]] = {
    "provision_status": [202, 200],
    "provision_instance_id": ["absent"],
    "poll_before_row": ["bare", "404"],
    "unauthorized_status": [403],
    "not_ready_status": [425],
    "runtime": ["anthropic"],
    "terminal": [False],
    "after_delete": ["404", "row"],
    "second_delete": [410],
}


def test_the_first_answer_is_given(tmp_path: Path) -> None:
    for name, values in FIRST.items():
        assert getattr(learned(tmp_path, **{name: values}), name) == values[0], name


def test_what_takes_time_takes_none(tmp_path: Path) -> None:
    scenario = learned(
        tmp_path,
        boot_words=["Queued"],
        ready_words=["Up", "running"],
        providers=["b", "a"],
        rate_limit=[429],
        agent_fails=["cut"],
        newer=["unknown"],
    )
    assert (scenario.statuses, scenario.ready_words) == (((0.0, "Up"),), ("Up", "running"))
    assert (scenario.row_after, scenario.cleanup_after, scenario.llm_events_lag) == (0.0, 0.0, 0.0)
    assert (scenario.providers, scenario.trouble) == (("b", "a"), "none")
    assert scenario.agent_dies == "never"


def test_without_an_answer_the_fake_is_the_simplest(tmp_path: Path) -> None:
    # A second DELETE that was not refused succeeds.
    assert learned(tmp_path).second_delete == 200
    (tmp_path / "0" / "router.json").unlink()
    scenario = load(str(tmp_path))
    assert (scenario.statuses, scenario.second_delete) == (((0.0, "running"),), 404)


def test_a_row_that_stays_after_the_delete_has_its_words(tmp_path: Path) -> None:
    one = learned(tmp_path, after_delete=["row"], gone_words=["terminated"])
    assert (one.gone_word, one.cleaned_word) == ("terminated", None)
    two = learned(tmp_path, after_delete=["row"], gone_words=["deleting", "deleted"])
    assert (two.gone_word, two.cleaned_word) == ("deleting", "deleted")
    gone = learned(tmp_path, after_delete=["404"], gone_words=["deleting"])
    assert (gone.gone_word, gone.cleaned_word) == ("deleted", None)


def test_fields_that_the_contract_does_not_know_are_there(tmp_path: Path) -> None:
    extra = [["zone", "string"], ["size", "object"], ["age", "null"]]
    assert learned(tmp_path, extra=extra).extra == {"zone": "", "size": {}, "age": None}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "it is not what recording writes: record again, without it"),
        ('{"schema_version": 2}', "it is not what recording writes"),
        (json.dumps({**HEAD, "version": 2}), "it is not what recording writes"),
        ("{", "Expecting property name"),
        ("[" * 200_000, "it is nested too deeply"),
        (json.dumps({**HEAD, "terminal": 5}), "'int' object is not subscriptable"),
        (json.dumps({**HEAD, "terminal": {"a": 1}}), "0"),
        (json.dumps({**HEAD, "provision_status": [500]}), "provision_status is 500"),
    ],
)
def test_what_is_wrong_with_it_is_told(tmp_path: Path, text: str, words: str) -> None:
    write(tmp_path, "t.py::test", says("hello", "x"))
    file = tmp_path / "router.json"
    file.write_text(text)
    with pytest.raises(ValueError) as caught:
        load(str(tmp_path))
    assert str(caught.value).startswith(str(file))
    assert words in str(caught.value)
