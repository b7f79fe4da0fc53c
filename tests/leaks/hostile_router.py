"""A router whose every free word was chosen by somebody who wants the log's reader harmed."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

EVIL = "x-evil"
"""A tag, in all markup of the corpus."""
WORDS = (
    # What runners obey.
    "::error::boo",
    "\n::error file=a,line=1::boo",
    "ready\n::set-output name=a::b\n::add-mask::ready\n",
    "ready\r::error::boo",
    "ready\r\n::error::boo\r\n",
    " \t ::stop-commands::boo",
    "::group::boo\n::endgroup::",
    "##[error]boo",
    "ready ##[group]boo ###[warning]boo",
    "##vso[task.setvariable variable=a]b",
    "##teamcity[buildStatus status='SUCCESS']",
    "\x1b[0Ksection_start:1:boo\r\x1b[0Kboo",
    # What looks like a line's start to some.
    "ready\u2028::error::boo",
    "ready\u2029::error::boo",
    "ready\x85::error::boo",
    "ready\x0b::error::boo\x0c::error::boo\x1c::error::boo",
    "\u200b::error::boo",
    "\xa0::error::boo\u3000::error::boo",
    "\ufeff::error::boo",
    "\x1b[0m::error::boo",
    ":\x1b[0m:error::boo #\x1b[0m#[error]boo",
    # What terminals obey.
    "\x1b[31mred\x1b[0m \x1b[8mhidden",
    "\x1b[2J\x1b[H\x1b[1A\x1b[2K",
    "\x1b]0;title\x07",
    "\x1b]8;;https://router.example/boo\x1b\\link\x1b]8;;\x1b\\",
    "\x1b]52;c;Ym9v\x07",
    "\x9b31m\x9d0;title\x9c",
    "\x1bP+q544e\x1b\\",
    "over\rwritten\x08\x08\x07\x00\x7f",
    # What misleads a reader.
    "blank \u3164\u034f\ufe0f\u115f\uffa0\u2800\U000e0100\U000e01ef signs",
    "abc\u202ecba\u202c \u2066x\u2069 \u200f",
    "zero\u200bwidth\u2060joined\u00ad",
    "tags \U000e0041\U000e007f",
    "half \ud800 a \udfff pair",
    # What browsers and Markdown obey.
    f"<{EVIL}>boo</{EVIL}><script>{EVIL}</script>",
    f"<img src={EVIL} onerror=alert(1)>",
    f"</td></pre></code></textarea></style></script><{EVIL}>",
    f"\"><{EVIL} a=\"' '><{EVIL} a='",
    f"]]><{EVIL}/><!--",
    f"&lt;{EVIL}&gt; &#60;{EVIL}&#62;",
    f"{{{{ '<{EVIL}>' }}}} {{% raw %}}",
    f"`<{EVIL}>` ```\n<{EVIL}>\n```\n~~~",
    f"![boo](https://router.example/{EVIL}) [boo](javascript:alert) | <{EVIL}> |",
    f"\n\n# Boo\n\n| a |\n|---|\n| <{EVIL}> |\n\n@everybody https://router.example/{EVIL}",
    # What is long.
    "::error::boo " * 300,
    "x" * 5_000,
    "\n" * 500 + "::error::boo",
)
# Half a surrogate pair is no JSON that the six answers may have.
FIELDS = tuple(it for it in WORDS if it.isascii() or it.encode("utf-8", "ignore").decode() == it)


class _Router(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        *_, last = self.path.partition("?")[0].split("/")
        if "by-key" in self.path:
            self._poll(last)
        elif last == "llm-events":
            known = self.path.split("/")[-2]
            # A turn has an event of each name: an account that does not add up ends a test at once.
            count = self.server.chats.count(known) * len(FIELDS)
            counted = {"count": count, "providers": FIELDS if count else (), "window_seconds": 900}
            self._answer({**counted, "instance_id": known})
        elif last == "openapi.json":
            self._answer({"paths": {f"/internal/v1/smoke/{it}": {"get": {}} for it in WORDS}})
        elif last.startswith("not-a-uuid"):
            self._answer({"detail": [{"loc": [it], "msg": it} for it in WORDS]}, 422)
        else:
            self._status(last)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path.endswith("/provision"):
            made = self.server.instances.setdefault(body["idempotency_key"], str(uuid.uuid4()))
            self._answer({"idempotency_key": body["idempotency_key"], "task_id": made})
        else:
            self.server.chats.append(self.path.split("/")[-2])
            verb, _, number = body["message"].partition(" ")
            words = WORDS[int(number) if number.isdigit() else 0]
            self._chat(words, "error" if verb == "fail" else "message")

    def do_DELETE(self) -> None:
        gone = self.path.rpartition("/")[2]
        self.server.gone.add(gone)
        self._answer({"instance_id": gone, "status": WORDS[0]})

    def _poll(self, key: str) -> None:
        if key.startswith("refuse-"):
            self._answer({"detail": WORDS[int(key.removeprefix("refuse-"))]}, 400)
        elif key in self.server.instances:
            known = self.server.instances[key]
            self._answer({"found": True, "instance_id": known, "status": self._word()})
        else:
            self._answer({"found": False})

    def _status(self, known: str) -> None:
        if known in self.server.gone or known not in self.server.instances.values():
            self._answer({"detail": WORDS[0]}, 404)
            return
        # Words of the corpus on its way to being ready.
        self.server.seen += 1
        ready = self.server.seen > self.server.boots
        status = "running" if ready else self._word()
        self._answer({"id": known, "hostname": self._word(), "status": status})

    def _word(self) -> str:
        return FIELDS[(self.server.first + self.server.seen) % len(FIELDS)]

    def _chat(self, words: str, name: str) -> None:
        lines = [f"event: {name}", f"data: {json.dumps(words)}", "", "data: [DONE]", "", ""]
        self._send(200, "text/event-stream", "\n".join(lines).encode())

    def _answer(self, fields: dict[str, Any], status: int = 200) -> None:
        if status == 200 and "paths" not in fields:
            fields |= dict.fromkeys(FIELDS[::3], 1)
        self._send(status, "application/json", json.dumps(fields).encode())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    server: Server

    def log_message(self, *words: object) -> None: ...


class Server(ThreadingHTTPServer):
    """The hostile router, and what it knows of its instances.

    `boots` answers of status are not "ready", but words of the corpus from the `first` on.
    """

    def __init__(self, boots: int, first: int) -> None:
        super().__init__(("127.0.0.1", 0), _Router)
        self.instances: dict[str, str] = {}
        self.gone: set[str] = set()
        self.seen = 0
        self.boots = boots
        self.first = first
        self.chats: list[str] = []
        """The instance of each chat."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def hostile_router(boots: int = 3, first: int = 0) -> Iterator[Server]:
    server = Server(boots, first)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
