"""`router.json` among recordings: the router's manners, as live runs have seen them.

The first run makes it, later ones only add to it. A fake that replays the recordings has these
manners, so an answer that is not in it is drift: what is tested offline may differ there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import cast

from pytest_hydrasmoke._base.text import safe_line

from .manners import QUESTIONS, Answers

FORMAT, VERSION = "pytest-hydrasmoke router", 1
ROUTER = "router.json"


class MannersError(ValueError):
    """Raised for a file that can't be read, and so not be updated; says why, and what to do."""


def as_text(answers: Answers) -> str:
    """Return the file's text, one line for each question that was answered."""
    head = f'{{"format": {json.dumps(FORMAT)}, "version": {VERSION}'
    lines = [f"{json.dumps(name)}: {json.dumps(it)}" for name, it in answers.items() if it]
    return ",\n".join([head, *lines]) + "}\n"


def answers_in(text: bytes) -> Answers:
    """Return the answers in a file; raises `MannersError`."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(f"{type(error).__name__}: {error}") from None
    given = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    if given.pop("format", None) != FORMAT:
        raise _damaged("it is not the file that a run writes")
    version = given.pop("version", None)
    if version != VERSION:
        raise MannersError(
            f"it has version {version!r} of the format, and this release writes {VERSION}: update "
            "pytest-hydrasmoke, or move it away, and a run makes it anew"
        )
    if any(not isinstance(answers, list) for answers in given.values()):
        raise _damaged("not every question in it has a list of answers")
    return cast("Answers", given)


def _damaged(why: str) -> MannersError:
    return MannersError(
        f"it is damaged: {why}: mend it, for example from version control, or move it away, "
        "and a run makes it anew"
    )


def joined(known: Answers, seen: Answers) -> Answers:
    """Return all answers, the known ones first: what earlier runs have seen is not lost."""
    new = unknown(known, seen)
    return {name: [*known.get(name, ()), *new.get(name, ())] for name in {**known, **new}}


def unknown(known: Answers, seen: Answers) -> Answers:
    """Return the answers that are not among the known ones."""
    new = {
        name: [it for it in answers if it not in known.get(name, ())]
        for name, answers in seen.items()
    }
    return {name: answers for name, answers in new.items() if answers}


def in_words(answers: Answers) -> Iterator[str]:
    """Yield a line for each question that was answered, and how."""
    for name, question in QUESTIONS.items():
        if answers.get(name):
            yield f"{question}: {_words(answers[name])}"


def drift(known: Answers, seen: Answers) -> Iterator[str]:
    """Yield a line for each answer that a file does not know, beside those that it knows."""
    for name, answers in unknown(known, seen).items():
        before = _words(known.get(name, ())) or "nothing"
        yield f"drift: {QUESTIONS[name]}: {_words(answers)}, and {ROUTER} has {before}"


def _words(answers: Sequence[object]) -> str:
    # A router may use any words, and any number of them.
    return safe_line(", ".join(map(_word, answers)), 300)


def _word(answer: object) -> str:
    if isinstance(answer, bool):
        return "yes" if answer else "no"
    return answer if isinstance(answer, str) else json.dumps(answer)
