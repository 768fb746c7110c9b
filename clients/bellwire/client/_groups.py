"""The groups of coordinators a client talks to: their map, kept up to date, and the channels to each."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from bellwire.admin.v1.server_pb2 import ClusterInfo
from bellwire.client._map_reader import MapReader, entries_of
from bellwire.client.errors import UnreachableError
from bellwire.client.settings import ClientSettings
from bellwire.policy.backoff import Backoff
from bellwire.policy.topic_groups import GroupEntry, TopicGroups
from bellwire.transport.address import Address, AddressError, parse_address
from bellwire.transport.group_pool import GroupPool
from bellwire.transport.movable import OWNER_PAUSE_SECONDS
from bellwire.wire.errors import ClosedError, NotOwnerError

__all__ = ["Groups"]

READ_SECONDS: Final = 0.2  # Between two readings in trouble: coordinators renew theirs each second.
WATCH_SECONDS: Final = (
    5.0  # Between two while a pattern may concern a group that is new, jittered by a fifth.
)
WATCH_JITTER: Final = 0.2
LEFT_SECONDS_MIN: Final = 0.001  # gRPC's least deadline.

T = TypeVar("T")

_log = logging.getLogger("bellwire.client")


class Groups:
    """Which group has which topic, and a pool of channels to each, opened when first needed.

    The map is read when the client connects, when somebody refuses or is lost, and every few seconds while
    `watch` is asked for. All who wait for it wait for the same reading.

    Args:
        home: Channels to the group the client came to first.
        home_group: Its name.
        places: Where coordinators are, as the user told.
        settings: Of the client.
        entries: The map.
    """

    def __init__(
        self,
        home: GroupPool,
        home_group: str,
        places: Sequence[Address],
        settings: ClientSettings,
        entries: Sequence[GroupEntry],
    ) -> None:
        self._settings = settings
        self._reader = MapReader(places, settings.transport)
        self._pools: dict[str, GroupPool] = {home_group: home}
        self._listeners: list[Callable[[], None]] = []
        self._reading: asyncio.Task[None] | None = None
        self._next_reading_at = 0.0
        self._watching: asyncio.Task[None] | None = None
        self._watchers = 0
        self._is_in_trouble = False
        self._closed = False
        self.home = home_group
        self.map = TopicGroups(entries, home_group)
        known = self.map.entry(home_group)
        self._guide(home, home_group, known.owner_since_unix_nano if known else 0)
        self._note_owners()

    @property
    def home_pool(self) -> GroupPool:
        """Channels to the group the client came to first: for agents, calls and the server itself."""
        return self._pools[self.home]

    def listen(self, listener: Callable[[], None]) -> None:
        """Have a function called whenever a topic may belong to another group than before."""
        self._listeners.append(listener)

    def ignore(self, listener: Callable[[], None]) -> None:
        """Call it no more."""
        self._listeners.remove(listener)

    # ------------------------------------------------------------ who and where

    def pool(self, group: str) -> GroupPool | None:
        """Return the channels to a group, opened when first asked for; None = nobody is known there."""
        pool = self._pools.get(group)
        entry = self.map.entry(group)
        if pool is not None or entry is None or not entry.owner or self._closed:
            return pool
        try:
            owner = parse_address(entry.owner)
        except AddressError as error:
            _log.warning("group %r: the owner's address is of no use: %s", group, error.message)
            return None
        pool = self._pools[group] = GroupPool(owner, self._settings.transport)
        self._guide(pool, group, entry.owner_since_unix_nano)
        return pool

    async def pool_of(self, group: str, seconds: float | None) -> GroupPool:
        """Return the channels to a group; wait until anybody is known there.

        Args:
            group: Its name.
            seconds: How long to wait; None = as long as it takes.

        Raises:
            UnreachableError: Nobody became known in time.
        """
        try:
            async with asyncio.timeout(seconds):
                while (pool := self.pool(group)) is None:
                    await self.reread()
                return pool
        except TimeoutError:
            raise UnreachableError(
                f"group {group!r} had no active coordinator for {seconds:.3g} s: look at `bellwire info`, and "
                f"if the group is gone for good, forget it with `redis-cli HSET bellwire:groups {group} removed`",
                metadata={"group": group},
            ) from None

    async def owner_of(self, topic: str, seconds: float | None) -> str:
        """Return the group that owns a topic; wait until one does.

        Raises:
            NotOwnerError: None did in time.
        """
        try:
            async with asyncio.timeout(seconds):
                while (group := self.map.group_of(topic)) is None:
                    await self.reread()
                return group
        except TimeoutError:
            raise NotOwnerError(
                f"no group of coordinators owns topic {topic!r}; known are {self._described()}: "
                "start one with it in its --topics, or one without --topics for all others",
                metadata={"topic": topic},
            ) from None

    async def at_owner(
        self, topic: str, seconds: float, ask: Callable[[GroupPool, float], Awaitable[T]]
    ) -> T:
        """Have something asked of the group that owns a topic, and of the next one when it refuses to be.

        Args:
            topic: Its name.
            seconds: Deadline.
            ask: Asks with channels and the seconds left; a refusal with NOT_OWNER must have done nothing.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + seconds
        pauses = Backoff(*OWNER_PAUSE_SECONDS)
        while True:
            group = await self.owner_of(topic, max(LEFT_SECONDS_MIN, deadline - clock()))
            left = max(LEFT_SECONDS_MIN, deadline - clock())
            pool = await self.pool_of(group, left)
            try:
                return await ask(pool, max(LEFT_SECONDS_MIN, deadline - clock()))
            except NotOwnerError as error:
                delay = pauses.next_delay()
                if not error.topic or clock() + delay >= deadline:
                    raise
            await self._reread_by(deadline)
            await asyncio.sleep(delay)

    def _described(self) -> str:
        found = []
        for name in self.map.names:
            entry = self.map.entry(name)
            found.append(f"{name!r} ({', '.join(entry.topics) if entry else ''})")
        return ", ".join(found)

    # ------------------------------------------------------------ the map

    def reread_soon(self) -> None:
        """Have the map read again, not more often than a few times a second: somebody refused or is lost."""
        self._is_in_trouble = True
        self._begin_reading()

    async def reread(self) -> None:
        """Wait until the map was read again, because something is missing in it."""
        self._is_in_trouble = True
        await self._read_again()

    async def _read_again(self) -> None:
        if self._closed:
            raise ClosedError("the client is closed: connect again")
        self._begin_reading()
        if self._reading is not None:
            await asyncio.wait([self._reading])

    def _begin_reading(self) -> None:
        if not self._closed and (self._reading is None or self._reading.done()):
            self._reading = asyncio.create_task(self._read(), name="bellwire map of groups")

    async def _reread_by(self, deadline: float) -> None:
        with contextlib.suppress(TimeoutError):  # The next try says what is wrong.
            async with asyncio.timeout_at(deadline):
                await self.reread()

    async def _read(self) -> None:
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(max(0.0, self._next_reading_at - clock()))
        trouble, self._is_in_trouble = self._is_in_trouble, False
        info = await self._reader.read()
        self._next_reading_at = clock() + READ_SECONDS
        if info is not None and not self._learn(info) and trouble:
            await self._reader.next_place()  # Perhaps somebody else knows more.

    def _learn(self, info: ClusterInfo) -> bool:
        """Take an answer; tell whether there was anything new in it."""
        before = self.map
        self.map = TopicGroups(entries_of(info), self.home)
        self._note_owners()
        moved = [self._lead(group, pool) for group, pool in self._pools.items()]
        if self.map.owns_alike(before):
            return any(moved)
        _log.info("groups of coordinators: %s", self._described())
        for listener in tuple(self._listeners):
            listener()
        return True

    def _lead(self, group: str, pool: GroupPool) -> bool:
        entry = self.map.entry(group)
        if entry is None or not entry.owner:
            return False
        try:
            return pool.follow(parse_address(entry.owner), entry.owner_since_unix_nano)
        except AddressError:
            return False  # `pool` tells.

    def _guide(self, pool: GroupPool, group: str, since_unix_nano: int) -> None:
        pool.guide(group, since_unix_nano, self.reread_soon, lambda: len(self.map.names) == 1)

    def _note_owners(self) -> None:
        entries = (self.map.entry(name) for name in self.map.names)
        self._reader.learn(entry.owner for entry in entries if entry and entry.owner)

    # ------------------------------------------------------------ watching

    def watch(self) -> None:
        """Read the map every few seconds until as many `unwatch`: there may be groups nobody was refused for."""
        self._watchers += 1
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch(), name="bellwire watch of groups")

    def unwatch(self) -> None:
        """End one `watch`."""
        self._watchers -= 1
        if self._watchers == 0 and self._watching is not None:
            self._watching.cancel()
            self._watching = None

    async def _watch(self) -> None:
        while True:
            spread = WATCH_SECONDS * WATCH_JITTER
            await asyncio.sleep(WATCH_SECONDS + random.uniform(-spread, spread))
            await self._read_again()

    async def close(self) -> None:
        """End the readings and close the channels, those to the home group included."""
        self._closed = True
        tasks = [task for task in (self._reading, self._watching) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._reader.close()
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))
