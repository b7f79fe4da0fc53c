"""The decoder against the standard's rules: each case whole and in every way of cutting it."""

from __future__ import annotations

import pytest
from sse_cases import GROUPS
from sse_reference import reference
from sse_tools import in_bytes, message, row, rows

from pytest_hydrasmoke._sse.decoder import SseDecoder


@pytest.mark.parametrize("group", GROUPS)
def test_each_case_however_it_is_cut(group: str) -> None:
    for name, (stream, expected) in GROUPS[group].items():
        assert rows([stream]) == expected, name
        for i in range(len(stream) + 1):
            assert rows([stream[:i], stream[i:]]) == expected, f"{name}, cut at {i}"
        assert rows(in_bytes(stream)) == expected, name
        assert rows([x for byte in in_bytes(stream) for x in (b"", byte)]) == expected, name


@pytest.mark.reference
@pytest.mark.parametrize("group", GROUPS)
def test_the_reference_agrees_with_each_case(group: str) -> None:
    for name, (stream, expected) in GROUPS[group].items():
        assert reference(stream) == expected, name


@pytest.mark.reference
def test_the_cases_are_counted() -> None:
    """Print the figures of the reliability page."""
    streams = {name: [stream for stream, _ in table.values()] for name, table in GROUPS.items()}
    everything = [stream for group in streams.values() for stream in group]
    ways = sum(len(stream) + 4 for stream in everything)
    listed = ", ".join(f"{len(group)} {name}" for name, group in streams.items())
    print(f"conformance: {len(everything)} cases ({listed}), {ways:,} ways of cutting them")
    assert len(everything) >= 330
    assert ways >= 19_000


def test_a_cr_at_the_end_of_a_chunk_ends_the_line_at_once() -> None:
    decoder = SseDecoder()
    assert [row(e) for e in decoder.feed(b"data: a\r\r")] == [message("a")]
    assert decoder.feed(b"\n") == []
    assert [row(e) for e in decoder.feed(b"data: b\n\r")] == [message("b")]
    assert decoder.feed(b"\n\ndata: c") == []
    assert [row(e) for e in decoder.feed(b"\r\n\r")] == [message("c")]
