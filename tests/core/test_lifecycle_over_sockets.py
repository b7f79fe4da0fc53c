"""The whole life of an instance, over real sockets, in blocking code and under both loops."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from net_tools import (
    AT_ONCE,
    FIELDS,
    SPEC,
    World,
    all_of,
    config_for,
    result,
    smoke_session,
    with_kinds,
    within,
)

from pytest_hydrasmoke import (
    AsyncChatTurn,
    ChatEvent,
    ChatTurn,
    ConfigError,
    DeleteResult,
    InstanceSpec,
    InstanceStatus,
    NotFoundError,
    PollResult,
    ProvisionAccepted,
    ProvisionError,
    ProvisionTimeoutError,
)
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke.fake import FakeRouter, Scenario

pytestmark = pytest.mark.anyio


BLOCKING = pytest.mark.parametrize("kind", ["sync"])
"""For rules that no kind of client has a part in."""


def changed(**scenario: Any) -> Scenario:
    return dataclasses.replace(AT_ONCE, **scenario)


async def test_one_instance_from_provision_to_delete(kind: str) -> None:
    async with World(kind, Scenario()) as world:
        instance = await world.provision()
        [seen] = world.fake.instances
        assert instance.id == seen.id
        assert instance.idempotency_key == seen.idempotency_key == "net-0"
        assert instance.spec == SPEC
        assert instance.hostname == seen.hostname
        named = "SmokeInstance" if kind == "sync" else "AsyncSmokeInstance"
        assert repr(instance) == f"<{named} {instance.id} (key net-0)>"

        status = await result(instance.status())
        assert isinstance(status, InstanceStatus)
        assert (status.id, status.status) == (seen.id, "running")

        turn = await result(instance.chat("Are you ready?"))
        assert isinstance(turn, ChatTurn if kind == "sync" else AsyncChatTurn)
        assert turn.message == "Are you ready?"
        assert turn.text == "I am ready."
        assert turn.complete
        assert [event.data for event in turn.events][-1] == "[DONE]"
        assert turn.first_event_after <= turn.duration
        assert repr(turn) == (
            f"<{type(turn).__name__} {len(turn.events)} events in {turn.duration:.2f} s>"
        )

        events = await result(turn.expect_llm_events(at_least=1, at_most=1))
        assert (events.count, events.providers) == (1, ("anthropic",))
        assert (await result(instance.llm_events())).count == 1
        assert (await result(instance.expect_llm_events(providers={"anthropic"}))).count == 1

        await result(instance.delete())
        assert world.fake.instances[0].deleted
        with pytest.raises(NotFoundError):
            await result(instance.status())
        before = len(world.fake.requests)
        await result(instance.delete())
        assert len(world.fake.requests) == before
    [record] = world.session.records
    assert record.state is State.GONE
    assert record.leak is None
    assert set(record.phases) == {
        "provision",
        "row",
        "ready",
        "first_event",
        "turn",
        "llm_events",
        "delete",
    }
    assert len(world.fake.requests) == before


def test_blocking_code_needs_no_loop() -> None:
    with FakeRouter(AT_ONCE) as fake:
        session = smoke_session(config_for(fake, usage_settle=0.3))
        with session.provision(SPEC) as instance:
            turn = instance.chat("hello")
            assert turn.text == "I am ready."
            assert turn.expect_llm_events().count == 1
            with instance.stream_chat("hello") as events:
                assert len(list(events)) > 2
            assert instance.wait(lambda status: status.status == "running").id == instance.id
        assert fake.instances[0].deleted
        session.close()


@pytest.mark.parametrize(("kind", "keep"), with_kinds(["never", "on-failure", "always"]))
async def test_leaving_the_context_deletes_what_is_not_kept(kind: str, keep: str) -> None:
    async with World(kind, AT_ONCE, keep=keep) as world:
        async with within(await world.provision()):
            pass
        with pytest.raises(ZeroDivisionError):
            async with within(await world.provision()) as broken:
                raise ZeroDivisionError
        world.session.close()
        deleted = [instance.deleted for instance in world.fake.instances]
        assert deleted == [keep != "always", keep == "never"]
        states = [record.state for record in world.session.records]
        assert [state is State.KEPT for state in states] == [not gone for gone in deleted]
        if keep != "never":
            assert (await result(broken.chat("what is wrong?"))).complete
        # Whoever asks for it outright gets it.
        await result(broken.delete())
        assert world.fake.instances[1].deleted


async def test_a_run_that_a_sweep_has_ended_provisions_and_chats_no_more(kind: str) -> None:
    async with World(kind, AT_ONCE) as world:
        instance = await world.provision()
        world.session.ledger.stop()
        before = len(world.fake.requests)
        for go_on in (world.provision, lambda: result(instance.chat("hello"))):
            with pytest.raises(ConfigError, match="run net is over"):
                await go_on()
        with pytest.raises(ConfigError, match="run net is over"):
            async with within(instance.stream_chat("hello")):
                pytest.fail("the stream began")
        assert len(world.fake.requests) == before
        assert (await result(instance.status())).status == "running"
        await result(instance.delete())
    assert [record.state for record in world.session.records] == [State.GONE]


@pytest.mark.parametrize(
    ("kind", "code", "instance_id", "poll"),
    [
        ("sync", 200, "null", "bare"),
        ("asyncio", 201, "absent", "found_false"),
        ("trio", 202, "present", "404"),
    ],
)
async def test_every_way_to_be_provisioned_leads_to_a_ready_instance(
    kind: str, code: Any, instance_id: Any, poll: Any
) -> None:
    scenario = Scenario(
        provision_status=code, provision_instance_id=instance_id, poll_before_row=poll, row_after=1
    )
    async with World(kind, scenario) as world:
        instance = await world.provision()
        assert instance.id == world.fake.instances[0].id
        assert instance.hostname is not None
        assert world.times("provision") == 1
        assert world.times("poll") > 1
        await result(instance.delete())
    assert world.fake.instances[0].deleted


@pytest.mark.parametrize(("kind", "word"), with_kinds(["Failed", "deleted"]))
async def test_a_failed_or_gone_word_ends_provisioning_and_what_there_is_goes(
    kind: str, word: str
) -> None:
    scenario = Scenario(row_after=0, statuses=((0, "queued"), (1, word)), ready_words=())
    async with World(kind, scenario) as world:
        with pytest.raises(ProvisionError, match=f"the instance is '{word}'") as caught:
            await world.provision()
        assert caught.value.got == f"queued → {word}"
        assert caught.value.phase == "ready"
        assert world.fake.instances[0].deleted
    assert world.session.records[0].state is State.GONE


@BLOCKING
@pytest.mark.parametrize("instance_id", ["present", "null"])
async def test_an_instance_whose_row_comes_late_is_deleted_all_the_same(
    kind: str, instance_id: Any
) -> None:
    scenario = Scenario(row_after=20, provision_instance_id=instance_id)
    async with World(kind, scenario, ready_timeout=10) as world:
        with pytest.raises(ProvisionTimeoutError, match="its row did not appear") as caught:
            await world.provision()
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.phase == "row"
        world.session.close()
        world.clock.advance(60)
        # Unknown to the router a moment ago is not gone: a worker was still to insert it.
        assert world.fake.instances[0].deleted


@BLOCKING
async def test_unknown_fields_are_kept_and_noted(kind: str) -> None:
    extra = {"datacentre": "north", "cost": {"eur": 1}}
    async with World(kind, changed(extra=extra)) as world:
        instance = await world.provision()
        status = await result(instance.status())
        assert status.model_extra == extra
        events = await result(instance.llm_events())
        assert events.model_extra == extra
        await result(instance.delete())
        [record] = world.session.records
    assert record.drift == [
        f"unknown in the answer to {call}: cost, datacentre"
        for call in ("poll", "provision", "status", "llm_events", "delete")
    ]


@BLOCKING
@pytest.mark.parametrize(
    ("after", "second"), [("404", 200), ("row", 404), ("404", 409), ("row", 410)]
)
async def test_whatever_follows_a_delete_confirms_it(kind: str, after: Any, second: Any) -> None:
    async with World(kind, changed(after_delete=after, second_delete=second)) as world:
        instance = await world.provision()
        await result(instance.delete())
        assert world.session.records[0].state is State.GONE

        # A second hand on the same instance is told the same.
        client = world.client()
        async with within(client):
            again = await result(client.delete(instance.id))
        assert isinstance(again, DeleteResult)
        assert (again.instance_id, again.status) == (instance.id, "deleted")


@pytest.mark.parametrize("kind", ["sync", "asyncio"])
async def test_waiting_for_a_status(kind: str) -> None:
    scenario = changed(statuses=((0, "running"), (30, "suspended"), (60, "failed")))
    async with World(kind, scenario) as world:
        instance = await world.provision()
        status = await result(instance.wait(lambda status: status.status == "suspended"))
        assert status.status == "suspended"
        with pytest.raises(ProvisionError, match="'failed'"):
            await result(
                instance.wait(
                    lambda status: status.status == "ready",
                    error=lambda status: status.status == "failed",
                )
            )
        with pytest.raises(ProvisionTimeoutError, match="within 5 s"):
            await result(instance.wait(lambda status: False, timeout=5))


async def test_the_six_calls_by_themselves(kind: str) -> None:
    async with World(kind, changed(row_after=3, llm_events_lag=0)) as world:
        client = world.client()
        async with within(client):
            accepted = await result(client.provision(InstanceSpec(**FIELDS), "mine"))
            assert isinstance(accepted, ProvisionAccepted)
            assert await result(client.poll("mine")) == PollResult(
                found=False, instance_id=None, status=None
            )
            world.clock.advance(3)
            found = await result(client.poll("mine"))
            assert found.found
            assert found.instance_id == accepted.instance_id
            assert found.instance_id is not None
            assert (await result(client.status(found.instance_id))).status == "running"
            async with within(client.stream_chat(found.instance_id, "hello")) as events:
                assert (await all_of(events))[-1].data == "[DONE]"
            counted = await result(client.llm_events(found.instance_id))
            assert (counted.count, counted.window_seconds) == (1, 900)
            assert (await result(client.delete(found.instance_id))).status == "deleted"
            with pytest.raises(NotFoundError):
                await result(client.status(found.instance_id))


async def test_a_client_can_say_what_its_own_frames_mean(kind: str) -> None:
    asked: list[str] = []

    def text(event: ChatEvent) -> str | None:
        asked.append(event.data)
        return None

    async with World(kind, changed(runtime="text", terminal=False)) as world:
        instance = await world.provision()
        client = world.client(chat_text=text, chat_end=lambda event: event.data == ".")
        async with within(client), within(client.stream_chat(instance.id, "hello")) as events:
            told = [event.data for event in await all_of(events)]
    assert asked == told
    assert told[-1] == "."
