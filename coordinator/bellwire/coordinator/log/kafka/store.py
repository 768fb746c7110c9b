"""The Kafka store: durable topics are Kafka topics, everything else is in `_bellwire_state`, in the same transactions.

A transaction that fails is tried again until it is known what became of it: the number of each is in the state, so
that after a reconnection, which ends whatever was begun, one look tells whether it was committed.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing
from itertools import starmap
from typing import Any, Final, TypeVar

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    IllegalOperation,
    InvalidConfigurationError,
    InvalidPartitionsError,
    InvalidReplicationFactorError,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    OffsetOutOfRangeError,
    PolicyViolationError,
    ProducerFenced,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnsupportedVersionError,
)

from bellwire.coordinator.log.kafka.entries import NANOS_PER_MILLI, Assembly, records_of
from bellwire.coordinator.log.kafka.positions import (
    EndRecord,
    PlaceRecord,
    Positions,
    Written,
)
from bellwire.coordinator.log.kafka.session import (
    LOG_TOPIC,
    STATE_TOPIC,
    KafkaSession,
    KafkaSettings,
)
from bellwire.coordinator.log.kafka.state import (
    STORE,
    Changes,
    State,
    decode_pair,
    encode_key,
    encode_value,
)
from bellwire.coordinator.log.protocol import Entry
from bellwire.coordinator.log.records import (
    DeadLetterRecord,
    EntryRecord,
    EvictedRecord,
    Record,
    Snapshot,
    TopicDeletedRecord,
    TopicRecord,
)
from bellwire.coordinator.log.store import DeadLetterQuery
from bellwire.policy.backoff import Backoff
from bellwire.wire.errors import (
    BellwireError,
    DataCorruptError,
    StoreFullError,
    StoreReadOnlyError,
    StoreUnavailableError,
)

_log = logging.getLogger("bellwire.coordinator")
T = TypeVar("T")

FIND_BYTES: Final = 1 << 20
ALL: Final = -1
# What a new connection may mend, after a look at what became of the transaction.
_AWAY: Final = (KafkaError, IllegalOperation, AssertionError, OSError, TimeoutError)
_HOPELESS: Final = (
    ClusterAuthorizationFailedError,
    InvalidConfigurationError,
    InvalidPartitionsError,
    InvalidReplicationFactorError,
    InvalidTopicError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnsupportedVersionError,
)


class KafkaStore:
    """A `Store` on Kafka.

    Args:
        settings: Where it is.
        session: Connections to it; None = new ones.

    Attributes:
        foreign_records: Records in its topics that are none of its own, and were passed over.
    """

    durable = True

    def __init__(self, settings: KafkaSettings, session: KafkaSession | None = None) -> None:
        self._settings = settings
        self.path = f"kafka://{settings.bootstrap}/{settings.state_topic}"
        self.foreign_records = 0
        self._session = session or KafkaSession(settings)
        self._loop = _LoopThread()
        self._state = State()
        self._logs: dict[int, Positions] = {}
        self._topics: dict[str, int] = {}  # Partitions of those that are known to exist.
        self._lock = threading.Lock()  # Around the positions: one thread writes, another reads.
        self._closing = False
        self._is_fenced = False

    # ------------------------------------------------------------ open and close

    def load(self) -> Snapshot:
        """Open the store; see `Store.load`.

        Raises:
            StoreUnavailableError: Kafka cannot be reached.
            KafkaRefusedError: It does not let us in.
            KafkaVersionError: It is too old or too new.
        """
        try:
            return self._loop.run(self._load())
        except BellwireError:
            self.close()
            raise
        except _AWAY as error:
            self.close()
            raise self._unavailable(error) from error

    def check(self) -> None:
        """See that Kafka can be used, without opening the store.

        Raises:
            StoreUnavailableError, KafkaRefusedError, KafkaVersionError: See `load`.
        """
        try:
            self._loop.run(self._session.check())
        except _AWAY as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: BaseException) -> StoreUnavailableError:
        return StoreUnavailableError(
            f"Kafka at {self._settings.bootstrap} cannot be used: {error!r}; is it running there? "
            "`make kafka` starts one"
        )

    async def _load(self) -> Snapshot:
        session = self._session
        await session.check()
        await session.ensure_topic(self._settings.state_topic, 1, STATE_TOPIC)
        await session.open_producer()
        state = self._state
        for key, value in starmap(decode_pair, await session.read_state()):
            state.load(key, value)
        self._find_logs()
        after_crash = state.is_open
        state.incarnation += 1
        state.is_open = True
        await self._commit(_Attempt([]), Changes(), state.commits + 1)
        state.commits += 1
        return state.snapshot(after_crash=after_crash)

    def _find_logs(self) -> None:
        for topic in self._state.topics():
            self._know(topic)
        for place in self._state.places():
            if (log := self._logs.get(place.log_id)) is not None:
                log.note(place.base_offset, place.kafka_offset)
        for end in self._state.ends():
            if (log := self._logs.get(end.log_id)) is not None:
                log.end = end.next_offset

    def _know(self, topic: TopicRecord) -> None:
        for partition, log_id in enumerate(topic.log_ids):
            self._logs.setdefault(log_id, Positions(topic.name, partition))

    def give_up(self) -> None:
        """Wait for Kafka no longer: a write that does fails."""
        self._closing = True

    def close(self) -> None:
        """Close the store."""
        self._closing = True
        if self._loop.is_running:
            self._loop.run(self._close())
            self._loop.stop()

    async def _close(self) -> None:
        state = self._state
        if state.is_open and self._session.has_producer and not self._is_fenced:
            state.is_open = False
            try:
                await self._commit(_Attempt([]), Changes(), state.commits + 1)
            except _AWAY as error:
                _log.warning("the store could not be closed properly: %r", error)
        await self._session.close()

    def disk_bytes(self) -> int:
        """Return 0: the disks are the brokers'."""
        return 0

    # ------------------------------------------------------------ writes

    def write(self, records: Sequence[Record]) -> None:
        """Write all records in one transaction; see `Store.write`.

        Waits for Kafka as long as it is away.

        Raises:
            StoreReadOnlyError: Another coordinator has taken over.
        """
        changes = Changes()
        entries: dict[tuple[int, int], EntryRecord] = {}
        gone: list[Record] = []
        with self._lock:
            for record in records:
                if isinstance(record, EntryRecord):
                    entries[record.log_id, record.entry.base_offset] = record
                elif isinstance(record, TopicRecord):
                    self._know(record)
                elif isinstance(record, TopicDeletedRecord | EvictedRecord):
                    gone.append(record)
                self._state.apply(record, changes)
                if isinstance(record, EvictedRecord) and record.log_id in self._logs:
                    places = self._logs[record.log_id].forget_below(record.low_offset)
                    self._state.forget_places(record.log_id, places, changes)
        try:
            fresh = [record for record in entries.values() if self._is_new(record)]
            if fresh or changes.values:
                deleted = frozenset(
                    log_id
                    for record in gone
                    if isinstance(record, TopicDeletedRecord)
                    for log_id in record.log_ids
                )
                self._loop.run(self._write(fresh, changes, deleted))
        except BaseException:
            with self._lock:
                self._state.undo(changes)
            raise
        self._clean_up(gone)

    def prove(self) -> None:
        """Commit nothing: when this returns, nobody had taken over when it was called.

        Belongs on the thread of `write`, and waits for Kafka as that does.

        Raises:
            StoreReadOnlyError: Another coordinator has taken over.
        """
        self._loop.run(self._write([], Changes()))

    def only_while(self, may_write: Callable[[], bool]) -> None:
        """Have whoever holds a lease say whether this store may take over from another coordinator."""
        self._session.may_write = may_write

    def _is_new(self, record: EntryRecord) -> bool:
        """Tell whether an entry is not there yet: written twice it would be there twice."""
        positions = self._logs.get(record.log_id)
        if positions is None:
            raise DataCorruptError(f"log {record.log_id} belongs to no topic")
        return record.entry.base_offset >= positions.end

    async def _write(
        self,
        entries: Sequence[EntryRecord],
        changes: Changes,
        deleted: frozenset[int] = frozenset(),
    ) -> None:
        """Write until it is known to be written."""
        backoff = Backoff(*self._settings.retry_seconds)
        number = self._state.commits + 1
        while True:
            attempt = _Attempt(entries, deleted)
            try:
                await self._create_topics()
                if not self._session.has_producer:
                    await self._committed()  # To open a producer would fence a successor.
                await self._commit(attempt, changes, number)
                break
            except ProducerFenced:
                self._is_fenced = True
                raise _taken_over(self._settings) from None
            except _HOPELESS as error:
                await self._session.drop_producer()
                raise StoreFullError(
                    f"Kafka refuses the transaction: {error!r}",
                    metadata={"kafka_error": type(error).__name__},
                ) from error
            except _AWAY as error:
                _log.warning("Kafka took no transaction, trying again: %r", error)
            if await self._came_through(number, backoff):
                break
        self._state.commits = number
        with self._lock:
            for log_id, written in attempt.by_log().items():
                self._logs[log_id].extend(written)

    async def _commit(self, attempt: _Attempt, changes: Changes, number: int) -> None:
        store = self._state.store_value() | {"commits": number}

        def state(offsets: Sequence[int]) -> Iterable[tuple[bytes, bytes | None]]:
            attempt.offsets = offsets
            with self._lock:
                for log_id, written in attempt.by_log().items():
                    if log_id in attempt.deleted:
                        continue
                    for place in self._logs[log_id].places(written):
                        record = PlaceRecord(log_id, place.base_offset, place.kafka_offset)
                        self._state.apply(record, changes)
                    self._state.apply(EndRecord(log_id, written[-1].next_offset), changes)
            yield from changes.encoded()
            yield encode_key(STORE), encode_value(store)

        entries = []
        for record in attempt.entries:
            log = self._logs[record.log_id]
            entries.append((log.topic, log.partition, records_of(record.entry, record.log_id)))
        await self._session.transact(entries, state, time.time_ns() // NANOS_PER_MILLI)

    async def _came_through(self, number: int, backoff: Backoff) -> bool:
        """Tell whether a transaction was committed whose end was not heard."""
        while True:
            if self._closing:
                raise StoreReadOnlyError("the store was closed while it waited for Kafka")
            await asyncio.sleep(backoff.next_delay())
            try:
                # Looked at before, too: to open a producer would fence a successor.
                await self._committed()
                await self._session.open_producer()
                return await self._committed() >= number
            except ProducerFenced:
                raise _taken_over(self._settings) from None
            except _AWAY as error:
                _log.warning("Kafka is still away: %s", await self._session.why(error))

    async def _committed(self) -> int:
        """Return the number of the latest transaction that was committed.

        Raises:
            StoreReadOnlyError: It was another coordinator's.
        """
        found = State()
        for key, value in await self._session.read_state():
            if key == encode_key(STORE):
                found.load(*decode_pair(key, value))
        if found.incarnation > self._state.incarnation:
            raise _taken_over(self._settings)
        return found.commits

    async def _create_topics(self) -> None:
        """Have the Kafka topics of all logs."""
        wanted: dict[str, int] = {}
        for log in self._logs.values():
            wanted[log.topic] = max(wanted.get(log.topic, 0), log.partition + 1)
        for topic, partitions in wanted.items():
            if self._topics.get(topic, 0) < partitions:
                await self._session.ensure_topic(topic, partitions, LOG_TOPIC)
                self._topics[topic] = partitions

    def _clean_up(self, gone: Iterable[Record]) -> None:
        """Delete what is not needed any more; what cannot be deleted now only takes room."""
        for record in gone:
            if isinstance(record, EvictedRecord):
                log = self._logs.get(record.log_id)
                if log is not None and log.first is not None:
                    self._delete_before(log, log.first)
            elif isinstance(record, TopicDeletedRecord):
                for log_id in record.log_ids:
                    with self._lock:
                        log = self._logs.pop(log_id, None)
                    if log is not None:
                        self._delete_before(log, self._first_of_another(log))

    def _first_of_another(self, gone: Positions) -> int:
        """Return where a log begins that has the place of a deleted one: its topic was created anew."""
        place = gone.topic, gone.partition
        others = (log.first for log in self._logs.values() if (log.topic, log.partition) == place)
        return min((offset for offset in others if offset is not None), default=ALL)

    def _delete_before(self, log: Positions, offset: int) -> None:
        try:
            self._loop.run(self._session.delete_before(log.topic, log.partition, offset))
        except _AWAY as error:
            _log.warning("records of %s/%d stay: %r", log.topic, log.partition, error)

    # ------------------------------------------------------------ reads

    def read(self, log_id: int, offset: int, bytes_max: int) -> list[Entry]:
        """Return neighbouring entries; see `Store.read`. Waits for Kafka as long as it is away."""
        return self._loop.run(self._read(log_id, offset, bytes_max))

    async def _read(self, log_id: int, offset: int, bytes_max: int) -> list[Entry]:
        backoff = Backoff(*self._settings.retry_seconds)
        while True:
            with self._lock:
                log = self._logs.get(log_id)
                start = log.at_or_before(offset) if log is not None else None
                end = log.end if log is not None else 0
            if log is None or start is None or offset >= end:
                return []
            try:
                return await self._gather(log, log_id, start, offset, bytes_max)
            except OffsetOutOfRangeError:
                raise DataCorruptError(
                    f"Kafka has deleted records of topic {log.topic!r}, partition {log.partition}, which the bus still "
                    "keeps: set retention.ms and retention.bytes of the topic to -1",
                    metadata={"topic": log.topic, "partition": str(log.partition)},
                ) from None
            except _AWAY as error:
                if self._closing:
                    raise StoreReadOnlyError("the store was closed while it was read") from None
                _log.warning("Kafka gave no records, trying again: %r", error)
            await asyncio.sleep(backoff.next_delay())

    async def _gather(
        self, log: Positions, log_id: int, start: int, offset: int, bytes_max: int
    ) -> list[Entry]:
        low, end = self._state.low_offset(log_id), log.end
        assembly = Assembly(log_id)
        found: list[Entry] = []
        left = bytes_max
        async with aclosing(self._session.read(log.topic, log.partition, start)) as records:
            async for record in records:
                entry = assembly.add(record)
                if entry is None:
                    continue
                if entry.next_offset > max(offset, low):
                    if not found and entry.base_offset > offset:
                        break  # A gap, or evicted.
                    if found and (
                        entry.stored_bytes > left or entry.base_offset != found[-1].next_offset
                    ):
                        break
                    found.append(entry)
                    left -= entry.stored_bytes
                if entry.next_offset >= end:
                    break
        self.foreign_records += assembly.foreign
        return found

    def find_time(self, log_id: int, first: int, last: int, time_ns: int) -> int:
        """Return the first entry that reaches a time; see `Store.find_time`."""
        with self._lock:
            at = max(first, self._state.low_offset(log_id))
        while at < last:
            entries = self.read(log_id, at, FIND_BYTES)
            if not entries:
                return last
            for entry in entries:
                if entry.base_offset >= last:
                    return last
                if entry.base_offset >= first and entry.time_reached_ns >= time_ns:
                    return entry.base_offset
            at = entries[-1].next_offset
        return last

    def dead_letters(self, query: DeadLetterQuery) -> list[DeadLetterRecord]:
        """Return dead letters in the order of their ids."""
        with self._lock:
            return self._state.dead_letters(query)

    def count_dead_letters(self, query: DeadLetterQuery) -> tuple[int, int]:
        """Return how many match, and the greatest id of them."""
        with self._lock:
            return self._state.count_dead_letters(query)


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

    def by_log(self) -> dict[int, list[Written]]:
        """Return what was written to each log, in order."""
        found: defaultdict[int, list[Written]] = defaultdict(list)
        for record, kafka_offset in zip(self.entries, self.offsets, strict=False):
            entry = record.entry
            found[record.log_id].append(
                Written(entry.base_offset, entry.next_offset, entry.stored_bytes, kafka_offset)
            )
        return found


class _LoopThread:
    """An event loop on a thread of its own, for callers on other threads."""

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


def _taken_over(settings: KafkaSettings) -> StoreReadOnlyError:
    return StoreReadOnlyError(
        f"another coordinator has taken over {settings.state_topic!r}: it alone may write; stop one of the two, "
        "or give each a state topic of its own"
    )
