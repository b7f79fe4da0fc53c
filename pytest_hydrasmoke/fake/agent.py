"""A real agent on this machine, which answers the fake's chats: how it is checked, and asked.

The only module of the fake with an HTTP client; a fake without an agent does not load it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import httpx

from pytest_hydrasmoke._base.clock import now, pause

from .agent_events import AgentError, Message, as_object, parsed

_SECONDS = 10.0
"""For a connection, and for an answer that needs no model."""
_EXAMPLE = "http://127.0.0.1:8642"
_SHOWN = 300
"""Most characters of an agent's own words."""
_NO_STREAM = ("application/json", "text/html")


@dataclass(slots=True)
class Agent:
    """Where an agent is that serves OpenAI's API, and with what it is asked."""

    url: str
    model: str | None
    """The one to ask; `check` finds it if there is only one."""
    token: str | None = field(repr=False)
    new_conversation: str | None = None
    """A message that begins a new conversation: the agent gets it as the only one of its own."""

    def check(self, patience: float, again: Callable[[], None]) -> None:
        """See that it answers, without a model call, and find its model; raises `AgentError`.

        For so many seconds it may still be starting; `again` is called before each further attempt.
        """
        until = now() + patience
        with httpx.Client(**self._options(_SECONDS)) as http:
            while True:
                try:
                    return self._check_list(http)
                except httpx.HTTPError as problem:
                    starts = (
                        isinstance(problem, httpx.ConnectError)
                        and "ssl" not in str(problem).lower()
                    )
                    if not starts or now() >= until:
                        raise self._unreachable(problem) from None
                pause(0.25)
                again()

    @asynccontextmanager
    async def turn(
        self, before: Sequence[Message], asked: Message, conversation: str
    ) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Ask for a turn, and give its stream as it comes.

        Raises `AgentError`: at the beginning for a refusal, later for a stream that is cut.
        """
        streams = {"stream": True, "stream_options": {"include_usage": True}}
        body = {"model": self.model, "messages": [*before, asked]} | streams
        place = f"{self._base}/v1/chat/completions"
        headers = {"accept": "text/event-stream"}
        if self.token is not None:
            # By this name Hermes Agent keeps a conversation itself, with its tools, for those who
            # have a key. It then reads the last message only; other agents read all of them.
            headers["x-hermes-session-id"] = conversation
        # A model may think for long: the client has a deadline of its own, and leaves.
        timeout = httpx.Timeout(_SECONDS, read=None)
        try:
            async with (
                httpx.AsyncClient(**self._options(timeout)) as http,
                http.stream("POST", place, json=body, headers=headers) as answer,
            ):
                if answer.status_code != 200 or _kind(answer) in _NO_STREAM:
                    raise AgentError(f"the agent answered {_told(answer, await _begin(answer))}")
                yield answer.aiter_bytes()
        except httpx.HTTPError as problem:
            raise self._unreachable(problem) from None

    @property
    def _base(self) -> str:
        return self.url.rstrip("/").removesuffix("/v1")

    def _options(self, timeout: float | httpx.Timeout) -> dict[str, Any]:
        headers = {"accept-encoding": "identity"}
        if self.token is not None:
            headers["authorization"] = f"Bearer {self.token}"
        # Certificates take a while to load; and no proxy leads to this machine.
        verify = self.url.lower().startswith("https:")
        return {"headers": headers, "timeout": timeout, "verify": verify, "trust_env": False}

    def _check_list(self, http: httpx.Client) -> None:
        answer = http.get(f"{self._base}/v1/models")
        models = parsed(answer.content).get("data") if answer.status_code == 200 else None
        if self.model is not None and answer.status_code in (404, 405, 501):
            return  # Not every agent has such a list.
        if not isinstance(models, list):
            raise self._unusable(
                answer,
                f"agent_url is the base of an API like OpenAI's, such as {_EXAMPLE}; if that lists "
                "no models, set HYDRA_SMOKE_AGENT_MODEL",
            )
        names = [str(as_object(it).get("id")) for it in cast("list[object]", models)]
        if self.model is None and len(names) != 1:
            few = f"{len(names)} models ({_shortened(', '.join(names))})" if names else "no models"
            which = "set HYDRA_SMOKE_AGENT_MODEL to the one to ask"
            raise AgentError(f"the agent at {self.url} lists {few}: {which}")
        self.model = self.model or names[0]

    def _unusable(self, answer: httpx.Response, advice: str) -> AgentError:
        if answer.status_code in (401, 403):
            advice = "set HYDRA_SMOKE_AGENT_TOKEN, in the environment, to a token that it accepts"
        asked = f"{answer.request.method} {answer.url.path}"
        told = _told(answer, answer.content)
        return AgentError(f"the agent at {self.url} answers {asked} with {told}; {advice}")

    def _unreachable(self, problem: httpx.HTTPError) -> AgentError:
        why = _shortened(str(problem)) or type(problem).__name__
        step = (
            "it may speak http:// only"
            if "ssl" in why.lower()
            else "start it, or correct agent_url"
        )
        return AgentError(f"the agent at {self.url} can't be reached: {why}; {step}")


def _kind(answer: httpx.Response) -> str:
    kind: str = answer.headers.get("content-type", "")
    return kind.partition(";")[0].strip().lower()


async def _begin(answer: httpx.Response) -> bytes:
    """Read as much of a refusal as anybody is shown."""
    body = b""
    async for chunk in answer.aiter_bytes():
        body += chunk
        if len(body) > 16 * _SHOWN:
            break
    return body


def _told(answer: httpx.Response, body: bytes) -> str:
    """Return an answer in words: its status, its kind, and the beginning of what it says."""
    words = as_object(parsed(body).get("error")).get("message")  # As APIs like OpenAI's say it.
    if "location" in answer.headers:
        words = f"to {answer.headers['location']}"
    shown = _shortened(words if isinstance(words, str) else body.decode("utf-8", "replace"))
    return f"{answer.status_code} ({_kind(answer) or 'no type'}): {shown or 'nothing'}"


def _shortened(words: str) -> str:
    line = " ".join("".join(it if it.isprintable() else " " for it in words).split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
