"""Right routers, a line each: every answer that the contract leaves open, given throughout."""

from __future__ import annotations

from typing import Any

from routers_tools import Router
from rules import (
    LEFT_OUT,
    frames,
    gateway_refuses,
    leaves,
    limited,
    not_at_once,
    says,
    second_provision,
)
from twin import Twin


def right(what: str, **rules: Any) -> Router:
    return Router(what, rules)


BOOT = (0.0, "queued")
NAMED = 'event: message_start\ndata: {"type":"message_start"}\n\n'

# fmt: off
RIGHT = [
    right("the plainest"),
    right("provision is 201", codes={"provision": 201}),
    right("provision is 202", codes={"provision": 202}),
    right("provision gives an id that has no row yet", row_after=0.3),
    right("provision gives null for the id", answer=says("provision", instance_id=None)),
    right("provision leaves the id out", answer=says("provision", instance_id=LEFT_OUT)),
    right("a known key is in progress", provision=second_provision(409)),
    right("an unknown key without nulls", unknown_key={"found": False}),
    right("an unknown key is 404", unknown_key=404),
    right("a late row, without nulls", row_after=0.3, unknown_key={"found": False}),
    right("a late row, 404", row_after=0.3, unknown_key=404),
    *(right(f"ready is {word!r}", boot=(BOOT, (0.1, word))) for word in ("active", "ready", "online", "RUNNING", "Running")),
    right("words that nobody knows on the way", boot=(BOOT, (0.05, "warming up"), (0.1, ""), (0.2, "running"))),
    right("a hostname from the start", hostname=lambda it, row: row.hostname),
    right("a hostname a moment after", hostname=lambda it, row: row.hostname if it.clock() > row.born + 1 else None),
    right("strangers are told 403", unauthorized=403),
    right("strangers are told 401 by a gateway", refuse=gateway_refuses),
    *(right(f"deleted: the row says {word!r}", row_stays=True, gone_word=word) for word in ("deleted", "deleting", "terminated", "DELETED")),
    *(right(f"deleted again: {code}", second_delete=code) for code in (409, 410, 200)),
    right("deleted again: 200, and the row stays", second_delete=200, row_stays=True),
    *(right(f"not ready yet: {code}", stream=not_at_once(code)) for code in (409, 425, 503)),
    right("Anthropic's events", stream=frames(
        'event: message_start\ndata: {"type":"message_start"}\n\n',
        'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"type":"text_delta","text":"Ready."}}\n\n',
        'event: message_stop\ndata: {"type":"message_stop"}\n\n')),
    right("objects with a type", stream=frames('data: {"type":"token","content":"Ready."}\n\n', 'data: {"type":"done"}\n\n')),
    right("named events", stream=frames("event: token\ndata: Ready.\n\n", "event: done\ndata: \n\n")),
    right("a finish reason, and then the end", stream=frames('data: {"choices":[{"delta":{"content":"Ready."},"finish_reason":"stop"}]}\n\n')),
    right("a reply that met its limit", stream=frames('data: {"choices":[{"delta":{"content":"Ready."},"finish_reason":"length"}]}\n\n', "data: [DONE]\n\n")),
    right("plain text", stream=frames("data: I am\n\n", "data: ready.\n\n")),
    right("keep-alives", stream=frames(": alive\n\n", "data: Ready.\n\n", ": alive\n\n", "data: [DONE]\n\n")),
    right("CRLF", stream=frames("data: Ready.\r\n\r\n", "data: [DONE]\r\n\r\n")),
    right("providers one a row", spent=leaves(3), listed=lambda it, providers: providers),
    right("providers in no order", spent=leaves(2), providers=("openai", "anthropic"), listed=lambda it, providers: list(dict.fromkeys(providers))),
    right("rows that lag", usage_after=0.3),
    right("429 now and then", allows=limited(429)),
    right("429 with seconds to wait", allows=limited(429, retry_after="0")),
    right("429 with a date to wait for", allows=limited(429, retry_after="Wed, 21 Oct 2015 07:28:00 GMT")),
    right("fields that nobody knows", answer=lambda it, call, said: {**said, "news": [1], "more": {"a": None}}),
    right("ids in capitals", answer=lambda it, call, said: {name: value.upper() if name in ("id", "instance_id") else value for name, value in said.items()}),
    right("a rejection that stops at its first fault", reject=lambda it, path, faults: Twin.reject(it, path, faults[:1])),
]
# fmt: on
