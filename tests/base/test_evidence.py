"""What an answer proves, by its form and beside its controls: the rules without any router."""

from __future__ import annotations

import pytest
from scripted_io import MALFORMED, NO_SUCH_PATH, NOT_FOUND, form, reply

from pytest_hydrasmoke._base.evidence import (
    TAKEN,
    Absent,
    may_be_refusal,
    proves_router,
    says_unknown,
)
from pytest_hydrasmoke._transport.protocol import Answer

OTHER_WORDS = reply(404, {"detail": "There is none"})
MORE_FIELDS = reply(404, {"detail": "Instance not found", "code": 7})
GONE = reply(410, {"detail": "It was deleted"})
PLAIN = reply(404, b"default backend - 404")


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


def unknown(
    answer: Answer, own: list[Answer], missing: Answer = NO_SUCH_PATH, *, bare: bool = False
) -> bool:
    return says_unknown(form(answer), [*map(form, own)], [form(missing)], Absent(bare=bare))


@pytest.mark.parametrize(
    ("answer", "own", "missing", "is_unknown"),
    [
        # By its words, where a wrong path is answered in the same fields.
        (NOT_FOUND, [NOT_FOUND], NO_SUCH_PATH, True),
        (OTHER_WORDS, [NOT_FOUND], NO_SUCH_PATH, False),
        (OTHER_WORDS, [NOT_FOUND, OTHER_WORDS], NO_SUCH_PATH, True),
        (NO_SUCH_PATH, [NO_SUCH_PATH], NO_SUCH_PATH, False),
        # By its shape, where that is no wrong path's.
        (OTHER_WORDS, [NOT_FOUND], PLAIN, True),
        (MORE_FIELDS, [NOT_FOUND], PLAIN, False),
        (MORE_FIELDS, [NOT_FOUND, MORE_FIELDS], PLAIN, True),
        (reply(404, {"code": 7, "detail": "x"}), [MORE_FIELDS], PLAIN, True),
        # 410 is of what was there, so that no random id has it.
        (GONE, [NOT_FOUND], NO_SUCH_PATH, True),
        (GONE, [NOT_FOUND], GONE, False),
        (NOT_FOUND, [GONE], NO_SUCH_PATH, False),
        (GONE, [PLAIN], NO_SUCH_PATH, False),
        # A text is nobody's own.
        (PLAIN, [PLAIN], NO_SUCH_PATH, False),
        (reply(404, {"detail": "x"}, content_type="text/html"), [OTHER_WORDS], PLAIN, False),
    ],
)
def test_an_id_is_unknown_where_it_is_answered_as_random_ones_and_not_as_a_wrong_path(
    answer: Answer, own: list[Answer], missing: Answer, is_unknown: bool
) -> None:
    assert unknown(answer, own, missing) is is_unknown


def test_what_a_random_id_is_taken_for_makes_nothing_unknown() -> None:
    assert not says_unknown(form(NOT_FOUND), [TAKEN], [form(NO_SUCH_PATH)], Absent())
    assert not says_unknown(form(NOT_FOUND), [], [form(NO_SUCH_PATH)], Absent())


def test_where_unknown_ids_were_answered_as_wrong_paths_they_still_may_be() -> None:
    assert unknown(NO_SUCH_PATH, [NO_SUCH_PATH], bare=True)
    assert unknown(NOT_FOUND, [NOT_FOUND], bare=True)
    assert not unknown(NO_SUCH_PATH, [NOT_FOUND], bare=True)
    assert not unknown(PLAIN, [PLAIN], PLAIN, bare=True)


def test_a_rejected_word_proves_the_router_where_a_wrong_path_is_answered_otherwise() -> None:
    for word, missing, proves in (
        (MALFORMED, NO_SUCH_PATH, True),
        (reply(400, {"detail": "no"}), NO_SUCH_PATH, True),
        (MALFORMED, reply(422, {"detail": "any"}), False),
        (reply(422, b"<h1>no</h1>"), NO_SUCH_PATH, False),
        (NOT_FOUND, NO_SUCH_PATH, False),
        (reply(401, {"detail": "no"}), NO_SUCH_PATH, False),
    ):
        assert proves_router(form(word), [form(missing)]) is proves
    assert not proves_router(TAKEN, [form(NO_SUCH_PATH)])


def test_what_may_be_the_routers_own_refusal_is_decided_and_speaks_json() -> None:
    for code in (400, 401, 402, 403, 404, 405, 413, 422, 451):
        assert may_be_refusal(form(reply(code, {"detail": {"any": "thing"}})))
        assert not may_be_refusal(form(reply(code, b"<h1>no</h1>")))
    for code in (200, 302, 307, 408, 409, 418, 425, 429, 500, 503):
        assert not may_be_refusal(form(reply(code, {"detail": "no"})))
