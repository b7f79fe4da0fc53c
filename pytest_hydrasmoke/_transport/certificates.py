"""Certificates from files: readable problems with them, and the TLS context made of them."""

from __future__ import annotations

import os
import ssl
from functools import lru_cache
from pathlib import Path

import httpx


class _LockedError(Exception):
    """Raised instead of OpenSSL's password prompt on the terminal, for an encrypted key."""


def certificates_problem(path: Path, whose: str = "the CA's") -> str | None:
    """Return why a file's certificates can't be used; None if they can."""
    problem = _unreadable(path)
    if problem is not None:
        return problem
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError:
        return f"{path} has no certificate in it: give {whose}, as PEM"
    return None


def client_problem(cert: Path, key: Path | None) -> str | None:
    """Return why a client certificate and its key can't be used; None if they can.

    Without a separate key, the certificate's file contains it.
    """
    holder = key or cert
    problem = certificates_problem(cert, "the client's") or _unreadable(holder)
    if problem is not None:
        return problem
    try:
        _present(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), cert, key)
    except _LockedError:
        return (
            f"the key in {holder} is encrypted, and its password can't be entered: give one "
            "without a password (openssl pkey), in a file that only you can read"
        )
    except ssl.SSLError as error:
        return _in_words(error, cert, holder)
    return None


def _unreadable(path: Path) -> str | None:
    # os.path.isfile(): that of Path raises for a name that is too long, and inside a folder without
    # permission to enter.
    if not os.path.isfile(path):
        return f"there is no file {path}"
    try:
        with open(path, "rb") as file:
            while file.read(1 << 16):  # All of it, whatever was named by mistake.
                pass
    except OSError as error:
        return f"{path} can't be read: {error.strerror or error}"
    return None


def _present(context: ssl.SSLContext, cert: Path, key: Path | None) -> None:
    """Load a client certificate into a context; raises `_LockedError` for an encrypted key."""

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


@lru_cache
def context_of(
    ca_file: Path | None, trust_env: bool, client_cert: Path | None, client_key: Path | None
) -> ssl.SSLContext:
    """Return a TLS context, made once: that takes 6 ms."""
    context = httpx.create_ssl_context(trust_env=trust_env)
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    if client_cert is not None:
        _present(context, client_cert, client_key)
    return context
