"""Whole streams of all runtimes: those that were recorded, and the fake's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from pytest_hydrasmoke.fake import Scenario
from pytest_hydrasmoke.fake.replies import ScriptedReply
from pytest_hydrasmoke.fake.scenario import Runtime
from pytest_hydrasmoke.fake.sse_events import encode

DATA = Path(__file__).parents[1] / "data"
TEXT = "It is cold, as it was the day before. " * 3


def _streams() -> Iterator[tuple[str, bytes]]:
    for file in sorted(DATA.glob("*/*.sse")):
        yield file.stem, file.read_bytes()
    tools = [{"name": "look", "arguments": {"city": "Oslo"}, "result": "cold"}]
    reply = ScriptedReply(match="", text=TEXT, reasoning="Hm. Hm. Hm. Hm.", tool_calls=tools)
    for runtime in get_args(Runtime):
        made = encode(Scenario(runtime=runtime), reply.said("How is it?", 0))
        spoken = b"".join(made.spoken)
        yield runtime, spoken + b"".join(made.closing)
        yield f"{runtime}, failed", spoken + made.error
        yield f"{runtime}, cut", spoken[:-20]
        yield f"{runtime}, going on", spoken + b"".join((*made.closing, made.more))


STREAMS = dict(_streams())
