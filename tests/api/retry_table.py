"""The status codes of each call: which end it well, and which are asked again."""

from __future__ import annotations

CODES = (200, 201, 202, 204, 206, 301, 302, 307, 400, 401, 403, 404, 405, 408, 409, 410, 415, 422)
CODES += (425, 429, 499, 500, 501, 502, 503, 504, 599)
TRANSIENT = {408, 429, 500, 502, 503, 504}
ANSWERS = {
    "provision": {200, 201, 202},
    "poll": {200},
    "status": {200},
    "chat": {200},
    "llm_events": {200},
    "delete": {200, 202, 204, 404, 409, 410},
}
AGAIN: dict[str, set[int]] = dict.fromkeys(ANSWERS, TRANSIENT) | {"chat": {409, 425, 429, 503}}
