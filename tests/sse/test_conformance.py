"""The decoder against the standard's rules, and against another decoder, however a stream is cut.

A sample is part of the normal tests; `tox -e heavy -- fuzz` takes forty times as many random
streams. HYDRA_FUZZ_SEED repeats a run.
"""

from __future__ import annotations

import itertools
import os
import random

import pytest
from sizes import sizes
from sse_cases import GROUPS, PIECES
from sse_reference import reference
from sse_tools import cut, in_bytes, message, row, rows

from pytest_hydrasmoke._sse.decoder import SseDecoder

KNOWN = [stream for table in GROUPS.values() for stream, _ in table if len(stream) < 500]
ALPHABET = (b"data", b"id", b":", b" ", b"x", b"\n", b"\r")


@pytest.mark.parametrize("group", GROUPS)
def test_each_case_however_it_is_cut(group: str) -> None:
    for stream, expected in GROUPS[group]:
        for i in range(len(stream) + 1):
            assert rows([stream[:i], stream[i:]]) == expected, f"{stream!r}, cut at {i}"
        assert rows([x for byte in in_bytes(stream) for x in (b"", byte)]) == expected, stream


@pytest.mark.reference
def test_the_reference_agrees_with_each_case() -> None:
    for stream, expected in itertools.chain(*GROUPS.values()):
        assert reference(stream) == expected, stream


@pytest.mark.reference
def test_the_cases_are_counted() -> None:
    """Print the figures of the reliability page."""
    ways = sum(len(stream) + 2 for stream, _ in itertools.chain(*GROUPS.values()))
    listed = ", ".join(f"{len(group)} {name}" for name, group in GROUPS.items())
    cases = sum(map(len, GROUPS.values()))
    print(f"conformance: {cases} cases ({listed}), {ways:,} ways of cutting them")
    assert cases >= 300
    assert ways >= 16_000


def test_a_cr_at_the_end_of_a_chunk_ends_the_line_at_once() -> None:
    decoder = SseDecoder()
    assert [row(e) for e in decoder.feed(b"data: a\r\r")] == [message("a")]
    assert decoder.feed(b"\n") == []
    assert [row(e) for e in decoder.feed(b"data: b\n\r")] == [message("b")]
    assert decoder.feed(b"\n\ndata: c") == []
    assert [row(e) for e in decoder.feed(b"\r\n\r")] == [message("c")]


def random_stream(source: random.Random) -> bytes:
    """Make a stream of pieces, or of known cases, as they are or damaged."""
    if source.random() < 0.6:
        return b"".join(source.choices(PIECES, k=source.randrange(30)))
    stream = bytearray(b"".join(source.choices(KNOWN, k=source.randrange(1, 4))))
    for _ in range(source.randrange(4)):
        at = source.randrange(len(stream) + 1)
        length = source.randrange(3)
        stream[at : at + length] = source.choice([b"", source.choice(PIECES), source.randbytes(1)])
    return bytes(stream)


@pytest.mark.parametrize("streams", sizes("fuzz", 500, 20_000))
def test_it_equals_the_reference_on_random_streams(streams: int) -> None:
    seed = int(os.environ.get("HYDRA_FUZZ_SEED") or random.randrange(1 << 32))
    source, events = random.Random(seed), 0
    for i in range(streams):
        stream = random_stream(source)
        expected = reference(stream)
        events += len(expected)
        for chunks in ([stream], cut(stream, source), in_bytes(stream)):
            assert rows(chunks) == expected, f"HYDRA_FUZZ_SEED={seed}, stream {i}: {chunks!r}"
    print(f"reference: {streams:,} streams, {events:,} events, 0 differences")


@pytest.mark.parametrize("most", sizes("fuzz", 4, 6))
def test_it_equals_the_reference_on_every_short_stream(most: int) -> None:
    """All there are of up to so many pieces; a last event shows what state they left."""
    streams = 0
    for length in range(most + 1):
        for pieces in itertools.product(ALPHABET, repeat=length):
            stream = b"".join(pieces) + b"\ndata: end\n\n"
            assert rows([*pieces, b"\ndata: end\n\n"]) == reference(stream), pieces
            streams += 1
    print(f"reference: all {streams:,} streams of up to {most} of {len(ALPHABET)} pieces")
