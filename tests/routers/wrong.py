"""Wrong routers: a line each, which says how it is wrong, and what a failure must say of it.

Each breaks one rule and keeps all others. A `*` in the words stands for any others in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi.responses import JSONResponse, PlainTextResponse, Response
from routers_tools import Router
from rules import (
    LEFT_OUT,
    SOMEBODY,
    alike,
    always_found,
    begins_with_the_token,
    by_any_key,
    cut_after,
    delete_all,
    delete_and_refuse,
    events,
    fault,
    faults_as,
    first_alive,
    frames,
    from_the_second_on,
    grows,
    instead_of_a_stream,
    keys_up_to,
    leaves,
    make_and_refuse,
    malformed_is,
    newest_id,
    not_more_than_bytes,
    open_to,
    random_id,
    refuses,
    says,
    says_whole,
    shows,
    silent_after,
    windows_up_to,
)
from twin import LIMITS, Row, Twin

CALLS = ("provision", "poll", "status", "chat", "llm_events", "delete")


@dataclass(frozen=True)
class Wrong(Router):
    """A router that breaks its contract."""

    words: str = ""
    """Of the failure that it is found by."""
    leaves: bool = False
    """Whether what it made can't be deleted: that is how it is wrong."""

    def told_in(self, failures: str) -> bool:
        """Tell whether a run's failures name what is wrong."""
        at = 0
        for part in self.words.split("*"):
            at = failures.find(part, at)
            if at < 0:
                return False
        return True


def wrong(what: str, words: str, *, leaves: bool = False, **rules: Any) -> Wrong:
    return Wrong(what, rules, words=words, leaves=leaves)


AUTHORIZATION = [
    *(
        wrong(f"{call}: a {who} token is taken", f"{call} *a {who} token*", allows=open_to(call, who))
        for call in CALLS
        for who in ("missing", "wrong")
    ),
    *(
        wrong(
            f"{call}: who knows an instance needs no token",
            f"{call} *a missing token",
            allows=open_to(call, "missing", known=True),
        )
        for call in ("poll", "status", "llm_events")
    ),
    wrong(
        "delete: who knows an instance needs no token",
        "delete *a wrong token",
        allows=open_to("delete", "wrong", known=True),
    ),
    wrong("delete: done, and then refused", "deleted all the same", refuse=delete_and_refuse),
    wrong("provision: done, and then refused", "made an instance all the same", refuse=make_and_refuse),
    wrong("the token may go on", "*a longer token", allows=begins_with_the_token),
    wrong("strangers are told 404", "expected: 401 or 403*404", unauthorized=404),
    wrong("strangers are told 400", "expected: 401 or 403*400", unauthorized=400),
    wrong("a token is a field like any other", "expected: 401 or 403*422", unauthorized=422),
]

ISOLATION = [
    wrong(
        "LLM events of all instances are counted",
        "LLM events of another instance are counted",
        counted=events(lambda it, row, event, age, window: age <= window),
    ),
    wrong(
        "LLM events of the first instance are counted",
        "LLM events of another instance are counted",
        counted=lambda it, row, window: Twin.counted(it, it.rows[0], window),
    ),
    wrong("a deleted agent takes a chat", "chat *that is deleted", shown=shows("chat")),
    wrong("a deleted agent has LLM events", "llm_events *that is deleted", shown=shows("llm_events")),
    wrong("a key names the newest instance", "for one key", answer=says("poll", instance_id=newest_id)),
    wrong("all keys share an instance", "two keys", provision=first_alive, named=by_any_key),
    wrong("a key's beginning will do", "a key that nobody used", named=alike(str.startswith)),
    wrong(
        "a key's case does not matter",
        "a key that nobody used",
        named=alike(lambda one, other: one.lower() == other.lower()),
    ),
    wrong("one deletion deletes all", "deleting one instance deleted another", delete=delete_all),
    wrong("all share a hostname", "two instances have one hostname", hostname=lambda it, row: "agent"),
    wrong("any id has a status", "status *that nobody made", found=always_found("status")),
    wrong("any id has LLM events", "llm_events *that nobody made", found=always_found("llm_events")),
    wrong("any id takes a chat", "chat *that nobody made", found=always_found("chat")),
    wrong(
        "an unknown key names the newest instance",
        "a key that nobody used*",
        named=lambda it, key: Twin.named(it, key) or (it.rows[-1] if "-unknown-" in key else None),
    ),
]

ANOTHER = "answered for another instance"
IDENTITY = [
    wrong("status is about another", f"status {ANOTHER}", answer=says("status", id=SOMEBODY)),
    wrong(
        "LLM events are about another",
        f"llm_events {ANOTHER}",
        answer=says("llm_events", instance_id=SOMEBODY),
    ),
    wrong("delete is about another", f"delete {ANOTHER}", answer=says("delete", instance_id=SOMEBODY)),
    wrong(
        "provision is about another key",
        "provision answered for another idempotency key",
        answer=says("provision", idempotency_key="another"),
    ),
    wrong(
        "provision and poll disagree",
        "provision and poll name different instances for one key",
        answer=says("provision", instance_id=random_id),
    ),
    wrong("poll never says the same", "different instances", answer=says("poll", instance_id=random_id)),
    wrong(
        "the same key makes a second instance",
        "a second instance for one key",
        provision=lambda it, key: it.make(key),
    ),
    wrong(
        "the same key makes a second instance, and poll names that",
        "a second instance for one key",
        provision=lambda it, key: it.make(key),
        named=lambda it, key: next((row for row in reversed(it.rows) if row.key == key), None),
        answer=says("provision", instance_id=None),
    ),
    wrong(
        "the second answer is about another key",
        "another idempotency key",
        answer=from_the_second_on(says("provision", idempotency_key="another"), "provision"),
    ),
    wrong(
        "status tells the task's id",
        f"status {ANOTHER}",
        answer=says("status", id=lambda it, said: it.with_id(said["id"]).task_id),
    ),
    wrong(
        "LLM events are about a hostname",
        "instance_id: should be a UUID",
        answer=says("llm_events", instance_id="agent-1.example"),
    ),
]

LIMITED = [
    *(
        wrong(
            f"{name} is not limited",
            f"the router took *{name} of {most + 1}",
            limits={**LIMITS, name: 9_999},
        )
        for name, most in LIMITS.items()
    ),
    *(
        wrong(f"{name} is limited too much", f"{name} of {most}", limits={**LIMITS, name: most - 1})
        for name, most in LIMITS.items()
    ),
    wrong("a message is not limited", "took a message of 4001", longest_message=9_999),
    wrong("a message is limited too much", "at most 3999 characters", longest_message=3_999),
    wrong("a message's bytes are limited", "message*4000 bytes", stream=not_more_than_bytes),
    wrong("a long key can't be asked for", "idempotency_key*64 characters", named=keys_up_to(64)),
    wrong("a window is limited to a minute", "window_seconds: at most 60", counted=windows_up_to(60)),
    wrong("what is wrong is not told", "names no field", reject=faults_as(422, "Unprocessable")),
    wrong(
        "another field is told",
        "body.agent_name",
        reject=faults_as(422, [{"loc": ["body", "agent_name"], "msg": "no", "type": "t"}]),
    ),
    wrong("what is wrong is a bad request", "refused with 400", reject=faults_as(400, "Bad request")),
    wrong("status: a malformed id is not found", "status *not-a-uuid*404", reject=malformed_is(404, "id")),
    wrong("chat: a malformed id is not found", "chat *not-a-uuid*404", reject=malformed_is(404, "chat")),
    wrong(
        "llm_events: a malformed id is not found",
        "llm_events *not-a-uuid*404",
        reject=malformed_is(404, "llm-events"),
    ),
]

DEFAULTS = [
    wrong("the window is a minute", "window_seconds: 900*60", default_window=60),
    wrong("the window is a day", "window_seconds: 900*86400", default_window=86_400),
    wrong("the window is nothing", "window_seconds: 900*0", default_window=0),
    wrong("the window is endless", "window_seconds: 900*-1", default_window=-1),
    wrong("the window has to be given", "query.window_seconds: Field required", default_window=...),
    wrong("no hostname ever comes", "hostname*null", hostname=lambda it, row: None),
    wrong("a hostname is empty", "hostname*''", hostname=lambda it, row: ""),
    wrong("no hostname is told", "hostname: *no such field", answer=says("status", hostname=LEFT_OUT)),
]


def not_named(name: str) -> Any:
    """Give a rule for provision: what need not be given has to be."""

    def provision(it: Twin, key: str) -> Row:
        raise fault("body", name)

    return provision


DEFAULTS.append(
    wrong("an agent has to be named", "body.agent_name: Field required", provision=not_named("agent_name"))
)


def field_is(call: str, name: str, value: Any, words: str = "") -> Wrong:
    """Make a router one of whose answers has a field that is otherwise."""
    shown = "is left out" if value is LEFT_OUT else f"is {value!r}"
    found_by = words or (f"{name}: present" if value is LEFT_OUT else f"{name}: ")
    return wrong(
        f"{call}: {name} {shown}", f"{call} *{found_by}", answer=says(call, **{name: value})
    )


FORMS = [
    field_is("provision", "idempotency_key", LEFT_OUT),
    field_is("provision", "idempotency_key", 7),
    field_is("provision", "task_id", LEFT_OUT),
    field_is("provision", "task_id", None),
    field_is("provision", "instance_id", "agent-1"),
    field_is("poll", "found", LEFT_OUT),
    field_is("poll", "found", "true"),
    field_is("poll", "instance_id", LEFT_OUT, "names no instance"),
    field_is("poll", "instance_id", None, "names no instance"),
    field_is("poll", "instance_id", "../other", "should be a UUID"),
    field_is("poll", "status", LEFT_OUT),
    field_is("poll", "status", None),
    field_is("poll", "status", 2),
    field_is("status", "id", LEFT_OUT),
    field_is("status", "hostname", 7),
    field_is("status", "status", LEFT_OUT),
    field_is("status", "status", None),
    field_is("status", "status", ["running"]),
    field_is("llm_events", "instance_id", LEFT_OUT),
    field_is("llm_events", "count", LEFT_OUT),
    field_is("llm_events", "count", -1),
    field_is("llm_events", "count", "1"),
    field_is("llm_events", "count", 1.5),
    field_is("llm_events", "providers", LEFT_OUT),
    field_is("llm_events", "providers", None),
    field_is("llm_events", "providers", "anthropic"),
    field_is("llm_events", "providers", [1]),
    field_is("llm_events", "window_seconds", LEFT_OUT),
    field_is("llm_events", "window_seconds", "900"),
    field_is("delete", "instance_id", LEFT_OUT),
    field_is("delete", "status", LEFT_OUT),
    field_is("delete", "status", None),
    wrong("status in HTML", "a JSON object", answer=says_whole("status", PlainTextResponse("<p>running"))),
    wrong("status in a list", "status *object", answer=says_whole("status", JSONResponse([]))),
    wrong("no status", "status *a success code", answer=says_whole("status", Response(status_code=204))),
    wrong("status is 201", "status *a success code*201", codes={"status": 201}),
    wrong("provision is 204", "provision *204", answer=says_whole("provision", Response(status_code=204))),
    wrong("an error is a success", "status *id: present", refuse=lambda it, call, about: None),
    wrong(
        "an unknown key has an instance",
        "instance_id: null",
        unknown_key={"found": False, "instance_id": SOMEBODY, "status": None},
    ),
    wrong("an unknown key is null", "poll *object", unknown_key=None),
    wrong("every key is found", "run id used before", unknown_key={"found": True, "instance_id": SOMEBODY, "status": "running"}),
]

NOT_CONFIRMED = "not confirmed as deleted"
LIFECYCLE = [
    wrong("no row ever comes", "its row did not appear", has_row=lambda it, row: False, leaves=True),
    wrong("a boot hangs", "did not get there", boot=((0, "queued"), (0.1, "booting"))),
    wrong("a boot fails", "the instance is 'failed'", boot=((0, "queued"), (0.1, "failed"))),
    wrong("an instance does not stay ready", "'halted'", boot=((0, "queued"), (0.1, "running"), (0.6, "halted"))),
    wrong("an instance fails later", "'error'", boot=((0, "queued"), (0.1, "running"), (0.6, "error"))),
    wrong("a ready agent is never ready", "chat was refused with 409", stream=not_ready(409)),
    wrong("a ready agent is never there", "chat was refused with 503", stream=not_ready(503)),
    wrong("a row vanishes", "not found", found=refuses("status", 404, after=0.8)),
    wrong("delete does nothing", f"{NOT_CONFIRMED}*status 'running'", delete=lambda it, row: None, leaves=True),
    wrong("delete fails", f"{NOT_CONFIRMED}*500", found=refuses("delete", 500), leaves=True),
    wrong("delete is not allowed", "delete was refused with 405", found=refuses("delete", 405), leaves=True),
    wrong("delete says that it runs", "delete *'running'", answer=says("delete", status="running")),
    wrong("a second deletion is refused", "delete was refused with 400", second_delete=400),
    wrong("a second deletion fails", "delete was refused with 500", second_delete=500),
    wrong("a deleted one still runs", f"{NOT_CONFIRMED}*'running'", row_stays=True, gone_word="running"),
    wrong("provision fails", "provision was refused with 500", provision=fails(500)),
    wrong("no server is left", "provision was refused with 409", provision=fails(409)),
]
