"""A tiny writer of the format on `docs/reference/recordings.md`, made by hand from that page."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SPEC = {"manifest_id": "hermes-basic", "region_id": "eu-central", "tier_id": "basic"}


def content(chunk: bytes) -> str | dict[str, str]:
    try:
        return chunk.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(chunk).decode()}


def turn(message: str, *chunks: bytes, instance: Any = "shared", **more: Any) -> dict[str, Any]:
    """Return a turn whose chunks came a tenth of a second apart."""
    fields: dict[str, Any] = {
        "run": 1,
        "instance": instance,
        "spec": SPEC,
        "message": message,
        "llm_events": None,
        **more,
    }
    if "refused" not in fields:
        fields.setdefault("end", "closed")
        told = [[100 * (at + 1), content(chunk)] for at, chunk in enumerate(chunks)]
        fields.setdefault("chunks", told)
    return fields


def says(message: str, text: str, **more: Any) -> dict[str, Any]:
    """Return a turn in which the agent says one thing, as bare text."""
    return turn(message, f"data: {text}\n\n".encode(), b"data: [DONE]\n\n", **more)


def recording(of: str, turns: Iterable[dict[str, Any]], **more: Any) -> str:
    """Return a file, of whose chunks each is a line."""
    head = {"format": "pytest-hydrasmoke recording", "version": 1, "recorded": "2026-11-20"}
    parts: list[str] = []
    for one in turns:
        chunks = ",\n".join(map(json.dumps, one.get("chunks") or ()))
        rest = json.dumps({name: it for name, it in one.items() if name != "chunks"})
        parts.append(f'{rest[:-1]},\n"chunks": [\n{chunks}\n]}}' if chunks else json.dumps(one))
    fields = json.dumps({**head, "of": of, **more})
    return f'{fields[:-1]},\n"turns": [\n' + ",\n".join(parts) + "\n]}\n"


def write(folder: Path, of: str, *turns: dict[str, Any], **more: Any) -> Path:
    """Write a recording into a folder, under a name that tells nothing."""
    folder.mkdir(exist_ok=True, parents=True)
    file = folder / f"{len(list(folder.iterdir()))}.json"
    file.write_text(recording(of, turns, **more), "utf-8", newline="\n")
    return file
