"""Certificates of the tests, and a fake router served over TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from pytest_hydrasmoke.fake import FakeRouter

TLS = Path(__file__).parents[1] / "data" / "tls"
CA = TLS / "ca.pem"
SERVER = TLS / "server.pem"
CLIENTS_CA = TLS / "clients-ca.pem"
CLIENT = {"client_cert": TLS / "client-cert.pem", "client_key": TLS / "client-key.pem"}


def server_context(*, asks_clients: bool = False) -> ssl.SSLContext:
    """Return the context of a server at 127.0.0.1, which may ask its clients for certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(SERVER)
    if asks_clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(CLIENTS_CA)
    return context


@contextlib.contextmanager
def over_tls(router: FakeRouter) -> Iterator[str]:
    """Serve a fake router over TLS to clients with a certificate alone; gives its URL."""
    config = uvicorn.Config(
        router.app,
        ssl_certfile=SERVER,
        ssl_cert_reqs=ssl.CERT_REQUIRED,
        ssl_ca_certs=str(CLIENTS_CA),
        log_config=None,
        lifespan="off",
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
