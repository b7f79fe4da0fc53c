"""Certificates from files: what is wrong with them, in words, and the TLS context made of them."""

from __future__ import annotations

import os
import ssl
from functools import lru_cache
from pathlib import Path

import httpx

from .target import Link

_FLAWS = {9: "is not valid yet", 10: "has expired", 26: "is not for clients (extended key usage)"}
"""What OpenSSL's codes of verification mean that no trust would mend."""


class _LockedError(Exception):
    """Raised in OpenSSL's stead, which would ask a terminal for the password of a key."""


# os.path.isfile(): that of Path raises for a name that is too long, and for what lies in a folder
# that one may not look into.
def certificates_problem(path: Path) -> str | None:
    """Return what keeps a file from being a CA's; None if nothing does."""
    if not os.path.isfile(path):
        return f"there is no file {path}"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError:
        return f"{path} has no certificate in it: give the CA's, as PEM"
    except OSError as error:
        return f"{path} can't be read: {error.strerror or error}"
    return None


def client_problem(cert: Path, key: Path | None) -> str | None:
    """Return what keeps a client certificate and its key from being used; None if nothing does.

    Without a key of its own, the certificate's file has it.
    """
    for path in (cert, key):
        problem = None if path is None else _unreadable(path)
        if problem is not None:
            return problem
    holder = key or cert
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=cert)
    except ssl.SSLError:
        return f"{cert} has no certificate in it: give the client's, as PEM"
    try:
        _present(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), cert, key)
    except _LockedError:
        return (
            f"the key in {holder} is encrypted, and nobody can be asked for its password: give one "
            "without (openssl pkey), in a file that only you can read"
        )
    except ssl.SSLError as error:
        return _in_words(error, cert, holder)
    flaw = _flaw(cert, key)
    return None if flaw is None else f"the certificate in {cert} {flaw}: give one that is valid"


def _unreadable(path: Path) -> str | None:
    if not os.path.isfile(path):
        return f"there is no file {path}"
    try:
        with open(path, "rb") as file:
            file.read(1)
    except OSError as error:
        return f"{path} can't be read: {error.strerror or error}"
    return None


def _present(context: ssl.SSLContext, cert: Path, key: Path | None) -> None:
    """Let a context present a certificate; raises `_LockedError` for a key with a password."""

    def ask() -> str:
        raise _LockedError

    context.load_cert_chain(cert, key, password=ask)


def _in_words(error: ssl.SSLError, cert: Path, holder: Path) -> str:
    if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
        return f"the key in {holder} is not that of the certificate in {cert}"
    if error.reason in (None, "PEM_LIB"):
        missing = "give client_key, the file that has it" if holder == cert else "give it, as PEM"
        return f"{holder} has no private key in it: {missing}"
    return f"the certificate in {cert} can't be used: {error.reason.lower().replace('_', ' ')}"


def _flaw(cert: Path, key: Path | None) -> str | None:
    """Return what every server will object to, such as its time, at which no context looks.

    It is presented to a server that trusts it, and nobody else, over no network.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    server.verify_mode = ssl.CERT_REQUIRED
    server.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    server.load_verify_locations(cafile=cert)
    for context in (client, server):
        _present(context, cert, key)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (client.wrap_bio(down, up), server.wrap_bio(up, down, server_side=True))
    for end in ends * 3:
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLError as error:
            return _FLAWS.get(getattr(error, "verify_code", 0))
    return None


def ssl_context(link: Link) -> ssl.SSLContext | None:
    """Return how a link's TLS is spoken; None where none is."""
    if not link.base_url.startswith("https:"):
        return None
    return _shared_context(link.ca_file, link.trust_env, link.client_cert, link.client_key)


@lru_cache
def _shared_context(
    ca_file: Path | None, trust_env: bool, client_cert: Path | None, client_key: Path | None
) -> ssl.SSLContext:
    # It takes 6 ms to make one.
    context = httpx.create_ssl_context(trust_env=trust_env)
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    if client_cert is not None:
        _present(context, client_cert, client_key)
    return context
