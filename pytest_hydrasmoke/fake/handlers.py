"""The six calls: from a request to the router's answer.

The order is FastAPI's: a request is validated first, then the token, the instance last. A refusal
is raised, as Starlette's `HTTPException`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from . import requests as wire
from .agent_events import Conversation
from .chat_stream import AgentStream, EventStream, hang_up
from .recordings import Refused
from .records import FakeInstance, Json
from .replay import NotRecordedError, Replay, Replayed
from .replies import Speech
from .sse_events import encode, plan, plan_recorded
from .state import World

if TYPE_CHECKING:
    from .agent import Agent


class Handlers:
    """The handlers of one world, one per call; each gets an accepted call."""

    def __init__(self, world: World, replay: Replay | None) -> None:
        self._world = world
        self._scenario = world.scenario
        self._replay = replay

    def provision(self, call: wire.ProvisionCall) -> ASGIApp:
        instance = self._world.provision(call.body)
        if instance == "conflict":
            raise HTTPException(409, "This idempotency key belongs to another request")
        if instance == "quota":
            raise HTTPException(self._scenario.quota_status, "Quota of instances is used up")
        answer: dict[str, Json] = {"idempotency_key": instance.idempotency_key}
        if self._scenario.provision_instance_id != "absent":
            present = self._scenario.provision_instance_id == "present"
            answer["instance_id"] = instance.id if present else None
        answer["task_id"] = instance.task_id
        return JSONResponse(answer, self._scenario.provision_status)

    def poll(self, call: wire.PollCall) -> ASGIApp:
        instance = self._world.find_by_key(call.path.idempotency_key)
        if instance is not None:
            return JSONResponse(
                {"found": True, "instance_id": instance.id, "status": instance.status}
            )
        if self._scenario.poll_before_row == "404":
            raise HTTPException(404, "Instance not found")
        if self._scenario.poll_before_row == "bare":
            return JSONResponse({"found": False})
        return JSONResponse({"found": False, "instance_id": None, "status": None})

    def status(self, call: wire.InstanceCall) -> ASGIApp:
        instance = _found(self._world.find(call.instance_id))
        return JSONResponse(
            {"id": instance.id, "hostname": instance.hostname, "status": instance.status}
        )

    def chat(self, call: wire.ChatCall) -> ASGIApp:
        world, message, instance_id = self._world, call.body.message, call.instance_id
        if self._replay is not None:
            self._replay.note(instance_id, None)
            refused = self._refused_as_deleted(self._replay, instance_id, message)
            if refused is not None:
                return refused
        instance = _found(world.find_alive(instance_id))
        if not instance.ready:
            raise HTTPException(self._scenario.not_ready_status, "The agent is not ready")
        if world.agent is not None:
            return self._relayed(world.agent, instance_id, message)
        said = world.replies.answer(instance_id, message)
        if said is None and self._replay is not None:
            return self._replayed(self._replay, instance, message)
        said = said or Speech(message, self._scenario.reply)
        return EventStream(
            plan(encode(self._scenario, said), world.faults.take_break()),
            world.begin_turn(instance_id),
            self._scenario.event_pause,
            self._scenario.first_event_after,
        )

    def _relayed(self, agent: Agent, instance_id: str, message: str) -> ASGIApp:
        world, broken = self._world, self._world.faults.take_break()
        began = world.begin_turn(instance_id)

        def breaks(body: bytes) -> ASGIApp:
            runtime = encode(replace(self._scenario, runtime="openai"), Speech(message, ""))
            return EventStream(plan(runtime.instead(body), broken), began)

        known = world.conversations
        conversation = known.setdefault(instance_id, Conversation(instance_id))
        if message == agent.new_conversation:
            # It has one of its own, and the next message begins another.
            conversation, known[instance_id] = Conversation(), Conversation()
        return AgentStream(agent, began, conversation, message, breaks if broken else None)

    def _replayed(self, replay: Replay, instance: FakeInstance, message: str) -> ASGIApp:
        try:
            recorded = replay.answer(message, instance)
        except (NotRecordedError, ValueError) as problem:  # A user's hook may raise the latter.
            replay.missed(message)
            raise HTTPException(501, str(problem)) from None
        replay.note(instance.id, replay.played(recorded))
        counted, end = recorded.llm_events, recorded.end
        providers = () if counted is None else counted.each(self._scenario.providers)
        began = self._world.begin_turn(instance.id, providers)
        if end is None or (end == "cut" and not recorded.chunks):
            # No stream: an answer of another kind, or none at all.
            began.end()
            return hang_up if recorded.refused is None else _refusal(recorded.refused)
        if (broken := self._world.faults.take_break()) is None:
            playlist = plan_recorded(recorded.chunks, end, counted=counted is not None)
        else:
            runtime = encode(self._scenario, Speech(message, ""))
            playlist = plan(runtime.instead(b"".join(recorded.chunks)), broken)
        return EventStream(playlist, began)

    def _refused_as_deleted(
        self, replay: Replay, instance_id: str, message: str
    ) -> Response | None:
        """Return the recorded refusal of a message to a deleted instance, if there is one."""
        instance = self._world.find_deleted(instance_id)
        if instance is None:
            return None
        try:
            recorded = replay.answer(message, instance)
        except (NotRecordedError, ValueError):
            return None  # No recorded turn answers it: the router refuses it itself.
        if recorded.refused is None:
            return None
        replay.note(instance.id, Replayed(refused=True, uncounted=None))
        return _refusal(recorded.refused)

    def llm_events(self, call: wire.LlmEventsCall) -> ASGIApp:
        """Count the LLM events of a recent window."""
        instance = _found(self._world.find_alive(call.instance_id))
        if self._replay is not None:
            self._replay.moves_on(instance.idempotency_key)
        window, now = call.query.window_seconds, self._world.clock.now()
        # Compared this way round because a window may be too long for a float.
        seen = [
            event.provider
            for event in self._world.llm_events(instance.id)
            if now - event.at <= window
        ]
        return JSONResponse(
            {
                "instance_id": instance.id,
                "count": len(seen),
                "providers": sorted(set(seen)),
                "window_seconds": window,
            }
        )

    def delete(self, call: wire.InstanceCall) -> ASGIApp:
        outcome = self._world.delete(call.instance_id)
        if outcome == "unknown":
            raise HTTPException(404, "Instance not found")
        if outcome == "deleted_before" and self._scenario.second_delete != 200:
            raise HTTPException(self._scenario.second_delete, "Instance already deleted")
        return JSONResponse({"instance_id": call.instance_id, "status": self._scenario.gone_word})


def _refusal(refused: Refused) -> Response:
    return Response(refused.body, refused.status, {"content-type": refused.content_type})


def _found(instance: FakeInstance | None) -> FakeInstance:
    # A missing row, a deleted one and another owner's all look the same here.
    if instance is None:
        raise HTTPException(404, "Instance not found")
    return instance
