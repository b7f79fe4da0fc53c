"""The decoder against two others: the reference beside this file, and httpx-sse where it is right.

A sample is part of the normal tests; `tox -e heavy -- fuzz` takes forty times as many.
HYDRA_FUZZ_SEED repeats a run.
"""

from __future__ import annotations

import itertools
import os
import random
from collections import Counter

import pytest
from sizes import sizes
from sse_reference import reference
from sse_streams import httpx_sse, httpx_sse_differs, random_stream
from sse_tools import cut, in_bytes, rows

STREAMS = sizes("fuzz", 500, 20_000)
ALPHABET = (b"data", b"id", b":", b" ", b"x", b"\n", b"\r")
LENGTHS = sizes("fuzz", 4, 6)


@pytest.fixture
def seed() -> int:
    return int(os.environ.get("HYDRA_FUZZ_SEED") or random.randrange(1 << 32))


@pytest.mark.parametrize("streams", STREAMS)
def test_it_equals_the_reference_on_random_streams(seed: int, streams: int) -> None:
    source, events, differences = random.Random(seed), 0, 0
    for i in range(streams):
        stream = random_stream(source)
        expected = reference(stream)
        events += len(expected)
        for chunks in ([stream], cut(stream, source), in_bytes(stream)):
            differences += rows(chunks) != expected
            assert not differences, f"HYDRA_FUZZ_SEED={seed}, stream {i}: {chunks!r}"
    print(f"reference: {streams:,} streams, {events:,} events, {differences} differences")


@pytest.mark.parametrize("streams", STREAMS)
def test_it_equals_httpx_sse_where_that_is_right(seed: int, streams: int) -> None:
    source, compared, made_up, differences = random.Random(seed), 0, 0, 0
    left_out: Counter[str] = Counter()
    while compared < streams:
        stream = random_stream(source)
        reason = httpx_sse_differs(stream)
        if reason is not None:
            left_out[reason] += 1
            continue
        chunks = cut(stream, source)
        theirs, empty = httpx_sse(chunks)
        compared, made_up = compared + 1, made_up + empty
        differences += rows(chunks) != theirs
        assert not differences, f"HYDRA_FUZZ_SEED={seed}, stream {compared}: {chunks!r}"
    print(f"httpx-sse: {compared:,} streams, {differences} differences")
    print(f"  left out: {made_up:,} events that it makes up of blocks without data")
    for reason, number in left_out.items():
        print(f"  left out: {number:,} streams, since it {reason}")


@pytest.mark.parametrize("most", LENGTHS)
def test_it_equals_the_reference_on_every_short_stream(most: int) -> None:
    """All there are of up to so many pieces; a last event shows what state they left."""
    streams = 0
    for length in range(most + 1):
        for pieces in itertools.product(ALPHABET, repeat=length):
            stream = b"".join(pieces) + b"\ndata: end\n\n"
            assert rows([*pieces, b"\ndata: end\n\n"]) == reference(stream), pieces
            streams += 1
    print(f"reference: all {streams:,} streams of up to {most} of {len(ALPHABET)} pieces")
