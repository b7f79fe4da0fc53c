"""Log records during a deletion, and on a signal's way to it, which must not wait for readers."""

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
    """Holds back records of these loggers while nothing must block: handlers write anywhere."""

    def __init__(self, interrupts: Interrupts) -> None:
        super().__init__()
        self._interrupts = interrupts

    def begin(self) -> None:
        """Filter every record from now on."""
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self)

    def end(self) -> None:
        """Restore the loggers; harmless if done before."""
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record may be handled now."""
        if not self._interrupts.must_not_block:
            return True
        self._interrupts.afterwards(lambda: logging.getLogger(record.name).handle(record))
        return False
