"""`NO_PROXY`: which hosts are reached without the environment's proxy.

Other programs accept networks (`10.0.0.0/8`) there, which neither urllib nor httpx supports.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

_WITH_PORT = re.compile(r"(\[.*\]|[^:\[\]]*)(?::(\d+))?")
_BRACKETS = re.compile(r"\[([^\]]+)\](/\d+)?")
PORTS = {"https": 443, "http": 80}


def is_exempt(url: str, no_proxy: str) -> bool:
    """Return whether an entry of `NO_PROXY` matches the host of a URL.

    Entries are separated by commas: a name, which also matches its subdomains, with or without a
    leading dot; an address; a network; `*`. Each but the networks may have a port.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or PORTS.get(parts.scheme)
    return any(_names(entry.strip().lower(), host, port) for entry in no_proxy.split(","))


def _names(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    network = _network(entry)
    if network is None:
        found = _WITH_PORT.fullmatch(entry)
        if found is None or (found[2] is not None and int(found[2]) != port):
            return False
        entry = found[1]
        network = _network(entry)
    if network is not None:
        address = _network(host)
        return address is not None and address[0] in network
    name = entry.removeprefix("*").strip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """Parse a network, or an address as a network of one; None for anything else."""
    bracketed = _BRACKETS.fullmatch(text)
    try:
        return ipaddress.ip_network("".join(bracketed.groups("")) if bracketed else text, False)
    except ValueError:
        return None
