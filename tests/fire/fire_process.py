"""What a process can tell of itself, as Linux has it."""

from __future__ import annotations

import os
from pathlib import Path


def memory(name: str) -> int:
    """Give bytes: VmRSS as it is, VmHWM as it was at its largest."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    [line] = [line for line in lines if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024


def resident() -> int:
    """Give the bytes that are in memory, page by page: VmRSS may be some hundred KiB from it."""
    lines = Path("/proc/self/smaps_rollup").read_text("utf-8").splitlines()
    [line] = [line for line in lines if line.startswith("Rss:")]
    return int(line.split()[1]) * 1024


def sockets() -> list[str]:
    """Name the sockets that are open."""
    folder = "/proc/self/fd"
    links = []
    for name in os.listdir(folder):
        try:
            links.append(os.readlink(f"{folder}/{name}"))
        except FileNotFoundError:
            continue  # The one by which the folder was read.
    return [link for link in links if link.startswith("socket:")]
