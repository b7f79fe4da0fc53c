"""Refusals and failures on the way to a ready instance, and how they read."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from core_tools import NAMED, TWO_INSTANCES, fails
from scripted_io import (
    HANG,
    ID,
    MALFORMED,
    NO_ROW,
    NOT_FOUND,
    OTHER_ID,
    START,
    AtDeadline,
    ScriptedIO,
    Took,
    accepted,
    calls_of,
    instance,
    late,
    lost,
    refused,
    reply,
    row,
    status,
)

import pytest_hydrasmoke as hydra
from pytest_hydrasmoke._api.calls import LAST_CHANCE
from pytest_hydrasmoke._core.instance import Instance
from pytest_hydrasmoke._core.lifecycle import provision, until_ready
from pytest_hydrasmoke._core.policy import Policy, Statuses
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._transport.protocol import Answer, drive


def failed(
    kind: type[hydra.HydraSmokeError], policy: Policy | None = None, **scripts: Any
) -> tuple[ScriptedIO, Instance, hydra.HydraSmokeError]:
    """Provision in vain, and give what came of it."""
    it = instance(policy=policy)
    io, calls = calls_of(it, **{"provision": [accepted()], "poll": [row()], **scripts})
    error = fails(kind, provision(calls, it))
    assert it.interrupted is None
    assert it.phases[str(error.phase)] == error.seconds
    return io, it, error


def own(code: int) -> Answer:
    """Refuse in the router's own form."""
    return reply(code, {"detail": "no"})


OUTCOMES: dict[str, tuple[list[Any], type[hydra.HydraSmokeError], State]] = {
    # what provision meets, what is raised, and whether there may be a server
    "400": ([own(400)], hydra.RouterError, State.REFUSED),
    "401": ([own(401)], hydra.UnauthorizedError, State.REFUSED),
    "404": ([NOT_FOUND], hydra.NotFoundError, State.REFUSED),
    "422": ([MALFORMED], hydra.RejectedError, State.REFUSED),
    "never reached": ([refused(), ...], hydra.TransportError, State.UNUSED),
    "400 without a body": ([reply(400)], hydra.RouterError, State.REQUESTED),
    "401 of a gateway": ([reply(401, {"message": "no"})], hydra.UnauthorizedError, State.REQUESTED),
    "403 of a filter": ([reply(403, b"<html>")], hydra.UnauthorizedError, State.REQUESTED),
    "404 of an ingress": ([reply(404, b"default backend")], hydra.NotFoundError, State.REQUESTED),
    "a teapot": ([own(418)], hydra.RouterError, State.REQUESTED),
    "too early": ([own(425)], hydra.RouterError, State.REQUESTED),
    "redirect": ([own(302)], hydra.RouterError, State.REQUESTED),
    "busy, then refused": ([own(429), own(400)], hydra.RouterError, State.REQUESTED),
    "lost, then refused": ([lost(), own(400)], hydra.RouterError, State.REQUESTED),
    "late, then not reached": ([late(), refused(), ...], hydra.TransportError, State.REQUESTED),
    "hangs": ([HANG, ...], hydra.TransportTimeoutError, State.REQUESTED),
    "no body": ([reply(204)], hydra.ContractError, State.REQUESTED),
    "another's key": ([accepted(key="other-9")], hydra.ContractError, State.ACCEPTED),
}


@pytest.mark.parametrize("case", OUTCOMES)
def test_a_request_counts_as_refused_only_by_the_router_itself(case: str) -> None:
    script, kind, state = OUTCOMES[case]
    io, it, _ = failed(kind, provision=script)
    assert it.state is state
    assert it.known_ids == [], "what is another key's is not this run's to delete"
    assert set(io.calls_sent()) == {"provision"}
    assert (it.settled_at is None) == (state is not State.REFUSED)


def test_a_403_to_a_provision_is_no_wrong_token_where_the_token_is_proved() -> None:
    answer = reply(403, {"detail": "Quota exceeded"})
    _, _, error = failed(hydra.RouterError, provision=[answer])
    assert error.message == "provision was refused with 403: Quota exceeded"
    assert "such as a quota:" in str(error.next_step)
    assert "TOKEN" not in str(error)
    for refusal, control, state in (
        (reply(401, {"detail": "no"}), MALFORMED, State.REFUSED),
        # Where the router rejects a malformed id in another envelope, no answer is its own.
        (answer, reply(422, {"message": "no"}), State.REQUESTED),
        (answer, reply(503), State.REQUESTED),
    ):
        scripts = {"provision": [refusal], "missing": [control, ...]}
        _, it, error = failed(hydra.UnauthorizedError, **scripts)
        assert "check HYDRA_SMOKE_TOKEN" in str(error.next_step)
        assert it.state is state


NO_WAY = "check HYDRA_SMOKE_URL, name resolution, firewall, and the proxy (trust_env)"
BOOTING = "raise HYDRA_SMOKE_READY_TIMEOUT if boots take longer, else see the router's log of its "
BOOTING += "provisioning task"
FAILED = "see the router's log of its provisioning task"
NO_TIME = "the instance was not ready in time: {} within {:g} s"
NO_ROW_CAME, NOT_READY = "its row did not appear", "the status never became ready"
STEPS = [status("booting"), ...]


class Told(NamedTuple):
    """The answers, and how what is raised reads; `got` is what was got in place of what."""

    scripts: dict[str, list[Any]]
    kind: type[hydra.HydraSmokeError]
    message: str
    phase: str
    last: str
    step: str
    instance: str = NAMED
    got: tuple[str, ...] = ()
    limit: float = 900.0


TOLD: dict[str, Told] = {
    "the router is never reached": Told(
        {"provision": [refused(), ...]},
        hydra.TransportError,
        "provision: no connection to https://router.example (8 attempts)",
        *("provision, after 29.5 s", "", NO_WAY, "(key night-0)"),
    ),
    **{
        f"it is {word}": Told(
            {"status": [STEPS[0], Took(3, status(word))]},
            *(hydra.ProvisionError, f"the instance is {word!r}", "ready, after 3.2 s"),
            *(f"status {word!r}", FAILED, NAMED, (f"got:       queued → booting → {word}",)),
        )
        for word in ("Failed", "Deleting")
    },
    **{
        name: Told(
            {"provision": [accepted(None)], "poll": poll},
            *(hydra.ProvisionTimeoutError, NO_TIME.format(NO_ROW_CAME, limit)),
            *(f"row, after {limit - left:.1f} s", "no row for its key", BOOTING, "(key night-0)"),
            limit=limit,
        )
        for name, limit, poll, left in (
            ("no row", 900.0, [NO_ROW, ...], LAST_CHANCE),
            ("no row, and less than a second", 0.9, [NO_ROW, ...], LAST_CHANCE),
            ("no row at the deadline", 9.0, [NO_ROW, AtDeadline(NO_ROW)], 0),
        )
    },
    **{
        name: Told(
            {"poll": [Took(4, row())], "status": words},
            *(hydra.ProvisionTimeoutError, NO_TIME.format(NOT_READY, limit)),
            *(f"ready, after {seconds:.1f} s", f"status '{last}'", BOOTING),
            limit=limit,
        )
        for name, limit, words, seconds, last in (
            ("never ready", 900.0, STEPS, 896 - LAST_CHANCE, "booting"),
            ("not at the deadline", 9.0, [STEPS[0], AtDeadline(status("warming"))], 5.0, "warming"),
        )
    },
    "two instances for one key": Told(
        {"provision": [accepted(OTHER_ID)]},
        *(hydra.ContractError, "provision and poll name different instances for one key"),
        *("row, after 0.0 s", "status 'queued'", TWO_INSTANCES, f"{OTHER_ID} (key night-0)"),
        (f"expected:  {OTHER_ID}", f"got:       {ID}"),
    ),
    "an answer for another key": Told(
        {"provision": [accepted(key="other-9\x1b")]},
        *(hydra.ContractError, "provision answered for another idempotency key"),
        *("provision, after 0.0 s", "", TWO_INSTANCES, "(key night-0)"),
        ("expected:  night-0", "got:       'other-9\\x1b'"),
    ),
}


@pytest.mark.parametrize("case", TOLD)
def test_failures_on_the_way_read_so(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.random", lambda: 1.0)
    told = TOLD[case]
    net, it, error = failed(told.kind, Policy(ready_timeout=told.limit), **told.scripts)
    head = (told.message, f"phase:     {told.phase}", f"instance:  {told.instance}")
    last = (f"last seen: {told.last}",) if told.last else ()
    assert str(error) == "\n  ".join((*head, *last, *told.got, f"next step: {told.step}"))
    assert isinstance(error, TimeoutError) is (told.kind is hydra.ProvisionTimeoutError)
    if isinstance(error, TimeoutError):
        assert START + told.limit - net.sent[-1].at >= LAST_CHANCE
        assert net.sent[-1].deadline == START + told.limit, "it can still be answered"
    if told.kind is hydra.ProvisionError:
        assert it.state is State.FAILED
    if case == "two instances for one key":
        assert it.known_ids == [], "its key is asked once more before anything is deleted"


def test_an_instance_that_is_ready_at_the_last_look_is_ready() -> None:
    def boots(_: Any) -> Any:
        return Took(0.4, status("running" if io.now() == START + 9 - LAST_CHANCE else "booting"))

    it = instance(state=State.CREATED, id=ID, policy=Policy(ready_timeout=9))
    io, calls = calls_of(it, status=[boots, ...])
    drive(until_ready(calls, it, START))
    assert it.state is State.READY
    assert io.waited == pytest.approx(8.9)


LATER: dict[str, tuple[dict[str, Any], type[hydra.HydraSmokeError], str, str]] = {
    # The answers, what is raised, in which phase, and the last state before it.
    "status hangs": (
        {"status": [*STEPS[:1] * 30, HANG]},
        hydra.TransportTimeoutError,
        "ready",
        "boot",
    ),
    "status fails": (
        *({"status": [*STEPS[:1] * 30, reply(503), ...]}, hydra.RouterError, "ready", "boot"),
    ),
    "the row vanishes": ({"status": [status("x"), NOT_FOUND]}, hydra.NotFoundError, "ready", "x"),
    "the token is refused to poll": ({"poll": [reply(401)]}, hydra.UnauthorizedError, "row", ""),
    "the token is refused to status": (
        *({"status": [reply(403)]}, hydra.UnauthorizedError, "ready", "queued"),
    ),
}


@pytest.mark.parametrize("case", LATER)
def test_a_look_that_brings_no_status_says_why(case: str) -> None:
    scripts, kind, phase, last = LATER[case]
    io, it, error = failed(kind, Policy(ready_timeout=40), **scripts)
    assert error.phase == phase
    assert str(error.last).startswith(f"status '{last}") or (error.last, last) == (None, "")
    assert io.waited <= 40
    assert it.id == ID, "what was provisioned is still known"
    assert it.state is (State.CREATED if phase == "ready" else State.ACCEPTED)


@pytest.mark.parametrize("word", ["##[error]boo", "x" * 5000], ids=["command", "long"])
def test_a_hostile_status_word_is_made_harmless(word: str) -> None:
    _, _, error = failed(
        hydra.ProvisionError,
        Policy(statuses=Statuses(failed=frozenset({word}))),
        status=[status(word)],
    )
    assert "##[" not in str(error)
    assert len(str(error)) < 1500


def test_a_pause_that_the_router_asks_for_is_told_and_cut_to_the_phase() -> None:
    busy = reply(429, {"detail": "slow down"}, retry_after="3600")
    io, _, error = failed(hydra.RouterError, Policy(ready_timeout=20), provision=[busy, ...])
    assert io.waited <= 20
    assert "asks to wait 3600 s" in str(error)
