"""The Kafka store: durable topics are Kafka topics, everything else is in `_bellwire_state`, in the same transactions.

`writer` writes transactions, `reader` reads entries back, `index` is what both know; they live on a loop of their own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from bellwire.coordinator.log.kafka.faults import AWAY
from bellwire.coordinator.log.kafka.index import Index, Removal
from bellwire.coordinator.log.kafka.loop_thread import LoopThread
from bellwire.coordinator.log.kafka.reader import Reader
from bellwire.coordinator.log.kafka.session import STATE_TOPIC, KafkaSession
from bellwire.coordinator.log.kafka.settings import KafkaSettings
from bellwire.coordinator.log.kafka.state import Changes
from bellwire.coordinator.log.kafka.watch import Watch
from bellwire.coordinator.log.kafka.writer import Writer
from bellwire.coordinator.log.protocol import Entry
from bellwire.coordinator.log.records import DeadLetterRecord, Record, Snapshot
from bellwire.coordinator.log.store import DeadLetterQuery, Outage
from bellwire.wire.errors import BellwireError, StoreUnavailableError

__all__ = ["KafkaStore"]

_log = logging.getLogger("bellwire.coordinator")

FIND_BYTES: Final = 1 << 20


class KafkaStore:
    """A `Store` on Kafka.

    Args:
        settings: Where it is.
        session: Connections to it; None = new ones.
    """

    durable = True

    def __init__(self, settings: KafkaSettings, session: KafkaSession | None = None) -> None:
        self._settings = settings
        self.path = f"kafka://{settings.bootstrap}/{settings.state_topic}"
        self._session = session or KafkaSession(settings)
        self._index = Index()
        self._writer = Writer(settings, self._session, self._index)
        self._reader = Reader(settings, self._session, self._index)
        self._watch = Watch(settings, self._session)
        self._loop = LoopThread()

    @property
    def foreign_records(self) -> int:
        """Records in its topics that are none of its own, and were passed over."""
        return self._reader.foreign_records

    @property
    def kafka_cluster(self) -> str:
        """Kafka's own id of the cluster; empty while the store is not open."""
        return self._session.cluster_id

    @property
    def outage(self) -> Outage | None:
        """Since when Kafka does not answer, or takes no transaction; None = all is well."""
        return self._watch.outage or self._writer.outage

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
        except AWAY as error:
            self.close()
            raise self._unavailable(error) from error

    def check(self) -> None:
        """See that Kafka can be used, without opening the store.

        Raises:
            StoreUnavailableError, KafkaRefusedError, KafkaVersionError: See `load`.
        """
        try:
            self._loop.run(self._session.check())
        except AWAY as error:
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
        self._index.load(await session.read_state())
        after_crash = await self._writer.open()
        self._watch.start()
        return self._index.state.snapshot(after_crash=after_crash)

    def give_up(self) -> None:
        """Wait for Kafka no longer: a write that does fails."""
        self._writer.gives_up = self._reader.gives_up = True

    def close(self) -> None:
        """Close the store."""
        self.give_up()
        if self._loop.is_running:
            self._loop.run(self._close())
            self._loop.stop()

    async def _close(self) -> None:
        await self._watch.close()
        await self._writer.close()
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
        applied = self._index.apply(records)
        try:
            fresh = [record for record in applied.entries if self._index.is_new(record)]
            if fresh or applied.changes.values:
                self._loop.run(self._writer.write(fresh, applied.changes, applied.deleted))
        except BaseException:
            self._index.undo(applied)
            raise
        self._delete(self._index.removals(applied.gone))

    def prove(self) -> None:
        """Commit nothing: when this returns, nobody had taken over when it was called.

        Belongs on the thread of `write`, and waits for Kafka as that does.

        Raises:
            StoreReadOnlyError: Another coordinator has taken over.
        """
        self._loop.run(self._writer.write([], Changes()))

    def only_while(self, may_write: Callable[[], bool]) -> None:
        """Have whoever holds a lease say whether this store may take over from another coordinator."""
        self._session.may_write = may_write

    def _delete(self, removals: Iterable[Removal]) -> None:
        """Delete what is not needed any more; what cannot be deleted now only takes room."""
        for topic, partition, before in removals:
            try:
                self._loop.run(self._session.delete_before(topic, partition, before))
            except AWAY as error:
                _log.warning("records of %s/%d stay: %r", topic, partition, error)

    # ------------------------------------------------------------ reads

    def read(self, log_id: int, offset: int, bytes_max: int) -> list[Entry]:
        """Return neighbouring entries; see `Store.read`. Waits for Kafka as long as it is away."""
        return self._loop.run(self._reader.read(log_id, offset, bytes_max))

    def find_time(self, log_id: int, first: int, last: int, time_ns: int) -> int:
        """Return the first entry that reaches a time; see `Store.find_time`."""
        with self._index.lock:
            at = max(first, self._index.state.low_offset(log_id))
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
        with self._index.lock:
            return self._index.state.dead_letters(query)

    def count_dead_letters(self, query: DeadLetterQuery) -> tuple[int, int]:
        """Return how many match, and the greatest id of them."""
        with self._index.lock:
            return self._index.state.count_dead_letters(query)
