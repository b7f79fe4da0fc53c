"""What is decoded: chats as models send them, and streams that are hard on a decoder."""

from __future__ import annotations

import json
from collections.abc import Iterator

MB = 1 << 20
ID = "5f0c2a7e-3a4b-4c1d-9e8f-0a1b2c3d4e5f"
CONTENT_BLOCK = (
    '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"TEXT"}}'
)
COMPLETION_CHUNK = (
    '{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,'
    '"choices":[{"index":0,"delta":{"content":"TEXT"},"finish_reason":null}]}'
)


def deltas(size: int, end: bytes) -> list[bytes]:
    """Make small deltas, one a block, half with an event line and half without."""
    words = ("the", " agent", " is", " ready", ", and", " für", " dich", " da", " 🙂", ".\\n")
    blocks: list[bytes] = []
    length = number = 0
    while length < size:
        text = words[number % 8] if number % 400 else words[8 + number // 400 % 2]
        if length < size // 2:
            named, data = "event: content_block_delta", CONTENT_BLOCK
        else:
            named, data = "", COMPLETION_CHUNK
        lines = [named, f"data: {data.replace('TEXT', text)}", "", ""]
        block = end.join(line.encode() for line in lines[not named :])
        blocks.append(block)
        length += len(block)
        number += 1
    return blocks


def tool_chunks(count: int) -> Iterator[bytes]:
    """Yield the chunks of a turn: thoughts, then tool calls, then text, then usage and the end.

    A tenth is thoughts, and four tenths are calls, with their arguments in up to 200 pieces.
    """
    thoughts, pieces = count // 10, count * 4 // 10
    for number in range(thoughts):
        yield _chunk({"reasoning_content": f" hm{number}"})
    for number in range(pieces):
        index, piece = divmod(number, 200)
        function: dict[str, str] = {"arguments": '{"words":[0' if piece == 0 else f",{piece}"}
        call: dict[str, object] = {"index": index, "function": function}
        if piece == 0:
            function["name"] = "look"
            call |= {"id": f"call_{index}", "type": "function"}
        if piece == 199 or number == pieces - 1:
            function["arguments"] += "]}"
        yield _chunk({"tool_calls": [call]})
    for number in range(count - thoughts - pieces - 3):
        yield _chunk({"content": f" word{number}"})
    yield _chunk({}, finish_reason="stop")
    usage = {"prompt_tokens": 7, "completion_tokens": count, "total_tokens": count + 7}
    yield b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n"
    yield b"data: [DONE]\n\n"


def _chunk(delta: dict[str, object], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000}
    data = json.dumps({**head, "model": "agent", "choices": [choice]}, separators=(",", ":"))
    return f"data: {data}\n\n".encode()


def cut(stream: bytes, size: int) -> list[bytes]:
    """Cut a stream into chunks."""
    return [stream[start : start + size] for start in range(0, len(stream), size)]


def streams(scale: float) -> Iterator[tuple[str, list[bytes]]]:
    """Yield what is decoded: a name, and chunks."""
    size = int(50 * MB * scale)
    for name, end in (("LF", b"\n"), ("CRLF", b"\r\n")):
        blocks = deltas(size, end)
        stream = b"".join(blocks)
        yield f"deltas, {name}, 64 KiB chunks", cut(stream, 64 << 10)
        yield f"deltas, {name}, 4 KiB chunks", cut(stream, 4 << 10)
        yield f"deltas, {name}, an event a chunk", blocks
    large = b"data: " + b"x" * max(int(MB * scale), 1) + b"\n\n"
    yield "1 MB events, 64 KiB chunks", cut(large * 50, 64 << 10)
    yield "8 MB line, 64 byte chunks", cut(one_line(8 * scale), 64)
    yield "event of 80,000 lines, 64 KiB chunks", cut(many_lines(int(80_000 * scale)), 64 << 10)


def one_line(megabytes: float) -> bytes:
    return b"data: " + b"x" * int(megabytes * MB) + b"\n\n"


def many_lines(count: int) -> bytes:
    return b"data: one line of a long text, as a log may be\n" * max(count, 1) + b"\n"
