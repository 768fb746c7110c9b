"""Workers: each partition has one owner that appends to it, so that order needs no lock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from bellwire.bus.v1.message_pb2 import Batch, PositionRange
from bellwire.coordinator.core.partition import Partition
from bellwire.coordinator.core.topic import LogKind
from bellwire.wire.errors import BellwireError, CapacityError, StoreBusyError, TopicFullError

RETRY_SECONDS: Final = 0.1  # Time for a subscriber to settle a window's worth.
Done: TypeAlias = "Callable[[PositionRange | None, BellwireError | None], None]"


class Waiting:
    """A batch that waits for room.

    Attributes:
        done: Called once with its position, or with why it was not appended; None = nobody cares any more.
    """

    __slots__ = ("batch", "deadline", "done", "sampled")

    def __init__(self, batch: Batch, sampled: Sequence[str], deadline: float, done: Done) -> None:
        self.batch = batch
        self.sampled = sampled
        self.deadline = deadline
        self.done: Done | None = done

    def cancel(self) -> None:
        """Do not append it; `done` is not called."""
        self.done = None

    def end(self, position: PositionRange | None, error: BellwireError | None) -> None:
        """Tell whoever waits."""
        done, self.done = self.done, None
        if done is not None:
            done(position, error)


class Worker:
    """Appends for the partitions it owns.

    A worker is an owner, not a hop: while there is room the batch is appended at once, in the
    caller's turn. Only batches that find no room wait in its inbox, first come first served per
    partition, bounded by `inbox_max` with policy REFUSE.
    """

    def __init__(self, index: int, inbox_max: int, clock_ns: Callable[[], int]) -> None:
        self.index = index
        self._inbox_max = inbox_max
        self._clock_ns = clock_ns
        self._waiting: dict[Partition, deque[Waiting]] = {}
        self._inbox_size = 0

    @property
    def inbox_size(self) -> int:
        """Batches that wait for room."""
        return self._inbox_size

    def append_now(
        self, partition: Partition, batch: Batch, sampled: Sequence[str]
    ) -> PositionRange | None:
        """Append a batch, or return None when it has to wait for room.

        Raises:
            ProducerFencedError, SequenceGapError: From the producer table.
            StoreReadOnlyError: The topic is durable and the store is in doubt.
        """
        if partition in self._waiting:
            return None  # Those who wait come first.
        return self._append(partition, batch, sampled)

    def has_room(self, partition: Partition) -> bool:
        """Tell whether a batch would be appended at once."""
        return partition not in self._waiting and partition.make_room()

    def wait(
        self,
        partition: Partition,
        batch: Batch,
        sampled: Sequence[str],
        deadline: float,
        done: Done,
    ) -> Waiting:
        """Queue a batch that found no room; its place is taken before this returns.

        Raises:
            CapacityError: Too many batches wait already.
        """
        if self._inbox_size >= self._inbox_max:
            raise CapacityError(
                f"{self._inbox_size} batches wait in worker {self.index} for slow subscribers, "
                f"limit is {self._inbox_max}: slow down",
                metadata={"worker": str(self.index), "limit": str(self._inbox_max)},
                retry_delay_seconds=RETRY_SECONDS,
            )
        item = Waiting(batch, sampled, deadline, done)
        self._waiting.setdefault(partition, deque()).append(item)
        self._inbox_size += 1
        return item

    def refuse(self, partition: Partition, error: BellwireError) -> None:
        """Fail all that waits for room in a partition, as when its topic is deleted."""
        for item in self._waiting.pop(partition, ()):
            self._inbox_size -= 1
            item.end(None, error)

    def partitions_waiting(self) -> list[Partition]:
        """Return the partitions with batches that wait."""
        return list(self._waiting)

    def pump(self, partition: Partition) -> None:
        """Append what waits, as far as there is room now."""
        waiting = self._waiting.get(partition)
        while waiting:
            item = waiting[0]
            position: PositionRange | None = None
            error: BellwireError | None = None
            if item.done is not None:
                try:
                    position = self._append(partition, item.batch, item.sampled)
                except BellwireError as refusal:
                    error = refusal
                else:
                    if position is None:
                        return
            self._drop(partition, waiting, item)
            item.end(position, error)

    def expire(self, now: float) -> None:
        """Fail what has waited too long."""
        for partition, waiting in tuple(self._waiting.items()):
            late = [item for item in waiting if item.done is None or item.deadline <= now]
            for item in late:
                self._drop(partition, waiting, item)
                if item.done is not None:
                    item.end(None, too_late(partition))

    def _drop(self, partition: Partition, waiting: deque[Waiting], item: Waiting) -> None:
        waiting.remove(item)
        self._inbox_size -= 1
        if not waiting:
            self._waiting.pop(partition, None)

    def _append(
        self, partition: Partition, batch: Batch, sampled: Sequence[str]
    ) -> PositionRange | None:
        first = partition.duplicate_of(batch)
        duplicate = first is not None
        if first is None:
            if not partition.make_room():
                return None
            first = partition.append(batch, self._clock_ns(), sampled).base_offset
        return PositionRange(
            topic=partition.topic.name,
            partition=partition.index,
            first_offset=first,
            last_offset=first + batch.header.message_count - 1,
            duplicate=duplicate,
        )


def too_late(partition: Partition) -> BellwireError:
    """Return the error of a batch that has waited too long for room, with whom it waited for."""
    blockers = ", ".join(partition.blocking_subscriptions())
    topic = partition.topic.name
    if not blockers:
        if partition.topic.settings.log is LogKind.KAFKA:
            advice = "see in `bellwire info` whether Kafka answers, or publish slower"
        else:
            advice = "publish slower, or use a faster disk"
        return StoreBusyError(
            f"topic {topic!r} takes nothing now: more waits to be committed than may wait; {advice}",
            metadata={"topic": topic},
            retry_delay_seconds=RETRY_SECONDS,
        )
    return TopicFullError(
        f"topic {topic!r} is full: subscription {blockers} (policy BLOCK) has not "
        "read on; start its members, delete it, or raise the topic's retention",
        metadata={"topic": topic, "subscriptions": blockers},
        retry_delay_seconds=RETRY_SECONDS,
    )


class Workers:
    """The fixed set of workers; a partition's owner is found by hashing its name.

    Attributes:
        on_roomy: Called when `pump` has something to do; not from within, for room appears in the
            middle of a delivery.
    """

    def __init__(self, count: int, inbox_max: int, clock_ns: Callable[[], int]) -> None:
        self._workers = [Worker(index, inbox_max, clock_ns) for index in range(count)]
        self._roomy: dict[Partition, None] = {}
        self.on_roomy: Callable[[], None] = _nothing

    def __len__(self) -> int:
        return len(self._workers)

    @property
    def batches_waiting(self) -> int:
        """Batches that wait for room, over all workers."""
        return sum(worker.inbox_size for worker in self._workers)

    def owner(self, partition: Partition) -> Worker:
        """Return the worker that owns a partition."""
        return self._workers[partition.slot % len(self._workers)]

    def on_room(self, partition: Partition) -> None:
        """Note that a partition may have room again."""
        if self.owner(partition).inbox_size:
            if not self._roomy:
                self.on_roomy()
            self._roomy[partition] = None

    def on_room_everywhere(self) -> None:
        """Note that every partition may have room again."""
        for worker in self._workers:
            if worker.inbox_size:
                for partition in worker.partitions_waiting():
                    self.on_room(partition)

    def pump(self) -> None:
        """Append what waits in the partitions that may have room."""
        roomy, self._roomy = self._roomy, {}
        for partition in roomy:
            self.owner(partition).pump(partition)

    def expire(self, now: float) -> None:
        """Fail what has waited too long."""
        for worker in self._workers:
            if worker.inbox_size:
                worker.expire(now)


def _nothing() -> None:
    """Nobody listens yet."""
