"""The token reaches the router's own origin, and no other, whatever is answered or set.

A second origin on loopback records all that it gets.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from leaks_tools import settings, table
from origin_tools import PREFIX, SPEC, TOKEN, Answer, Answers, Calls, Origin, fine, serving

from pytest_hydrasmoke import AsyncSmokeClient, HydraSmokeError, SmokeClient
from pytest_hydrasmoke._base.token import Token
from pytest_hydrasmoke._cli.check import findings
from pytest_hydrasmoke._cli.main import main
from pytest_hydrasmoke._journal.events import Claimed
from pytest_hydrasmoke._run.ledger import Ledger
from pytest_hydrasmoke._settings.model import HydraSmokeConfig
from pytest_hydrasmoke._transport.target import Link

pytestmark = pytest.mark.anyio


@pytest.fixture
def origins() -> Iterator[tuple[Origin, Origin]]:
    with serving(Origin()) as first, serving(Origin()) as second:
        first.other, second.other = second.url, first.url
        yield first, second


@pytest.fixture(params=["blocking", "awaited"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


_rows: list[tuple[object, ...]] = []


@pytest.fixture(scope="module", autouse=True)
def _matrix(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    head = ("what", "client", "calls", "requests at the router", "requests elsewhere", "tokens")
    print("\n" + table(head, _rows))


def seen(
    what: str, kind: str, calls: int, first: Origin, second: Origin, *, reached: bool = True
) -> None:
    """See that the second origin got nothing, and the first the token alone."""
    _rows.append((what, kind, calls, len(first.lines), len(second.lines), len(second.tokens)))
    assert not second.lines
    assert not second.tokens
    assert set(first.tokens) == ({f"Bearer {TOKEN}"} if reached else set())


# Redirects, and other ways to send somebody elsewhere


def redirecting(status: int, scheme: str) -> Answers:
    def answers(origin: Origin, path: str) -> Answer:
        return status, {"location": origin.other.replace("http:", scheme) + path}, {}

    return answers


async def test_no_redirect_is_followed(kind: str, origins: tuple[Origin, Origin]) -> None:
    first, second = origins
    for status, scheme in itertools.product((300, 301, 302, 303, 307, 308), ("http:", "")):
        first.answers = redirecting(status, scheme)
        ended = await Calls(kind, Link(first.url, Token(TOKEN))).all()
        assert set(ended) == {"RouterError"}, (status, scheme)
        seen(f"redirect {status} to {scheme}//...", kind, len(ended), first, second)


async def test_no_header_leads_elsewhere(kind: str, origins: tuple[Origin, Origin]) -> None:
    first, second = origins

    def answers(origin: Origin, path: str) -> Answer:
        there = origin.other + path
        headers = {
            "location": there,
            "content-location": there,
            "refresh": f"0; url={there}",
            "link": f'<{there}>; rel="canonical", <{there}>; rel="next"',
            "alt-svc": f'h2="{origin.other.removeprefix("http://")}"; ma=60',
            "set-cookie": "a=b; domain=127.0.0.1",
        }
        return 200, headers, fine(origin, path)[2]

    first.answers = answers
    calls = Calls(kind, Link(first.url, Token(TOKEN)))
    ended = await calls.all() + await calls.all()
    seen("headers that name another place", kind, len(ended), first, second)


# Absolute URLs in an answer


async def test_no_url_of_an_answer_is_asked(kind: str, origins: tuple[Origin, Origin]) -> None:
    first, second = origins

    def answers(origin: Origin, path: str) -> Answer:
        there = origin.other + path
        names = ("task_id", "hostname", "status", "url", "next", "href", "base_url")
        body = {**fine(origin, path)[2], **dict.fromkeys(names, there)}  # type: ignore[dict-item]
        return 200, {}, {**body, "count": 1, "providers": [there]}

    first.answers = answers
    ended = await Calls(kind, Link(first.url, Token(TOKEN))).all()
    assert ended[:-1] == ["no error"] * 5
    seen("absolute URLs in answers", kind, len(ended), first, second)


async def test_no_url_is_an_id(kind: str, origins: tuple[Origin, Origin]) -> None:
    first, second = origins

    def answers(origin: Origin, path: str) -> Answer:
        ids = dict.fromkeys(("instance_id", "id"), origin.other + path)
        return 200, {}, {**fine(origin, path)[2], **ids}  # type: ignore[dict-item]

    first.answers = answers
    ended = await Calls(kind, Link(first.url, Token(TOKEN))).all()
    assert ended == ["ContractError"] * 6
    seen("an absolute URL as an id", kind, len(ended), first, second)


def test_no_server_of_an_openapi_document_is_asked(origins: tuple[Origin, Origin]) -> None:
    first, second = origins

    def answers(origin: Origin, path: str) -> Answer:
        if path.endswith("/not-a-uuid"):
            return 422, {}, {"detail": []}
        if "openapi" in path:
            there = {"servers": [{"url": origin.other}], "$ref": f"{origin.other}/x"}
            return 200, {}, {**there, "paths": {f"{PREFIX}/provision": {"post": there}}}
        status, headers, body = fine(origin, path)
        return status, headers, {**body, "found": False}  # type: ignore[dict-item]

    first.answers = answers
    config = HydraSmokeConfig(url=first.url, token=TOKEN)  # type: ignore[arg-type]
    found = list(findings(config))
    assert "contract" in [it.what for it in found]
    seen("servers and references of /openapi.json", "check", len(found), first, second)


# Ids and keys that are more than that

STRANGE = [
    "../../../../other",
    "..%2f..%2f",
    "a/../../b",
    "//SECOND/x",
    "http://SECOND/x",
    "@SECOND",
    "\\\\SECOND\\x",
    "a?b=c",
    "a#b",
    "a;b",
    "a b\r\nhost: SECOND\r\n\r\n",
    "é\u2025\u2215x",
    ".",
    "..",
    "",
]


@pytest.mark.parametrize("name", STRANGE, ids=ascii)
async def test_an_id_stays_one_segment_of_the_path(
    name: str, kind: str, origins: tuple[Origin, Origin]
) -> None:
    first, second = origins
    ended = await Calls(kind, Link(first.url, Token(TOKEN))).all(name)
    # A provision carries its key in its body.
    segments = [
        path.partition("?")[0].split("/") for path in first.paths if "provision" not in path
    ]
    assert all(path.startswith(f"{PREFIX}/instances/") for path in first.paths[1:])
    assert sorted(map(len, segments)) == ([] if name in ("", ".", "..") else [6, 6, 7, 7, 7])
    assert not [part for parts in segments for part in parts[1:] if part in ("", ".", "..")]
    assert ended[1:].count("ConfigError") == (5 if name in ("", ".", "..") else 0)
    seen(f"id or key {name!a}", kind, len(ended), first, second)


# What the environment and the URL say


def set_proxies(monkeypatch: pytest.MonkeyPatch, url: str, home: Path) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, url)
        monkeypatch.setenv(name.upper(), url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    (home / ".netrc").write_text("machine 127.0.0.1 login somebody password else\n", "utf-8")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NETRC", str(home / ".netrc"))


async def test_no_proxy_of_the_environment_is_used(
    kind: str,
    origins: tuple[Origin, Origin],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    first, second = origins
    set_proxies(monkeypatch, second.url, tmp_path)
    ended = await Calls(kind, Link(first.url, Token(TOKEN))).all()
    seen("the environment's proxies, and .netrc", kind, len(ended), first, second)


async def test_a_trusted_environment_s_proxy_is_used(
    kind: str,
    origins: tuple[Origin, Origin],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    # Or the test above would show nothing.
    first, second = origins
    set_proxies(monkeypatch, second.url, tmp_path)
    ended = await Calls(kind, Link(first.url, Token(TOKEN), trust_env=True)).all()
    counts = (len(ended), len(first.lines), len(second.lines), len(second.tokens))
    _rows.append(("the same, with trust_env (as asked for)", kind, *counts))
    assert not first.lines
    assert all(path.startswith(f"{first.url}{PREFIX}/") for path in second.paths)
    assert set(second.tokens) == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize("client", [SmokeClient, AsyncSmokeClient])
@pytest.mark.parametrize("form", ["{first}@{second}", "user:pass@{first}", "{second}?@{first}"])
def test_a_url_with_more_than_a_place_is_refused(
    form: str, client: Any, origins: tuple[Origin, Origin]
) -> None:
    first, second = origins
    hosts = {"first": first.url[7:], "second": second.url[7:]}
    with pytest.raises(HydraSmokeError):
        client(f"http://{form.format(**hosts)}", token=TOKEN)
    what = f"URL http://{form}".replace("{", "").replace("}", "")
    seen(what, client.__name__, 0, first, second, reached=False)


# What is on the disk and in the environment


def own_forms(origin: Origin, path: str) -> Answer:
    """Answer as a router does that has no instance."""
    if "by-key" in path:
        return 200, {}, {"found": False}
    if path.endswith("/not-a-uuid"):
        return 422, {}, {"detail": [{"loc": ["path", "instance_id"], "msg": "no UUID"}]}
    return 404, {}, {"detail": "Instance not found"}


@pytest.mark.parametrize("named", [True, False])
def test_no_router_of_a_ledger_is_asked(
    named: bool,
    origins: tuple[Origin, Origin],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, second = origins
    first.answers = own_forms
    ledger = Ledger(tmp_path / ".hydrasmoke", "run")
    ledger.begin("main")
    ledger.claim(Claimed(SPEC.model_dump(), url=second.url), 1, 4)
    ledger.claim(Claimed(SPEC.model_dump(), url=first.other + "/api"), 1, 4)
    ledger.end()
    monkeypatch.chdir(tmp_path)
    for name, value in settings(first.url, TOKEN, max_instances=1, row_settle=0).items():
        monkeypatch.setenv(name, value)
    assert main(["sweep", "--wait", "0", *(["--run-id", "run"] if named else [])]) == 1
    assert capsys.readouterr().out.count("it is another router's") == 2
    what = f"a ledger that names another router, sweep{' --run-id' if named else ''}"
    seen(what, "sweep", 2, first, second)


@pytest.mark.parametrize("fallback", [True, False])
def test_one_token_of_two_is_sent(
    fallback: bool, origins: tuple[Origin, Origin], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, second = origins
    first.answers = own_forms
    monkeypatch.chdir(tmp_path)
    for name, value in settings(first.url, TOKEN).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OPS_BEARER_TOKEN", "another-token-of-somebody")
    if fallback:
        monkeypatch.setenv("OPS_BEARER_TOKEN", TOKEN)
        monkeypatch.delenv("HYDRA_SMOKE_TOKEN")
    assert main(["check"]) == 0
    seen("two tokens in the environment", "check", 1, first, second)
