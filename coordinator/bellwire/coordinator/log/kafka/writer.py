"""Writes transactions until it is known what became of them.

The number of each is in the state, so that after a reconnection, which ends whatever was begun, one look tells
whether the last one was committed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

from aiokafka.errors import BrokerResponseError, ProducerFenced

from bellwire.coordinator.log.kafka.entries import NANOS_PER_MILLI, records_of
from bellwire.coordinator.log.kafka.faults import AWAY, HOPELESS, taken_over
from bellwire.coordinator.log.kafka.index import Index, by_log
from bellwire.coordinator.log.kafka.opener import Opener, opener_of
from bellwire.coordinator.log.kafka.session import LOG_TOPIC, KafkaSession
from bellwire.coordinator.log.kafka.settings import KafkaSettings
from bellwire.coordinator.log.kafka.state import (
    STORE,
    Changes,
    State,
    decode_pair,
    encode_key,
    encode_value,
)
from bellwire.coordinator.log.records import EntryRecord
from bellwire.coordinator.log.store import Outage
from bellwire.policy.backoff import Backoff
from bellwire.wire.errors import SchemaVersionError, StoreFullError, StoreReadOnlyError

__all__ = ["Writer"]

REFUSALS_MAX: Final = 3  # Answers in a row that nothing but another transaction would change.
NAME_SECONDS: Final = 5.0  # It fences first, and reads what is stored before it gives its name.
NAME_POLL_SECONDS: Final = 0.1
_log = logging.getLogger("bellwire.coordinator")


class Writer:
    """The one that writes, as long as nobody has taken over.

    Attributes:
        gives_up: Whether to wait for Kafka no longer.
        outage: Since when it takes no transaction; None = it took or refused the latest one. Read on any thread.
    """

    def __init__(self, settings: KafkaSettings, session: KafkaSession, index: Index) -> None:
        self._settings = settings
        self._session = session
        self._index = index
        self._state = index.state
        self._topics: dict[str, int] = {}  # Partitions of those that are known to exist.
        self._is_fenced = False
        self.gives_up = False
        self.outage: Outage | None = None

    async def open(self) -> bool:
        """Say in the state that the store is open; return whether it was not closed before."""
        state = self._state
        after_crash = state.is_open
        state.incarnation += 1
        state.is_open = True
        state.opener = opener_of(self._settings.address, time.time_ns())
        await self._commit(_Attempt([]), Changes(), state.commits + 1)
        state.commits += 1
        return after_crash

    async def close(self) -> None:
        """Say in the state that it is closed, where we may still write."""
        state = self._state
        if not state.is_open or not self._session.has_producer or self._is_fenced:
            return
        state.is_open = False
        try:
            await self._commit(_Attempt([]), Changes(), state.commits + 1)
        except AWAY as error:
            _log.warning("the store could not be closed properly: %r", error)

    async def write(
        self,
        entries: Sequence[EntryRecord],
        changes: Changes,
        deleted: frozenset[int] = frozenset(),
    ) -> None:
        """Write until it is known to be written.

        Raises:
            StoreReadOnlyError: Another coordinator has taken over, or this one gives up.
            StoreFullError: Kafka refuses it for good.
        """
        try:
            await self._write(entries, changes, deleted)
        finally:
            self.outage = None  # A refusal is an answer, too.

    async def _write(
        self, entries: Sequence[EntryRecord], changes: Changes, deleted: frozenset[int]
    ) -> None:
        backoff = Backoff(*self._settings.retry_seconds)
        number = self._state.commits + 1
        refusals = 0
        began_ns = time.time_ns()
        while True:
            attempt = _Attempt(entries, deleted)
            reason: BaseException | None = None
            try:
                await self._create_topics()
                if not self._session.has_producer:
                    await self._committed()  # To open a producer would fence a successor.
                await self._commit(attempt, changes, number)
                break
            except ProducerFenced:
                raise await self._fenced() from None
            except HOPELESS as error:
                await self._session.drop_producer()
                raise StoreFullError(
                    f"Kafka refuses the transaction: {error!r}",
                    metadata={"kafka_error": type(error).__name__},
                ) from error
            except AWAY as error:
                _log.warning("Kafka took no transaction, trying again: %r", error)
                self.outage = Outage(
                    began_ns, f"Kafka at {self._settings.bootstrap} takes no transaction: {error!r}"
                )
                # Among them are refusals that aiokafka has no name for, as that of a record without a key for a
                # compacted topic.
                is_refused = isinstance(error, BrokerResponseError) and not error.retriable
                refusals = refusals + 1 if is_refused else 0
                reason = error
            if await self._came_through(number, backoff):
                break
            if refusals >= REFUSALS_MAX:
                raise StoreFullError(
                    f"Kafka refuses the transaction again and again: {reason!r}",
                    metadata={"kafka_error": type(reason).__name__},
                )
        self._state.commits = number
        self._index.extend(by_log(attempt.entries, attempt.offsets))

    async def _commit(self, attempt: _Attempt, changes: Changes, number: int) -> None:
        store = self._state.store_value() | {"commits": number}

        def state(offsets: Sequence[int]) -> Iterable[tuple[bytes, bytes | None]]:
            attempt.offsets = offsets
            self._index.place(by_log(attempt.entries, offsets), attempt.deleted, changes)
            yield from changes.encoded()
            yield encode_key(STORE), encode_value(store)

        entries = []
        for record in attempt.entries:
            log = self._index.positions(record.log_id)
            entries.append((log.topic, log.partition, records_of(record.entry, record.log_id)))
        await self._session.transact(entries, state, time.time_ns() // NANOS_PER_MILLI)

    async def _came_through(self, number: int, backoff: Backoff) -> bool:
        """Tell whether a transaction was committed whose end was not heard."""
        said = ""
        while True:
            if self.gives_up:
                raise StoreReadOnlyError("the store was closed while it waited for Kafka")
            await asyncio.sleep(backoff.next_delay())
            try:
                # Looked at before, too: to open a producer would fence a successor.
                await self._committed()
                await self._session.open_producer()
                return await self._committed() >= number
            except ProducerFenced:
                raise await self._fenced() from None
            except AWAY as error:
                reason = await self._session.why(error)
                if reason != said:  # Each reason once, not with every try.
                    _log.warning("Kafka is still away: %s", reason)
                    said = reason

    async def _committed(self) -> int:
        """Return the number of the latest transaction that was committed.

        Raises:
            StoreReadOnlyError: It was another coordinator's.
        """
        found = await self._stored()
        if found.incarnation > self._state.incarnation:
            self._is_fenced = True  # `close` must not write our state over that of the other.
            raise taken_over(self._settings.state_topic, found.opener)
        return found.commits

    async def _stored(self) -> State:
        """Return what Kafka holds of the store as a whole."""
        found = State()
        for key, value in await self._session.read_state():
            if key == encode_key(STORE):
                found.load(*decode_pair(key, value))
        return found

    async def _fenced(self) -> StoreReadOnlyError:
        """Return what to say of another one that writes, with its name where nobody is kept waiting for it."""
        self._is_fenced = True
        opener: Opener | None = None
        if (
            self._session.is_alone
        ):  # In a group the lease tells who it is, and a standby must stop at once.
            with suppress(SchemaVersionError, *AWAY):
                async with asyncio.timeout(NAME_SECONDS):
                    opener = await self._successor()
        return taken_over(self._settings.state_topic, opener)

    async def _successor(self) -> Opener:
        """Wait until who has fenced us has said so."""
        while True:
            found = await self._stored()
            if found.incarnation > self._state.incarnation:
                return found.opener
            await asyncio.sleep(NAME_POLL_SECONDS)

    async def _create_topics(self) -> None:
        """Have the Kafka topics of all logs."""
        for topic, partitions in self._index.partitions().items():
            if self._topics.get(topic, 0) < partitions:
                await self._session.ensure_topic(topic, partitions, LOG_TOPIC)
                self._topics[topic] = partitions


class _Attempt:
    """One try to write entries.

    Attributes:
        deleted: Logs that are gone by its end.
        offsets: Kafka offset of each; empty = not known yet.
    """

    def __init__(
        self, entries: Sequence[EntryRecord], deleted: frozenset[int] = frozenset()
    ) -> None:
        self.entries = entries
        self.deleted = deleted
        self.offsets: Sequence[int] = ()
