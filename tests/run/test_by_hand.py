"""What a test provisions by hand is the run's: deleted in the end, or told as a leak."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from net_tools import AT_ONCE, KINDS, SPEC, World, result, within

from pytest_hydrasmoke import (
    AsyncSmokeInstanceFactory,
    ConfigError,
    RejectedError,
    RouterError,
    SmokeInstanceFactory,
    UnauthorizedError,
)
from pytest_hydrasmoke._clock.io import async_io, blocking_io
from pytest_hydrasmoke._core import proof
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._plugin.fixtures import AsyncRunClient, RunClient

pytestmark = pytest.mark.anyio

OTHER_ID = "7c1d2e3f-4a5b-4c6d-8e7f-9a0b1c2d3e4f"


class Hands:
    """What a test of a run is given: a factory, and a client."""

    def __init__(self, world: World) -> None:
        self.world = world
        run, link = world.run, world.run.config.link
        self.client: Any
        self.factory: Any
        if world.kind == "sync":
            self.client = RunClient(blocking_io(link, world.clock), run)
            self.factory = SmokeInstanceFactory(run)
        else:
            self.client = AsyncRunClient(async_io(link, world.clock), run)
            self.factory = AsyncSmokeInstanceFactory(run, world.async_io())

    @property
    def states(self) -> list[State]:
        return [instance.state for instance in self.world.run.instances]

    @property
    def leaks(self) -> list[str | None]:
        return [instance.leak for instance in self.world.run.instances]

    def alive(self) -> int:
        return sum(not instance.deleted for instance in self.world.fake.instances)

    def look_back(self) -> None:
        """Look once more at everything, as the end of a run does."""
        self.world.run.look_back()


@asynccontextmanager
async def hands(
    kind: str, *, provision_instance_id: Any = "present", row_after: float = 0, **settings: Any
) -> AsyncGenerator[Hands]:
    scenario = dataclasses.replace(
        AT_ONCE, provision_instance_id=provision_instance_id, row_after=row_after
    )
    async with World(kind, scenario, **settings) as world:
        it = Hands(world)
        async with within(it.client):
            yield it


@pytest.fixture(params=KINDS[:1])
def kind(request: pytest.FixtureRequest) -> str:
    """Blocking code: the rules are of all kinds; who tests all that is called names others."""
    given: str = request.param
    return given


@pytest.mark.parametrize("kind", KINDS, indirect=True)
async def test_what_is_provisioned_by_hand_is_deleted(kind: str) -> None:
    async with hands(kind) as it:
        async with within(it.factory.own("mine")) as key:
            assert key == "net-mine"
            assert key in it.world.run.ledger.read().instances
            accepted = await result(it.client.provision(SPEC, key))
            assert accepted.idempotency_key == key
            # Once it is there, another provision is nobody's news.
            await result(it.client.provision(SPEC, key))
            assert (it.states, it.alive()) == ([State.ACCEPTED], 1)
        assert (it.states, it.alive()) == ([State.GONE], 0)
        it.look_back()
        assert it.states == [State.DELETED]
        # The router makes nothing anew under it.
        await result(it.client.provision(SPEC, key))
        assert (it.states, it.alive()) == ([State.DELETED], 0)


OF_ANY_FORM = ["ci-demo-7", "net-mine", "net-3", "a b?#é", "plain"]


@pytest.mark.parametrize("kind", KINDS, indirect=True)
async def test_a_key_of_any_form_is_the_runs_if_its_client_sends_it(kind: str) -> None:
    async with hands(kind) as it:
        for key in OF_ANY_FORM:
            await result(it.client.provision(SPEC, key))
            claim = it.world.run.ledger.read().instances[key]
            assert (claim.run_id, claim.open) == ("net", True)
        # A second request adds no claim.
        await result(it.client.provision(SPEC, "plain"))
        assert (len(it.states), it.alive()) == (5, 5)
        it.world.run.close()
        it.look_back()
        assert (it.states, it.leaks, it.alive()) == ([State.DELETED] * 5, [None] * 5, 0)


async def test_what_no_path_can_poll_is_named_and_left_alone(kind: str) -> None:
    # A router decodes a path before it takes it apart: nobody can poll this key.
    async with hands(kind) as it:
        made = await result(it.client.provision(SPEC, "a/b"))
        it.world.run.close()
        it.look_back()
        [instance] = it.world.run.instances
        assert (it.alive(), instance.id) == (1, made.instance_id)
        assert instance.leak is not None


async def test_a_key_that_the_router_refuses_ends_as_refused(kind: str) -> None:
    async with hands(kind) as it:
        with pytest.raises(RejectedError):
            await result(it.client.provision(SPEC, "x" * 256))
        it.world.run.close()
        it.look_back()
        assert (it.states, it.leaks, it.alive()) == ([State.REFUSED], [None], 0)


@pytest.mark.parametrize("kind", KINDS[:2], indirect=True)
async def test_another_runs_instance_is_met_and_survives(kind: str) -> None:
    async with hands(kind) as it:
        stranger = it.world.client()
        async with within(stranger):
            theirs = await result(stranger.provision(SPEC, "theirs-0"))
        for _ in range(2):
            again = await result(it.client.provision(SPEC, "theirs-0"))
            assert again.instance_id == theirs.instance_id
        [met] = it.world.run.instances
        assert (met.attached, met.id, it.world.run.ledger.read().size) == (
            True,
            theirs.instance_id,
            0,
        )
        assert "it is another run's, and is not deleted" in next(iter(met.notes))
        it.world.run.close()
        it.look_back()
        assert (it.leaks, it.alive()) == ([None], 1)


async def test_a_client_with_another_token_claims_its_key_too(kind: str) -> None:
    async with hands(kind) as it:
        other = it.client.with_token("another-made-up-token")
        async with within(other):
            with pytest.raises(UnauthorizedError):
                await result(other.provision(SPEC, "ci-demo-7"))
        assert it.states == [State.REFUSED]
        assert "ci-demo-7" in it.world.run.ledger.read().instances
        it.world.run.close()
        assert (it.leaks, it.alive()) == ([None], 0)


@pytest.mark.parametrize("kind", KINDS[:2], indirect=True)
@pytest.mark.parametrize("case", ["fails", "after a refusal", "in progress", "somebody else's"])
async def test_what_is_made_under_an_owned_key_is_deleted_however_it_was_made(
    kind: str, case: str
) -> None:
    async with hands(kind) as it:
        stranger = it.world.client()
        with contextlib.suppress(ZeroDivisionError):
            async with within(stranger), within(it.factory.own("mine")) as key:
                if case in ("after a refusal", "in progress"):
                    status, when = (400, "before") if case == "after a refusal" else (409, "after")
                    it.world.fake.fail("provision", status=status, when=when)
                    with pytest.raises(RouterError, match=str(status)):
                        await result(it.client.provision(SPEC, key))
                if case != "in progress":
                    client = stranger if case == "somebody else's" else it.client
                    await result(client.provision(SPEC, key))
                assert it.alive() == 1
                if case == "fails":
                    raise ZeroDivisionError
        assert (it.states, it.alive()) == ([State.GONE], 0)


@pytest.mark.parametrize("kind", KINDS[:2], indirect=True)
@pytest.mark.parametrize("given", ["present", "null"])
async def test_what_the_test_deletes_itself_is_seen_gone(kind: str, given: Any) -> None:
    async with hands(kind, provision_instance_id=given) as it:
        async with within(it.factory.own("mine")) as key:
            told = (await result(it.client.provision(SPEC, key))).instance_id
            if told is None:
                told = (await result(it.client.poll(key))).instance_id
            await result(it.client.status(told))
            await result(it.client.delete(told))
            assert it.states == [State.DELETING]
        assert (it.states, it.leaks) == ([State.GONE], [None])


async def test_a_deletion_before_there_is_a_row_is_none(kind: str) -> None:
    async with hands(kind, row_after=3) as it:
        async with within(it.factory.own("mine")) as key:
            told = (await result(it.client.provision(SPEC, key))).instance_id
            assert not (await result(it.client.poll(key))).found
            # Answered with 404, which to a client means that it is gone.
            await result(it.client.delete(told))
            assert it.states == [State.ACCEPTED]
        assert (it.states, it.alive(), len(it.world.fake.instances)) == ([State.GONE], 0, 1)


@pytest.mark.parametrize("kind", KINDS[:2], indirect=True)
async def test_what_a_test_has_long_known_is_not_waited_for_at_the_runs_end(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, "UNASKED", 10.0)
    async with hands(kind) as it:
        async with within(it.factory.own("mine")) as key:
            await result(it.client.provision(SPEC, key))
            await result(it.client.poll(key))
            it.world.clock.advance(20)
        before = it.world.clock.now()
        it.look_back()
        assert it.world.clock.now() - before < 5


@pytest.mark.parametrize("about", ["its key", "a provision"])
async def test_what_its_key_names_is_the_runs_to_delete_and_nothing_else(
    kind: str, about: str
) -> None:
    async with hands(kind) as it:
        async with within(it.factory.own("mine")) as key:
            await result(it.client.provision(SPEC, key))
            assert (await result(it.client.poll(key))).found
            other = {"idempotency_key": key, "instance_id": OTHER_ID, "task_id": "t"}
            row = {"found": True, "instance_id": OTHER_ID, "status": "running"}
            [instance] = it.world.run.instances
            it.world.clock.advance(60)
            if about == "its key":
                it.world.fake.fail("poll", status=200, body=row)
                await result(it.client.poll(key))
            else:
                it.world.fake.fail("provision", status=200, body=other)
                await result(it.client.provision(SPEC, key))
            named = [OTHER_ID] if about == "its key" else []
            assert instance.known_ids[1:] == named
            assert [*it.world.run.ledger.read().instances[key].ids][1:] == named
            # How long it has been known is said of the last one.
            shown = instance.last_look_at(0.0, 0.0) - proof.UNASKED
            assert (shown >= 60) is bool(named)
        asked = [request.path for request in it.world.fake.requests if request.route == "delete"]
        assert any(path.endswith(OTHER_ID) for path in asked) is bool(named)


async def test_what_is_refused_is_asked_for_only_once_and_at_the_runs_end(kind: str) -> None:
    async with hands(kind) as it:
        overlong = SPEC.model_copy(update={"tier_id": "x" * 81})
        async with within(it.factory.own("mine")) as key:
            with pytest.raises(RejectedError):
                await result(it.client.provision(overlong, key))
            assert it.states == [State.REFUSED]
        assert it.world.routes() == ["provision", "status"], "a control, of a malformed id"
        for _ in range(2):
            it.look_back()
            assert it.world.routes() == ["provision", "status", "poll"]
        assert (it.states, it.leaks) == ([State.REFUSED], [None])


async def test_what_nobody_knows_of_is_a_leak_and_a_spec_with_the_token_is_not_sent(
    kind: str,
) -> None:
    async with hands(kind, delete_timeout=5) as it:
        leaky = SPEC.model_copy(update={"agent_name": it.world.fake.token})
        async with within(it.factory.own("mine")) as key:
            with pytest.raises(ConfigError, match="the spec contains the token"):
                await result(it.client.provision(leaky, key))
        assert "but shows no instance for its key" in str(it.leaks)
        assert "provision" not in it.world.routes()


NAMES = ("mine", "mine_2", "mine_3")


@pytest.mark.parametrize("kind", KINDS[:2], indirect=True)
async def test_a_key_is_owned_once_and_by_a_name_that_a_sweep_can_place(kind: str) -> None:
    refused = "can't name what a test provisions by hand"
    async with hands(kind) as it:

        async def refuses(name: str) -> None:
            with pytest.raises(ConfigError, match=refused):
                async with within(it.factory.own(name)):
                    pass

        for name in ("", "0", "12", "two-words", "-"):
            await refuses(name)
        assert it.states == []
        # What is told of a key would else be told of two requests for it.
        async with within(it.factory.own("mine")) as one, within(it.factory.own("mine")) as other:
            for key in (one, other):
                await result(it.client.provision(SPEC, key))
        async with within(it.factory.own("mine")) as key:
            await result(it.client.provision(SPEC, key))
        assert [one, other, key] == [f"{it.world.run.config.run_id}-{name}" for name in NAMES]
        assert it.alive() == 0


# Of somebody with another token


@pytest.mark.parametrize(
    ("token", "first"),
    [
        (None, {}),
        ("another-token", {"status": 429}),
        ("another-token", {"status": 503}),
        # The run's own token is known to be valid, and this one is not.
        ("another-token", {"status": 403}),
        ("another-token", {"status": 401, "body": "<h1>no</h1>"}),
    ],
    ids=["none", "after 429", "after 503", "with 403", "by something else"],
)
async def test_a_stranger_who_is_turned_away_made_nothing(
    kind: str, token: str | None, first: dict[str, Any]
) -> None:
    async with hands(kind) as it:
        if first:
            it.world.fake.fail("provision", **first)
        stranger = it.client.with_token(token)
        async with within(stranger), within(it.factory.own("mine")) as key:
            with pytest.raises(UnauthorizedError):
                await result(stranger.provision(SPEC, key))
            assert it.states == [State.REFUSED]
        assert it.leaks == [None]
        it.look_back()


async def test_a_stranger_who_is_turned_away_and_served_is_found_out(kind: str) -> None:
    async with hands(kind) as it:
        it.world.fake.fail("provision", status=401, when="after")
        async with within(it.factory.own("mine")) as key:
            stranger = it.client.with_token(it.world.fake.token)
            async with within(stranger):
                with pytest.raises(UnauthorizedError):
                    await result(stranger.provision(SPEC, key))
            assert it.states == [State.REFUSED]
        # Nobody looks at once: a row may come a while after the refusal.
        assert it.alive() == 1
        it.look_back()
        assert (it.states, it.alive()) == ([State.GONE], 0)  # If it stays so, a sweep finds out.
        [instance] = it.world.run.instances
        assert "refused to provision it, and did it all the same" in str(instance.conflict)


@pytest.mark.parametrize("kind", KINDS[:2], indirect=True)
async def test_a_client_may_send_any_authorization_and_no_field(kind: str) -> None:
    async with hands(kind) as it:
        plain = it.world.client()
        for client in (it.client, plain):
            for other in (
                client.with_token("another-token"),
                *map(client.with_authorization, ("Basic abc", "Bearer", None)),
            ):
                async with within(other) as stranger:
                    with pytest.raises(UnauthorizedError):
                        await result(stranger.poll("key"))
            assert not (await result(client.poll("key"))).found
            async with within(client.with_authorization(f"Bearer {it.world.fake.token}")) as right:
                assert not (await result(right.poll("key"))).found
            with pytest.raises(ConfigError, match="authorization"):
                client.with_authorization("Bearer a\r\nb")
        async with within(plain):
            with pytest.raises(ConfigError, match="the token"):
                plain.with_token("brief")
        # One without a field is still the run's own.
        without = it.client.without("tier_id")
        async with within(without), within(it.factory.own("mine")) as key:
            with pytest.raises(RejectedError, match="tier_id"):
                await result(without.provision(SPEC, key))
            assert it.states == [State.REFUSED]
        assert it.leaks == [None]
