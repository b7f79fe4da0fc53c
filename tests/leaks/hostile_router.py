"""A router whose every free word was chosen by somebody who wants the log's reader harmed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gates import serving
from starlette.responses import Response
from starlette.routing import Route
from twin import AnswerError, Row, Twin, build

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
MORE = dict.fromkeys(FIELDS[::3], 1)
"""What every answer has beside its own fields."""


def in_ascii(said: object, status: int = 200) -> Response:
    """Answer in JSON, which may have half a surrogate pair then."""
    return Response(json.dumps(said), status, media_type="application/json")


class HostileRouter(Twin):
    """The router; it keeps its rules, but for its words.

    `boots` answers of status are not "ready", but words of the corpus from the `first` on.
    """

    gone_word = unknown_words = WORDS[0]
    second_delete = 200
    unknown_key: Mapping[str, Any] = {"found": False, **MORE}

    def __init__(self, boots: int, first: int) -> None:
        super().__init__()
        self.seen = 0
        self.boots = boots
        self.first = first
        self.chats: list[str] = []
        """The instance of each chat."""
        self.url = ""

    def allows(self, call: str, authorization: str | None, about: str) -> bool:
        return not about.startswith("refuse-")

    def refuse(self, call: str, about: str) -> None:
        words = WORDS[int(about.split("-")[1])]
        raise AnswerError(in_ascii({"detail": words}, 400))

    def reject(self, path: str, faults: list[Any]) -> Response:
        return in_ascii({"detail": [{"loc": [it], "msg": it} for it in WORDS]}, 422)

    def found(self, call: str, instance_id: str) -> Row:
        row = super().found(call, instance_id)
        self.seen += call == "status"
        return row

    def shown(self, call: str, row: Row) -> bool:
        return call == "poll" or super().shown(call, row)

    def word(self, row: Row) -> str:
        return FIELDS[(self.first + self.seen) % len(FIELDS)]

    def hostname(self, row: Row) -> str:
        return self.word(row)

    def is_ready(self, row: Row) -> bool:
        return True

    def counted(self, row: Row, window: int) -> list[str]:
        # A turn has an event of each name: an account that does not add up ends a test at once.
        return [*FIELDS] * self.chats.count(row.id)

    def listed(self, providers: list[str]) -> list[str]:
        return list(dict.fromkeys(providers))

    def answer(self, call: str, said: dict[str, Any]) -> Response:
        if call == "provision":
            del said["instance_id"]
        if call == "status" and self.seen > self.boots:
            said["status"] = "running"
        return in_ascii({**said, **MORE})

    def stream(self, row: Row, message: str) -> Response:
        self.chats.append(row.id)
        verb, _, number = message.partition(" ")
        words = WORDS[int(number) if number.isdigit() else 0]
        name = "error" if verb == "fail" else "message"
        lines = [f"event: {name}", f"data: {json.dumps(words)}", "", "data: [DONE]", "", ""]
        return Response("\n".join(lines), media_type="text/event-stream")


UNKNOWN = {"detail": WORDS[0]}
"""What is said of a path without a call too."""
DOCUMENT = {"paths": {f"/internal/v1/smoke/{it}": {"get": {}} for it in WORDS}}


@contextmanager
def hostile_router(boots: int = 3, first: int = 0) -> Iterator[HostileRouter]:
    router = HostileRouter(boots, first)
    app = build(router)
    app.routes.insert(0, Route("/openapi.json", lambda request: in_ascii(DOCUMENT)))
    app.routes.append(Route("/{path:path}", lambda request: in_ascii(UNKNOWN, 404)))
    with serving(app) as router.url:
        yield router
