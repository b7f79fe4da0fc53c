"""What a wrong router makes of a request that it should refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plugin_tools import TOKEN

Body = dict[str, Any]


def no_field(name: str) -> Body:
    return {"detail": [{"loc": ["body", name], "msg": "no", "type": "t"}]}


def cut(scope: Body, body: Body) -> None:
    """Make all that is too long short, in body and path, as for a column that is too small."""
    limits = {"message": 4000, "manifest_id": 100, "region_id": 80, "tier_id": 80}
    limits["idempotency_key"] = 255
    body.update({name: body[name][:most] for name, most in limits.items() if body.get(name)})
    head, found, key = scope["path"].partition("/by-key/")
    scope["path"] = f"{head}{found}{key[:255]}"


def letting_in(end: str) -> Callable[[Body, Body], None]:
    """Let a caller in, whoever it is, on the call that reads by paths of this kind."""

    def change(scope: Body, body: Body) -> None:
        path = scope["path"]
        kinds = (it for it in ("/by-key/", "/llm-events", "/instances/") if it in path)
        if next(kinds, None) == end:
            rest = [pair for pair in scope["headers"] if pair[0] != b"authorization"]
            scope["headers"] = [*rest, (b"authorization", f"Bearer {TOKEN}".encode())]

    return change
