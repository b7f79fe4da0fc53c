"""The token reaches the router's own origin, and no other, whatever is answered or set.

A second origin on loopback records all that it gets.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from leaks_tools import settings
from origin_tools import PREFIX, SPEC, TOKEN, Answer, Answers, Calls, Origin, fine

from pytest_hydrasmoke import AsyncSmokeClient, HydraSmokeError, SmokeClient
from pytest_hydrasmoke._base.token import Token
from pytest_hydrasmoke._cli.check import findings
from pytest_hydrasmoke._cli.main import main
from pytest_hydrasmoke._journal.events import Claimed
from pytest_hydrasmoke._run.ledger import Ledger
from pytest_hydrasmoke._settings.config import HydraSmokeConfig
from pytest_hydrasmoke._transport.links import Link

pytestmark = pytest.mark.anyio


@pytest.fixture
def origins() -> Iterator[tuple[Origin, Origin]]:
    with Origin() as first, Origin() as second:
        first.other, second.other = second.url, first.url
        yield first, second


@pytest.fixture(params=["blocking", "awaited"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def see(what: str, first: Origin, second: Origin, *, reached: bool = True) -> None:
    """See that the second origin got nothing, and the first the token alone."""
    assert second.requests == [], what
    assert first.tokens == ({f"Bearer {TOKEN}"} if reached else set()), what


# What is answered


def redirecting(status: int, scheme: str) -> Answers:
    def answers(origin: Origin, path: str) -> Answer:
        return status, {"location": origin.other.replace("http:", scheme) + path}, {}

    return answers


def leading(origin: Origin, path: str) -> Answer:
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


def naming(*names: str) -> Answers:
    """Answer with absolute URLs of another place."""

    def answers(origin: Origin, path: str) -> Answer:
        there = origin.other + path
        body = {**fine(origin, path)[2], **dict.fromkeys(names, there)}  # type: ignore[dict-item]
        return 200, {}, {**body, "count": 1, "providers": [there]}

    return answers


ENDED = ["no error"] * 5
REDIRECTS = itertools.product((300, 301, 302, 303, 307, 308), ("http:", ""))
ANSWERS: dict[str, tuple[Answers, list[str]]] = {
    **{
        f"redirect {status} to {scheme}//...": (redirecting(status, scheme), ["RouterError"] * 5)
        for status, scheme in REDIRECTS
    },
    "headers that name another place": (leading, ENDED),
    "absolute URLs": (
        naming("task_id", "hostname", "status", "url", "next", "href", "base_url"),
        ENDED,
    ),
    "an absolute URL as an id": (naming("instance_id", "id"), ["ContractError"] * 5),
}


async def test_no_answer_leads_elsewhere(kind: str, origins: tuple[Origin, Origin]) -> None:
    first, second = origins
    for name, (first.answers, expected) in ANSWERS.items():
        calls = Calls(kind, Link(first.url, Token(TOKEN)))
        *ended, chat = await calls.all()
        assert ended == expected, name
        assert chat == (expected[0] if expected != ENDED else chat), name
        if first.answers is leading:
            await calls.all()  # Nor does what they have set.
        see(name, first, second)


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
    assert "contract" in [it.what for it in findings(config, print)]
    see("servers and references of /openapi.json", first, second)


# Ids and keys that are more than that

NO_SEGMENT = ("", ".", "..")
STRANGE = (
    *("../../../../other", "..%2f..%2f", "a/../../b", "//SECOND/x", "http://SECOND/x", "@SECOND"),
    *("\\\\SECOND\\x", "a?b=c", "a#b", "a;b", "a b\r\nhost: SECOND\r\n\r\n", "é\u2025\u2215x"),
    *NO_SEGMENT,
)


async def test_an_id_stays_one_segment_of_the_path(
    kind: str, origins: tuple[Origin, Origin]
) -> None:
    first, second = origins
    for name in STRANGE:
        first.requests.clear()
        ended = await Calls(kind, Link(first.url, Token(TOKEN))).all(name)
        refused = name in NO_SEGMENT
        # A provision carries its key in its body.
        paths = [path for path in first.paths if "provision" not in path]
        segments = [path.partition("?")[0].split("/") for path in paths]
        assert all(path.startswith(f"{PREFIX}/instances/") for path in paths), name
        assert sorted(map(len, segments)) == ([] if refused else [6, 6, 7, 7, 7]), name
        assert not [it for parts in segments for it in parts[1:] if it in NO_SEGMENT], name
        assert ended[1:].count("ConfigError") == (5 if refused else 0), name
        see(f"id or key {name!a}", first, second)


# What the environment and the URL say


@pytest.mark.parametrize("trust_env", [False, True])
async def test_a_proxy_of_the_environment_is_used_only_where_it_is_trusted(
    kind: str,
    origins: tuple[Origin, Origin],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    trust_env: bool,
) -> None:
    first, second = origins
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, second.url)
        monkeypatch.setenv(name.upper(), second.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password else\n", "utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    await Calls(kind, Link(first.url, Token(TOKEN), trust_env=trust_env)).all()
    if not trust_env:
        see("the environment's proxies, and .netrc", first, second)
        return
    assert not first.requests
    assert all(path.startswith(f"{first.url}{PREFIX}/") for path in second.paths)
    assert second.tokens == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize("client", [SmokeClient, AsyncSmokeClient])
def test_a_url_with_more_than_a_place_is_refused(
    client: type[SmokeClient | AsyncSmokeClient], origins: tuple[Origin, Origin]
) -> None:
    first, second = (it.url.removeprefix("http://") for it in origins)
    for place in (f"{first}@{second}", f"user:pass@{first}", f"{second}?@{first}"):
        with pytest.raises(HydraSmokeError):
            client(f"http://{place}", token=TOKEN)
        see(place, *origins, reached=False)


# What is on the disk and in the environment


def own_forms(origin: Origin, path: str) -> Answer:
    """Answer as a router does that has no instance."""
    if "by-key" in path:
        return 200, {}, {"found": False}
    if path.endswith("/not-a-uuid"):
        return 422, {}, {"detail": [{"loc": ["path", "instance_id"], "msg": "no UUID"}]}
    return 404, {}, {"detail": "Instance not found"}


@pytest.fixture
def set_up(
    origins: tuple[Origin, Origin], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Origin, Origin]:
    """Have the settings of the first origin, which has no instance, in the environment."""
    monkeypatch.chdir(tmp_path)
    given = settings(origins[0].url, TOKEN, max_instances=1, row_settle=0)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    origins[0].answers = own_forms
    return origins


def test_no_router_of_a_ledger_is_asked(
    set_up: tuple[Origin, Origin], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = set_up
    ledger = Ledger(tmp_path / ".hydrasmoke", "run")
    ledger.begin("main")
    for url in (second.url, first.other + "/api"):
        ledger.claim(Claimed(SPEC.model_dump(), url=url), 1, 4)
    ledger.end()
    for named in ((), ("--run-id", "run")):
        assert main(["sweep", "--wait", "0", *named]) == 1
        assert capsys.readouterr().out.count("it is another router's") == 2
        see("a ledger that names another router", first, second)


def test_one_token_of_two_is_sent(
    set_up: tuple[Origin, Origin], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPS_BEARER_TOKEN", "another-token-of-somebody")
    assert main(["check"]) == 0
    monkeypatch.setenv("OPS_BEARER_TOKEN", TOKEN)
    monkeypatch.delenv("HYDRA_SMOKE_TOKEN")
    assert main(["check"]) == 0
    see("two tokens in the environment", *set_up)
