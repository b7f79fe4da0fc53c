"""Right routers, a line each: every answer that the contract leaves open, given throughout."""

from __future__ import annotations

import time
from typing import Any

from fastapi.responses import JSONResponse
from routers_tools import Router
from rules import LEFT_OUT, deletes_later, from_the_second_on, limited, says, slow, word_later
from rules_of_callers import (
    bare,
    by_its_token,
    lets_in,
    refused_by_a_gateway,
    refused_with,
    refuses_after,
)
from rules_of_keys import another_body, known_tiers, second_provision
from rules_of_turns import frames, not_at_once
from rules_of_usage import (
    alternating,
    counts_before_it_names,
    dated,
    events,
    leaves,
    older,
    pushed_late,
    trickles,
)
from twin import Twin


def right(what: str, settings: Any = None, **rules: Any) -> Router:
    return Router(what, rules, settings or {})


CALLS = ("provision", "poll", "status", "chat", "llm_events", "delete")
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
    right("what is unknown is 404, as a wrong path is", unknown_key=404, unknown_words="Not Found"),
    right("the same, and strangers are told 401 by a gateway", unknown_key=404, unknown_words="Not Found", refuse=refuses_after(refused_by_a_gateway)),
    right("a late row, without nulls", row_after=0.3, unknown_key={"found": False}),
    right("a late row, 404", row_after=0.3, unknown_key=404),
    *(right(f"ready is {word!r}", boot=(BOOT, (0.1, word))) for word in ("active", "ready", "online", "RUNNING", "Running")),
    right("words that nobody knows on the way", boot=(BOOT, (0.05, "warming up"), (0.1, ""), (0.2, "running"))),
    right("a hostname from the start", hostname=lambda it, row: row.hostname),
    right("a hostname a moment after", hostname=lambda it, row: row.hostname if it.clock() > row.born + 1 else None),
    right("strangers are told 403", unauthorized=403),
    right("strangers are told 401 by a gateway", refuse=refuses_after(refused_by_a_gateway)),
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
    right("providers one a row, of several", spent=leaves(3), providers=("openai", "anthropic"), listed=lambda it, providers: providers),
    right("a count is read before its providers", answer=says("llm_events", count=counts_before_it_names())),
    right("poll tells a status a second late", answer=says("poll", status=word_later(1.2))),
    right("poll tells a status in capitals", answer=says("poll", status=lambda it, said: said["status"].upper())),
    right("providers in no order", spent=leaves(2), providers=("openai", "anthropic"), listed=lambda it, providers: list(dict.fromkeys(providers))),
    right("rows that lag", usage_after=0.3),
    right("429 now and then", allows=limited(429)),
    right("429 with seconds to wait", allows=limited(429, retry_after="0")),
    right("429 with a date to wait for", allows=limited(429, retry_after="Wed, 21 Oct 2015 07:28:00 GMT")),
    right("fields that nobody knows", answer=lambda it, call, said: {**said, "news": [1], "more": {"a": None}}),
    right("ids in capitals", answer=lambda it, call, said: {name: value.upper() if name in ("id", "instance_id") else value for name, value in said.items()}),
    right("a rejection that stops at its first fault", reject=lambda it, path, faults: Twin.reject(it, path, faults[:1])),
    # Who may ask
    *(right(f"{call}: strangers are told 403", refuse=refused_with(call, 403)) for call in CALLS),
    *(right(f"{call}: strangers are told 401 and how to ask", refuse=refused_with(call, 401, "Not authenticated", **{"www-authenticate": "Bearer"})) for call in CALLS),
    *(right(f"{call}: strangers are told 401 by a gateway, in HTML", refuse=refuses_after(refused_by_a_gateway, call)) for call in CALLS if call != "provision"),
    right("strangers are told 401, in a list", refuse=refused_with("any", 401, [{"msg": "no", "type": "t"}])),
    right("a missing token is 403, another one 401", allows=by_its_token(403, 401)),
    right("a missing token is 401, another one 403", allows=by_its_token(401, 403)),
    right("the scheme is taken in any case", allows=lets_in("any", lambda given, right: given.lower().startswith("bearer ") and given[7:] == right[7:])),
    right("blanks around a token do not matter", allows=lets_in("any", lambda given, right: given.startswith("Bearer ") and bare(given) == bare(right))),
    right("another token is right, too", allows=lets_in("any", lambda given, right: given == "Bearer the-token-of-another-run")),
    right("who knows a key is told 403", refuse=lambda it, call, about: refused_with("any", 401 if it.named(about) is None else 403)(it, call, about)),
    # What was refused
    *(right(f"a deletion is carried out {after} s later, and is said to be", row_stays=True, **deletes_later(after)) for after in (0.3, 1.0)),
    *(right(f"a row comes {after} s later", row_after=after) for after in (0.7, 1.5)),
    right("refusals are slow", refuse=refuses_after(lambda it, about: time.sleep(0.1))),
    # Windows
    right("a window ends just before", counted=events(lambda row, event, age, window: event.instance_id == row.id and age < window)),
    right("a window is half a second more", counted=older(lambda window: window + 0.5)),
    right("a window is half a second less", counted=older(lambda window: window - 0.5)),
    right("times are of whole seconds", counted=older(lambda window: window, of=lambda event, age: int(event.at + age) - int(event.at))),
    right("rows are of whole seconds", counted=older(lambda window: window, of=lambda event, age: age + event.at % 1)),
    right("an agent's clock is a second behind", spent=dated(-1)),
    right("an agent's clock is three seconds behind", spent=dated(-3)),
    right("an agent's clock is ten seconds behind", spent=dated(-10)),
    right("an agent's clock is a second ahead", {"llm_events_timeout": 5}, spent=dated(1), counted=older(lambda window: window, ahead=True)),
    right("an agent's clock is two seconds ahead", {"llm_events_timeout": 5}, spent=dated(2), counted=older(lambda window: window, ahead=True)),
    right("an old row is there", spent=trickles(0, -100)),
    right("an old row is there, from before", spent=trickles(-2000, 0)),
    right("a window is answered slowly", answer=slow("llm_events", 0.2)),
    right("a status is answered slowly", answer=slow("status", 0.1)),
    # Accounts
    *(right(f"rows come {after} s later", usage_after=after) for after in (0.1, 0.6, 1.0)),
    *(right(f"rows come {after} s later, dated by their turn", **pushed_late(after)) for after in (0.3, 1.0)),
    right("a second row comes half a second later", spent=trickles(0, 0.5)),
    right("a second row comes a second later", spent=trickles(0, 1.0)),
    right("three rows a turn", spent=leaves(3)),
    right("turns leave one row, then two", spent=alternating(leaves(1), leaves(2))),
    right("a provider for each turn", providers=("openai", "anthropic", "mistral")),
    # Fields
    right("a missing field is null, as well", reject=lambda it, path, faults: Twin.reject(it, path, [{**each, "input": None, "url": "https://errors.example"} for each in faults])),
    right("a missing field in other words", reject=lambda it, path, faults: JSONResponse({"detail": [{"loc": each["loc"], "msg": "muss da sein", "type": "value_error.missing"} for each in faults]}, 422)),
    right("a rejection says more", reject=lambda it, path, faults: JSONResponse({"detail": [{**each, "input": None, "ctx": {}} for each in faults], "trace": "abc"}, 422)),
    # One key, another body
    *(right(f"one key and another body: {code}", provision=another_body(code)) for code in (400, 409, 422)),
    right("one key and another body, and no id", answer=says("provision", instance_id=LEFT_OUT), provision=another_body(409)),
    right("one key a second time: no id", answer=from_the_second_on(says("provision", instance_id=None))),
    right("one key a second time: 409, and 201 the first", provision=second_provision(409), codes={"provision": 201}),
    right("unknown tiers are not found", provision=known_tiers(404)),
    right("unknown tiers are rejected", provision=known_tiers(422)),
    right("unknown tiers are forbidden", provision=known_tiers(403)),
]
# fmt: on
