"""From a spec to a ready instance: what is waited for, for how long, and what is then known."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_io import (
    HANG,
    ID,
    KEY,
    MALFORMED,
    NO_ROW,
    NOT_FOUND,
    OTHER_ID,
    START,
    AtDeadline,
    Listening,
    ScriptedIO,
    Took,
    accepted,
    attached,
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
    ConfigError,
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
from pytest_hydrasmoke._core import lifecycle
from pytest_hydrasmoke._core.lifecycle import (
    check_free,
    phase,
    provision,
    status_of,
    until_ready,
    wait,
)
from pytest_hydrasmoke._core.policy import Policy, poll_interval
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._core.states import State
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


# --- how often -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("waited", "seconds"),
    [(0, 0.25), (2.5, 0.25), (2.6, 0.26), (10, 1), (49, 4.9), (50, 5), (51, 5), (900, 5)],
)
def test_the_next_look_is_a_tenth_of_the_time_waited_away(waited: float, seconds: float) -> None:
    assert poll_interval(waited) == pytest.approx(seconds)


@given(st.floats(0, 1e6))
def test_looks_are_a_quarter_second_to_5_s_apart(waited: float) -> None:
    assert 0.25 <= poll_interval(waited) <= 5


def test_polling_slows_down_as_the_wait_goes_on() -> None:
    io, _, _ = provisioned(
        provision=[accepted()], poll=[NO_ROW] * 40 + [row()], status=[status("running")]
    )
    assert io.sleeps[:11] == [0.25] * 10 + [pytest.approx(0.25)]
    assert io.sleeps == sorted(io.sleeps)
    waited = 0.0
    for seconds in io.sleeps:
        assert seconds == pytest.approx(poll_interval(waited))
        waited += seconds


def test_the_wait_for_ready_goes_on_where_the_wait_for_the_row_ended() -> None:
    io, _, _ = provisioned(
        provision=[Took(20, accepted())],
        poll=[NO_ROW, row()],
        status=[status("booting"), status("running")],
    )
    assert io.sleeps == [2.0, pytest.approx(2.2)]


# --- the happy ends --------------------------------------------------------------------------


@pytest.mark.parametrize("code", [200, 201, 202])
@pytest.mark.parametrize("given_id", [ID, None, ...], ids=["present", "null", "absent"])
@pytest.mark.parametrize(
    "no_row",
    [NO_ROW, reply(200, {"found": False}), NOT_FOUND],
    ids=["found_false", "without_nulls", "404"],
)
def test_an_instance_gets_ready_however_the_router_says_so(
    code: int, given_id: object, no_row: Any
) -> None:
    io, it, error = provisioned(
        provision=[accepted(given_id, status=code)],
        poll=[no_row, no_row, row()],
        status=[status("booting"), status("running", "box-1")],
    )
    assert error is None
    assert (it.state, it.id, it.hostname) == (State.READY, ID, "box-1")
    assert it.statuses == ["queued", "booting", "running"]
    assert io.calls_sent() == ["provision"] + ["poll"] * 3 + ["status"] * 2
    assert it.phases == {"provision": 0.0, "row": 0.5, "ready": pytest.approx(0.25)}


@pytest.mark.parametrize("word", ["running", "active", "ready", "online", "RUNNING", "Ready"])
def test_ready_words_count_in_any_letter_case(word: str) -> None:
    _, it, error = provisioned(provision=[accepted()], poll=[row()], status=[status(word)])
    assert error is None
    assert it.state is State.READY
    assert it.statuses == ["queued", word], "as the router wrote it"


@pytest.mark.parametrize("word", ["", "queued", "run", "not running", "degraded", "🐙"])
def test_any_other_word_means_not_yet(word: str) -> None:
    io, _, error = provisioned(
        provision=[accepted()], poll=[row()], status=[status(word), status("running")]
    )
    assert error is None
    assert io.calls_sent("status") == ["status"] * 2


def test_words_of_ones_own_replace_the_usual_ones() -> None:
    policy = Policy(ready=frozenset({"up"}), failed=frozenset({"down"}), gone=frozenset({"away"}))
    _, _, error = provisioned(
        policy,
        provision=[accepted()],
        poll=[row()],
        status=[status("running"), status("failed"), status("deleted"), status("Up")],
    )
    assert error is None
    for word in ("DOWN", "Away"):
        fails(ProvisionError, policy, provision=[accepted()], poll=[row()], status=[status(word)])


def test_a_409_means_in_progress_and_poll_finds_it() -> None:
    io, it, error = provisioned(
        provision=[reply(409)], poll=[NO_ROW, row()], status=[status("running")]
    )
    assert error is None
    assert (it.state, it.id, it.unknown_outcomes) == (State.READY, ID, 1)
    assert io.calls_sent("provision") == ["provision"]


def test_an_answer_that_was_lost_is_asked_for_again_under_the_same_key() -> None:
    io, _, error = provisioned(
        provision=[lost(), accepted()], poll=[row()], status=[status("running")]
    )
    assert error is None
    keys = [sent.request.body["idempotency_key"] for sent in io.sent if sent.request.body]
    assert keys == [KEY, KEY]


def test_a_row_that_names_no_instance_yet_is_waited_for() -> None:
    named = reply(200, {"found": True, "instance_id": None, "status": "queued"})
    io, _, error = provisioned(
        provision=[accepted(None)], poll=[named, row()], status=[status("running")]
    )
    assert error is None
    assert io.calls_sent("poll") == ["poll"] * 2


def test_an_instance_that_is_not_found_is_waited_for_even_if_it_is_named() -> None:
    named = reply(200, {"found": False, "instance_id": ID, "status": None})
    io, _, error = provisioned(
        provision=[accepted()], poll=[named, row()], status=[status("running")]
    )
    assert error is None
    assert io.calls_sent("poll") == ["poll"] * 2


def test_an_id_in_another_letter_case_is_the_same_id() -> None:
    _, it, error = provisioned(
        provision=[accepted(ID.upper())], poll=[row()], status=[status("running")]
    )
    assert error is None
    assert it.id == ID


def test_a_hostname_once_seen_is_kept() -> None:
    it = record(id=ID)
    _, calls = calls_of(it, status=[status("a", "box-1"), status("b")])
    for _ in range(2):
        drive(status_of(calls, it, ID))
    assert (it.hostname, it.statuses) == ("box-1", ["a", "b"])


def test_the_record_knows_of_the_request_before_it_leaves() -> None:
    it = record()
    seen = []

    def look(_: Any) -> Any:
        seen.append((it.state, it.born))
        return accepted()

    _, calls = calls_of(it, provision=[look], poll=[row()], status=[status("running")])
    assert it.state is State.CLAIMED
    drive(provision(calls, it, POLICY))
    assert seen == [(State.REQUESTED, START)]


@pytest.mark.parametrize("call", ["provision", "poll", "status"])
def test_an_interrupt_leaves_the_record_with_what_it_knows(call: str) -> None:
    scripts: dict[str, list[Any]] = {
        "provision": [accepted(None)],
        "poll": [row()],
        "status": [status("running")],
    }
    scripts[call] = [KeyboardInterrupt()]
    it = record()
    _, calls = calls_of(it, **scripts)
    with pytest.raises(KeyboardInterrupt):
        drive(provision(calls, it, POLICY))
    known = {"provision": (State.REQUESTED, None), "poll": (State.ACCEPTED, None)}
    assert (it.state, it.id) == known.get(call, (State.CREATED, ID))
    assert it.interrupted == {"poll": "row", "status": "ready"}.get(call, call)


def _boot_interrupted_at(step: int) -> InstanceRecord | None:
    """Interrupt a boot at the nth line that its module runs; None if it has no more."""
    it = record()
    _, calls = calls_of(it, provision=[accepted(None)], poll=[row()], status=[status("running")])
    lines = itertools.count()
    began = False

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal began
        if frame.f_code.co_filename != lifecycle.__file__:
            return None
        began = began or (frame.f_code is provision.__code__ and event == "line")
        if began and event == "line" and next(lines) == step:
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        drive(provision(calls, it, POLICY))
    except KeyboardInterrupt:
        return it
    finally:
        sys.settrace(before)
    return None


def test_an_interrupt_at_any_line_of_a_boot_names_a_phase() -> None:
    seen = []
    for step in itertools.count(3):  # The first lines read the clock, before the boot begins.
        it = _boot_interrupted_at(step)
        if it is None:
            break
        seen.append(it.interrupted)
    assert list(dict.fromkeys(seen)) == ["provision", "row", "ready"]


@pytest.mark.parametrize("before", ["provision", "row"])
def test_an_interrupt_between_two_phases_names_the_one_before(before: str) -> None:
    it = record()
    io, calls = calls_of(it, provision=[accepted(None)], poll=[row()], status=[status("running")])

    def now() -> float:
        if it.doing is None and before in it.phases:
            raise KeyboardInterrupt
        return START

    io.now = now  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        drive(provision(calls, it, POLICY))
    assert it.interrupted == before


def test_a_failure_and_a_boot_that_was_seen_through_are_no_interrupts() -> None:
    for answer in (status("failed"), status("running")):
        it = record()
        _, calls = calls_of(it, provision=[accepted(None)], poll=[row()], status=[answer])
        with contextlib.suppress(ProvisionError):
            drive(provision(calls, it, POLICY))
        assert it.interrupted is None


def test_whoever_keeps_the_record_is_told_of_every_step_before_the_next() -> None:
    def seen(answer: Any) -> Any:
        return lambda request: (told.append(request.call), answer)[1]

    told: list[str] = []
    it = record()
    it.listener = Listening(state=lambda changed: told.append(f"{changed.state} {changed.id}"))
    _, calls = calls_of(
        it,
        provision=[seen(accepted())],
        poll=[seen(row())],
        status=[seen(status("running"))],
    )
    drive(provision(calls, it, POLICY))
    assert told == [
        *("requested None", "provision", f"accepted {ID}"),
        *("poll", f"created {ID}", "status", f"ready {ID}"),
    ]


def test_where_a_step_can_not_be_written_down_nothing_is_sent() -> None:
    def full(_: object) -> None:
        raise OSError("disk full")

    it = record()
    it.listener = Listening(state=full)
    io, calls = calls_of(it)
    with pytest.raises(OSError, match="disk full"):
        drive(provision(calls, it, POLICY))
    assert not io.sent


class NoFurtherError(Exception):
    """What a run raises that must not go on."""


def test_a_provision_needs_the_runs_permission() -> None:
    def refuse() -> None:
        raise NoFurtherError

    it = record()
    it.listener = Listening(state=lambda _: pytest.fail("nothing has happened"), allow=refuse)
    io, calls = calls_of(it)
    with pytest.raises(NoFurtherError):
        drive(provision(calls, it, POLICY))
    assert not io.sent
    assert it.state is State.CLAIMED, "there is nothing to delete"


def test_a_run_that_ends_just_before_the_request_lets_none_leave() -> None:
    it = record()
    # The run ends in another thread, between the permission and the request.
    it.listener = Listening(allow=it.give_up)
    io, calls = calls_of(it)
    with pytest.raises(ConfigError, match="the run ended before this instance was requested"):
        drive(provision(calls, it, POLICY))
    assert not io.sent
    assert it.state is State.UNUSED, "its key is free"


@pytest.mark.parametrize("state", sorted(set(State) - {State.CLAIMED}))
def test_what_was_requested_is_not_given_up(state: State) -> None:
    it = record(state=state)
    it.give_up()
    assert it.state is state


def test_what_was_given_up_stays_so() -> None:
    it = record()
    it.give_up()
    it.give_up()
    with pytest.raises(ConfigError):
        it.leaves()
    assert it.state is State.UNUSED


def test_permission_is_asked_for_before_the_request_and_before_each_wait() -> None:
    asked = []
    it = record()
    it.listener = Listening(allow=lambda: asked.append(it.state))
    _, calls = calls_of(
        it,
        provision=[reply(503), accepted()],
        poll=[NO_ROW, row()],
        status=[status("running")],
    )
    drive(provision(calls, it, POLICY))
    assert asked == [State.CLAIMED, State.ACCEPTED]


def test_a_run_that_is_over_waits_for_nothing_more() -> None:
    def over() -> None:
        if it.state is State.ACCEPTED:
            raise ConfigError("the run is over")

    it = record()
    it.listener = Listening(allow=over)
    io, calls = calls_of(it, provision=[accepted()], poll=[NO_ROW, ...])
    with pytest.raises(ConfigError, match="over"):
        drive(provision(calls, it, POLICY))
    assert io.calls_sent() == ["provision", "poll"]


@pytest.mark.parametrize("answer", [NO_ROW, NOT_FOUND], ids=["no row", "404"])
def test_a_key_that_nobody_has_is_free(answer: Reply) -> None:
    it = record()
    io, calls = calls_of(it, poll=[answer])
    drive(check_free(calls, it, POLICY))
    assert io.calls_sent() == ["poll"]


def test_a_key_that_somebody_else_has_a_row_for_is_not_provisioned_under() -> None:
    it = record()
    _, calls = calls_of(it, poll=[row()])
    with pytest.raises(ConfigError) as caught:
        drive(check_free(calls, it, POLICY))
    assert str(caught.value) == (
        "the router has an instance for this key already: another run uses this run id, or has "
        "used it\n"
        "  phase:     provision, after 0.0 s\n"
        "  instance:  (key night-0)\n"
        f"  got:       {ID}\n"
        "  next step: give every run an id of its own, such as run, attempt, job and shard"
    )
    assert (it.state, it.id) == (State.CLAIMED, None), "it is not this run's to delete"


def test_a_key_of_a_random_run_id_with_a_row_is_no_other_runs() -> None:
    it = record()
    it.key = "smoke-0123456789ab-0"
    _, calls = calls_of(it, poll=[row()])
    with pytest.raises(ConfigError) as caught:
        drive(check_free(calls, it, POLICY))
    assert caught.value.message.endswith("this run has not requested it, and its run id is random")
    assert caught.value.next_step is not None
    assert "smoke_instance_factory.own" in caught.value.next_step


@pytest.mark.parametrize("state", sorted(set(State) - {State.CLAIMED}))
def test_a_key_that_this_run_has_asked_for_is_not_asked_about(state: State) -> None:
    it = record(state=state)
    io, calls = calls_of(it)
    drive(check_free(calls, it, POLICY))
    assert not io.sent


def test_an_attached_instance_is_not_provisioned() -> None:
    it = attached()
    io, calls = calls_of(it)
    with pytest.raises(ConfigError, match="an attached instance can't be provisioned"):
        drive(provision(calls, it, POLICY))
    assert not io.sent


# --- refused, or not known -------------------------------------------------------------------


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


def test_an_interrupt_of_the_request_leaves_its_outcome_unknown() -> None:
    it = record()
    _, calls = calls_of(it, provision=[KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        drive(provision(calls, it, POLICY))
    assert it.state is State.REQUESTED


# --- failures, as they read ------------------------------------------------------------------


def test_a_wrong_url_reads_so() -> None:
    error = fails(NotFoundError, provision=[reply(404, {"detail": "Not Found"})])
    assert str(error) == (
        "provision was refused with 404: Not Found\n"
        "  phase:     provision, after 0.0 s\n"
        "  instance:  (key night-0)\n"
        "  next step: check HYDRA_SMOKE_URL: it ends where /internal/v1/smoke begins, and keeps a "
        "prefix such as /api"
    )


def test_a_wrong_token_reads_so() -> None:
    error = fails(UnauthorizedError, provision=[Took(0.2, reply(401, {"detail": "Unauthorized"}))])
    assert str(error) == (
        "provision was refused with 401: Unauthorized\n"
        "  phase:     provision, after 0.2 s\n"
        "  instance:  (key night-0)\n"
        "  next step: check HYDRA_SMOKE_TOKEN (else OPS_BEARER_TOKEN): is it this environment's "
        "token?"
    )


def test_a_router_that_is_never_reached_reads_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.random", lambda: 1.0)
    error = fails(TransportError, provision=[refused(), ...])
    assert str(error) == (
        "provision: no connection to https://router.example (8 attempts)\n"
        "  phase:     provision, after 29.5 s\n"
        "  instance:  (key night-0)\n"
        "  next step: check HYDRA_SMOKE_URL, name resolution, firewall, and the proxy (trust_env)"
    )


@pytest.mark.parametrize("word", ["Failed", "error", "PROVISION_FAILED", "cancelled"])
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


@pytest.mark.parametrize("word", ["deleted", "Deleting", "terminated"])
def test_an_instance_that_vanishes_before_it_is_ready_is_told(word: str) -> None:
    _, it, error = provisioned(provision=[accepted()], poll=[row()], status=[status(word)])
    assert type(error) is ProvisionError
    assert error.message == f"the instance is {word!r}"
    assert it.state is State.FAILED


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


def test_a_wait_ends_at_the_deadline() -> None:
    io, _, error = provisioned(
        provision=[accepted()], poll=[row()], status=[status("booting"), ...]
    )
    assert io.waited == pytest.approx(900 - LAST_CHANCE), "so that the last look can be answered"
    assert error is not None
    assert error.phase == "ready"


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


@pytest.mark.parametrize("code", [401, 403])
@pytest.mark.parametrize("call", ["poll", "status"])
def test_a_token_that_is_refused_later_is_told_at_once(call: str, code: int) -> None:
    scripts: dict[str, Any] = {"provision": [accepted()], "poll": [row()], call: [reply(code)]}
    _, it, error = provisioned(**scripts)
    assert type(error) is UnauthorizedError
    assert error.phase == {"poll": "row", "status": "ready"}[call]
    assert it.id == ID, "what was provisioned is still known"


@pytest.mark.parametrize("hiccup", [reply(502), reply(429), lost(), refused(), late()], ids=repr)
def test_a_hiccup_while_waiting_is_passed_over(hiccup: Any) -> None:
    _, it, error = provisioned(
        provision=[accepted()],
        poll=[NO_ROW, hiccup, row()],
        status=[hiccup, status("booting"), hiccup, status("running")],
    )
    assert error is None
    assert it.state is State.READY


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


# --- wait ------------------------------------------------------------------------------------


def word_is(word: str) -> Callable[[Any], bool]:
    return lambda status: bool(status.status == word)


def test_wait_gives_the_status_that_was_waited_for() -> None:
    it = record(state=State.READY, id=ID)
    _, calls = calls_of(it, status=[status("a"), status("b"), status("c", "box-1")])
    found = drive(wait(calls, it, word_is("c"), error=None, start=START, timeout=60))
    assert (found.status, found.hostname) == ("c", "box-1")
    assert it.state is State.READY


def test_wait_without_an_error_predicate_passes_every_word_over() -> None:
    it = record(state=State.READY, id=ID)
    _, calls = calls_of(it, status=[status("failed"), status("deleted"), status("c")])
    assert drive(wait(calls, it, word_is("c"), error=None, start=START, timeout=60)).status == "c"


def test_wait_prefers_ready_where_a_status_is_both() -> None:
    it = record(state=State.READY, id=ID)
    _, calls = calls_of(it, status=[status("a")])
    assert drive(wait(calls, it, word_is("a"), error=word_is("a"), start=START, timeout=9))


def test_wait_fails_once_the_error_predicate_says_so() -> None:
    it = record(state=State.READY, id=ID)
    _, calls = calls_of(it, status=[status("a"), status("broken")])
    with pytest.raises(ProvisionError, match="the instance is 'broken'"):
        drive(wait(calls, it, word_is("c"), error=word_is("broken"), start=START, timeout=60))
    assert it.state is State.FAILED


def test_an_attached_instance_that_fails_stays_whose_it_is() -> None:
    it = attached()
    _, calls = calls_of(it, status=[status("failed")])
    with pytest.raises(ProvisionError):
        drive(until_ready(calls, it, POLICY, START))
    assert it.state is State.CLAIMED


def test_a_predicate_that_raises_is_not_hidden() -> None:
    it = record(state=State.READY, id=ID)
    _, calls = calls_of(it, status=[status("a")])
    with pytest.raises(ZeroDivisionError):
        drive(wait(calls, it, lambda _: bool(1 / 0), error=None, start=START, timeout=60))


# --- phases ----------------------------------------------------------------------------------


def test_a_phase_is_timed_even_if_it_fails() -> None:
    it, io = record(id=ID), ScriptedIO()
    it.saw_status("booting", START)

    def work() -> None:
        with phase("ready", io, it):
            drive(io.sleep(4))
            raise HydraSmokeError("no")

    with pytest.raises(HydraSmokeError) as caught:
        work()
    assert it.phases == {"ready": 4.0}
    error = caught.value
    assert (error.phase, error.seconds, error.last) == ("ready", 4.0, "status 'booting'")
    assert error.instance == f"{ID} (key night-0)"


def test_a_phase_tells_a_strangers_error_nothing_but_is_timed() -> None:
    it, io = record(), ScriptedIO()
    with pytest.raises(KeyError), phase("row", io, it):
        raise KeyError("x")
    assert it.phases == {"row": 0.0}


def test_the_usual_policy_is_the_documented_one() -> None:
    assert (
        Policy(
            ready_timeout=900,
            chat_timeout=120,
            llm_events_timeout=30,
            delete_timeout=60,
            row_wait=60,
            keep="never",
            ready=frozenset({"running", "active", "ready", "online"}),
            failed=frozenset({"failed", "error", "provision_failed", "cancelled"}),
            gone=frozenset({"deleted", "deleting", "terminated"}),
            chat_end="auto",
        )
        == Policy()
    )


# --- what a token that is proved can't be blamed for -------------------------------------------


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
