"""The call that chats: its stream, and what is no stream."""

from __future__ import annotations

import pytest
from asking import ask
from scripted_io import (
    HANG,
    START,
    Took,
    lost,
    reply,
    stream,
)

from pytest_hydrasmoke import (
    ContractError,
    TransportError,
)
from pytest_hydrasmoke._api.calls import (
    FIRST_WORDS,
)


def test_a_chat_gives_its_stream_open_and_the_time_of_its_request() -> None:
    opened = stream(b"data: hi\n\n")
    _, (given, asked_at) = ask("chat", Took(0.5, opened))
    assert given is opened
    assert opened.closed == 0
    assert asked_at == START


def test_a_chat_that_is_not_accepted_at_once_began_when_it_was() -> None:
    first = reply(409, retry_after="5")
    io, (_, asked_at) = ask("chat", first, stream(b""))
    assert asked_at == START + 5
    assert [it.closed for it in io.opened] == [1, 0], "a refusal's stream is let go of"


def test_a_refusal_is_read_to_its_end_and_reads_the_routers_words() -> None:
    io, error = ask("chat", stream(b'{"detail": "no', b' agent"}', status=400))
    assert error.message == "chat was refused with 400: no agent"
    assert io.opened[0].closed == 1


def test_a_refusal_whose_words_are_lost_is_a_lost_answer() -> None:
    io, error = ask("chat", stream(lost(), status=503))
    assert isinstance(error, TransportError)
    assert error.reached
    assert io.opened[0].closed == 1


def test_a_chat_is_answered_by_an_event_stream() -> None:
    for kind in (
        "text/event-stream",
        "text/event-stream; charset=utf-8",
        " Text/Event-Stream ;x=y",
    ):
        _, (opened, _) = ask("chat", stream(b"", kind=kind))
        assert opened.closed == 0


@pytest.mark.parametrize(
    ("kind", "got"),
    [
        ("application/json", "application/json"),
        ("text/html; charset=x", "text/html; charset=x"),
        ("", "(none)"),
        (None, "(none)"),
        ("text/event-streams", "text/event-streams"),
        ("\x1b##[x]", "\\x1b# #[x]"),
    ],
)
def test_a_chat_answered_by_anything_else_is_against_the_contract(
    kind: str | None, got: str
) -> None:
    answer = stream(b"x", kind=kind or "")
    answer.headers = answer.headers if kind is not None else {}
    io, error = ask("chat", answer)
    assert type(error) is ContractError
    assert str(error) == (
        "chat answered with something other than an event stream\n"
        "  expected:  content-type: text/event-stream\n"
        f"  got:       content-type: {got}, which says: x\n"
        "  next step: find out what answers in the agent's place"
    )
    assert io.opened[0].closed == 1


def test_a_chat_answered_by_a_page_names_its_title_and_its_server() -> None:
    page = b"<html><head><title>Sign in</title></head><body>much more</body></html>"
    answer = stream(page, kind="text/html", server="gate/2", via="1.1 edge")
    io, error = ask("chat", answer)
    assert error.got == (
        "content-type: text/html, which says: Sign in (answered by gate/2, via 1.1 edge)"
    )
    assert io.opened[0].deadlines == [START + FIRST_WORDS]


def test_what_is_no_stream_and_says_nothing_is_not_waited_for() -> None:
    io, error = ask("chat", stream(HANG, kind="text/html"), deadline=START + 50)
    assert error.got == "content-type: text/html"
    assert io.waited == FIRST_WORDS
    io, _ = ask("chat", stream(HANG, kind="text/html"), deadline=START + FIRST_WORDS / 2)
    assert io.waited == FIRST_WORDS / 2


def test_a_chat_in_an_encoding_is_named() -> None:
    io, error = ask("chat", stream(b"\x8b\x02", content_encoding="br", server="edge"))
    assert str(error) == (
        "chat answered in an encoding that was not asked for\n"
        "  expected:  no content-encoding, as the request says\n"
        "  got:       content-encoding: br (answered by edge, text/event-stream, encoded as br)\n"
        "  next step: switch compression off for the router's paths, at the router or at the "
        "gateway in front of it"
    )
    assert io.opened[0].closed == 1


def test_a_chat_in_a_charset_that_no_event_stream_can_have_is_named() -> None:
    io, error = ask("chat", stream(b"x", kind="text/event-stream; charset=UTF-16"))
    assert type(error) is ContractError
    assert error.expected == "charset=utf-8, or none"
    assert error.got == (
        "content-type: text/event-stream; charset=UTF-16 "
        "(answered by an unnamed server, text/event-stream; charset=UTF-16)"
    )
    assert io.opened[0].closed == 1
