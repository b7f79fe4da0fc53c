"""Tests that take a little while, and say something meanwhile."""

from __future__ import annotations

import sys


def test_waits(smoke_instance):
    print("a print", end=" ")
    smoke_instance.chat("Are you ready?")
    print("and its rest")
    print("a print to stderr", file=sys.stderr)


def test_waits_again(smoke_instance):
    assert smoke_instance.status().status == "running"
