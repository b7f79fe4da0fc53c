"""What an answer proves, by its form: the rules without any router."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from scripted_io import MALFORMED, NO_ROW, NO_SUCH_PATH, NOT_FOUND, calls_of, forms, reply, status

from pytest_hydrasmoke import RouterError
from pytest_hydrasmoke._base.evidence import TAKEN, Form, Forms, form_of
from pytest_hydrasmoke._core.looks import learn_forms
from pytest_hydrasmoke._transport.protocol import Answer, drive


def form(answer: Answer, asked: str = "") -> Form:
    return form_of(answer.status, answer.headers.get("content-type", ""), answer.body, asked)


def test_a_form_has_no_word_of_what_was_asked_for() -> None:
    one = form(reply(404, {"detail": "no instance aaa"}), "aaa")
    other = form(reply(404, {"detail": "no instance bbb"}), "bbb")
    assert one == other
    assert one != form(reply(404, {"detail": "no agent bbb"}), "bbb")
    assert one == form(reply(404, b'{"detail":"no instance aaa"}\n'), "aaa"), "in other spaces"
    long = b"x" * 4_096
    assert (
        form(reply(404, long + b"a")) == form(reply(404, long + b"b")) != form(reply(404, long[1:]))
    )
    # What is no object has no fields.
    for body in (b"", b"default backend - 404", b"[1]", b"[" * 100_000, b"\xff"):
        assert form(reply(404, body)).fields == ()


def test_not_found_counts_in_the_routers_own_form_alone() -> None:
    known = forms()
    assert known.says_unknown(form(NOT_FOUND))
    wrong: list[Answer] = [
        reply(404, b"default backend - 404"),
        reply(404, {"message": "Instance not found"}),
        reply(404, {"detail": ["Instance not found"]}),
        reply(404, {"detail": "Instance not found"}, content_type="text/html"),
        reply(410, {"detail": "Instance not found"}),
        NO_SUCH_PATH,
        reply(404, b'{"detail":"Not Found"}'),
    ]
    assert not any(known.says_unknown(form(it)) for it in wrong)
    # Each call has its own: this poll answers otherwise, and this status in other words.
    assert not known.says_unknown(form(NOT_FOUND), key=True)
    known = forms(unknown_key=NO_SUCH_PATH)
    told = [known.says_unknown(form(NO_SUCH_PATH), key=key) for key in (False, True)]
    assert told == [False, True]
    # That is what it has answered.
    known = forms(unknown=NO_SUCH_PATH)
    assert known.says_unknown(form(NO_SUCH_PATH))
    assert known.says_unknown(form(NOT_FOUND)), "the form is the same"
    plain = reply(404, b"not found")
    assert not forms(unknown=plain).says_unknown(form(plain)), "a text is nobody's own form"


def test_a_word_that_is_no_id_proves_who_answers_or_its_words_do() -> None:
    known = forms()
    told = [known.is_routers(it) for it in (form(MALFORMED), form(NO_SUCH_PATH), TAKEN)]
    assert told == [True, False, False]
    # Where only words differ, they prove it.
    known = forms(malformed=NOT_FOUND, unknown_key=NOT_FOUND)
    others = NO_SUCH_PATH, reply(404, {"detail": "Something else"})
    assert [known.is_routers(form(it)) for it in (NOT_FOUND, *others)] == [True, False, False]
    assert known.can_prove
    assert not forms(malformed=NOT_FOUND, unknown_key=NO_SUCH_PATH).can_prove, "not of a key's"
    # Who answers everything alike can prove nothing.
    alike = forms(malformed=NO_SUCH_PATH, unknown=NO_SUCH_PATH, unknown_key=NO_SUCH_PATH)
    assert not alike.can_prove
    assert dataclasses.replace(alike, unknown_key=TAKEN).can_prove


def test_words_prove_the_router_only_if_no_wrong_path_has_them() -> None:
    alike = reply(404, {"detail": "Service not found"})
    told = [forms().has_own_words(form(it)) for it in (NOT_FOUND, NO_SUCH_PATH, alike)]
    assert told == [True, False, False]
    assert not forms(unknown=NO_SUCH_PATH).has_own_words(form(NO_SUCH_PATH))


def test_a_key_that_is_answered_as_a_wrong_path_is_proved_by_what_a_stranger_is_told() -> None:
    for stranger, can in (
        (reply(401, {"detail": "Not authenticated"}), True),
        (reply(403, b"<h1>no</h1>"), True),
        (reply(404, {"detail": "Instance not found"}), True),
        (NO_ROW, True),
        (NO_SUCH_PATH, False),
    ):
        answers = {"poll": [NO_SUCH_PATH, stranger], "missing": [NO_SUCH_PATH]}
        io, calls = calls_of(status=[NOT_FOUND, MALFORMED], **answers)
        assert drive(learn_forms(calls, calls.io.now() + 60)).can_prove is can
        asked = [(it.request.call, it.request.anonymous) for it in io.sent][:3]
        assert asked == [("poll", False), ("missing", False), ("poll", True)]
        # A cache may give a stranger what it has kept of an answer to the token.
        assert len({it.request.path for it in io.sent}) == len(io.sent)
    # Where its words are the router's, no stranger asks.
    _, calls = calls_of(poll=[NOT_FOUND], missing=[NO_SUCH_PATH], status=[NOT_FOUND, MALFORMED])
    assert drive(learn_forms(calls, calls.io.now() + 60)).can_prove


def test_a_refusal_in_the_envelope_of_the_routers_errors_alone_made_nothing() -> None:
    for code in (400, 401, 402, 403, 404, 405, 413, 422, 451):
        assert forms().refuses(form(reply(code, {"detail": {"any": "thing"}})))
        assert not forms().refuses(form(reply(code, {"message": "no"})))
        assert not forms().refuses(form(reply(code, b"<h1>no</h1>")))
    for code in (200, 302, 307, 408, 409, 418, 425, 429, 500, 503):
        assert not forms().refuses(form(reply(code, {"detail": "no"})))


def test_forms_travel_in_plain_types() -> None:
    known = forms(unknown_key=NOT_FOUND)
    plain: dict[str, Any] = known.to_plain()
    listed = {
        name: {**it, "fields": [list(pair) for pair in it["fields"]]} for name, it in plain.items()
    }
    assert Forms.from_plain(listed) == known


def test_what_is_taken_where_there_is_nothing_is_learned_as_that() -> None:
    def echoed(request: Any) -> Any:
        asked = request.path.rpartition("/")[2]
        return reply(200, {"id": asked, "hostname": None, "status": "running"})

    _, calls = calls_of(poll=[NO_ROW], missing=[reply(200, {})], status=[echoed, status("running")])
    learned = drive(learn_forms(calls, calls.io.now() + 60))
    assert learned == Forms(TAKEN, TAKEN, TAKEN, TAKEN)
    # Trouble of the moment is no form.
    _, calls = calls_of(poll=[NO_ROW], missing=[reply(503), ...])
    with pytest.raises(RouterError):
        drive(learn_forms(calls, calls.io.now() + 5))
