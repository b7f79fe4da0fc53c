"""What a run says of tests that chat with one agent, where nothing keeps them apart."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from pytest_hydrasmoke._journal.story import Story

from .bundled_checks import PACKAGE

CONTINUES = "hydra_smoke_continues"
"""The marker of a test that means to go on with what an earlier one has said."""


def unseparated(stories: Iterable[Story], continuing: Collection[str]) -> Iterator[str]:
    """Yield a line if tests chatted with one agent that may remember what others have said.

    A test that has the marker means it; the bundled checks ask nothing that could be remembered.
    """
    together = max((len([*_tests(it)]) for it in stories if _later(it, continuing)), default=0)
    if together:
        yield f"note: {together} tests share one agent's memory (see new_conversation)"


def _later(story: Story, continuing: Collection[str]) -> bool:
    """Return whether a test other than the first has chatted with a shared one, unmarked."""
    shared = story.share is not None or story.attached
    return shared and any(test not in continuing for test in [*_tests(story)][1:])


def _tests(story: Story) -> Iterable[str]:
    """Return the user's tests that chatted with an instance, in their order."""
    turns = sorted(story.turns, key=lambda it: it.at)
    named = (it.turn.test for it in turns)
    return dict.fromkeys(test for test in named if test and not test.startswith(PACKAGE))
