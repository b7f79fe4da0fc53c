"""What a process holds as long as it takes part in a run, and lets go of at the run's end."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import cached_property, partial
from typing import TYPE_CHECKING

from pytest_hydrasmoke._base.forks import generation
from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._core.incoming import Reading
from pytest_hydrasmoke._core.instance import Instance
from pytest_hydrasmoke._journal.journal import Journal, Tail
from pytest_hydrasmoke._run.ledger import Ledger
from pytest_hydrasmoke._run.locks import MAIN
from pytest_hydrasmoke._run.run import Run
from pytest_hydrasmoke._run.run_stage import RunStage

from .context import RunContext

if TYPE_CHECKING:
    from pytest_hydrasmoke.fake.replay import Replay


class Resources:
    """The ledger and the journal of a process, its signals, and what it owns of the run."""

    def __init__(self, context: RunContext, interrupts: Interrupts) -> None:
        self._context = context
        self._generation = generation()
        config, scrub = context.config, context.scrub
        self.interrupts = interrupts
        self.ledger = Ledger(
            config.output, config.run_id, fake=context.fake, commands=config.commands, clean=scrub
        )
        self.ledger.begin(context.shares_as)
        name = context.worker or MAIN
        # One that is a run of its own here writes beside the others, which are read as they write.
        folder = context.beside or self.ledger.folder
        self.journal = Journal(folder, name, config.run_id, scrub, replies=config.report_replies)
        self.tail = Tail(folder, name)
        self.stage = RunStage()
        """Who is on stage; pytest's, once that is there."""
        self.replay: Replay | None = None
        """The replay of recordings that plays the router, if one does."""
        self._held = ExitStack()
        if context.router is not None:
            self._held.push(context.router)
        self._held.callback(interrupts.leave)
        self._held.callback(self.ledger.end)
        if context.is_owner:
            self._held.callback(self.journal.discard, self.ledger.folder)

    @property
    def forked(self) -> bool:
        """Whether this is a child forked by a test, which takes no part in the run."""
        return generation() != self._generation

    @cached_property
    def run(self) -> Run:
        """What this process owns; created at first use, when all hooks are known."""
        context = self._context
        run = Run(
            context.config,
            self.ledger,
            self.interrupts,
            self.reading,
            self.stage,
            absent=context.absent,
            replay=self.replay,
            journal=self.journal,
        )
        if context.router is not None:
            from pytest_hydrasmoke.fake.router import to_come

            run.policy.router.to_come = partial(to_come, context.router)
        run.policy.router.lag = context.lag
        return run

    @property
    def instances(self) -> Sequence[Instance]:
        """The instances of this process: a list that grows, once it uses any."""
        return self.run.instances if "run" in vars(self) else ()

    @cached_property
    def reading(self) -> Reading:
        """How events are understood: calls the hooks only if a plugin implements them."""
        hook = self._context.pytestconfig.hook
        text, end = hook.pytest_hydra_smoke_chat_text, hook.pytest_hydra_smoke_chat_end
        return Reading(
            (lambda event: text(event=event)) if text.get_hookimpls() else None,
            (lambda event: end(event=event)) if end.get_hookimpls() else None,
            self._context.config.report_replies,
        )

    def end(self) -> None:
        """Let go of all that this process holds, as the last thing in a run."""
        self._held.close()
