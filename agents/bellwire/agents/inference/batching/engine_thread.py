"""One thread that computes for a loop, and may hang without holding it, or the process, up."""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")
Job = Callable[[], T]


class EngineThread(Generic[T]):
    """Runs one job at a time on a daemon thread and tells the loop what came of it.

    A daemon, and no executor: the interpreter waits at its end for threads of executors, for ever if one hangs.
    Bounded by its only user, who has one job under way at most.
    """

    __slots__ = ("_jobs", "_loop", "_tell", "_thread")

    def __init__(self, tell: Callable[[T], None], name: str) -> None:
        """Start the thread.

        Args:
            tell: Called on the loop with what each job returned.
            name: Of the thread.
        """
        self._loop = asyncio.get_running_loop()
        self._tell = tell
        self._jobs: SimpleQueue[Job[T] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Job[T]) -> None:
        """Have a job done, which must not raise."""
        self._jobs.put(job)

    def close(self) -> None:
        """End the thread when its job is done; does not wait for it."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            found = job()
            try:
                self._loop.call_soon_threadsafe(self._tell, found)
            except RuntimeError:  # The loop is closed: nobody is there to be told.
                return
