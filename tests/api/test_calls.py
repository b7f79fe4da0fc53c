"""The six calls: what is sent, and what each answer means."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import scripted_io as io
from asking import AGAIN, ANSWERS, CODES, GOOD, Answered, Recorded, ask
from scripted_io import ID, KEY, NOT_FOUND, START, reply, stream

import pytest_hydrasmoke as hydra
from pytest_hydrasmoke._api.calls import FIRST_WORDS, RECORD_THEM, Calls
from pytest_hydrasmoke._api.models import Rows, check_explained, plain_id
from pytest_hydrasmoke._transport.protocol import Answer, drive
from pytest_hydrasmoke.fake.replay import AllAsked

PREFIX = "/internal/v1/smoke"
INSTANCE = f"{PREFIX}/instances/{ID}"
SPEC = {"manifest_id": "hermes-basic", "region_id": "eu-central", "tier_id": "tier-1"}
SENT: dict[str, tuple[str, str, Any]] = {
    "provision": ("POST", f"{PREFIX}/provision", {"idempotency_key": KEY, **SPEC}),
    "poll": ("GET", f"{PREFIX}/instances/by-key/{KEY}", None),
    "status": ("GET", INSTANCE, None),
    "chat": ("POST", f"{INSTANCE}/chat", {"message": "hello"}),
    "llm_events": ("GET", f"{INSTANCE}/llm-events?window_seconds=900", None),
    "delete": ("DELETE", INSTANCE, None),
}
NEXT_DOOR = {"chat": ("hello",), "llm_events": (900,)}


@pytest.mark.parametrize("name", SENT)
def test_a_call_sends_what_the_routers_page_says(name: str) -> None:
    asked, _ = ask(name, GOOD[name](), deadline=START + 7)
    [sent] = asked.sent
    request = sent.request
    assert (request.call, sent.deadline) == (name, START + 7)
    assert (request.method, request.path, request.body) == SENT[name]
    assert request.accept == ("text/event-stream" if name == "chat" else "application/json")


def test_what_need_not_be_given_is_sent_only_if_it_is() -> None:
    asked, calls = io.calls_of(None, provision=[io.accepted()], llm_events=[io.events(1, "openai")])
    drive(calls.provision(io.SPEC.model_copy(update={"agent_name": "scout"}), KEY))
    drive(calls.llm_events(ID, None))
    assert asked.sent[0].request.body == {**SENT["provision"][2], "agent_name": "scout"}
    assert asked.sent[1].request.path == f"{INSTANCE}/llm-events"


@pytest.mark.parametrize("name", [it for it in SENT if it != "provision"])
def test_ids_and_keys_stay_in_their_place_in_the_path(name: str) -> None:
    asked, calls = io.calls_of(None, **{name: [NOT_FOUND]})
    more = NEXT_DOOR.get(name, ())
    with contextlib.suppress(hydra.NotFoundError):
        drive(getattr(calls, name)("../a?b", *more))
    path = SENT[name][1].replace(ID, "..%2Fa%3Fb").replace(KEY, "..%2Fa%3Fb")
    assert asked.sent[0].request.path == path
    with pytest.raises(hydra.ConfigError):
        drive(getattr(calls, name)("..", *more))
    assert len(asked.sent) == 1, "no path can name that"


UNAUTHORIZED = hydra.UnauthorizedError
KINDS = {401: UNAUTHORIZED, 403: UNAUTHORIZED, 404: hydra.NotFoundError, 422: hydra.RejectedError}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_call_that_meets_a_status_code(name: str) -> None:
    for code in CODES:
        first = reply(code, {"detail": "no"}, retry_after="3")
        asked, came = ask(name, first, GOOD[name]())
        if code in AGAIN[name]:
            assert (len(asked.sent), asked.sleeps) == (2, [3.0])
            assert not isinstance(came, hydra.HydraSmokeError)
            continue
        assert (len(asked.sent), asked.sleeps) == (1, []), "it is asked once"
        if code not in ANSWERS[name] and (name, code) != ("poll", 404):
            wrong_success = hydra.ContractError if code < 300 else hydra.RouterError
            assert type(came) is KINDS.get(code, wrong_success)
            assert came.message.startswith(name)


@pytest.mark.parametrize("name", ANSWERS)
def test_a_call_whose_answer_does_not_come(name: str) -> None:
    for fault in (io.refused(), io.lost(), io.late()):
        asked, came = ask(name, fault, GOOD[name]())
        if name == "chat" and fault.reached:
            assert len(asked.sent) == 1, "a turn that may have been taken is never asked for again"
            assert type(came) is type(fault)
            assert (came.reached, came.late) == (True, fault.late)
        else:
            assert len(asked.sent) == 2
            assert not isinstance(came, hydra.HydraSmokeError)


def test_a_call_that_is_asked_again_sends_the_very_same_request() -> None:
    asked, _ = ask("provision", io.lost(), reply(503), reply(408), io.accepted())
    assert len({repr(sent.request) for sent in asked.sent}) == 1
    assert asked.calls_sent() == ["provision"] * 4


# --- answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(set(ANSWERS) - {"chat"}))
def test_a_good_code_with_a_broken_body_is_not_asked_again(name: str) -> None:
    asked, error = ask(name, reply(200, b"<html>"))
    assert isinstance(error, hydra.ContractError)
    assert len(asked.sent) == 1


def test_a_key_without_a_row_is_not_found_however_that_is_said() -> None:
    for answer in (io.NO_ROW, reply(200, {"found": False}), NOT_FOUND, reply(404, b"<html>")):
        _, found = ask("poll", answer)
        assert (found.found, found.instance_id, found.status) == (False, None, None)
    # Whoever needs to know is told which it was.
    _, calls = io.calls_of(None, poll=[NOT_FOUND])
    with pytest.raises(hydra.NotFoundError) as caught:
        drive(calls.find(KEY))
    assert caught.value.form is not None
    assert caught.value.form.fields == ("detail",)


@pytest.mark.parametrize(("code", "kind"), [(404, hydra.NotFoundError), (200, hydra.ContractError)])
def test_what_no_router_has_has_no_answer(code: int, kind: type[hydra.HydraSmokeError]) -> None:
    asked, calls = io.calls_of(None, missing=[reply(code, {"detail": "Not Found"})])
    with pytest.raises(kind, match=r"^missing "):
        drive(calls.missing("no-such-call", deadline=START + 7))
    [sent] = asked.sent
    request = sent.request
    told = (request.method, request.path, request.body, sent.deadline)
    assert told == ("GET", f"{PREFIX}/no-such-call", None, START + 7)


def test_a_provider_without_an_llm_event_is_against_the_contract() -> None:
    doubtful = io.events(1, "openai", "anthropic", "openai")
    asked, error = ask("llm_events", doubtful, ..., deadline=START + 7)
    assert isinstance(error, hydra.ContractError)
    words = ("no more than 1: an LLM event of each", "2: anthropic, openai")
    assert (error.expected, error.got) == words
    # Its row may have come between the names and the count.
    assert [it.deadline for it in asked.sent] == [START + 7] * 2
    assert ask("llm_events", doubtful, reply(200, b"x"))[1].message.startswith("llm_events ")
    # Since an earlier count, only new names need new rows.
    _, calls = io.calls_of(None, llm_events=[io.events(1, "a", "b")])
    drive(calls.count_llm_events(ID, 900, before=Rows(1, frozenset("ab"))))
    before = Rows(2, frozenset("abc"))
    check_explained(Rows(3, frozenset("abcd")), before)
    told = "^llm_events names more providers than it counts LLM events since 2 were counted\n"
    with pytest.raises(hydra.ContractError, match=told) as caught:
        check_explained(Rows(1, frozenset("abcd")), before)
    assert (caught.value.expected, caught.value.got) == (words[0].replace("1", "0"), "1: d")


@pytest.mark.parametrize("code", [404, 409, 410])
def test_to_delete_what_is_gone_is_to_have_deleted_it(code: int) -> None:
    _, answer = ask("delete", reply(code, b"anything"))
    assert (answer.instance_id, answer.status) == (ID, "deleted")


def test_how_a_router_answers_for_a_deletion_is_told() -> None:
    answers = [io.deleted(), reply(204), *(reply(code, b"x") for code in (404, 409, 410))]
    other = reply(200, {"instance_id": io.OTHER_ID, "status": "deleting"})
    _, calls = io.calls_of(None, delete=[*answers, other])
    codes = [drive(calls.ask_to_delete(ID, deadline=START + 7)) for _ in answers]
    assert codes == [200, 204, 404, 409, 410]
    with pytest.raises(hydra.ContractError, match="another instance"):
        drive(calls.ask_to_delete(ID, deadline=START + 7))


ABOUT = {
    "status": {"status": "running", "hostname": None},
    "llm_events": {"count": 0, "providers": [], "window_seconds": 900},
    "delete": {"status": "deleting"},
}


@pytest.mark.parametrize("name", ABOUT)
def test_an_answer_is_about_the_instance_however_its_id_is_spelled(name: str) -> None:
    def answered(by: str) -> Any:
        return ask(name, reply(200, {**ABOUT[name], "id": by, "instance_id": by}))

    for spelled in (ID.upper(), ID.replace("-", "")):
        found = answered(spelled)[1].model_dump()
        assert found.get("id", found.get("instance_id")) == spelled
    asked, error = answered(io.OTHER_ID)
    assert type(error) is hydra.ContractError
    assert error.message == f"{name} answered for another instance"
    assert (error.expected, error.got) == (ID, io.OTHER_ID)
    assert error.next_step == "tell the router's developers: it does not keep its instances apart"
    assert len(asked.sent) == 1
    for word in ("", "no-id", "g" * 32, "{}"):
        assert plain_id(word) == plain_id(word.upper()) == word, "it is compared as it stands"


# --- chats -----------------------------------------------------------------------------------


def test_a_chat_gives_its_stream_open_and_the_time_of_its_request() -> None:
    opened = stream(b"data: hi\n\n")
    _, (given, asked_at) = ask("chat", io.Took(0.5, opened))
    assert (given is opened, opened.closed, asked_at) == (True, 0, START)
    asked, (_, asked_at) = ask("chat", reply(409, retry_after="5"), stream(b""))
    assert asked_at == START + 5, "it began when it was accepted"
    assert [it.closed for it in asked.opened] == [1, 0], "a refusal's stream is let go of"
    for kind in ("text/event-stream; charset=utf-8", " Text/Event-Stream ;x=y"):
        assert ask("chat", stream(b"", kind=kind))[1][0].closed == 0


def test_a_refusal_is_read_to_its_end_and_reads_the_routers_words() -> None:
    asked, error = ask("chat", stream(b'{"detail": "no', b' agent"}', status=400))
    assert error.message == "chat was refused with 400: no agent"
    assert asked.opened[0].closed == 1
    # Where its words are lost, so is the answer.
    asked, error = ask("chat", stream(io.lost(), status=503))
    assert isinstance(error, hydra.TransportError)
    assert (error.reached, asked.opened[0].closed) == (True, 1)


PAGE = b"<html><head><title>Sign in</title></head><body>much more</body></html>"
PLAIN = "content-type: text/event-stream"
# What is in an answer's headers, and in its body; what it is taken for.
NO_STREAMS: list[tuple[dict[str, str], bytes, str]] = [
    ({"kind": "application/json"}, b"x", "application/json, which says: x"),
    ({"kind": "text/html; charset=x"}, b"x", "text/html; charset=x, which says: x"),
    ({"kind": "text/event-streams"}, b"", "text/event-streams"),
    ({"kind": "\x1b##[x]"}, b"x", "\\x1b# #[x], which says: x"),
    ({"kind": ""}, b"x", "(none), which says: x"),
    (
        {"kind": "text/html", "server": "gate/2", "via": "1.1 edge"},
        PAGE,
        "text/html, which says: Sign in (answered by gate/2, via 1.1 edge)",
    ),
]


@pytest.mark.parametrize(("headers", "body", "got"), NO_STREAMS)
def test_a_chat_answered_by_anything_else_is_against_the_contract(
    headers: dict[str, str], body: bytes, got: str
) -> None:
    answer = stream(body, **headers)
    asked, error = ask("chat", answer)
    assert type(error) is hydra.ContractError
    assert str(error) == (
        "chat answered with something other than an event stream\n"
        "  expected:  content-type: text/event-stream\n"
        f"  got:       content-type: {got}\n"
        "  next step: find out what answers in the agent's place"
    )
    assert error.answer == Answer(200, answer.headers, b"")
    assert (asked.opened[0].closed, answer.deadlines) == (1, [START + FIRST_WORDS])


def test_what_is_no_stream_and_says_nothing_is_not_waited_for() -> None:
    for left, waited in ((50.0, FIRST_WORDS), (FIRST_WORDS / 2, FIRST_WORDS / 2)):
        silent = stream(io.HANG, kind="text/html")
        asked, error = ask("chat", silent, deadline=START + left)
        assert error.got == "content-type: text/html"
        assert asked.waited == waited
    nothing = stream(b"")
    nothing.headers = {}
    assert ask("chat", nothing)[1].got == "content-type: (none)"


def test_a_chat_in_an_encoding_or_a_charset_that_no_event_stream_can_have_is_named() -> None:
    asked, error = ask("chat", stream(b"\x8b\x02", content_encoding="br", server="edge"))
    assert str(error) == (
        "chat answered in an encoding that was not asked for\n"
        "  expected:  no content-encoding, as the request says\n"
        "  got:       content-encoding: br (answered by edge, text/event-stream, encoded as br)\n"
        "  next step: switch compression off for the router's paths, at the router or at the "
        "gateway in front of it"
    )
    assert asked.opened[0].closed == 1
    asked, error = ask("chat", stream(b"x", kind="text/event-stream; charset=UTF-16"))
    assert str(error) == (
        "chat answered in a charset that no event stream can have\n"
        "  expected:  charset=utf-8, or none\n"
        "  got:       content-type: text/event-stream; charset=UTF-16 "
        "(answered by an unnamed server, text/event-stream; charset=UTF-16)\n"
        "  next step: correct the charset at the router, or at the gateway in front of it"
    )
    assert asked.opened[0].closed == 1


# --- a replay --------------------------------------------------------------------------------

UNCOUNTED = "the LLM events of 'hello' were not counted then"
REFUSED, STANDS = Answered(refused=True), Answered(refused=False)


def counts(replay: Recorded | None) -> Calls:
    return Calls(io.ScriptedIO(llm_events=[io.events(1, "openai")]), replay=replay)


def test_a_replay_counts_no_events_that_are_not_recorded_unless_in_part() -> None:
    unknown = Recorded(words=UNCOUNTED)
    with pytest.raises(hydra.LlmEventsError) as caught:
        drive(counts(unknown).llm_events(ID, 900))
    assert (caught.value.message, caught.value.next_step) == (UNCOUNTED, RECORD_THEM)
    in_part = drive(counts(unknown).count_llm_events(ID, 900, in_part=True))
    assert (in_part[0].count, in_part[1]) == (1, None)
    assert drive(counts(None).llm_events(ID, 900)).count == 1


def test_a_replay_alone_says_that_it_will_count_no_more_as_of_the_request() -> None:
    replay = Recorded(known=AllAsked("pytest", all_asked=True))
    assert drive(counts(replay).count_llm_events(ID, 900))[1] == replay.known
    assert drive(counts(None).count_llm_events(ID, 900))[1] is None
    later = Recorded()

    def more(_: Any) -> Any:
        later.known = replay.known
        return io.events(1, "openai")

    calls = Calls(io.ScriptedIO(llm_events=[more]), replay=later)
    assert drive(calls.count_llm_events(ID, 900))[1] is None


def test_a_replay_says_whether_the_events_of_the_last_chat_were_counted() -> None:
    assert Calls(io.ScriptedIO()).uncounted(ID) is None
    for answer in (None, STANDS, Answered(refused=False, uncounted=UNCOUNTED)):
        words = None if answer is None else answer.uncounted
        assert Calls(io.ScriptedIO(), replay=Recorded(answer=answer)).uncounted(ID) == words


@pytest.mark.parametrize(
    ("before", "now", "attempts"),
    [
        *((None, None, 2), (None, REFUSED, 1), (None, STANDS, 2)),
        # Trouble of the router's, which came before any recording was asked.
        *((REFUSED, None, 2), (REFUSED, Answered(refused=True), 1)),
    ],
)
def test_a_refused_chat_is_asked_again_unless_a_replay_has_answered_it(
    before: Answered | None, now: Answered | None, attempts: int
) -> None:
    replay = Recorded(answer=before)

    def refuse(_: Any) -> Any:
        replay.answer = now or replay.answer
        return reply(503)

    asked = io.ScriptedIO(chat=[refuse, stream(b"data: x\n\n")])
    with contextlib.suppress(hydra.RouterError):
        drive(Calls(asked, replay=replay).chat(ID, "hello"))
    assert asked.calls_sent() == ["chat"] * attempts
