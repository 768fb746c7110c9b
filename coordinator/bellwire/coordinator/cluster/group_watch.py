"""Keeps what a coordinator knows of all groups as fresh as Redis is, and declares its own group there."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, Protocol

from bellwire.coordinator.cluster.election import LeaseTimes
from bellwire.coordinator.cluster.errors import (
    GroupRecordError,
    LeaseRefusedError,
    LeaseUnavailableError,
    TopicsTakenError,
)
from bellwire.coordinator.cluster.holder import Holder, LeaseValueError
from bellwire.coordinator.cluster.patience import patiently
from bellwire.coordinator.cluster.topic_groups import GroupRecord, TopicGroups
from bellwire.wire.errors import BellwireError

__all__ = ["Declared", "GroupStore", "GroupWatch"]

CANCEL_AGAIN_SECONDS: Final = 0.1
DECLARE_TRIES_MAX: Final = 16  # Each is lost to another group that declares at the same moment.
_UNREAD: Final = (LeaseUnavailableError, LeaseRefusedError, LeaseValueError, GroupRecordError)
_log = logging.getLogger("bellwire.coordinator")


class Declared(NamedTuple):
    """What Redis holds of all groups.

    Attributes:
        records: What each has declared, as it is written.
        owners: Who holds the lease of each that has an active coordinator.
    """

    records: Mapping[str, bytes]
    owners: Mapping[str, Holder]


class GroupStore(Protocol):
    """Where groups declare what they have; `RedisGroups` is one."""

    async def read(self) -> Declared:
        """Return what is declared."""
        ...

    async def declare(self, group: str, record: bytes, seen: Mapping[str, bytes]) -> bool:
        """Declare what a group has, unless something has changed since this was seen."""
        ...

    async def close(self) -> None:
        """Close connections."""


class GroupWatch:
    """Reads what is declared with each renewal of a lease, and at once when an owner is wanted that is unknown.

    Args:
        groups: What is known.
        store: Where it is declared.
        times: Of the lease.
        is_active: Whether this coordinator is the one that declares its group.
        on_change: Called when topics may belong to others than before.
    """

    def __init__(
        self,
        groups: TopicGroups,
        store: GroupStore,
        times: LeaseTimes,
        *,
        is_active: Callable[[], bool],
        on_change: Callable[[], None],
    ) -> None:
        self._groups = groups
        self._store = store
        self._times = times
        self._is_active = is_active
        self._on_change = on_change
        self._missed = asyncio.Event()
        self._leaving = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._said = ""
        groups.on_miss = self._missed.set

    async def begin(self, seconds: float) -> None:
        """Read what is declared for the first time, and go on reading.

        Raises:
            LeaseUnavailableError: Redis did not answer within so many seconds.
            LeaseRefusedError, LeaseValueError, GroupRecordError: It cannot be read.
            TopicsTakenError: Another group has topics of ours.
        """
        await patiently(self._read, seconds)
        self._groups.check()
        declared = self._groups.declared
        if declared is not None and not self._groups.is_declared:
            _log.warning(
                "group %r has declared topics %s, and this coordinator is to have %s: they hold once it is active",
                self._groups.me,
                _named(declared),
                _named(self._groups.record),
            )
        self._running = asyncio.create_task(self._run(), name="groups")

    async def declare(self) -> None:
        """Declare what our group has, before anything of it is served.

        Where another group serves what nobody names, it may be serving just this: one time to live later it has read
        otherwise, unless it is cut off from Redis and nobody takes its lease. A Redis that is away holds nobody up who
        was heard to be declared.

        Raises:
            TopicsTakenError: Another group has topics of ours.
            LeaseUnavailableError, LeaseRefusedError, LeaseValueError, GroupRecordError: It could not be declared.
        """
        try:
            is_new = await self._declare()
        except LeaseUnavailableError:
            if not self._groups.is_declared:
                raise
            return
        if is_new and self._groups.has_rest_elsewhere():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._times.ttl):
                    await self._leaving.wait()

    def leave(self) -> None:
        """Hold nobody up any more: the coordinator is stopping and serves nothing new."""
        self._leaving.set()

    async def close(self) -> None:
        """Read no more."""
        if self._running is not None:
            while not self._running.done():
                self._running.cancel()  # `asyncio.wait_for` of Python 3.11, in redis-py, may lose one.
                await asyncio.wait([self._running], timeout=CANCEL_AGAIN_SECONDS)
        await self._store.close()

    # ------------------------------------------------------------ Redis

    async def _read(self) -> Mapping[str, bytes]:
        found = await self._store.read()
        records = {name: GroupRecord.decode(name, value) for name, value in found.records.items()}
        if self._groups.take(records, found.owners):
            self._on_change()
        return found.records

    async def _declare(self) -> bool:
        """Have our group declared; True = it was not."""
        groups = self._groups
        for _ in range(DECLARE_TRIES_MAX):
            seen = await self._read()
            groups.check()
            if groups.is_declared:
                return False
            if await self._store.declare(groups.me, groups.record.encode(), seen):
                groups.note_declared()
                _log.info("group %r has declared topics %s", groups.me, _named(groups.record))
                return True
        raise LeaseUnavailableError(
            f"others have declared topics {DECLARE_TRIES_MAX} times while group {groups.me!r} was about to"
        )

    async def _run(self) -> None:
        while True:
            await self._pause()
            try:
                await self._read()
                if self._is_active() and not self._groups.is_declared:
                    await self._declare()  # Redis came back empty, or somebody has cleared it.
            except (*_UNREAD, TopicsTakenError) as error:
                self._say(error)
            except Exception:  # noqa: BLE001 - what is known goes on to hold
                _log.exception("a fault of our own while groups were read")
            else:
                self._said = ""

    def _say(self, error: BellwireError) -> None:
        """Tell of what goes wrong once, not each second."""
        if error.reason != self._said:
            self._said = error.reason
            _log.warning("%s; the groups that are known go on to hold", error.message)

    async def _pause(self) -> None:
        """Wait until it is time to read again: a fourth of the usual time when an owner is wanted."""
        read_at = time.monotonic()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._times.renew):
                await self._missed.wait()
        await asyncio.sleep(max(0.0, read_at + self._times.poll - time.monotonic()))
        self._missed.clear()


def _named(record: GroupRecord) -> str:
    return ", ".join(record.topics) or "that no other group names"
