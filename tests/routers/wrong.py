"""Wrong routers, a line each: how it is wrong, what a failure must say of it, and the rule it breaks.

Each breaks that rule and keeps all others. A `*` in the words stands for any others in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi.responses import JSONResponse, PlainTextResponse, Response
from routers_tools import Router
from rules import (
    LEFT_OUT,
    SOMEBODY,
    always_found,
    faults_as,
    faults_named,
    from_the_second_on,
    grows,
    keys_up_to,
    malformed_is,
    newest_id,
    not_more_than_bytes,
    random_id,
    refuses,
    says,
    says_whole,
    shows,
    windows_up_to,
    word_later,
)
from rules_of_callers import (
    acts_later,
    another_for_strangers,
    bare,
    chat_with_it,
    delete_it,
    knows_keys_first,
    lets_in,
    of_tokens,
    open_to,
    refuses_after,
    reject_and_spend,
)
from rules_of_keys import (
    alike,
    boots_anew,
    by_any_key,
    delete_all,
    first_alive,
    keyed_by,
    newest_of_key,
    no_provision,
    not_named,
    provisions_again,
    second_provision,
)
from rules_of_turns import cut_after, frames, instead_of_a_stream, never_ready, silent_after
from rules_of_usage import (
    UNSAID,
    another,
    count_comes_later,
    events,
    itself,
    leaves,
    names_900,
    nothing_unless_said,
    older,
    providers_of,
    spends,
    the_first,
    the_newest,
    throws_away,
)
from twin import LIMITS, Twin

CALLS = ("provision", "poll", "status", "chat", "llm_events", "delete")


@dataclass(frozen=True)
class Wrong(Router):
    """A router that breaks its contract."""

    words: str = ""
    """Of the failure that it is found by."""
    leaves: bool = False
    """Whether what it made can't be deleted: that is how it is wrong, or a part of it."""

    def told_in(self, failures: str) -> bool:
        """Return whether a run's failures name what is wrong."""
        return any(_stand_in(failures, words.split("*")) for words in self.words.split(" | "))


WHOSE = (
    "LLM events of another instance are counted | llm_events does not count another chat"
    " | LLM events of one instance are counted for another, too"
)
"""What is found depends on which of two instances that boot side by side is made first."""


def _stand_in(text: str, parts: Sequence[str]) -> bool:
    """Return whether parts stand in a text, in their order."""
    at = 0
    for part in parts:
        at = text.find(part, at)
        if at < 0:
            return False
    return True


def wrong(
    what: str, words: str, *, leaves: bool = False, hurried: bool = True, **rules: Any
) -> Wrong:
    return Wrong(what, rules, words=words, leaves=leaves, hurried=hurried)


def field_is(call: str, name: str, value: Any, words: str = "") -> Wrong:
    """Make a router one of whose answers has a field that is otherwise.

    No deletion can be proved where a poll can't be read.
    """
    shown = "left out" if value is LEFT_OUT else repr(value)
    found_by = words or (f"{name}: present" if value is LEFT_OUT else f"{name}: ")
    what = f"{call}: {name} is {shown}"
    unproved = call == "poll" and not words.startswith("does not give")
    return wrong(what, f"{call} *{found_by}", leaves=unproved, answer=says(call, **{name: value}))


# fmt: off
AUTHORIZATION = [
    *(wrong(f"{call}: a {who} token is taken", f"{call} does not refuse a {who} token", allows=open_to(call, who)) for call in CALLS for who in ("missing", "wrong")),
    wrong("poll: open to who knows a key", "poll does not refuse a missing token", allows=open_to("poll", "missing", known=True)),
    wrong("status: open to who knows an instance", "status does not refuse a wrong token", allows=open_to("status", "wrong", known=True)),
    wrong("llm_events: open to who knows an instance", "llm_events does not refuse a missing token", allows=open_to("llm_events", "missing", known=True)),
    wrong("delete: open to who knows an instance", "delete does not refuse a wrong token", allows=open_to("delete", "wrong", known=True)),
    wrong("delete: done, and then refused", "delete refused a*token, but the instance was deleted", refuse=refuses_after(delete_it, "delete")),
    wrong("provision: done, and then refused", "provision was refused, but made an instance", refuse=refuses_after(Twin.make, "provision")),
    *(wrong(f"provision: open to who knows a key, with a {who} token", f"provision does not refuse a {who} token", allows=open_to("provision", who, known=True)) for who in ("missing", "wrong")),
    wrong("provision: open to who knows a key, and makes another", "provision does not refuse a missing token", **another_for_strangers()),
    *(wrong(f"provision: who knows a key is told {code}", f"provision does not refuse a missing token*refused with {code}", allows=knows_keys_first(code)) for code in (404, 409)),
    wrong("a token may go on", "does not refuse a longer token", allows=lets_in("any", str.startswith)),
    wrong("strangers are told 404", "expected: 401 or 403 got: chat was refused with 404", unauthorized=404),
    wrong("strangers are told 400", "expected: 401 or 403 got: poll was refused with 400", unauthorized=400),
    wrong("strangers are told 422", "expected: 401 or 403 got: poll was refused with 422", unauthorized=422),
]

ISOLATION = [
    wrong("LLM events of all are counted", "LLM events of another instance are counted", counted=events(lambda row, event, age, window: age <= window)),
    wrong("LLM events of the first one are counted", "LLM events of another instance are counted", counted=lambda it, row, window: Twin.counted(it, the_first(it, row), window)),
    wrong("LLM events of the others are counted", "the LLM events are not as expected", counted=events(lambda row, event, age, window: age <= window and event.instance_id != row.id)),
    wrong("a deleted agent takes a chat", "chat still answers for an instance that is deleted", shown=shows("chat")),
    wrong("a deleted agent has LLM events", "llm_events still answers for an instance that is deleted", shown=shows("llm_events")),
    wrong("a key names the newest one", "poll names another instance than before | status was refused with 404 | provision and poll name different instances", leaves=True, answer=says("poll", instance_id=newest_id)),
    wrong("all keys share one", "two keys name one instance", provision=first_alive, named=by_any_key),
    wrong("a key's beginning will do", "poll names an instance for a key that nobody used", named=alike(str.startswith)),
    wrong("a key may go on", "poll names an instance for a key that nobody used", named=alike(lambda own, asked: asked.startswith(own))),
    wrong("a key's case does not matter", "poll names an instance for a key that nobody used", named=alike(lambda own, asked: own.lower() == asked.lower())),
    wrong("an unknown key names the newest one", "poll names an instance for a key that nobody used", named=alike(lambda own, asked: "-unknown-" in asked)),
    wrong("one deletion deletes all", "deleting one instance deleted another", delete=delete_all),
    wrong("all share a hostname", "two instances have one hostname", hostname=lambda it, row: "agent"),
    wrong("any id has a status", "status does not refuse an unknown instance", found=always_found("status")),
    wrong("any id has LLM events", "llm_events does not refuse an unknown instance", found=always_found("llm_events")),
    wrong("any id takes a chat", "chat does not refuse an unknown instance", found=always_found("chat")),
]

IDENTITY = [
    wrong("status is another's", "status answered for another instance", answer=says("status", id=SOMEBODY)),
    wrong("status tells the task's id", "status answered for another instance", answer=says("status", id=lambda it, said: it.with_id(said["id"]).task_id)),
    wrong("LLM events are another's", "llm_events answered for another instance", answer=says("llm_events", instance_id=SOMEBODY)),
    wrong("LLM events are a host's", "instance_id: should be a UUID", answer=says("llm_events", instance_id="agent-1.example")),
    wrong("delete is another's", "delete answered for another instance", answer=says("delete", instance_id=SOMEBODY)),
    wrong("delete tells the key", "delete answered against*instance_id: should be a UUID", answer=says("delete", instance_id="run-0")),
    wrong("provision is another key's", "provision answered for another idempotency key", answer=says("provision", idempotency_key="another")),
    wrong("provision is another key's, the second time", "provision answered for another idempotency key", answer=from_the_second_on(says("provision", idempotency_key="another"))),
    wrong("provision and poll disagree", "provision and poll name different instances for one key", answer=says("provision", instance_id=random_id)),
    wrong("poll never says the same", "provision and poll name different instances for one key", leaves=True, answer=says("poll", instance_id=random_id)),
    wrong("one key makes two", "there is a second instance for one key", provision=lambda it, key: it.make(key)),
    wrong("one key makes two, and names the second", "there is a second instance for one key", provision=lambda it, key: it.make(key), named=lambda it, key: next((row for row in reversed(it.rows) if row.key == key), None), answer=says("provision", instance_id=None)),
    wrong("a key can't be used again", "provision was refused with 400", provision=second_provision(400)),
]

LIMITED = [
    *(wrong(f"{name} is not limited", f"the router does not reject a* of {most + 1} characters", limits={**LIMITS, name: 9_999}) for name, most in LIMITS.items()),
    *(wrong(f"{name} is limited too much", f"does not name only *{name}: String should have at most {most - 1} characters", limits={**LIMITS, name: most - 1}) for name, most in LIMITS.items()),
    wrong("a message is not limited", "the router does not reject a message of 4001 characters", longest_message=9_999),
    wrong("a message is limited too much", "message: String should have at most 3999 characters", longest_message=3_999),
    wrong("a message's bytes are limited", "message: at most 4000 bytes", stream=not_more_than_bytes),
    wrong("a long key can't be asked for", "idempotency_key: at most 64 characters", named=keys_up_to(64)),
    wrong("a window is limited to a minute", "window_seconds: at most 60", counted=windows_up_to(60)),
    wrong("what is wrong is not told", "does not name only * expected: 422, naming *Unprocessable", reject=faults_as(422, "Unprocessable")),
    wrong("another field is told", "does not name only *body.agent_name", reject=faults_as(422, [{"loc": ["body", "agent_name"], "msg": "no", "type": "t"}])),
    wrong("what is wrong is a bad request", "expected: 422, naming *refused with 400", reject=faults_as(400, "Bad request")),
    wrong("status: a malformed id is not found", "the status of 'not-a-uuid'*422*refused with 404", reject=malformed_is(404, "/not-a-uuid")),
    wrong("chat: a malformed id is not found", "chat of 'not-a-uuid'*422*refused with 404", reject=malformed_is(404, "/chat")),
    wrong("llm_events: a malformed id is not found", "llm_events of 'not-a-uuid'*422*refused with 404", reject=malformed_is(404, "/llm-events")),
]

DEFAULTS = [
    wrong("the window is a minute", "expected: window_seconds: 900 got: window_seconds: 60", default_window=60),
    wrong("the window is a day", "expected: window_seconds: 900 got: window_seconds: 86400", default_window=86_400),
    wrong("the window is nothing", "expected: window_seconds: 900 got: window_seconds: 0", default_window=0),
    wrong("the window is 900 in name", "llm_events without window_seconds does not count over the window that it names", default_window=UNSAID, counted=nothing_unless_said, answer=says("llm_events", window_seconds=names_900)),
    wrong("the window has to be given", "query.window_seconds: Field required", default_window=...),
    wrong("an agent has to be named", "body.agent_name: Field required", provision=not_named("body", "agent_name")),
    wrong("no hostname ever comes", "a ready instance has no hostname*got: hostname: None", hostname=lambda it, row: None),
    wrong("a hostname is empty", "a ready instance has no hostname*got: hostname: ''", hostname=lambda it, row: ""),
    wrong("no hostname is told", "a ready instance has no hostname*got: hostname: no such field", answer=says("status", hostname=LEFT_OUT)),
]

FORMS = [
    field_is("provision", "idempotency_key", LEFT_OUT),
    field_is("provision", "idempotency_key", 7),
    field_is("provision", "task_id", LEFT_OUT),
    field_is("provision", "task_id", None),
    field_is("provision", "instance_id", "agent-1"),
    field_is("poll", "found", LEFT_OUT),
    field_is("poll", "found", "true"),
    field_is("poll", "instance_id", LEFT_OUT, "found its row, but names no instance"),
    field_is("poll", "instance_id", None, "found its row, but names no instance"),
    field_is("poll", "instance_id", "../other", "should be a UUID"),
    field_is("poll", "status", LEFT_OUT, "does not give the status of an instance that it found"),
    field_is("poll", "status", None, "does not give the status of an instance that it found"),
    field_is("poll", "status", 2),
    field_is("poll", "status", "queued", "does not give the status of an instance that it found"),
    field_is("poll", "status", "SUCCESS", "does not give the status of an instance that it found"),
    wrong("poll: status is a minute late", "poll does not give the status of an instance that it found*'booting'", answer=says("poll", status=word_later(60))),
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
    field_is("llm_events", "providers", [1], "providers.0: "),
    field_is("llm_events", "window_seconds", LEFT_OUT),
    field_is("llm_events", "window_seconds", "900"),
    field_is("delete", "instance_id", LEFT_OUT),
    field_is("delete", "status", LEFT_OUT),
    field_is("delete", "status", None),
    wrong("status in HTML", "status answered against*a JSON object", answer=says_whole("status", PlainTextResponse("<p>running")), leaves=True),
    wrong("status in a list", "status answered against*body: ", answer=says_whole("status", JSONResponse([])), leaves=True),
    wrong("status is 204", "status answered with a success code that the contract does not have*204", answer=says_whole("status", Response(status_code=204)), leaves=True),
    wrong("status is 201", "status answered with a success code that the contract does not have*201", codes={"status": 201}, leaves=True),
    wrong("provision is 204", "provision answered with a success code that the contract does not have*204", answer=says_whole("provision", Response(status_code=204))),
    wrong("an unknown key has an instance", "poll names an instance for a key that nobody used", unknown_key={"found": False, "instance_id": SOMEBODY, "status": None}),
    wrong("an unknown key is null", "poll answered against the router's contract", unknown_key=None),
    wrong("every key is found", "run id used before", unknown_key={"found": True, "instance_id": SOMEBODY, "status": "running"}),
    wrong("nothing can be proved", "look like those of a path that does not exist", unknown_key=404, reject=faults_as(404, "Not Found")),
]

UNCONFIRMED = "not confirmed as deleted"
LIFECYCLE = [
    wrong("no row ever comes", "its row did not appear", has_row=lambda it, row: False, leaves=True),
    wrong("a boot hangs", "the instance was not ready in time", boot=((0, "queued"), (0.1, "booting"))),
    wrong("a boot fails", "the instance is 'failed'", boot=((0, "queued"), (0.1, "failed"))),
    wrong("an instance is ready for a moment", "the instance was ready, and no longer is*'halted'", boot=((0, "queued"), (0.1, "running"), (0.7, "halted")), is_ready=lambda it, row: True),
    wrong("a ready agent takes no chat: 409", "chat was refused with 409", stream=never_ready(409)),
    wrong("a ready agent takes no chat: 503", "chat was refused with 503", stream=never_ready(503)),
    wrong("a ready agent takes no chat: 404", "chat was refused with 404", found=refuses("chat", 404)),
    wrong("a row vanishes", "status was refused with 404", found=refuses("status", 404, after=0.6)),
    wrong("delete does nothing", f"{UNCONFIRMED}*status 'running'", delete=lambda it, row: None, leaves=True),
    wrong("delete fails", "delete was refused with 500", found=refuses("delete", 500), leaves=True),
    wrong("delete is not allowed", "delete was refused with 405", found=refuses("delete", 405), leaves=True),
    wrong("delete says that it runs", "delete answers that the instance is unchanged*'running'", answer=says("delete", status="running")),
    wrong("a second deletion is refused", "delete was refused with 400", second_delete=400),
    wrong("what is deleted runs on", f"{UNCONFIRMED}*status 'running'", row_stays=True, gone_word="running"),
    wrong("provision fails", "provision was refused with 500", provision=no_provision(500)),
    wrong("no instance is left to give", "provision was refused with 403", provision=no_provision(403)),
    wrong("provision is nowhere", "provision was refused with 404", provision=no_provision(404)),
    wrong("provision is for ever in progress", "its row did not appear", provision=no_provision(409), leaves=True),
]

STREAM = [
    wrong("a reply in JSON", "chat answered with something other than an event stream*application/json", stream=instead_of_a_stream(JSONResponse({"text": "I am ready."}))),
    wrong("a reply in plain text", "chat answered with something other than an event stream*text/plain", stream=frames("data: I am ready.\n\n", media="text/plain")),
    wrong("a redirect", "chat was refused with 302", stream=instead_of_a_stream(Response(None, 302, {"location": "https://router.example"}))),
    wrong("no events", "the stream ended without a single event", stream=frames("")),
    wrong("comments alone", "the stream ended without a single event", stream=frames(": alive\n\n")),
    wrong("no text", "the reply has no text in any of its", stream=frames("data: [DONE]\n\n")),
    wrong("blank text", "the reply has no text in any of its", stream=frames('data: {"choices":[{"delta":{"content":" "}}]}\n\n', "data: [DONE]\n\n")),
    wrong("an error of OpenAI's", "the agent reported an error: no credit", stream=frames('data: {"error":{"message":"no credit"}}\n\n')),
    wrong("an error of Anthropic's", "the agent reported an error: Overloaded", stream=frames('event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n')),
    wrong("an error event", "the agent reported an error", stream=frames("data: I am\n\n", "event: error\ndata: no credit\n\n")),
    wrong("cut before the first event", "the stream was cut", stream=cut_after()),
    wrong("cut in the middle", "the stream was cut", stream=cut_after("data: I am\n\n")),
    wrong("cut in the middle of an event", "the stream was cut in the middle of an event", stream=cut_after("data: I am\n\n", "data: rea")),
    wrong("cut, and ended cleanly", "the reply was cut", stream=frames('data: {"choices":[{"delta":{"content":"I am"},"finish_reason":null}]}\n\n')),
    wrong("cut while a tool was called, and ended cleanly", "the reply was cut", stream=frames('data: {"choices":[{"delta":{"content":"I look."},"finish_reason":"tool_calls"}]}\n\n')),
    wrong("a crash, and then the usual end", "the agent reported an error: no credit", stream=frames('data: {"choices":[{"delta":{},"finish_reason":"error"}],"error":{"message":"no credit"}}\n\n', "data: [DONE]\n\n")),
    wrong("a crash without a word, and then the usual end", "the agent reported an error: it finished with 'error'", stream=frames('data: {"choices":[{"delta":{"content":"I am"},"finish_reason":"error"}]}\n\n', "data: [DONE]\n\n")),
    wrong("a chunk of which a part is lost", "the stream is broken", stream=frames('data: {"choices":[{"delta":{"content":"I am"}}]}\n\n', 'data: {"choices":[{"delta":{"content":" rea\n\n', "data: [DONE]\n\n")),
    wrong("a run of Hermes that fails", "the agent reported an error: no credit", stream=frames('data: {"event":"message.delta","delta":"I am"}\n\n', 'data: {"event":"run.failed","error":"no credit"}\n\n')),
    wrong("silence from the start", "no event yet", stream=silent_after()),
    wrong("silence in the middle", "the turn did not end within", stream=silent_after("data: I am\n\n")),
    wrong("an agent that is not there", "chat was refused with 502", stream=instead_of_a_stream(PlainTextResponse("Bad gateway", 502))),
    wrong("an event without end", "the turn was broken off", stream=frames("data: " + "x" * (1 << 21) + "\n\n", "data: [DONE]\n\n")),
]

UNEXPLAINED = "llm_events names more providers than it counts LLM events"
USAGE = [
    wrong("nothing is counted", "0 (0 before the turn, 0 now), from no provider", spent=lambda it, row: None),
    wrong("rows come too late", "0 (0 before the turn, 0 now), from no provider", usage_after=9.0),
    wrong("the first turn alone is counted", "llm_events does not count another chat", spent=lambda it, row: None if it.usage else Twin.spent(it, row)),
    wrong("a count of one at most", "llm_events does not count another chat", counted=lambda it, row, window: Twin.counted(it, row, window)[:1]),
    wrong("no provider is named", "llm_events names no provider", listed=lambda it, providers: []),
    wrong("a provider without a name", "llm_events names no provider", providers=(" ",)),
    wrong("a window is echoed and ignored", "llm_events counts events older than its window", counted=events(lambda row, event, age, window: event.instance_id == row.id)),
    wrong("a window is of minutes", "llm_events counts events older than its window", counted=lambda it, row, window: Twin.counted(it, row, window * 60)),
    wrong("what is out of one window is thrown away", "llm_events does not count all that is in its window", counted=throws_away),
    wrong("a window is turned round", "the LLM events are not as expected", counted=events(lambda row, event, age, window: event.instance_id == row.id and age > window)),
    wrong("every window is the default one", "llm_events answers for another window than the request asks for", answer=says("llm_events", window_seconds=900)),
    wrong("a window is one more", "llm_events answers for another window than the request asks for", answer=says("llm_events", window_seconds=lambda it, said: said["window_seconds"] + 1)),
    wrong("looking counts as well", "llm_events counts events older than its window", answer=grows("llm_events", "count")),
    wrong("providers of no events", UNEXPLAINED, listed=lambda it, providers: ["anthropic"]),
    wrong("providers of other instances, too", UNEXPLAINED, answer=says("llm_events", providers=providers_of(lambda event, said, age: age <= said["window_seconds"]))),
    wrong("providers of other instances, of any age", UNEXPLAINED, answer=says("llm_events", providers=providers_of(lambda event, said, age: True))),
    wrong("providers of any age", UNEXPLAINED, answer=says("llm_events", providers=providers_of(lambda event, said, age: event.instance_id == said["instance_id"]))),
    wrong("a provider is invented", UNEXPLAINED, listed=lambda it, providers: [*providers, "openai"] if providers else []),
    wrong("a provider in two spellings", UNEXPLAINED, listed=lambda it, providers: [*providers, *map(str.title, providers)]),
    wrong("turns are counted, and providers of rows named", UNEXPLAINED, spent=leaves(2), providers=("openai", "anthropic"), answer=says("llm_events", count=lambda it, said: said["count"] // 2)),
    wrong("a count comes later than its providers", UNEXPLAINED, answer=says("llm_events", count=count_comes_later(1.0))),
    wrong("LLM events can't be counted", "llm_events was refused with 400", found=refuses("llm_events", 400)),
    wrong("LLM events are not found", "llm_events was refused with 404", found=refuses("llm_events", 404)),
]

NEAR = {
    "an empty token": lambda given, right: given.startswith("Bearer") and not bare(given),
    "a token's beginning": of_tokens(lambda given, right: len(given) > 7 and right.startswith(given)),
    "a token's end": of_tokens(lambda given, right: len(given) > 7 and right.endswith(given)),
    "a token that goes on": of_tokens(lambda given, right: given.startswith(right)),
    "a token of the same length": of_tokens(lambda given, right: len(given) == len(right)),
    "a token with the same beginning": of_tokens(lambda given, right: given[:8] == right[:8]),
    "a token with the same end": of_tokens(lambda given, right: given[-8:] == right[-8:]),
    "a token with one character changed": of_tokens(lambda given, right: len(given) == len(right) and sum(map(str.__ne__, given, right)) < 2),
    "a token in another case": of_tokens(lambda given, right: given.lower() == right.lower()),
    "any scheme": lambda given, right: given.split()[-1:] == right.split()[-1:],
    "a token without a scheme": lambda given, right: given == bare(right),
}
"""How a header may be near to the right one, as bad comparisons have it."""

TOKENS = [
    *(wrong(f"{call}: {near} is taken", f"{call} does not refuse a", allows=lets_in(call, same)) for near, same in NEAR.items() for call in CALLS),
    *(wrong(f"{near} is taken everywhere", "does not refuse a", allows=lets_in("any", same)) for near, same in NEAR.items()),
]

LATER = [
    *(wrong(f"a refused deletion is carried out {after} s later", "delete refused a*token, but the instance was deleted", **acts_later("delete", delete_it, after)) for after in (0.3, 1.0, 1.5)),
    *(wrong(f"a refused chat costs {after} s later", "a refused chat has left LLM events", **acts_later("chat", chat_with_it, after)) for after in (0.3, 1.0, 1.5)),
    *(wrong(f"a refused provision is carried out {after} s later", "CONFLICT: *-stranger_missing", hurried=False, **acts_later("provision", Twin.provision, after)) for after in (1.5, 2.5)),
    wrong("a refused chat costs at once", "a refused chat has left LLM events", refuse=refuses_after(chat_with_it, "chat")),
    wrong("a message that is too long is rejected, and costs", "a refused chat has left LLM events", reject=reject_and_spend),
]

WINDOW = "llm_events does not count over windows of seconds"
WINDOWS = [
    wrong("a window is half as long", WINDOW, counted=older(lambda window: window / 2)),
    wrong("a window is twice as long", WINDOW, counted=older(lambda window: window * 2)),
    wrong("a window is a third", WINDOW, counted=older(lambda window: window / 3)),
    wrong("a window is a tenth", WINDOW, counted=older(lambda window: window / 10)),
    wrong("a window is of milliseconds", WINDOW, counted=older(lambda window: window / 1000)),
    wrong("a window is of hours", "llm_events counts events older than its window", counted=older(lambda window: window * 3600)),
    wrong("a window is of whole minutes", WINDOW, counted=older(lambda window: window // 60 * 60)),
    wrong("a window is of ten seconds each", WINDOW, counted=older(lambda window: window // 10 * 10)),
    wrong("a window is a minute at least", "llm_events counts events older than its window", counted=older(lambda window: max(window, 60))),
    wrong("a window is its square", WINDOW, counted=older(lambda window: window * window)),
]

ACCOUNTS = [
    wrong("usage goes to the first instance", WHOSE, spent=spends(the_first)),
    wrong("usage goes to the newest instance", WHOSE, spent=spends(the_newest)),
    wrong("usage goes to another instance", WHOSE, spent=spends(another)),
    wrong("usage goes to another instance, too", WHOSE, spent=spends(itself, another)),
    wrong("usage goes to all instances", WHOSE, spent=lambda it, row: [Twin.spent(it, each) for each in it.rows]),
    wrong("usage goes to the first instance, too", "LLM events of one instance are counted for another, too", spent=spends(itself, the_first)),
    wrong("the first instance alone is counted", "llm_events does not count another chat", spent=lambda it, row: Twin.spent(it, row) if row is the_first(it, row) else None),
]

FIELDS = [
    *(wrong(f"{name} may be missing", f"the router does not reject a provision without {name}", optional=frozenset({name})) for name in ("manifest_id", "region_id", "tier_id")),
    wrong("a message may be missing", "the router does not reject a chat without message", optional=frozenset({"message"})),
    wrong("any field may be missing", "the router does not reject a provision without", optional=frozenset({"manifest_id", "region_id", "tier_id", "message"})),
    wrong("a missing field is a bad request", "a provision without*422*refused with 400", reject=faults_named(400, "missing", "Bad request")),
    wrong("a missing field is not found", "a provision without*422*refused with 404", reject=faults_named(404, "missing", "Not found")),
    wrong("a missing field is not named", "does not name only", reject=faults_named(422, "missing", "Unprocessable")),
    wrong("a missing field is told as another", "does not name only*body.agent_name", reject=faults_named(422, "missing", [{"loc": ["body", "agent_name"], "msg": "no", "type": "t"}])),
]

TWO = "there is a second instance for one key"
BODIES = [
    *(wrong(f"one key and another {name} make two", TWO, provision=keyed_by(name)) for name in ("manifest_id", "region_id", "tier_id", "agent_name")),
    *(wrong(f"one key and another {name} make two, and poll names the second", TWO, provision=keyed_by(name), named=newest_of_key, answer=says("provision", instance_id=None)) for name in ("manifest_id", "region_id", "tier_id", "agent_name")),
    wrong("one key and another body make two", TWO, provision=keyed_by("manifest_id", "region_id", "tier_id", "agent_name")),
    wrong("one key boots anew each time", "a second provision changed the instance", **boots_anew()),
    wrong("one key deletes what it had", TWO, provision=provisions_again(Twin.delete)),
]
# fmt: on

WRONG = {
    "authorization": AUTHORIZATION,
    "isolation": ISOLATION,
    "identity": IDENTITY,
    "limits": LIMITED,
    "defaults": DEFAULTS,
    "forms": FORMS,
    "lifecycle": LIFECYCLE,
    "stream": STREAM,
    "usage": USAGE,
    "tokens": TOKENS,
    "later": LATER,
    "windows": WINDOWS,
    "accounts": ACCOUNTS,
    "fields": FIELDS,
    "bodies": BODIES,
}
"""All of them, by class."""
