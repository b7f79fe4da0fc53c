"""What a process can tell of itself, as Linux has it."""

from __future__ import annotations

import os
from pathlib import Path


def memory(name: str, file: str = "status") -> int:
    """Give bytes: VmRSS as it is, VmHWM as it was at its largest.

    The Rss of `smaps_rollup` is counted page by page: VmRSS may be some hundred KiB from it.
    """
    lines = Path(f"/proc/self/{file}").read_text("utf-8").splitlines()
    [line] = [line for line in lines if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024


def sockets() -> set[str]:
    """Name the sockets that are open."""
    links: set[str] = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            links.add(os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError:
            continue  # The one by which the folder was read.
    return {link for link in links if link.startswith("socket:")}
