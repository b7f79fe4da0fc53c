"""P12: how large recordings are beside their streams, and the memory of a long one in a replay."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from tempfile import TemporaryDirectory

from bench_fake import SPEC
from bench_result import Bar, Result
from bench_streams import COMPLETION_CHUNK, CONTENT_BLOCK

from pytest_hydrasmoke import InstanceSpec, SmokeClient
from pytest_hydrasmoke._recordings.format import Recorded, as_text
from pytest_hydrasmoke.fake import FakeRouter

FRAMES = {
    "OpenAI": (f"data: {COMPLETION_CHUNK}\n\n", 1.3),
    "Anthropic": (f"event: content_block_delta\ndata: {CONTENT_BLOCK}\n\n", 1.3),
    "bare text": ("data: TEXT\n\n", 2.2),
}
"""An event of each kind, and how many times its bytes a recording of many may take."""


def run(events: int = 500, long: int = 100_000) -> Result:
    result = Result(["frames", "stream, bytes", "recording, bytes"])
    for name, (frame, limit) in FRAMES.items():
        text, size = _recording(frame, events)
        result.add(name, size, len(text.encode()))
        result.bars.append(Bar(f"size of a recording of {name}", len(text.encode()) / size, limit))
    what = f"memory of a stream of {long:,} events, replayed"
    result.bars.append(Bar(what, _memory(long), 64, "MiB"))
    return result


def _recording(frame: str, events: int) -> tuple[str, int]:
    """Return a recording of a turn, a chunk an event, and the bytes of its stream."""
    parts = [frame.replace("TEXT", f" word{number % 100}") for number in range(events - 1)]
    every = enumerate([*parts, "data: [DONE]\n\n"])
    chunks = [(20.0 * number, part.encode()) for number, part in every]
    turn = Recorded(1, None, SPEC, "Tell me all", None, "closed", chunks)
    return as_text("test_it.py::test_it", [turn], "2026-01-01"), len(turn.stream)


def _memory(events: int) -> float:
    """Return the MiB that it takes to read a folder and to replay its stream, at the most."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "one.json").write_text(_recording(FRAMES["OpenAI"][0], events)[0])
        with FakeRouter():  # What every fake needs is there.
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            with FakeRouter(folder) as fake, SmokeClient(fake.url, token=fake.token) as client:
                instance = client.provision(InstanceSpec(**SPEC), "bench-0").instance_id
                with client.stream_chat(instance, "Tell me all") as stream:
                    assert sum(1 for _ in stream) == events
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
    return (peak - before) / (1 << 20)
