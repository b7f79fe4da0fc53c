"""A loopback server in a process of its own, so that a client's CPU time is the client's alone.

It answers every POST with the same event stream and every GET with the same JSON, on a connection
that is kept; run as a script it prints its port, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager

from bench_streams import COMPLETION_CHUNK, ID, tool_chunks

PIECE = 4096
STATUS = f'{{"id":"{ID}","hostname":"agent-1.example","status":"running"}}'.encode()


def stream(events: int, kind: str) -> bytes:
    """Make a chat of so many events: of text, or of `tools`, and its end."""
    if kind == "tools":
        return b"".join(tool_chunks(events))
    delta = f"data: {COMPLETION_CHUNK.replace('TEXT', ' word')}\n\n"
    return (delta * (events - 1) + "data: [DONE]\n\n").encode()


def _reply(kind: str, parts: list[bytes]) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n"
    body = (b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return head.encode() + b"".join(body) + b"0\r\n\r\n"


async def _serve(events: int, kind: str) -> None:
    whole = stream(events, kind)
    pieces = [whole[start : start + PIECE] for start in range(0, len(whole), PIECE)]
    replies = {
        b"POST": _reply("text/event-stream", pieces),
        b"GET": _reply("application/json", [STATUS]),
    }

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        await reader.readexactly(int(line.split(b":")[1]))
                writer.write(replies[head.split(b" ", 1)[0]])
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wait_for_end() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=wait_for_end, daemon=True).start()
    await ended.wait()


@contextmanager
def serving(events: int, kind: str = "text") -> Generator[str]:
    """Yield the URL of such a server."""
    with subprocess.Popen(
        [sys.executable, __file__, str(events), kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # What it imports lies beside it, also where only what is installed counts.
        env={**os.environ, "PYTHONSAFEPATH": ""},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.stdin.close()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), sys.argv[2]))
