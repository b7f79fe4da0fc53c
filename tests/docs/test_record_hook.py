"""The hook on the page about recordings keeps addresses out, wherever a runtime splits them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import get_args

import pytest
from blocks import blocks
from inner import only
from shown import ROOT
from sizes import sampled

from pytest_hydrasmoke.fake import FakeRouter, Scenario, replies
from pytest_hydrasmoke.fake.scenario import LineEnd, Runtime

PAGE = ROOT / "docs/reference/recordings.md"
TOKEN = "a-made-up-token-of-the-pages"
SPLIT = Scenario(row_after=0, statuses=((0, "running"),), reply='Ask "me", or (me@corp.example).')
TEST = """
def test_it(smoke_instance):
    print("said", smoke_instance.chat("I am you@corp.example!").text)
"""
RECORD = ("--hydra-smoke", "--hydra-smoke-record=recordings", "-rP", "test_it.py")
REPLAY = ("--hydra-smoke-fake", "--hydra-smoke-scenario=recordings", "-rP", "test_it.py")


WAYS = [*((runtime, "lf") for runtime in get_args(Runtime)), ("text", "crlf")]


@pytest.mark.parametrize(
    "way", sampled("pages", WAYS, [("anthropic", "lf"), ("text", "crlf")], name=" ".join)
)
def test_the_hook_of_the_page_masks_what_events_split(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    way: tuple[Runtime, LineEnd],
) -> None:
    monkeypatch.setattr(replies, "_PIECE", re.compile(r"(?s).{1,3}"))
    [hook] = [it for it in blocks(PAGE) if it.name == "conftest.py"]
    pytester.makeconftest(hook.text)
    pytester.makepyfile(test_it=TEST)
    with FakeRouter(replace(SPLIT, runtime=way[0], line_end=way[1]), TOKEN) as router:
        given = {"url": router.url, "token": TOKEN, "manifest_id": "hermes-basic"}
        for name, value in {**given, "region_id": "eu-central", "tier_id": "basic"}.items():
            monkeypatch.setenv(f"HYDRA_SMOKE_{name.upper()}", value)
        live = pytester.runpytest_inprocess(*only(), *RECORD)
    live.stdout.fnmatch_lines([f"said {SPLIT.reply}"])
    text = (pytester.path / "recordings/test_it/test_it.json").read_text()
    [turn] = json.loads(text)["turns"]
    assert turn["message"] == f"I am {'x' * 16}!"
    # The address, in pieces of three characters.
    stream = "".join(chunk for _, chunk in turn["chunks"])
    assert not re.search(r"e@c|orp|\.ex", stream)
    monkeypatch.delenv("HYDRA_SMOKE_URL")
    monkeypatch.delenv("HYDRA_SMOKE_TOKEN")
    replayed = pytester.runpytest_inprocess(*only(), *REPLAY)
    masked = SPLIT.reply.replace("me@corp.example", "x" * 15)
    replayed.stdout.fnmatch_lines([f"said {masked}"])
