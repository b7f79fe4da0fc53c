"""The queue between the router and its workers.

A task's duration is known when it is queued, and tasks are taken in order. So the start and end of
each are known at once, and nothing has to run.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from .records import Progress


@dataclass(frozen=True, slots=True)
class Task:
    """A task's times, in seconds of the clock; `inf` where a worker never gets there."""

    begins_at: float
    ends_at: float

    def progress(self, now: float) -> Progress:
        """Return its state at this time."""
        if now < self.begins_at:
            return "queued"
        return "running" if now < self.ends_at else "done"


class Queue:
    """A queue that `workers` workers share; 0 for one worker per task."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self.clear()

    def clear(self) -> None:
        """Forget every task: all workers are free."""
        self._free_at = [0.0] * self._workers

    def add(self, now: float, seconds: float) -> Task:
        """Queue a task that occupies a worker for `seconds`."""
        begins_at = max(now, self._free_at[0]) if self._free_at else now
        task = Task(begins_at, begins_at + seconds)
        if self._free_at:
            heapq.heapreplace(self._free_at, task.ends_at)
        return task
