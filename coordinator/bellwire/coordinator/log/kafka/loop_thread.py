"""An event loop on a thread of its own: the store is called on threads, and Kafka's client lives on a loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from aiokafka.errors import KafkaError

__all__ = ["LoopThread"]

T = TypeVar("T")


class LoopThread:
    """An event loop that runs, for callers on other threads."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(_unheard)
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="bellwire-kafka", daemon=True
        )
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether it was not stopped."""
        return self._thread.is_alive()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there and return what it returns."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def stop(self) -> None:
        """Stop it; nothing may be running."""
        self.run(_cancel_the_rest())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _unheard(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Leave out what one failure of Kafka sets in every future of a client: the first to ask was told."""
    if not isinstance(context.get("exception"), KafkaError):
        loop.default_exception_handler(context)


async def _cancel_the_rest() -> None:
    """Cancel what clients of Kafka have left behind."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
