"""Hermes Agent as a process of its own: its API server on loopback, and a turn of each stream."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
from systems import free_port

CONFIG = """\
model:
  provider: custom
  default: stub
  base_url: {model}
  api_key: {key}
  context_length: 200000
security:
  tirith_enabled: false
"""
NOWHERE = "http://127.0.0.1:9"


class HermesAgent:
    """An agent that is starting, up, or gone; all that it keeps is in `folder`."""

    def __init__(self, folder: Path, model: str) -> None:
        folder.mkdir(parents=True)
        self.key = secrets.token_hex(16)
        self._port = free_port()
        self._session: str | None = None
        config = CONFIG.format(model=model, key=secrets.token_hex(16))
        (folder / "config.yaml").write_text(config, "utf-8")
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "HERMES_HOME": str(folder),
            "API_SERVER_ENABLED": "true",
            "API_SERVER_HOST": "127.0.0.1",
            "API_SERVER_PORT": str(self._port),
            "API_SERVER_KEY": self.key,
            # Whatever it would look up elsewhere is not to be had.
            "HTTP_PROXY": NOWHERE,
            "HTTPS_PROXY": NOWHERE,
            "NO_PROXY": "127.0.0.1,localhost",
        }
        with (folder / "output.txt").open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "hermes_cli.main", "gateway", "run"],
                cwd=folder,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def url(self) -> str:
        """Where its API server is, or will be."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def is_alive(self) -> bool:
        """Whether its process runs."""
        return self._process.poll() is None

    @property
    def is_up(self) -> bool:
        """Whether its API server takes connections."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
            return True
        assert self.is_alive, "the agent has ended by itself: see its output.txt"
        return False

    def kill(self) -> None:
        """End it with all that it has started, as a machine that is taken away."""
        if self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    async def turn(self, stream: str, message: str) -> AsyncIterator[bytes]:
        """Yield one turn's event stream as it comes, byte by byte as it is."""
        headers = {"authorization": f"Bearer {self.key}"}
        async with httpx.AsyncClient(
            base_url=self.url, headers=headers, trust_env=False, timeout=60
        ) as http:
            method, path, body = await self._request(http, stream, message)
            async with http.stream(method, path, json=body) as answer:
                answer.raise_for_status()
                async for chunk in answer.aiter_raw():
                    yield chunk

    async def _request(
        self, http: httpx.AsyncClient, stream: str, message: str
    ) -> tuple[str, str, Any]:
        """Return the request that is answered with a turn's stream."""
        if stream == "chat":
            messages = [{"role": "user", "content": message}]
            return "POST", "/v1/chat/completions", {"stream": True, "messages": messages}
        if stream == "responses":
            return "POST", "/v1/responses", {"stream": True, "input": message}
        if stream == "run":
            run = (await http.post("/v1/runs", json={"input": message})).raise_for_status().json()
            return "GET", f"/v1/runs/{run['run_id']}/events", None
        # What runs an agent knows its commands: its API server takes them for text.
        if self._session is None or message == "/new":
            made = (await http.post("/api/sessions", json={})).raise_for_status().json()
            self._session = made["session"]["id"]
        return "POST", f"/api/sessions/{self._session}/chat/stream", {"message": message}
