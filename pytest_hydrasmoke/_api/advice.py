"""The next step after a refusal, by its status code and by what sent it."""

from __future__ import annotations

from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._transport.protocol import Answer, Request
from pytest_hydrasmoke._transport.target import PREFIX, url_problem

from .hop import has_detail, is_routers, turns_away
from .retry import asked_pause

TOKEN = "check HYDRA_SMOKE_TOKEN (else OPS_BEARER_TOKEN): is it this environment's token?"  # noqa: S105 - advice
_TOO_LARGE = (
    "the request is larger than the gateway accepts: raise its limit (nginx: client_max_body_size)"
)
_BY_CODE = {
    404: "the instance has no row yet, was deleted, or belongs to another customer: wait until it "
    "is ready, or check its id",
    407: "put a user and a password that the proxy accepts into its URL, in the environment's "
    "HTTP_PROXY (http://USER:PASSWORD@HOST:PORT); or set trust_env = false",
    413: _TOO_LARGE,
    422: "correct the fields named above",
    # In a replay, the fake answers so where it has no turn, and says what to do: to record it, or
    # to correct a hook.
    501: "see the router's log; in a replay, do what the message above says",
    502: "the gateway did not reach the router, or lost it: see whether the router runs, and the "
    "gateway's log",
    504: "the gateway stopped waiting for the router: raise its limit if the router needs more "
    "time (nginx: proxy_read_timeout; HAProxy: timeout server), else see the router's log",
}
_BY_CALL = {
    ("provision", 404): "check HYDRA_SMOKE_URL: it ends where /internal/v1/smoke begins, and keeps "
    "a prefix such as /api",
    ("chat", 413): f"{_TOO_LARGE}, or send a shorter message",
}


def advice(request: Request, answer: Answer) -> str:
    """Return the next step after a refusal."""
    status = answer.status
    if status in (401, 403):
        return _after_unauthorized(answer)
    if 300 <= status < 400:
        return _after_redirect(request, answer.headers.get("location", ""))
    if status in (429, 503):
        return _after_busy(answer)
    if status == 502 and request.call == "chat" and has_detail(answer):
        return "the router says that the agent failed it: see the agent's log of this moment"
    if status not in _BY_CODE and not is_routers(answer):
        return _of_gateway(status)
    general = _BY_CODE.get(status, "see the router's log of this moment")
    return _BY_CALL.get((request.call, status), general)


def _of_gateway(status: int) -> str:
    log = "see the log of what answered, which may be a gateway in front of the router"
    if status != 400:
        return log
    # nginx answers so to a request without a certificate, or over plain http.
    return (
        "if a gateway asks its clients for a certificate, set client_cert "
        "(HYDRA_SMOKE_CLIENT_CERT) and client_key to one that it accepts; if its port is for "
        f"https, begin HYDRA_SMOKE_URL with https://; else {log}"
    )


def _after_unauthorized(answer: Answer) -> str:
    if not turns_away(answer):
        return TOKEN
    return (
        "this may be a gateway in front of the router, with its own sign-in: exempt the router's "
        f"paths from it; else {TOKEN}"
    )


def _after_busy(answer: Answer) -> str:
    wanted = asked_pause(answer)
    wait = "" if wanted is None else f", and asks to wait {wanted:.0f} s"
    if is_routers(answer):
        return f"the router is busy{wait}: try again later, or allow more time"
    why = "limits the rate of requests (nginx: limit_req)"
    if answer.status == 503:
        why = f"has no router behind it, or {why}"
    return f"a gateway in front of the router {why}{wait}: see its log, or try again later"


def _after_redirect(request: Request, to: str) -> str:
    """Return where a redirect leads, as a URL for the settings, or what is wrong with it."""
    shown = safe_line(to) or "an unnamed place"
    base, found, rest = to.partition(PREFIX)
    if not found:
        return (
            f"it leads to {shown}, where the router is not: a sign-in, or another site? Set "
            "HYDRA_SMOKE_URL to where the router itself answers: redirects are not followed"
        )
    if PREFIX + rest != request.path:
        return (
            f"it leads to another path ({shown}): something on the way rewrites the router's "
            "paths, and must not; redirects are not followed"
        )
    if not base or (base.startswith("/") and not base.startswith("//")):
        return (
            f"set HYDRA_SMOKE_URL to the same host with the path {safe_line(base) or '/'}: "
            "redirects are not followed"
        )
    problem = url_problem(base, allow_http=False)
    if problem is None:
        return f"set HYDRA_SMOKE_URL to {safe_line(base)}: redirects would carry the token"
    if url_problem(base, allow_http=True) is None:
        encrypted = safe_line(f"https{base.removeprefix('http')}")
        return (
            f"it leads to {safe_line(base)}, where the token would cross the network in clear: "
            f"try {encrypted} as HYDRA_SMOKE_URL, and correct what redirects to http"
        )
    return f"it leads to {shown}, which can't be HYDRA_SMOKE_URL: that {problem}"
