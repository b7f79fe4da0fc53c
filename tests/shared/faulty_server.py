"""A loopback server made of raw sockets, which answers as badly as it is told to."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

PACE = 0.005
"""Seconds between two bytes of a trickle: far less than any deadline here."""


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came in; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Line:
    """The server's end of one connection."""

    def __init__(self, conn: socket.socket, server: FaultyServer) -> None:
        self._conn = conn
        self.server = server

    def send(self, data: bytes) -> bool:
        """Send, and tell whether anybody is still there."""
        try:
            self._conn.sendall(data)
        except OSError:
            return False
        return True

    def trickle(self, data: bytes) -> None:
        """Send byte by byte, until the client has gone."""
        for i in range(len(data)):
            if not self.send(data[i : i + 1]) or self.server.over.wait(PACE):
                break

    def hang(self) -> None:
        """Say nothing until the client has gone."""
        with contextlib.suppress(OSError):
            while self._conn.recv(4096):
                pass

    def fileno(self) -> int:
        return self._conn.fileno()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._conn.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        self._conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._conn.close()

    def relay(self, host: str, port: int) -> None:
        """Become a tunnel to another server, until either end has gone."""
        with socket.create_connection((host, port)) as other:
            back = threading.Thread(target=self._pump, args=(other, self._conn))
            back.start()
            self._pump(self._conn, other)
            back.join()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

    def receive(self) -> Received | None:
        """Read a request; None if there is none any more."""
        data = b""
        with contextlib.suppress(OSError):
            while b"\r\n\r\n" not in data:
                if not (more := self._conn.recv(65536)):
                    return None
                data += more
            head, _, body = data.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            method, target, _ = first.split(" ")
            headers: dict[str, str] = {}
            for name, _, value in (ln.partition(": ") for ln in lines):
                # What is there twice is one value, as HTTP has it.
                known = headers.get(name.lower())
                headers[name.lower()] = value if known is None else f"{known}, {value}"
            while len(body) < int(headers.get("content-length", "0")):
                if not (more := self._conn.recv(65536)):
                    return None
                body += more
            return Received(method, target, headers, body)
        return None


Behaviour = Callable[[Line, Received], None]


class FaultyServer:
    """Serves each request by a thread of its connection, and remembers it."""

    def __init__(
        self, behave: Behaviour, *, tls: ssl.SSLContext | None = None, refusing: bool = False
    ) -> None:
        self._behave = behave
        self._tls = tls
        self.requests: list[Received] = []
        self.over = threading.Event()
        self.arrived = threading.Event()
        """Set once a request has arrived."""
        # Bound but not listening: it keeps the port while connections are refused.
        self._place = self._bind(0)
        self._refusing = refusing
        self._listener: socket.socket | None = None
        self.port: int = self._place.getsockname()[1]
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.port}"
        self._conns: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._accepting: threading.Thread | None = None

    @staticmethod
    def _bind(port: int) -> socket.socket:
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(("127.0.0.1", port))
        return bound

    def count(self, what: str) -> int:
        """Count the requests of a method, or whose target ends like this."""
        return sum(r.method == what or r.target.endswith(what) for r in self.requests)

    def listen(self) -> None:
        """Refuse connections no more."""
        if self._listener is None:
            self._listener = self._bind(self.port)
            self._listener.listen()
            self._accepting = threading.Thread(
                target=self._accept, args=(self._listener,), daemon=True
            )
            self._accepting.start()

    def refuse(self) -> None:
        """Refuse connections from now on; those that there are stay."""
        listener, self._listener = self._listener, None
        if listener is not None and self._accepting is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            self._accepting.join(5)
            listener.close()

    def __enter__(self) -> Self:
        if not self._refusing:
            self.listen()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.over.set()
        self.refuse()
        self._place.close()
        for conn in self._conns:
            with contextlib.suppress(OSError):
                conn.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while not self.over.is_set():
                conn, _ = listener.accept()
                conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._conns.append(conn)
                thread = threading.Thread(target=self._serve, args=(conn,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, conn: socket.socket) -> None:
        with contextlib.suppress(OSError), conn:
            if self._tls is not None:
                conn = self._tls.wrap_socket(conn, server_side=True)
            with conn:
                line = Line(conn, self)
                while (request := line.receive()) is not None:
                    self.requests.append(request)
                    self.arrived.set()
                    self._behave(line, request)


def head(status: int = 200, *lines: str, reason: str = "Whatever") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status} {reason}", *lines, "", ""]).encode()


def good(request: Received, *lines: str) -> bytes:
    """Return the head of an answer of the type that was asked for."""
    return head(200, f"content-type: {request.headers['accept']}", *lines)


def answer(
    body: object, status: int = 200, *lines: str, kind: str = "application/json"
) -> Behaviour:
    """Answer well: a JSON value, or bytes as they are."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()

    def behave(line: Line, request: Received) -> None:
        line.send(
            head(status, f"content-type: {kind}", f"content-length: {len(raw)}", *lines) + raw
        )

    return behave


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """Behave differently from request to request, and at last like the last one."""
    left = list(behaviours)
    lock = threading.Lock()

    def behave(line: Line, request: Received) -> None:
        with lock:
            mine = left.pop(0) if len(left) > 1 else left[0]
        mine(line, request)

    return behave


# What can go wrong with an answer.


def reset(line: Line, request: Received) -> None:
    line.reset()


def closed(line: Line, request: Received) -> None:
    line.close()


def stall_before_head(line: Line, request: Received) -> None:
    line.hang()


def stall_in_body(line: Line, request: Received) -> None:
    line.send(good(request, "content-length: 100") + b'{"found"')
    line.hang()


def trickled_head(line: Line, request: Received) -> None:
    line.trickle(b"HTTP/1.1 200 OK\r\nx-slow: " + b"z" * 5000)


def trickled_body(line: Line, request: Received) -> None:
    line.send(good(request, "content-length: 9999"))
    line.trickle(b" " * 5000)


def cut_chunked(line: Line, request: Received) -> None:
    line.send(good(request, "transfer-encoding: chunked"))
    line.send(b'9\r\n{"found":\r\n')
    line.close()


def short_length(line: Line, request: Received) -> None:
    line.send(good(request, "content-length: 100") + b'{"found"')
    line.close()


def garbage(line: Line, request: Received) -> None:
    line.send(b"\x00\xff\xfe SSH-2.0 what is this\r\n\r\n")
    line.close()


def huge_header(line: Line, request: Received) -> None:
    line.send(head(200, "x-huge: " + "z" * (1 << 20), "content-length: 2") + b"{}")


def flood(line: Line, request: Received) -> None:
    line.send(good(request, "transfer-encoding: chunked"))
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    until = time.monotonic() + 5
    while line.send(chunk) and time.monotonic() < until:
        pass


def no_content(line: Line, request: Received) -> None:
    line.send(head(204))


def reset_in_body(line: Line, request: Received) -> None:
    line.send(good(request, "content-length: 100") + b'data: {"found"')
    line.reset()


def poured(more: bytes, first: Callable[[Received], bytes]) -> Behaviour:
    """Send a beginning, and then the same over and over, until the client has gone."""
    piece = more * (0x10000 // len(more) + 1)

    def behave(line: Line, request: Received) -> None:
        line.send(first(request))
        while not line.server.over.is_set() and line.send(piece):
            pass

    return behave


def body_of(data: bytes, status: int = 200) -> Behaviour:
    """Send a body without end, of the type that was asked for."""
    more = data * (0x4000 // len(data) + 1)

    def first(request: Received) -> bytes:
        kind = f"content-type: {request.headers['accept']}"
        return head(status, kind, "transfer-encoding: chunked")

    return poured(b"%x\r\n%b\r\n" % (len(more), more), first)


def error_of_stream_type(line: Line, request: Received) -> None:
    answer(b"data: no\n\n", 500, kind="text/event-stream")(line, request)


WIDE_LINE = "data: \N{SLOTH}".encode() + b"x" * 900_000 + b"\n\n"
DELTA = b'data: {"choices": [{"delta": {"content": "and so on, "}}]}\n\n'
AGAIN = b"HTTP/1.1 100 Continue\r\n\r\n"

FAULTS: dict[str, Behaviour] = {
    "reset": reset,
    "reset in the body": reset_in_body,
    "stall": stall_before_head,
    "stall in the body": stall_in_body,
    "closed": closed,
    "cut": cut_chunked,
    "short body": short_length,
    "garbage": garbage,
    "wrong type": answer(b"<html>Welcome</html>", kind="text/html"),
    "flood of small events": body_of(b"data\n\n"),
    "flood of events": body_of(DELTA),
    "flood of comments": body_of(b":\n"),
    "flood of wide text": body_of(WIDE_LINE),
    "flood of an error": body_of(DELTA, 500),
    "trickled head": trickled_head,
    "trickled body": trickled_body,
    "huge line": body_of(b"x" * 0x4000),
    "huge header": huge_header,
    "headers without end": poured(b"x-more: z\r\n", lambda request: good(request)[:-2]),
    "trailers without end": poured(
        b"x-more: z\r\n", lambda request: good(request, "transfer-encoding: chunked") + b"0\r\n"
    ),
    "interim answers without end": poured(AGAIN, lambda request: AGAIN),
    "204": no_content,
    "500 with the type of a stream": error_of_stream_type,
}
"""What can become of an answer; that a connection is refused is `refuse`'s affair."""
