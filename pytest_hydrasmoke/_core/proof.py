"""What a row of looks proves of a deletion: pure rules, the same for a run and a sweep.

One look is no proof: a replica lags behind, a status flaps, a row comes back. So each answer is
good for as long as it has held: `PROOFS` says how long, and the docs' table is made of it. One more
rule stands beside them: what was seen alive, and is unknown to its first DELETE, is never proved
gone. A gateway that lies, or an empty database, looks the same.

No proof is trusted for good before a last look, which comes a while later: not before any replica
would know the instance, and what came of the last delete.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from pytest_hydrasmoke._api.models import plain_id

UNASKED = 10.0
"""Seconds for which "not found" must hold if no DELETE was accepted: how far a replica lags."""
UNDER_WAY = 10.0
"""Seconds for which a sweep must see that a deletion is under way."""
KEPT_ROW = 5.0
"""Seconds for which a contradiction must hold."""
KNOWN_ROW = 1.0
"""The same, once a run has seen that its router keeps rows."""
AFTER = 2.0
"""Seconds from a proof to the last look, at least."""
REFUSED_AFTER, MOST_LAG = 3.0, 30.0
"""Seconds from a refusal until a key without a row will not get one: at least, and at most."""
NEXT_LOOK = 1.0
"""Seconds between two looks at what must hold."""
STILL_DELETING = "the router is still deleting it"
VANISHED = "its first DELETE found nothing, although it was seen alive before"

Says = Literal["gone", "under way", "unknown", "contradiction", "alive", "nothing"]


class Proof(NamedTuple):
    """What an answer proves, in words of the docs and in seconds for which it must have held."""

    answer: str
    proves: str
    proves_gone: bool = False
    accepted: float = 0.0
    """The seconds where a DELETE was accepted, or seen under way, and it was not alive since."""
    unasked: float = 0.0
    """The seconds otherwise: the answer may come from a replica that does not know it yet."""
    sweep: float = 0.0
    """The seconds for a sweep, at least, which is patient with a deletion."""


PROOFS: Mapping[Says, Proof] = {
    "gone": Proof(
        "status: a gone word (`gone_statuses`)",
        "gone. If its key names another id, that one is deleted too.",
        proves_gone=True,
    ),
    "under way": Proof(
        'status: `deleting`, or another gone word in "ing"',
        f"gone, until the last look. A sweep accepts it once held for {UNDER_WAY:g} s, for 10 "
        "minutes; its entry stays.",
        proves_gone=True,
        sweep=UNDER_WAY,
    ),
    "unknown": Proof(
        "status: 404 or 410, as for an id that nobody has",
        "gone if a delete was accepted (2xx) and it was not alive since, else once held for "
        f"{UNASKED:g} s",
        proves_gone=True,
        unasked=UNASKED,
    ),
    "contradiction": Proof(
        "the same, but the key names the id with a ready word",
        f"gone once held for {KEPT_ROW:g} s and one more delete finds nothing, or is accepted and "
        f"{UNASKED:g} s pass",
        proves_gone=True,
        accepted=KEPT_ROW,
        unasked=UNASKED,
    ),
    "alive": Proof("status: any other word", "alive: the run deletes again"),
    "nothing": Proof(
        "another 404, a redirect, 5xx, garbage, another id",
        "nothing: something else has answered",
    ),
}
"""What each answer to a look proves."""


def refused_after(row_lag: float) -> float:
    """Return how long after a refusal its key is asked for, in a run whose rows took so long."""
    return max(REFUSED_AFTER, min(2 * row_lag, MOST_LAG))


@dataclass(frozen=True, slots=True)
class Look:
    """What the router says of an instance, at one moment of the IO's clock."""

    at: float
    says: Says
    why: str = ""
    """What was seen, where it is not gone."""
    named: str | None = None
    """The instance that its key names; None if the key has no row."""

    @property
    def says_gone(self) -> bool:
        """Whether it is gone, for all that a single look can show."""
        return self.says in ("gone", "under way", "unknown")


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of one instance: its deletes, and how long its last answer has held."""

    accepted: bool = False
    """Whether a DELETE for it was accepted, or seen under way, and it was not seen alive since."""
    asked: float | None = None
    """When the last DELETE was answered."""
    refused: str | None = None
    """Why that answer was none; None if it was one."""
    found_nothing: bool = False
    """Whether that answer was 404, 409 or 410."""
    look: Look | None = None
    since: float = 0.0
    """Since when the last look's answer has held; looks that prove nothing do not end it."""
    held: tuple[Says, str | None] | None = None
    """That answer, with what the key names."""

    def deleted(self, *, accepted: bool) -> Seen:
        """Add that somebody else has sent a DELETE, which proves nothing by itself."""
        return replace(self, accepted=self.accepted or accepted)

    def answered(self, at: float, *, accepted: bool) -> Seen:
        """Add the answer to a DELETE: 2xx, else 404, 409 or 410."""
        return replace(
            self,
            accepted=self.accepted or accepted,
            asked=at,
            refused=None,
            found_nothing=not accepted,
        )

    def unanswered(self, at: float, why: str) -> Seen:
        """Add a DELETE without an answer that counts."""
        return replace(self, asked=at, refused=why, found_nothing=False)

    def saw(self, look: Look) -> Seen:
        """Add a look."""
        answer = (look.says, look.named)
        # What was accepted before it is seen alive did nothing.
        accepted = (self.accepted or look.says == "under way") and look.says != "alive"
        seen = replace(self, look=look, accepted=accepted)
        if look.says == "nothing" or answer == self.held:
            return seen
        return replace(seen, since=look.at, held=answer)


class Evidence:
    """What a process has seen of the instances of one key: of their request, and their deletion."""

    def __init__(self) -> None:
        self.unknown_outcomes = 0
        """Provision attempts that may have been carried out although no answer says so."""
        self.unknown_deletes = 0
        """DELETE attempts that may have been carried out although no answer says so."""
        self.alive = set[str]()
        """The plain ids that were seen alive, by this process or by an earlier one."""
        self.asked = False
        """Whether this run may have requested a deletion before."""
        self.gone: frozenset[str] = frozenset()
        """The plain ids that were proved gone."""
        self.shown: float | None = None
        """When its key first named the instance, the last one; None if this process can't tell."""
        self._seen = dict[str, Seen]()
        """What was seen since a deletion was asked for, by plain ids."""

    def __getitem__(self, instance_id: str) -> Seen:
        return self._seen.get(plain_id(instance_id), Seen())

    def __setitem__(self, instance_id: str, seen: Seen) -> None:
        self._seen[plain_id(instance_id)] = seen

    def last_look_at(self, proved: float, shown: float, *, in_vain: bool) -> float:
        """Return when the last look is due at what was proved gone, and first shown, at a moment.

        A replica may not know the instance yet. Where a delete was in vain, it may still show what
        that one did, and the next one may do no more.
        """
        seen = self._seen.values() if in_vain else ()
        since = (it.since for it in seen if it.held is not None and it.held[0] == "unknown")
        return max(proved + AFTER, max([shown, *since]) + UNASKED)

    def forget(self, accepted: Iterable[str] = ()) -> None:
        """Forget all looks, which prove nothing; a DELETE for these was `accepted`."""
        self._seen = {plain_id(it): Seen(accepted=True) for it in accepted}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from what was seen."""

    proved: bool = False
    ask: bool = False
    """Whether a further DELETE is due."""
    next_look: float | None = None
    """The moment of the next look; None for any."""
    why: str = ""
    """Why it is not proved."""
    kept_row: bool = False
    """Whether the proof is of a row that was kept."""
    vanished: bool = False
    """Whether all would prove it, had the first DELETE not found nothing."""


def judge(
    seen: Seen,
    *,
    keeps_rows: bool = False,
    patient: bool = False,
    vanished: bool = False,
    last: bool = False,
) -> Verdict:
    """Judge what was seen of one instance, by a `last` look or before it.

    Its router may be known to keep rows. A sweep is `patient` with a deletion under way. Of one
    that has `vanished`, the first DELETE found nothing.
    """
    verdict = _judge(seen, keeps_rows=keeps_rows, patient=patient, last=last)
    found = seen.look is not None and seen.look.says in ("unknown", "contradiction")
    if verdict.proved and vanished and found and not seen.accepted:
        return Verdict(vanished=True, why=VANISHED)
    return verdict


def _judge(seen: Seen, *, keeps_rows: bool, patient: bool, last: bool) -> Verdict:
    look = seen.look
    if last and look is not None and look.says == "under way":
        return Verdict(why=STILL_DELETING)
    if look is None or seen.asked is None:
        return Verdict(ask=True, why="the router was not asked yet")
    rule = PROOFS[look.says]
    if not rule.proves_gone:
        reasons = [why for why in (seen.refused, look.why) if why]
        return Verdict(ask=True, why="; ".join(reasons))
    is_known = keeps_rows and look.says == "contradiction"
    hold = max(
        KNOWN_ROW if is_known else rule.accepted,
        0.0 if seen.accepted else rule.unasked,
        rule.sweep if patient else 0.0,
    )
    if look.at < seen.since + hold:
        soon = min(seen.since + hold, look.at + NEXT_LOOK)
        return Verdict(next_look=soon, why=_for_how_long(seen, look, hold))
    if look.says == "contradiction":
        return _of_contradiction(seen, look, hold)
    return Verdict(proved=True)


def _of_contradiction(seen: Seen, look: Look, hold: float) -> Verdict:
    assert seen.asked is not None  # `judge` has seen to that.
    if seen.asked < seen.since + hold or seen.refused is not None:
        return Verdict(ask=True, why=_for_how_long(seen, look, hold))
    if seen.found_nothing or look.at >= seen.asked + UNASKED:
        # The look came after that DELETE: a DELETE is always followed by a look.
        return Verdict(proved=True, kept_row=True)
    return Verdict(next_look=look.at + NEXT_LOOK, why=_for_how_long(seen, look, hold))


def _for_how_long(seen: Seen, look: Look, hold: float) -> str:
    words = {
        "under way": STILL_DELETING,
        "unknown": "it is not found, but the router has accepted no delete",
        "contradiction": f"it is not found, but its key names it: {look.why}",
    }[look.says]
    return f"{words} (for {look.at - seen.since:.0f} s of {hold:g} s)"
