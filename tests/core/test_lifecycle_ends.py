"""Refusals and failures on the way to a ready instance, and how they read."""

from __future__ import annotations

from typing import Any

import pytest
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
    forms,
    late,
    lost,
    policy_of,
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
from pytest_hydrasmoke._core.lifecycle import (
    provision,
    until_ready,
)
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._transport.protocol import Reply, drive

POLICY = policy_of()


BOOT = "raise HYDRA_SMOKE_READY_TIMEOUT if boots take longer, else see the router's log of its "
BOOT += "provisioning task"


def provisioned(
    policy: Policy = POLICY, **scripts: Any
) -> tuple[ScriptedIO, InstanceRecord, HydraSmokeError | None]:
    """Provision, and give what came of it."""
    it = record()
    io, calls = calls_of(it, **scripts)
    try:
        drive(provision(calls, it, policy))
    except HydraSmokeError as error:
        return io, it, error
    return io, it, None


def fails(kind: type[HydraSmokeError], policy: Policy = POLICY, **scripts: Any) -> HydraSmokeError:
    _, _, error = provisioned(policy, **scripts)
    assert type(error) is kind, error
    return error


def own(code: int) -> Reply:
    """Refuse in the router's own form."""
    return reply(code, {"detail": "no"})


OUTCOMES: dict[str, tuple[list[Any], type[HydraSmokeError], State]] = {
    # what provision meets, what is raised, and whether there may be a server
    "400": ([own(400)], RouterError, State.REFUSED),
    "401": ([own(401)], UnauthorizedError, State.REFUSED),
    "404": ([NOT_FOUND], NotFoundError, State.REFUSED),
    "422": ([MALFORMED], RejectedError, State.REFUSED),
    "never reached": ([refused(), ...], TransportError, State.UNUSED),
    "400 without a body": ([reply(400)], RouterError, State.REQUESTED),
    "400 of a proxy": ([reply(400, b"<html>")], RouterError, State.REQUESTED),
    "401 of a gateway": ([reply(401, {"message": "no"})], UnauthorizedError, State.REQUESTED),
    "403 of a filter": ([reply(403, b"<html>")], UnauthorizedError, State.REQUESTED),
    "502 of a gateway": ([reply(502, b"<html>"), ...], RouterError, State.REQUESTED),
    "504 of a gateway": ([reply(504, b"<html>"), ...], RouterError, State.REQUESTED),
    "413 of its own": ([own(413)], RouterError, State.REFUSED),
    "413 of a gateway": ([reply(413, b"<html>")], RouterError, State.REQUESTED),
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
    "500 to the end": ([own(503), ...], RouterError, State.REQUESTED),
    "hangs": ([HANG, ...], TransportTimeoutError, State.REQUESTED),
    "501": ([own(501)], RouterError, State.REQUESTED),
    "no body": ([reply(204)], ContractError, State.REQUESTED),
    "broken body": ([reply(200, b"<html>")], ContractError, State.REQUESTED),
    "unknown success": ([reply(206)], ContractError, State.REQUESTED),
    "another's key": ([accepted(key="other-9")], ContractError, State.ACCEPTED),
}


@pytest.mark.parametrize("case", OUTCOMES)
def test_a_request_counts_as_refused_only_by_the_router_itself(case: str) -> None:
    script, kind, state = OUTCOMES[case]
    io, it, error = provisioned(provision=script)
    assert type(error) is kind
    assert it.state is state
    assert set(io.calls_sent()) == {"provision"}


def test_where_the_routers_form_is_not_known_no_answer_counts_as_refused() -> None:
    _, it, error = provisioned(Policy(), provision=[own(400)])
    assert type(error) is RouterError
    assert it.state is State.REQUESTED


def test_a_router_that_is_never_reached_reads_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.random", lambda: 1.0)
    error = fails(TransportError, provision=[refused(), ...])
    assert str(error) == (
        "provision: no connection to https://router.example (8 attempts)\n"
        "  phase:     provision, after 29.5 s\n"
        "  instance:  (key night-0)\n"
        "  next step: check HYDRA_SMOKE_URL, name resolution, firewall, and the proxy (trust_env)"
    )


@pytest.mark.parametrize(
    "word",
    ["Failed", "error", "PROVISION_FAILED", "cancelled", "deleted", "Deleting", "terminated"],
)
def test_an_instance_that_fails_is_told_at_once(word: str) -> None:
    io, it, error = provisioned(
        provision=[accepted()], poll=[row()], status=[status("booting"), Took(3, status(word))]
    )
    assert type(error) is ProvisionError
    assert it.state is State.FAILED
    assert str(error) == (
        f"the instance is {word!r}\n"
        "  phase:     ready, after 3.2 s\n"
        f"  instance:  {ID} (key night-0)\n"
        f"  last seen: status {word!r}\n"
        f"  got:       queued → booting → {word}\n"
        "  next step: see the router's log of its provisioning task"
    )
    assert io.waited < 5


@pytest.mark.parametrize("ready_timeout", [900.0, 0.9])
def test_a_row_that_never_appears_is_a_timeout(ready_timeout: float) -> None:
    error = fails(
        ProvisionTimeoutError,
        Policy(ready_timeout=ready_timeout),
        provision=[accepted(None)],
        poll=[NO_ROW, ...],
    )
    assert str(error) == (
        f"the instance was not ready in time: its row did not appear within {ready_timeout:g} s\n"
        f"  phase:     row, after {ready_timeout - LAST_CHANCE:.1f} s\n"
        "  instance:  (key night-0)\n"
        "  last seen: no row for its key\n"
        f"  next step: {BOOT}"
    )


def test_an_instance_that_never_gets_ready_is_a_timeout() -> None:
    error = fails(
        ProvisionTimeoutError,
        provision=[accepted()],
        poll=[Took(10, row())],
        status=[status("booting"), ...],
    )
    assert str(error) == (
        "the instance was not ready in time: the status never became ready within 900 s\n"
        "  phase:     ready, after 889.5 s\n"
        f"  instance:  {ID} (key night-0)\n"
        "  last seen: status 'booting'\n"
        f"  next step: {BOOT}"
    )


def test_the_last_look_can_still_be_answered() -> None:
    for scripts in (
        {"poll": [NO_ROW, ...]},
        {"poll": [row()], "status": [status("booting"), ...]},
    ):
        io, _, error = provisioned(provision=[accepted()], **scripts)
        assert type(error) is ProvisionTimeoutError
        assert io.sent[-1].at == START + 900 - LAST_CHANCE
        assert io.sent[-1].deadline == START + 900


def test_an_instance_that_is_ready_at_the_last_look_is_ready() -> None:
    def boots(_: Any) -> Any:
        return Took(0.4, status("running" if io.now() == START + 9 - LAST_CHANCE else "booting"))

    it = record(state=State.CREATED, id=ID)
    io, calls = calls_of(it, status=[boots, ...])
    drive(until_ready(calls, it, Policy(ready_timeout=9), START))
    assert it.state is State.READY
    assert io.waited == pytest.approx(8.9)


@pytest.mark.parametrize("looks", [HANG, reply(503)], ids=["hangs", "503"])
def test_a_last_look_that_brings_no_status_says_why(looks: Any) -> None:
    io, it, error = provisioned(
        Policy(ready_timeout=40),
        provision=[accepted()],
        poll=[row()],
        status=[*[status("booting")] * 30, looks, ...],
    )
    assert type(error) is (TransportTimeoutError if looks is HANG else RouterError)
    assert (error.phase, error.last) == ("ready", "status 'booting'")
    assert io.waited <= 40
    assert it.state is State.CREATED


def test_a_look_that_ends_at_the_deadline_tells_what_was_waited_for() -> None:
    error = fails(
        ProvisionTimeoutError,
        Policy(ready_timeout=9),
        provision=[accepted(None)],
        poll=[NO_ROW, AtDeadline(NO_ROW)],
    )
    assert isinstance(error, TimeoutError)
    assert str(error) == (
        "the instance was not ready in time: its row did not appear within 9 s\n"
        "  phase:     row, after 9.0 s\n"
        "  instance:  (key night-0)\n"
        "  last seen: no row for its key\n"
        f"  next step: {BOOT}"
    )
    error = fails(
        ProvisionTimeoutError,
        Policy(ready_timeout=9),
        provision=[accepted()],
        poll=[Took(4, row())],
        status=[status("booting"), AtDeadline(status("warming"))],
    )
    assert str(error) == (
        "the instance was not ready in time: the status never became ready within 9 s\n"
        "  phase:     ready, after 5.0 s\n"
        f"  instance:  {ID} (key night-0)\n"
        "  last seen: status 'warming'\n"
        f"  next step: {BOOT}"
    )


def test_two_instances_for_one_key_are_told() -> None:
    error = fails(ContractError, provision=[accepted(OTHER_ID)], poll=[row()])
    assert str(error) == (
        "provision and poll name different instances for one key\n"
        "  phase:     row, after 0.0 s\n"
        f"  instance:  {OTHER_ID} (key night-0)\n"
        "  last seen: status 'queued'\n"
        f"  expected:  {OTHER_ID}\n"
        f"  got:       {ID}\n"
        "  next step: tell the router's developers: there may be an instance that nobody deletes"
    )


def test_an_answer_for_another_key_is_told() -> None:
    error = fails(ContractError, provision=[accepted(key="other-9\x1b")])
    assert str(error) == (
        "provision answered for another idempotency key\n"
        "  phase:     provision, after 0.0 s\n"
        f"  instance:  {ID} (key night-0)\n"
        "  expected:  night-0\n"
        "  got:       'other-9\\x1b'\n"
        "  next step: tell the router's developers: there may be an instance that nobody deletes"
    )


def test_a_row_that_vanishes_once_it_was_found_is_an_error() -> None:
    error = fails(
        NotFoundError, provision=[accepted()], poll=[row()], status=[status("x"), NOT_FOUND]
    )
    assert (error.phase, error.last) == ("ready", "status 'x'")


@pytest.mark.parametrize(("call", "code"), [("poll", 401), ("status", 403)])
def test_a_token_that_is_refused_later_is_told_at_once(call: str, code: int) -> None:
    scripts: dict[str, Any] = {"provision": [accepted()], "poll": [row()], call: [reply(code)]}
    _, it, error = provisioned(**scripts)
    assert type(error) is UnauthorizedError
    assert error.phase == {"poll": "row", "status": "ready"}[call]
    assert it.id == ID, "what was provisioned is still known"


@pytest.mark.parametrize("word", ["##[error]boo", "x" * 5000])
def test_a_hostile_status_word_is_made_harmless(word: str) -> None:
    words = frozenset({word.lower()})
    error = fails(
        ProvisionError,
        Policy(failed=words),
        provision=[accepted()],
        poll=[row()],
        status=[status(word)],
    )
    assert "##[" not in str(error)
    assert len(str(error)) < 1500


def test_a_403_to_a_provision_is_no_wrong_token_where_the_token_is_proved() -> None:
    answer = reply(403, {"detail": "Quota exceeded"})
    error = fails(RouterError, Policy(forms=forms()), provision=[answer])
    assert error.message == "provision was refused with 403: Quota exceeded"
    assert "such as a quota:" in str(error.next_step)
    assert "TOKEN" not in str(error)
    error = fails(UnauthorizedError, Policy(), provision=[answer])
    assert "check HYDRA_SMOKE_TOKEN" in str(error.next_step)
    error = fails(UnauthorizedError, Policy(forms=forms()), provision=[reply(401)])
    assert "check HYDRA_SMOKE_TOKEN" in str(error.next_step)


def test_a_pause_that_the_router_asks_for_is_told_and_cut_to_the_phase() -> None:
    busy = reply(429, {"detail": "slow down"}, retry_after="3600")
    io, _, error = provisioned(Policy(ready_timeout=20), provision=[busy, ...])
    assert io.waited <= 20
    assert "asks to wait 3600 s" in str(error)
