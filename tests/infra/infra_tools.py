"""Debian's proxies on loopback, each a process with a configuration of a test's own.

What stands behind them is the FastAPI twin, or another proxy. A test is skipped where the proxy
that it is about is not installed.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from plugin_tools import TOKEN, Project
from systems import free_port
from twin import AtOnce, build

from pytest_hydrasmoke.fake.server import Server

try:
    # Not in a test: an inner run in this process takes modules away that were new in it.
    import trustme
except ImportError:
    trustme = None  # type: ignore[assignment]

PATIENCE = 20.0
"""Seconds for a proxy to take connections."""


def program(name: str) -> str:
    """Return where a program is; skips the test where it is not installed."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed: apt-get install {name}")
    return found


def takes_connections(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@contextlib.contextmanager
def running(folder: Path, port: int, *command: str, **environment: str) -> Iterator[None]:
    """Run a proxy until the `with` is over, from when it takes connections."""
    log = folder / "output.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        pause, waited = threading.Event(), 0.0
        while not takes_connections(port):
            assert process.poll() is None, log.read_text("utf-8", "replace")
            assert waited < PATIENCE, log.read_text("utf-8", "replace")
            pause.wait(0.05)
            waited += 0.05
        yield
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


# --- the router behind them -------------------------------------------------------------------


class Upstream(AtOnce):
    """A router whose agent says `words`, one every `pause` seconds, `first` after the message.

    With `after_words` it is silent for so long before it ends its turn.
    """

    token = TOKEN
    words: tuple[str, ...] = ("I", " am", " ready", ".")
    first = pause = after_words = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.over = threading.Event()
        """Set once nobody is to be waited for any more."""

    def reply(self, message: str) -> Iterator[str]:
        wait = self.over.wait
        wait(self.first)
        for word in self.words:
            yield f'data: {{"choices":[{{"index":0,"delta":{{"content":"{word}"}}}}]}}\n\n'
            wait(self.pause)
        wait(self.after_words)
        yield 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
        yield "data: [DONE]\n\n"


@contextlib.contextmanager
def served(router: Upstream) -> Iterator[int]:
    """Serve a router at the root of a port of its own."""
    server = Server()
    server.mount("", build(router))
    try:
        yield int(server.url.rpartition(":")[2])
    finally:
        router.over.set()
        server.unmount("")
        server.close()


# --- certificates -----------------------------------------------------------------------------


class Certificate(NamedTuple):
    """Paths of a certificate with its chain, of its key, and of both in one file."""

    chain: str
    key: str
    both: str


def new_authority() -> Any:
    if trustme is None:
        pytest.skip("trustme is not installed: see the environment `infra` of tox.ini")
    return trustme.CA()


@functools.cache
def authority() -> Any:
    return new_authority()


def certificate(folder: Path, name: str = "localhost", *, expired: bool = False) -> Certificate:
    """Write a certificate of the private authority."""
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    issued = authority().issue_cert(name, not_after=yesterday if expired else None)
    return written(folder, issued)


def written(folder: Path, issued: Any) -> Certificate:
    paths = [folder / f"{name}.pem" for name in ("chain", "key", "both")]
    chain, key = (
        b"".join(it.bytes() for it in issued.cert_chain_pems),
        issued.private_key_pem.bytes(),
    )
    for path, text in zip(paths, (chain, key, chain + key), strict=True):
        path.write_bytes(text)
    return Certificate(*map(str, paths))


def ca_file(folder: Path) -> str:
    """Write the private authority's own certificate."""
    path = folder / "ca.pem"
    authority().cert_pem.write_to_path(str(path))
    return str(path)


# --- the proxies ------------------------------------------------------------------------------

NGINX = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  {http}
  server {{
    listen 127.0.0.1:{port}{with_tls};
    {tls}
    {server}
    location / {{
      proxy_pass http://127.0.0.1:{upstream};
      {location}
    }}
  }}
}}
"""
HAPROXY = """\
global
  maxconn 256
defaults
  mode http
  timeout connect 2s
  timeout client 30s
  timeout server 30s
  {defaults}
frontend front
  bind 127.0.0.1:{port}{tls}
  {front}
  default_backend router
backend router
  {backend}
  server one 127.0.0.1:{upstream}
"""
CADDY = """\
{{
  admin off
  auto_https off
  storage file_system {folder}/storage
}}
:{port} {{
  bind 127.0.0.1
  {tls}
  {site}
  reverse_proxy 127.0.0.1:{upstream}
}}
"""


class Proxy(NamedTuple):
    """What a proxy is given: its configuration, and the arguments that name it."""

    configuration: str
    arguments: tuple[str, ...]
    tls: dict[str, str]
    """What stands in its configuration for a certificate."""


PROXIES = {
    "nginx": Proxy(
        NGINX,
        ("-p", "{folder}", "-c", "{file}"),
        {"with_tls": " ssl", "tls": "ssl_certificate {0}; ssl_certificate_key {1};"},
    ),
    "haproxy": Proxy(HAPROXY, ("-db", "-f", "{file}"), {"tls": " ssl crt {2}"}),
    "caddy": Proxy(
        CADDY, ("run", "--adapter", "caddyfile", "--config", "{file}"), {"tls": "tls {0} {1}"}
    ),
}


@contextlib.contextmanager
def proxy(
    name: str, parent: Path, upstream: int, *, tls: Certificate | None = None, **lines: str
) -> Iterator[int]:
    """Run a proxy before a port, with lines of a test's own; gives its port."""
    it, command, port = PROXIES[name], program(name), free_port()
    folder = parent / f"{name}-{port}"
    folder.mkdir()
    file = folder / "configuration"
    given = defaultdict(str, folder=str(folder), port=str(port), upstream=str(upstream), **lines)
    if tls is not None:
        given |= {place: words.format(*tls) for place, words in it.tls.items()}
    file.write_text(it.configuration.format_map(given), "utf-8")
    arguments = (word.format(folder=folder, file=file) for word in it.arguments)
    # Caddy keeps more than its storage.
    home = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), str(folder))
    with running(folder, port, command, *arguments, **home):
        yield port


SQUID = """\
http_port 127.0.0.1:{port}
pid_filename {folder}/squid.pid
cache_log {folder}/cache.log
access_log stdio:{folder}/access.log
cache deny all
coredump_dir {folder}
visible_hostname proxy.example
shutdown_lifetime 0 seconds
pinger_enable off
netdb_filename none
{rules}
"""


@contextlib.contextmanager
def squid(
    environment: pytest.MonkeyPatch, rules: str = "http_access allow all"
) -> Iterator[tuple[int, Path]]:
    """Run Squid as the environment's proxy; gives its port, and the log of what it is asked for."""
    command, port = program("squid"), free_port()
    for name in ("HTTPS_PROXY", "HTTP_PROXY"):
        environment.setenv(name, f"http://127.0.0.1:{port}")
    # Nothing on this machine is reached without it.
    for name in ("NO_PROXY", "no_proxy"):
        environment.setenv(name, "")
    with tempfile.TemporaryDirectory(prefix="squid-") as name:
        folder = Path(name)
        # As root it becomes another user, who is to write here; pytest's folders let in nobody.
        folder.chmod(0o777)
        words = SQUID.format(folder=folder, port=port, rules=rules)
        (folder / "squid.conf").write_text(words, "utf-8")
        # A name of its own, or what it shares in memory would be another one's.
        named = ("-n", f"squid{port}")
        with running(folder, port, command, "-N", *named, "-f", str(folder / "squid.conf")):
            yield port, folder / "access.log"


# --- what a user sees -------------------------------------------------------------------------

CHAT = """
def test_it(smoke_instance):
    turn = smoke_instance.chat("hello")
    assert turn.complete
    turn.expect_llm_events(at_least=1)
"""


@dataclass(frozen=True)
class Seen:
    """A run of pytest: what became of it, its errors with all their rows, and its summary."""

    passed: bool
    errors: list[str]
    notes: list[str]

    @property
    def error(self) -> str:
        """The one error, on a line."""
        assert len(self.errors) == 1, self.errors
        assert not self.passed
        return self.errors[0]


def see(
    project: Project, url: str, *, suite: str = CHAT, command: bool = False, **settings: object
) -> Seen:
    """Run a suite of one test against an URL; `command` for a process of its own."""
    project.write("test_it.py", suite)
    project.at(url, **settings)
    run = project.process if command else project.run
    result = run("--hydra-smoke", "test_it.py")
    text = result.stdout.str() + result.stderr.str()
    print(text)
    found = re.findall(
        r"^(?:ERROR: |E +pytest_hydrasmoke\.)(.*\n(?:(?:E? +(?:phase|instance|last seen|expected|"
        r"got|turn|next step):.*)\n)*)",
        text,
        re.MULTILINE,
    )
    notes = re.findall(r"^ +(note: .*(?:\n {11}.*)*)", text, re.MULTILINE)
    flat = [" ".join(re.sub(r"^E ", "", it, flags=re.MULTILINE).split()) for it in found]
    return Seen(result.ret == 0, flat, [" ".join(it.split()) for it in notes])
