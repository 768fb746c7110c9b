"""What agents read of the past while they take partitions up: in turns, and what is common once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from typing import Final, TypeAlias

from bellwire.bus.v1.message_pb2 import Message
from bellwire.runtime.assignment import History
from bellwire.runtime.patience import waiting

TURNS_MAX: Final = 2  # at once: one computes while another reads; each has its messages in memory
LOOKS_MAX: Final = 4  # kept while partitions are taken up; DROP_OLDEST

_Key: TypeAlias = tuple[str, int, str]


class SharedLooks:
    """Has partitions taken up in turns; one look at a topic serves all that began before it.

    A look that began after an assignment did has everything that another replica wrote before it gave
    the partition away. An older one may lack some of it, and is not used.
    """

    def __init__(self, history: History) -> None:
        """Read from `history`; nothing is kept while no partition is taken up."""
        self._history = history
        self._turns = asyncio.Semaphore(TURNS_MAX)
        self._one_at_a_time = asyncio.Lock()
        self._clock = count()
        self._under_way = 0
        self._looks: dict[_Key, tuple[int, Sequence[Message]]] = {}

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[History]:
        """Wait for a turn, which is no silence, and give the past as one that begins now may read it."""
        view = _View(self, self._history, next(self._clock))
        self._under_way += 1
        try:
            async with AsyncExitStack() as stack:
                with waiting():
                    await stack.enter_async_context(self._turns)
                yield view
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._looks.clear()

    async def newest(self, key: _Key, since: int) -> Sequence[Message]:
        """Return a look that began after `since`; one is under way at a time, and others wait for it."""
        async with AsyncExitStack() as stack:
            with waiting():
                await stack.enter_async_context(self._one_at_a_time)
            began, found = self._looks.get(key, (-1, ()))
            if began > since:
                return found
            began = next(self._clock)
            found = await self._history.newest(*key)
            self._keep(key, began, found)
        return found

    def _keep(self, key: _Key, began: int, found: Sequence[Message]) -> None:
        if not self._under_way:
            return
        self._looks.pop(key, None)
        while len(self._looks) >= LOOKS_MAX:
            del self._looks[next(iter(self._looks))]
        self._looks[key] = began, found


class _View:
    """The past, for one that began at some time."""

    def __init__(self, looks: SharedLooks, history: History, since: int) -> None:
        self._looks = looks
        self._history = history
        self._since = since

    async def before(
        self, topic: str, partition: int, offset: int, messages_max: int, type_name: str = ""
    ) -> Sequence[Message]:
        """Nobody else reads this partition: its own look."""
        return await self._history.before(topic, partition, offset, messages_max, type_name)

    async def newest(self, topic: str, messages_max: int, type_name: str = "") -> Sequence[Message]:
        """Share a look with those who ask alike."""
        return await self._looks.newest((topic, messages_max, type_name), self._since)
