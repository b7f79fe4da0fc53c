"""Client certificates: what is wrong with one is told, and a right one opens the door."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from faulty_server import FaultyServer, answer
from net_tools import SOME_ID, SPEC, calls_of, client_of, result, within
from tls_tools import CA, CLIENT, SERVER, TLS, over_tls, server_context

from pytest_hydrasmoke import ConfigError, TransportError
from pytest_hydrasmoke._transport.certificates import client_problem
from pytest_hydrasmoke.fake import FakeRouter, Scenario

pytestmark = pytest.mark.anyio

CERT, KEY = CLIENT["client_cert"], CLIENT["client_key"]
STATUS = answer({"id": SOME_ID, "status": "running"})
NO_PEM = "hello"
NO_BASE64 = "-----BEGIN {0}-----\nAAAA\n-----END {0}-----\n"

PAIRS: dict[str, tuple[Any, Any, str | None]] = {
    "right": (CERT, KEY, None),
    "both in one file": (lambda: CERT.read_text() + KEY.read_text(), None, None),
    "no file": (TLS / "none.pem", KEY, "there is no file {cert}"),
    "no key's file": (CERT, TLS / "none.pem", "there is no file {key}"),
    "a folder": (CERT, TLS, "there is no file {key}"),
    "nothing": (lambda: "", KEY, "{cert} has no certificate in it: give the client's, as PEM"),
    "no PEM": (lambda: NO_PEM, KEY, "{cert} has no certificate in it: give the client's, as PEM"),
    "the key for a certificate": (
        KEY,
        KEY,
        "{cert} has no certificate in it: give the client's, as PEM",
    ),
    "damaged": (
        lambda: NO_BASE64.format("CERTIFICATE"),
        KEY,
        "{cert} has no certificate in it: give the client's, as PEM",
    ),
    "no key": (
        CERT,
        None,
        "{cert} has no private key in it: give client_key, the file that has it",
    ),
    "the certificate for a key": (
        CERT,
        CA,
        "{key} has no private key in it: give it, as PEM",
    ),
    "a damaged key": (
        CERT,
        lambda: NO_BASE64.format("PRIVATE KEY"),
        "{key} has no private key in it: give it, as PEM",
    ),
    "another's key": (CERT, SERVER, "the key in {key} is not that of the certificate in {cert}"),
    "a key with a password": (
        CERT,
        TLS / "client-key-encrypted.pem",
        "the key in {key} is encrypted, and its password can't be entered: give one * only*",
    ),
    "too weak": (
        TLS / "client-weak.pem",
        None,
        "the certificate in {cert} can't be used: ee key too small",
    ),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_what_is_wrong_with_a_client_certificate_is_told(pair: str, tmp_path: Path) -> None:
    def file(given: Path | Callable[[], str] | None, name: str) -> Path | None:
        if given is None or isinstance(given, Path):
            return given
        (tmp_path / name).write_text(given())
        return tmp_path / name

    *given, problem = PAIRS[pair]
    cert, key = file(given[0], "cert.pem"), file(given[1], "key.pem")
    assert cert is not None
    expected = None if problem is None else problem.format(cert=cert, key=key)
    assert fnmatch(str(client_problem(cert, key)), str(expected))


@pytest.mark.skipif(sys.platform != "linux", reason="a file whose first bytes nobody can read")
def test_a_certificate_that_can_not_be_read_is_told() -> None:
    problem = client_problem(CERT, Path("/proc/self/mem"))
    assert problem is not None
    assert problem.startswith("/proc/self/mem can't be read: ")


async def test_a_client_certificate_that_has_expired_is_told_by_the_server(kind: str) -> None:
    expired = {**CLIENT, "client_cert": TLS / "client-expired.pem"}
    with FaultyServer(STATUS, tls=server_context(asks_clients=True)) as server:
        async with calls_of(kind, server.url, ca_file=CA, **expired) as calls:
            with pytest.raises(
                TransportError, match="refused this client: certificate expired"
            ) as caught:
                await calls.status(SOME_ID)
    assert caught.value.permanent
    assert "set client_cert (HYDRA_SMOKE_CLIENT_CERT)" in str(caught.value.next_step)


async def test_a_client_of_ones_own_takes_what_the_settings_take(kind: str) -> None:
    with FakeRouter(Scenario(row_after=0)) as fake, over_tls(fake) as url:
        given = {name: str(path) for name, path in CLIENT.items()}
        client: Any = client_of(kind, url, token=fake.token, ca_file=str(CA), **given)
        async with within(client):
            accepted = await result(client.provision(SPEC, "key"))
            assert accepted.idempotency_key == "key"
    assert len(fake.instances) == 1


async def test_a_client_of_somebody_else_has_their_token_and_the_same_way(kind: str) -> None:
    with FaultyServer(STATUS, tls=server_context(asks_clients=True)) as server:
        client: Any = client_of(kind, server.url, ca_file=CA, **CLIENT)
        async with within(client):
            for token in ("another-token", None):
                async with within(client.with_token(token)) as other:
                    await result(other.status(SOME_ID))
        told = [request.headers.get("authorization") for request in server.requests]
    assert told == ["Bearer another-token", None]


WRONG = [
    ({"ca_file": "none.pem"}, "ca_file: there is no file "),
    ({"ca_file": __file__}, "ca_file: .* has no certificate in it"),
    ({"client_cert": str(CERT)}, "client_cert: .* has no private key in it: give client_key"),
    (
        {"client_key": KEY},
        r"client_key is without client_cert\n  next step: give client_cert, the file of the cert",
    ),
]


@pytest.mark.parametrize(("given", "words"), WRONG)
def test_a_client_of_ones_own_refuses_what_can_not_be_used(
    given: dict[str, Any], words: str
) -> None:
    for kind in ("sync", "asyncio"):
        with pytest.raises(ConfigError, match=words):
            client_of(kind, "https://router.example", **given)


async def test_a_client_of_ones_own_trusts_the_environment_if_told_to(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultyServer(STATUS) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        client: Any = client_of(kind, "http://127.0.0.1:9", trust_env=True)
        async with within(client):
            assert (await result(client.status(SOME_ID))).status == "running"
        assert len(proxy.requests) == 1


# The router's own


def expired() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "server-expired.pem")
    return context


TRUST = "set ca_file (HYDRA_SMOKE_CA_FILE) to a PEM file of the CA that signed the router's *"
REFUSED: dict[str, tuple[Callable[[], ssl.SSLContext], Path | None, str, str]] = {
    "nobody's": (server_context, None, "failed: unable to get local issuer certificate)", TRUST),
    "self-signed": (expired, None, "failed: self-signed certificate)", TRUST),
    "expired": (
        expired,
        TLS / "server-expired.pem",
        "failed: certificate has expired)",
        "renew the router's certificate, or correct this machine's clock",
    ),
}


@pytest.mark.parametrize("why", REFUSED)
async def test_a_certificate_that_is_not_trusted_is_no_case_for_a_retry(
    kind: str, why: str
) -> None:
    context, ca_file, words, next_step = REFUSED[why]
    with FaultyServer(STATUS, tls=context()) as server:
        async with calls_of(kind, server.url, ca_file=ca_file) as calls:
            # With no end in sight: it would ask again for half a minute.
            with pytest.raises(TransportError) as caught:
                await calls.status(SOME_ID)
        assert len(server._conns) == 1
    error = caught.value
    assert error.permanent
    assert not error.reached
    assert fnmatch(
        error.message, f"status: no connection to {server.url} (certificate verify {words}"
    )
    assert fnmatch(str(error.next_step), next_step)


async def test_a_certificate_for_another_name_is_told_by_its_url(kind: str) -> None:
    with FaultyServer(STATUS, tls=server_context()) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        async with calls_of(kind, url, ca_file=CA) as calls:
            with pytest.raises(TransportError, match="ismatch, certificate is not valid") as caught:
                await calls.status(SOME_ID)
    assert "check HYDRA_SMOKE_URL: the certificate there is for another" in str(caught.value)
    assert "attempts" not in caught.value.message
