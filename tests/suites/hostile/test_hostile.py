"""Tests that do with a hostile reply what tests do with replies, and fail."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable

import pytest

from pytest_hydrasmoke import ChatTurn, HydraSmokeError, SmokeClient, SmokeInstance

logger = logging.getLogger("tests")


def compared(turn: ChatTurn) -> None:
    assert turn.text == "ready"


def compared_in_lines(turn: ChatTurn) -> None:
    assert f"first\n{turn.text}\nlast" == f"first\n{turn.text}!\nlast"


def found(turn: ChatTurn) -> None:
    assert "ready" in turn.text


def not_found(turn: ChatTurn) -> None:
    assert turn.text[:20] not in f"so said {turn.text} it"


def told(turn: ChatTurn) -> None:
    raise AssertionError(turn.text)


def told_with_a_note(turn: ChatTurn) -> None:
    error = ValueError(f"first line\n{turn.text}")
    error.add_note(turn.text)
    raise error


def in_words(turn: ChatTurn) -> None:
    pytest.fail(turn.text, pytrace=False)


def chained(turn: ChatTurn) -> None:
    try:
        raise LookupError(turn.text)
    except LookupError as error:
        raise OSError(f"second\r{turn.text}") from error


def skipped(turn: ChatTurn) -> None:
    pytest.skip(turn.text)


def expected(turn: ChatTurn) -> None:
    pytest.xfail(turn.text)


def counted(turn: ChatTurn) -> None:
    turn.expect_llm_events(at_least=99, timeout=0.01)


WAYS: tuple[Callable[[ChatTurn], None], ...] = (
    compared,
    compared_in_lines,
    found,
    not_found,
    told,
    told_with_a_note,
    in_words,
    chained,
    skipped,
    expected,
    counted,
)
REPLIES = range(int(os.environ["HOSTILE_REPLIES"]))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("number", REPLIES)
def test_reply(smoke_instance: SmokeInstance, number: int, way: Callable[[ChatTurn], None]) -> None:
    turn = smoke_instance.chat(f"say {number}")
    print(turn.text)
    print(f"in a line {turn.text}")
    logger.warning(turn.text)
    warnings.warn(turn.text, stacklevel=1)
    way(turn)


@pytest.mark.parametrize("number", REPLIES)
def test_refusal(smoke_client: SmokeClient, smoke_instance: SmokeInstance, number: int) -> None:
    try:
        smoke_client.poll(f"refuse-{number}")
    except HydraSmokeError as error:
        print(error)
        logger.warning("%s", error)
    smoke_instance.chat(f"fail {number}")
