"""What is logged on the way of a deletion, which waits for nobody who reads it."""

from __future__ import annotations

import logging

from pytest_hydrasmoke._base.signals import Interrupts

_LOGGERS = (
    "pytest_hydrasmoke",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.proxy",
    "httpcore.socks",
)


class DeferredLogs(logging.Filter):
    """Keeps records of these loggers back while signals are held: handlers may write anywhere."""

    def __init__(self, interrupts: Interrupts) -> None:
        super().__init__()
        self._interrupts = interrupts

    def begin(self) -> None:
        """Look at every record from now on."""
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self)

    def end(self) -> None:
        """Let loggers be what they were; harmless if done before."""
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record may be handled now."""
        if not self._interrupts.held:
            return True
        self._interrupts.afterwards(lambda: logging.getLogger(record.name).handle(record))
        return False
