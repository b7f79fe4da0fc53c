"""ask.py: a team's tool. It asks a fresh agent one question, and leaves nothing behind.

HYDRA_SMOKE_TOKEN=... python ask.py https://router.example "What is new?"
"""

from __future__ import annotations

import os
import sys
import time
import uuid

from pytest_hydrasmoke import ChatEvent, HydraSmokeError, InstanceSpec, SmokeClient

SPEC = InstanceSpec(manifest_id="hermes-basic", region_id="eu-central", tier_id="basic")


def ask(client: SmokeClient, question: str, patience: float = 600.0) -> str:
    """Provision an agent, ask it, delete it; raises `HydraSmokeError` or `TimeoutError`."""
    key = f"ask-{uuid.uuid4()}"
    client.provision(SPEC, key)
    instance_id = None
    try:
        end = time.monotonic() + patience
        while (found := client.poll(key)).status != "running":
            instance_id = found.instance_id
            if time.monotonic() > end:
                raise TimeoutError(f"no agent after {patience:g} s")
            time.sleep(0.05)
        instance_id = found.instance_id
        with client.stream_chat(instance_id, question) as events:
            return "".join(map(text, events))
    finally:
        if instance_id is not None:
            client.delete(instance_id)


def text(event: ChatEvent) -> str:
    if event.data == "[DONE]":
        return ""
    return "".join(choice["delta"].get("content") or "" for choice in event.json()["choices"])


def main(url: str, question: str) -> int:
    try:
        with SmokeClient(url, token=os.environ["HYDRA_SMOKE_TOKEN"]) as client:
            print(ask(client, question))
    except (HydraSmokeError, TimeoutError) as error:
        print(f"ask: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
