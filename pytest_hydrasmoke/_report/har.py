"""`trace.har`: the run's requests, for the network panel of a browser.

It has no headers, and so no token. Of bodies it has what is known: what was sent, and the text of
an agent's reply, unless replies are kept out of reports.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from http.client import responses
from importlib.metadata import version
from urllib.parse import parse_qsl, urlsplit

import harfile

from .model import InstanceReport, Report
from .parts import ExchangeReport, TurnReport

DISTRIBUTION = "pytest-hydrasmoke"
_HTTP = "HTTP/1.1"


def render(report: Report) -> str:
    """Return `trace.har`."""
    file = io.StringIO()
    creator = harfile.Creator(DISTRIBUTION, version(DISTRIBUTION))
    what = "the bundled fake router" if report.fake else "a live router"
    words = f"run {report.run_id} on {what}"
    if report.trace_id is not None:
        words += f", trace {report.trace_url or report.trace_id}"
    with harfile.open(file, creator=creator, comment=words) as har:
        requests = [
            (instance.began + timedelta(seconds=exchange.at), instance, exchange)
            for instance in report.instances
            if instance.began is not None
            for exchange in instance.exchanges
        ]
        for began, instance, exchange in sorted(requests, key=lambda it: it[0]):
            when = began.isoformat(timespec="milliseconds")
            _add(har, when, instance, exchange, report.url.rstrip("/"))
    return file.getvalue() + "\n"


def _turn_of(exchange: ExchangeReport, turns: Sequence[TurnReport]) -> TurnReport | None:
    """Return the turn of a chat's request: it begins when that leaves, a moment after `at`."""
    if exchange.call != "chat":
        return None
    until = exchange.at + exchange.seconds
    return next((turn for turn in turns if exchange.at <= turn.at <= until), None)


def _add(
    har: harfile.HarFile, began: str, instance: InstanceReport, exchange: ExchangeReport, base: str
) -> None:
    turn = _turn_of(exchange, instance.turns)
    whole = exchange.seconds if turn is None else max(exchange.seconds, turn.seconds or 0.0)
    wait, receive = _ms(exchange.seconds), _ms(whole - exchange.seconds)
    url = base + exchange.path
    har.add_entry(
        startedDateTime=began,
        time=round(wait + receive, 3),
        request=harfile.Request(
            exchange.method,
            url,
            _HTTP,
            queryString=[harfile.Record(*pair) for pair in parse_qsl(urlsplit(url).query)],
            postData=_sent(instance, exchange, turn),
        ),
        response=harfile.Response(
            # A browser's panel shows 0 as a failed request.
            exchange.status or 0,
            responses.get(exchange.status or 0, ""),
            _HTTP,
            content=_received(turn),
            comment=exchange.error or (None if turn is None else turn.error or _beside(turn)),
        ),
        timings=harfile.Timings(send=0, wait=wait, receive=receive),
        comment=f"{exchange.call}, attempt {exchange.attempt}, of {instance.name}",
    )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _sent(
    instance: InstanceReport, exchange: ExchangeReport, turn: TurnReport | None
) -> harfile.PostData | None:
    body: Mapping[str, object] | None = None
    if turn is not None and turn.message is not None:
        body = {"message": turn.message}
    if exchange.call == "provision" and instance.spec is not None:
        spec = instance.spec.model_dump(exclude_none=True)
        body = {"idempotency_key": instance.idempotency_key, **spec}
    return None if body is None else harfile.PostData("application/json", text=json.dumps(body))


def _beside(turn: TurnReport) -> str | None:
    """Return as JSON the content of a turn beside its text: the format has no place for it."""
    said = turn.model_dump(include={"finish_reason", "usage", "tool_calls", "thoughts"})
    kept = {name: value for name, value in said.items() if value}
    return json.dumps(kept, ensure_ascii=False) if kept else None


def _received(turn: TurnReport | None) -> harfile.Content:
    if turn is None or turn.text is None:
        return harfile.Content(size=-1, mimeType="")
    words = "the text of the reply, up to what is kept of it; its events are not kept"
    size = len(turn.text.encode("utf-8", "surrogatepass"))
    return harfile.Content(size=size, mimeType="text/plain", text=turn.text, comment=words)
