"""Turn an answer into its model, or into an error."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import TypeVar, cast
from urllib.parse import unquote

from pydantic import BaseModel, ValidationError

from pytest_hydrasmoke._base.errors import (
    ContractError,
    HydraSmokeError,
    NotFoundError,
    RejectedError,
    RouterError,
    TransportError,
    TransportTimeoutError,
    UnauthorizedError,
)
from pytest_hydrasmoke._base.evidence import form_of
from pytest_hydrasmoke._base.text import safe_line, safe_text
from pytest_hydrasmoke._transport.protocol import Answer, Request, StoppedError

from .advice import advice
from .hop import answered_by, is_page, is_routers, turns_away, unreadable, words_of

M = TypeVar("M", bound=BaseModel)


def parse(model: type[M], request: Request, answer: Answer) -> M:
    """Read an answer; raises `ContractError` that names call, field, expected and got."""
    if answer.status == 204:
        raise unexpected_success(request, answer)
    if unreadable(answer.headers) is not None:
        raise unreadable_answer(request, answer)
    try:
        return model.model_validate_json(answer.body)
    except ValidationError as error:
        faults = error.errors(include_url=False)
    expected: list[str] = []
    got: list[str] = []
    for fault in faults[:3]:
        field = ".".join(map(str, fault["loc"])) or "body"
        expected.append(f"{field}: {_wanted(fault['type'], fault['msg'])}")
        if fault["type"] == "missing":
            got.append("no such field")
        else:
            value: object = fault["input"]
            if isinstance(value, bytes):
                words = words_of(answer.headers, value) or "nothing"
                got.append(words + answered_by(answer.headers))
            else:
                got.append(safe_line(repr(value)))
    raise ContractError(
        f"{request.call} answered against the router's contract",
        expected="; ".join(expected),
        got="; ".join(got),
        next_step=_PAGE if is_page(answer.headers, answer.body) else _CHANGED,
    )


_PAGE = (
    "a web page answers in the router's place, such as a gateway's sign-in: exempt the router's "
    "paths from it, or correct HYDRA_SMOKE_URL"
)
_CHANGED = (
    "compare the router's /openapi.json with the contract: either the router has changed, or "
    "something else answers at this URL"
)


def _wanted(kind: str, message: str) -> str:
    if kind == "missing":
        return "present"
    if kind == "json_invalid":
        return "a JSON object"
    return message.removeprefix("Value error, ").removeprefix("Input should be ")


class Earlier:
    """The outcomes of a call's attempts before the last one."""

    def __init__(self) -> None:
        self._outcomes = Counter[str]()
        self.refusal: Answer | None = None
        """The last answer among them."""

    def add(self, result: object) -> None:
        """Add an attempt that was followed by another: an answer, or a `TransportError`."""
        self._outcomes[_outcome(result)] += 1
        if isinstance(result, Answer):
            self.refusal = result

    def beside(self, last: object) -> str:
        """Return those that differ from the last one, for its message."""
        others = [one for one in self._outcomes.most_common() if one[0] != _outcome(last)]
        shown = [f"{what} {_TIMES.get(count, f'{count} times')}" for what, count in others[:3]]
        return f"; before that: {', '.join(shown)}" if shown else ""


_TIMES = {1: "once", 2: "twice", 3: "three times"}


def _outcome(result: object) -> str:
    if isinstance(result, TransportError):
        # Why there was no connection says more than that there was none.
        why = re.search(r" \((.*)\)$", result.message)
        return safe_line(result.message if why is None else why[1], 120)
    assert isinstance(result, Answer)
    server = "" if is_routers(result) else safe_line(result.headers.get("server", ""), 60)
    return f"{result.status} of {server}" if server else str(result.status)


def _after_fault(request: Request, fault: TransportError, earlier: Earlier) -> str:
    """Return the next step after an attempt that had no answer."""
    if fault.late and earlier.refusal is not None:
        # It had only the rest of the time: an earlier answer says more.
        return advice(request, earlier.refusal)
    if fault.next_step:
        return fault.next_step
    if fault.reached:
        return "see the router's log of this moment"
    return "check HYDRA_SMOKE_URL, name resolution, firewall, and the proxy (trust_env)"


def failure(request: Request, result: object, attempts: int, earlier: Earlier) -> HydraSmokeError:
    """Turn the last outcome of a failed call into its error."""
    if isinstance(result, StoppedError):
        return result
    tries = "" if attempts == 1 else f" ({attempts} attempts{earlier.beside(result)})"
    if isinstance(result, TransportError):
        kind = TransportTimeoutError if result.late else TransportError
        return kind(
            f"{request.call}: {result.message}{tries}",
            reached=result.reached,
            next_step=_after_fault(request, result, earlier),
            permanent=result.permanent,
        )
    assert isinstance(result, Answer)
    error = (
        unexpected_success(request, result)
        if result.status < 300
        else refusal(request, result, tries)
    )
    error.answer = result
    return error


def unexpected_success(request: Request, answer: Answer) -> ContractError:
    """Return the error of a success code that this call does not have in the contract."""
    return ContractError(
        f"{request.call} answered with a success code that the contract does not have",
        expected="200",
        got=f"{answer.status}{answered_by(answer.headers)}",
        next_step="find out what answers at this URL",
    )


def unreadable_answer(request: Request, answer: Answer) -> ContractError:
    """Return the error of an encoding that was not requested: some gateways ignore that."""
    return ContractError(
        f"{request.call} answered in an encoding that was not asked for",
        expected="no content-encoding, as the request says",
        got=f"content-encoding: {unreadable(answer.headers)}{answered_by(answer.headers)}",
        next_step="switch compression off for the router's paths, at the router or at the gateway "
        "in front of it",
    )


_KINDS: Mapping[int, type[RouterError]] = {
    401: UnauthorizedError,
    403: UnauthorizedError,
    404: NotFoundError,
    422: RejectedError,
}


def refusal(request: Request, answer: Answer, tries: str = "") -> RouterError:
    """Turn an error answer into its error, the router's `detail` made safe to print."""
    status, detail = answer.status, detail_of(answer.body)
    media_type = answer.headers.get("content-type", "")
    own = is_routers(answer)
    if unreadable(answer.headers) or (not own and is_page(answer.headers, answer.body)):
        detail = words_of(answer.headers, answer.body)
    brief = f": {detail}" if detail else ""
    by = "" if own and not turns_away(answer) else answered_by(answer.headers)
    return _KINDS.get(status, RouterError)(
        f"{request.call} was refused with {status}{tries}{brief}{by}",
        status_code=status,
        detail=detail,
        form=form_of(status, media_type, answer.body, asked_for(request)),
        next_step=advice(request, answer),
    )


def asked_for(request: Request) -> str:
    """Return the last word of a request's path: the id or key that it asks for."""
    return unquote(request.path.partition("?")[0].rpartition("/")[2])


def detail_of(body: bytes) -> str:
    """Return an error body's words: `detail`, with a line for each field, else the text itself."""
    text = body.decode("utf-8", "replace")
    try:
        parsed: object = json.loads(text)
    except (ValueError, RecursionError):
        return safe_line(text)
    detail: object = parsed
    if isinstance(parsed, dict):
        detail = cast("dict[str, object]", parsed).get("detail", text)
    if isinstance(detail, list):
        return "\n".join(_field_line(entry) for entry in cast("list[object]", detail)[:10])
    if detail is None:
        return ""
    return safe_text(detail if isinstance(detail, str) else _json(detail))


def _field_line(entry: object) -> str:
    if not isinstance(entry, dict):
        return safe_line(_json(entry))
    fields = cast("dict[str, object]", entry)
    loc = fields.get("loc")
    where = ".".join(map(str, cast("list[object]", loc))) if isinstance(loc, list) else "?"
    return safe_line(f"{where}: {fields.get('msg', '?')}")


def _json(value: object) -> str:
    try:
        return json.dumps(value)
    except RecursionError:  # Writing it goes a little deeper than reading it.
        return "(nested too deeply)"
