"""Refusals and failures on the way to a ready instance, and how they read."""

from __future__ import annotations

from typing import Any

import pytest
from core_tools import NAMED, POLICY, TWO_INSTANCES, fails
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
    late,
    lost,
    record,
    refused,
    reply,
    row,
    status,
)

from pytest_hydrasmoke import (
    ContractError,
    HydraSmokeError,
    NotFoundError,
    ProvisionError,
    ProvisionTimeoutError,
    RejectedError,
    RouterError,
    TransportError,
    TransportTimeoutError,
    UnauthorizedError,
)
from pytest_hydrasmoke._api.calls import LAST_CHANCE
from pytest_hydrasmoke._core.lifecycle import provision, until_ready
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._transport.protocol import Reply, drive


def failed(
    kind: type[HydraSmokeError], policy: Policy = POLICY, **scripts: Any
) -> tuple[ScriptedIO, InstanceRecord, HydraSmokeError]:
    """Provision in vain, and give what came of it."""
    it = record()
    io, calls = calls_of(it, **{"provision": [accepted()], "poll": [row()], **scripts})
    error = fails(kind, provision(calls, it, policy))
    assert it.interrupted is None
    return io, it, error


def own(code: int) -> Reply:
    """Refuse in the router's own form."""
    return reply(code, {"detail": "no"})


OUTCOMES: dict[str, tuple[list[Any], type[HydraSmokeError], State]] = {
    # what provision meets, what is raised, and whether there may be a server
    "400": ([own(400)], RouterError, State.REFUSED),
    "401": ([own(401)], UnauthorizedError, State.REFUSED),
    "404": ([NOT_FOUND], NotFoundError, State.REFUSED),
    "413": ([own(413)], RouterError, State.REFUSED),
    "422": ([MALFORMED], RejectedError, State.REFUSED),
    "never reached": ([refused(), ...], TransportError, State.UNUSED),
    "400 without a body": ([reply(400)], RouterError, State.REQUESTED),
    "400 of a proxy": ([reply(400, b"<html>")], RouterError, State.REQUESTED),
    "401 of a gateway": ([reply(401, {"message": "no"})], UnauthorizedError, State.REQUESTED),
    "403 of a filter": ([reply(403, b"<html>")], UnauthorizedError, State.REQUESTED),
    "502 of a gateway": ([reply(502, b"<html>"), ...], RouterError, State.REQUESTED),
    "404 of an ingress": ([reply(404, b"default backend")], NotFoundError, State.REQUESTED),
    "a teapot": ([own(418)], RouterError, State.REQUESTED),
    "too early": ([own(425)], RouterError, State.REQUESTED),
    "redirect": ([own(302)], RouterError, State.REQUESTED),
    "busy to the end": ([own(429), ...], RouterError, State.REQUESTED),
    "busy, then refused": ([own(429), own(400)], RouterError, State.REQUESTED),
    "lost, then refused": ([lost(), own(400)], RouterError, State.REQUESTED),
    "500, then unauthorized": ([own(500), own(401)], UnauthorizedError, State.REQUESTED),
    "408, then refused": ([own(408), own(403)], RouterError, State.REQUESTED),
    "late, then not reached": ([late(), refused(), ...], TransportError, State.REQUESTED),
    "lost to the end": ([lost(), ...], TransportError, State.REQUESTED),
    "503 to the end": ([own(503), ...], RouterError, State.REQUESTED),
    "hangs": ([HANG, ...], TransportTimeoutError, State.REQUESTED),
    "no body": ([reply(204)], ContractError, State.REQUESTED),
    "broken body": ([reply(200, b"<html>")], ContractError, State.REQUESTED),
    "unknown success": ([reply(206)], ContractError, State.REQUESTED),
    "another's key": ([accepted(key="other-9")], ContractError, State.ACCEPTED),
}


@pytest.mark.parametrize("case", OUTCOMES)
def test_a_request_counts_as_refused_only_by_the_router_itself(case: str) -> None:
    script, kind, state = OUTCOMES[case]
    io, it, _ = failed(kind, provision=script)
    assert it.state is state
    assert set(io.calls_sent()) == {"provision"}
    assert (it.refused_at is None) == (state is not State.REFUSED)


def test_a_403_to_a_provision_is_no_wrong_token_where_the_token_is_proved() -> None:
    answer = reply(403, {"detail": "Quota exceeded"})
    _, _, error = failed(RouterError, provision=[answer])
    assert error.message == "provision was refused with 403: Quota exceeded"
    assert "such as a quota:" in str(error.next_step)
    assert "TOKEN" not in str(error)
    for policy, refusal, state in (
        (POLICY, reply(401, {"detail": "no"}), State.REFUSED),
        # Where the router's form is not known, no answer counts as refused.
        (Policy(), answer, State.REQUESTED),
    ):
        _, it, error = failed(UnauthorizedError, policy, provision=[refusal])
        assert "check HYDRA_SMOKE_TOKEN" in str(error.next_step)
        assert it.state is state


BOOTING = "raise HYDRA_SMOKE_READY_TIMEOUT if boots take longer, else see the router's log of its "
BOOTING += "provisioning task"
NO_WAY = "check HYDRA_SMOKE_URL, name resolution, firewall, and the proxy (trust_env)"
NO_TIME = "the instance was not ready in time: "
STEPS = [status("booting"), ...]
TOLD: dict[str, tuple[type[HydraSmokeError], Policy, dict[str, Any], tuple[str, ...]]] = {
    # What is raised, after which answers, and how it reads.
    "the router is never reached": (
        *(TransportError, POLICY, {"provision": [refused(), ...]}),
        (
            "provision: no connection to https://router.example (8 attempts)",
            "phase:     provision, after 29.5 s",
            "instance:  (key night-0)",
            f"next step: {NO_WAY}",
        ),
    ),
    **{
        f"it is {word}": (
            *(ProvisionError, POLICY, {"status": [STEPS[0], Took(3, status(word))]}),
            (
                f"the instance is {word!r}",
                "phase:     ready, after 3.2 s",
                f"instance:  {NAMED}",
                f"last seen: status {word!r}",
                f"got:       queued → booting → {word}",
                "next step: see the router's log of its provisioning task",
            ),
        )
        for word in ("Failed", "Deleting")
    },
    **{
        name: (
            *(ProvisionTimeoutError, Policy(ready_timeout=limit)),
            {"provision": [accepted(None)], "poll": poll},
            (
                f"{NO_TIME}its row did not appear within {limit:g} s",
                f"phase:     row, after {seconds:.1f} s",
                "instance:  (key night-0)",
                "last seen: no row for its key",
                f"next step: {BOOTING}",
            ),
        )
        for name, limit, poll, seconds in (
            ("no row", 900.0, [NO_ROW, ...], 900 - LAST_CHANCE),
            ("no row, and less than a second", 0.9, [NO_ROW, ...], 0.9 - LAST_CHANCE),
            ("no row at the deadline", 9.0, [NO_ROW, AtDeadline(NO_ROW)], 9.0),
        )
    },
    **{
        name: (
            *(ProvisionTimeoutError, Policy(ready_timeout=limit)),
            {"poll": [Took(4, row())], "status": words},
            (
                f"{NO_TIME}the status never became ready within {limit:g} s",
                f"phase:     ready, after {seconds:.1f} s",
                f"instance:  {NAMED}",
                f"last seen: status '{last}'",
                f"next step: {BOOTING}",
            ),
        )
        for name, limit, words, seconds, last in (
            ("never ready", 900.0, STEPS, 896 - LAST_CHANCE, "booting"),
            ("not at the deadline", 9.0, [STEPS[0], AtDeadline(status("warming"))], 5.0, "warming"),
        )
    },
    "two instances for one key": (
        *(ContractError, POLICY, {"provision": [accepted(OTHER_ID)]}),
        (
            "provision and poll name different instances for one key",
            "phase:     row, after 0.0 s",
            f"instance:  {OTHER_ID} (key night-0)",
            "last seen: status 'queued'",
            f"expected:  {OTHER_ID}",
            f"got:       {ID}",
            f"next step: {TWO_INSTANCES}",
        ),
    ),
    "an answer for another key": (
        *(ContractError, POLICY, {"provision": [accepted(key="other-9\x1b")]}),
        (
            "provision answered for another idempotency key",
            "phase:     provision, after 0.0 s",
            f"instance:  {NAMED}",
            "expected:  night-0",
            "got:       'other-9\\x1b'",
            f"next step: {TWO_INSTANCES}",
        ),
    ),
}


@pytest.mark.parametrize("case", TOLD)
def test_failures_on_the_way_read_so(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.random", lambda: 1.0)
    kind, policy, scripts, told = TOLD[case]
    io, it, error = failed(kind, policy, **scripts)
    assert str(error) == "\n  ".join(told)
    assert isinstance(error, TimeoutError) is (kind is ProvisionTimeoutError)
    if kind is ProvisionTimeoutError:
        assert START + policy.ready_timeout - io.sent[-1].at >= LAST_CHANCE
        assert io.sent[-1].deadline == START + policy.ready_timeout, "it can still be answered"
    if kind is ProvisionError:
        assert it.state is State.FAILED
    if case == "two instances for one key":
        assert it.known_ids == [OTHER_ID, ID], "both are this run's to delete"


def test_an_instance_that_is_ready_at_the_last_look_is_ready() -> None:
    def boots(_: Any) -> Any:
        return Took(0.4, status("running" if io.now() == START + 9 - LAST_CHANCE else "booting"))

    it = record(state=State.CREATED, id=ID)
    io, calls = calls_of(it, status=[boots, ...])
    drive(until_ready(calls, it, Policy(ready_timeout=9), START))
    assert it.state is State.READY
    assert io.waited == pytest.approx(8.9)


LATER: dict[str, tuple[dict[str, Any], type[HydraSmokeError], str, str]] = {
    # The answers, what is raised, in which phase, and the last state before it.
    "status hangs": ({"status": [*STEPS[:1] * 30, HANG]}, TransportTimeoutError, "ready", "boot"),
    "status fails": (
        *({"status": [*STEPS[:1] * 30, reply(503), ...]}, RouterError, "ready", "boot"),
    ),
    "the row vanishes": ({"status": [status("x"), NOT_FOUND]}, NotFoundError, "ready", "x"),
    "the token is refused to poll": ({"poll": [reply(401)]}, UnauthorizedError, "row", ""),
    "the token is refused to status": (
        *({"status": [reply(403)]}, UnauthorizedError, "ready", "queued"),
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
    _, _, error = failed(ProvisionError, Policy(failed=frozenset({word})), status=[status(word)])
    assert "##[" not in str(error)
    assert len(str(error)) < 1500


def test_a_pause_that_the_router_asks_for_is_told_and_cut_to_the_phase() -> None:
    busy = reply(429, {"detail": "slow down"}, retry_after="3600")
    io, _, error = failed(RouterError, Policy(ready_timeout=20), provision=[busy, ...])
    assert io.waited <= 20
    assert "asks to wait 3600 s" in str(error)
