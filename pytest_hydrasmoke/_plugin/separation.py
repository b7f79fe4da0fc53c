"""What a run says of tests that chat with one agent, where nothing keeps them apart."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from pytest_hydrasmoke._journal.story import Story

from .bundled_checks import PACKAGE

CONTINUES = "hydra_smoke_continues"
"""The marker of a test that means to go on with what an earlier one has said."""
_Scene = tuple[str, int | None]
"""A test, and the run of its body where it has several."""


def unseparated(stories: Iterable[Story], continuing: Collection[str]) -> Iterator[str]:
    """Yield a line if an agent may remember what another test, or run of one, has told it.

    A test that has the marker means it; the bundled checks ask nothing that could be remembered.
    """
    together = max((_together(it, continuing) for it in stories), key=len, default=())
    tests = {test for test, _ in together}
    if together:
        what = f"{len(tests)} tests" if len(tests) > 1 else f"{len(together)} runs of a test"
        yield f"note: {what} share one agent's memory (set new_conversation)"


def _together(story: Story, continuing: Collection[str]) -> Sequence[_Scene]:
    """Return who chatted with a shared instance, if another than the first has not meant it."""
    turns = sorted(story.chats.turns, key=lambda it: it.at)
    named = ((it.turn.test, it.turn.run) for it in turns)
    scenes = [*dict.fromkeys((it, run) for it, run in named if it and not it.startswith(PACKAGE))]
    shared = story.share is not None or story.attached
    return scenes if shared and any(it not in continuing for it, _ in scenes[1:]) else ()
