"""P2: bytes of an event stream in, events out, beside everybody else's decoder.

The peers' inner decoders are called, without the responses that they come wrapped in: that is as
fast as they can be. What they need and have not, decoding UTF-8 across chunks, they are given.
"""

from __future__ import annotations

import codecs
import sys
import tracemalloc
from collections.abc import Callable, Iterable, Iterator

from bench_machine import version
from bench_measure import rounds
from bench_result import Bar, Result
from bench_streams import MB, cut, deltas, many_lines, one_line, streams

from pytest_hydrasmoke._sse.decoder import SseDecoder

OURS, LIMIT = "hydrasmoke", "minimal"
Decode = Callable[[Iterable[bytes]], Iterable[object]]


def hydrasmoke(chunks: Iterable[bytes]) -> Iterator[object]:
    endless = sys.maxsize
    decoder = SseDecoder(max_event=endless, max_total=endless, max_events=endless)
    for chunk in chunks:
        yield from decoder.feed(chunk)


def minimal(chunks: Iterable[bytes]) -> Iterator[object]:
    """Read line by line what a well-behaved server sends, and nothing else.

    No byte order mark, ids, retry times or limits, and no CR LF that a chunk cuts in two.
    """
    parts: list[bytes] = []
    data: list[bytes] = []
    event = b"message"
    for chunk in chunks:
        lines = chunk.splitlines()
        if chunk[-1:] != b"\n":
            rest = lines.pop()
            if not lines:
                parts.append(rest)
                continue
            if parts:
                lines[0] = b"".join((*parts, lines[0]))
            parts = [rest]
        elif parts:
            lines[0] = b"".join((*parts, lines[0]))
            parts = []
        for line in lines:
            if line[:6] == b"data: ":
                data.append(line[6:])
            elif not line and data:
                yield event.decode(), b"\n".join(data).decode()
                data, event = [], b"message"
            elif line[:7] == b"event: ":
                event = line[7:]


def _texts(chunks: Iterable[bytes]) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return filter(None, map(decoder.decode, chunks))


def httpx_sse(chunks: Iterable[bytes]) -> Iterator[object]:
    from httpx_sse._decoders import SSEDecoder, SSELineDecoder

    line_decoder, decoder = SSELineDecoder(), SSEDecoder()
    for text in _texts(chunks):
        for line in line_decoder.decode(text):
            event = decoder.decode(line)
            if event is not None:
                yield event


def httpx2(chunks: Iterable[bytes]) -> Iterator[object]:
    from httpx2._sse import _SSEParser

    parser = _SSEParser(None)
    for text in _texts(chunks):
        yield from parser.decode(text)


def sseclient_py(chunks: Iterable[bytes]) -> Iterator[object]:
    from sseclient import SSEClient

    return iter(SSEClient(chunks).events())


def openai(chunks: Iterable[bytes]) -> Iterator[object]:
    from openai._streaming import SSEDecoder

    return SSEDecoder().iter_bytes(iter(chunks))


def anthropic(chunks: Iterable[bytes]) -> Iterator[object]:
    from anthropic._streaming import SSEDecoder

    return SSEDecoder().iter_bytes(iter(chunks))


_PEERS: dict[str, Decode] = {
    "httpx-sse": httpx_sse,
    "httpx2": httpx2,
    "sseclient-py": sseclient_py,
    "openai": openai,
    "anthropic": anthropic,
}
DECODERS: dict[str, Decode] = {
    OURS: hydrasmoke,
    LIMIT: minimal,
    **{name: decode for name, decode in _PEERS.items() if version(name) is not None},
}


def _count(decode: Decode, chunks: Iterable[bytes]) -> int:
    count = 0
    for _ in decode(chunks):
        count += 1
    return count


def run(scale: float = 1.0, times: int = 3) -> Result:
    result = Result(["stream", "MB/s", *(name for name in DECODERS if name != OURS)])
    for name, chunks in streams(scale):
        expected = _count(hydrasmoke, chunks)

        def work(decode: Decode, chunks: list[bytes] = chunks, expected: int = expected) -> None:
            found = _count(decode, chunks)
            assert found == expected, f"{decode.__name__}: {found} events, not {expected}"

        turns = rounds({key: lambda it=it: work(it) for key, it in DECODERS.items()}, times)
        speed = sum(map(len, chunks)) / 1e6 / turns.seconds(OURS)
        ratios = {key: turns.ratio(key, OURS) for key in DECODERS if key != OURS}
        result.add(name, f"{speed:.0f}", *ratios.values())
        peers = [ratio for key, ratio in ratios.items() if key != LIMIT]
        result.bars.append(Bar(f"{name}: against the fastest peer", 1 / min(peers), 1.0))
    _linear(result, scale, times)
    _flat(result, scale)
    return result


def _linear(result: Result, scale: float, times: int) -> None:
    """See that twice the stream takes twice the time."""
    shapes: dict[str, Callable[[float], list[bytes]]] = {
        "deltas": lambda part: cut(b"".join(deltas(int(50 * MB * part), b"\n")), 4 << 10),
        "one line": lambda part: cut(one_line(8 * part), 64),
        "one event of many lines": lambda part: cut(many_lines(int(80_000 * part)), 64 << 10),
    }
    for name, shape in shapes.items():
        whole, half = shape(scale), shape(scale / 2)
        turns = rounds(
            {
                "whole": lambda it=whole: _count(hydrasmoke, it),
                "half": lambda it=half: [_count(hydrasmoke, it) for _ in range(2)],
            },
            times,
        )
        result.bars.append(
            Bar(
                f"{name}: time of one against two of half the size",
                turns.ratio("whole", "half"),
                1.25,
            )
        )


def _flat(result: Result, scale: float) -> None:
    """See that a stream ten times as long takes no more memory."""
    peaks = []
    for part in (scale / 50, scale / 5):
        chunks = cut(b"".join(deltas(int(50 * MB * part), b"\n")), 4 << 10)
        tracemalloc.start()
        _count(hydrasmoke, chunks)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    result.bars.append(Bar("memory of 10 MB of deltas against 1 MB", peaks[1] / peaks[0], 1.1))
