"""Workers: each partition has one owner that appends to it, so that order needs no lock."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from bellwire.bus.v1.message_pb2 import Batch, PositionRange
from bellwire.coordinator.core.partition import Partition
from bellwire.wire.errors import BellwireError, CapacityError, TopicFullError

RETRY_SECONDS: Final = 0.1  # Time for a subscriber to settle a window's worth.


@dataclass(slots=True)
class _Waiting:
    batch: Batch
    sampled: Sequence[str]
    result: asyncio.Future[PositionRange]


class Worker:
    """Appends for the partitions it owns.

    A worker is an owner, not a hop: while there is room the batch is appended at once, in the
    caller's task. Only batches that find their partition full wait in its inbox, first come first
    served per partition, bounded by `inbox_max` with policy REFUSE.
    """

    def __init__(self, index: int, inbox_max: int, clock_ns: Callable[[], int]) -> None:
        self.index = index
        self._inbox_max = inbox_max
        self._clock_ns = clock_ns
        self._waiting: dict[Partition, deque[_Waiting]] = {}
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
        """
        if partition in self._waiting:
            return None  # Those who wait come first.
        return self._append(partition, batch, sampled)

    async def append(
        self, partition: Partition, batch: Batch, sampled: Sequence[str], timeout_seconds: float
    ) -> PositionRange:
        """Append a batch as soon as there is room.

        Raises:
            ProducerFencedError, SequenceGapError: From the producer table.
            TopicFullError: There was no room in time.
            CapacityError: Too many batches wait already.
        """
        done = self.append_now(partition, batch, sampled)
        return done or await self.wait(partition, batch, sampled, timeout_seconds)

    def wait(
        self, partition: Partition, batch: Batch, sampled: Sequence[str], timeout_seconds: float
    ) -> asyncio.Future[PositionRange]:
        """Queue a batch that found no room; its place is taken before this returns.

        The future raises what `append` raises.

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
        loop = asyncio.get_running_loop()
        item = _Waiting(batch, sampled, loop.create_future())
        self._waiting.setdefault(partition, deque()).append(item)
        self._inbox_size += 1
        timer = loop.call_later(timeout_seconds, self._give_up, partition, item)
        item.result.add_done_callback(lambda _: timer.cancel())
        return item.result

    def on_room(self, partition: Partition) -> None:
        """Append what waits, as far as there is room now."""
        if partition in self._waiting:
            # Not inline: this is called from within a delivery.
            asyncio.get_running_loop().call_soon(self._pump, partition)

    def refuse(self, partition: Partition, error: BellwireError) -> None:
        """Fail all that waits for room in a partition, as when its topic is deleted."""
        for item in self._waiting.pop(partition, ()):
            self._inbox_size -= 1
            if not item.result.done():
                item.result.set_exception(error)

    def _pump(self, partition: Partition) -> None:
        waiting = self._waiting.get(partition)
        while waiting:
            item = waiting[0]
            if item.result.done():
                self._drop_first(partition, waiting)
                continue
            try:
                position = self._append(partition, item.batch, item.sampled)
            except Exception as error:  # noqa: BLE001 - whatever it is, its publisher must hear it.
                item.result.set_exception(error)
                position = None
            else:
                if position is None:
                    return
                item.result.set_result(position)
            self._drop_first(partition, waiting)

    def _drop_first(self, partition: Partition, waiting: deque[_Waiting]) -> None:
        waiting.popleft()
        self._inbox_size -= 1
        if not waiting:
            del self._waiting[partition]

    def _give_up(self, partition: Partition, item: _Waiting) -> None:
        if item.result.done():
            return
        blockers = ", ".join(partition.blocking_subscriptions()) or "unknown"
        item.result.set_exception(
            TopicFullError(
                f"topic {partition.topic.name!r} is full: subscription {blockers} (policy BLOCK) has not "
                "read on; start its members, delete it, or raise the topic's retention",
                metadata={"topic": partition.topic.name, "subscriptions": blockers},
                retry_delay_seconds=RETRY_SECONDS,
            )
        )
        self._pump(partition)

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


class Workers:
    """The fixed set of workers; a partition's owner is found by hashing its name."""

    def __init__(self, count: int, inbox_max: int, clock_ns: Callable[[], int]) -> None:
        self._workers = [Worker(index, inbox_max, clock_ns) for index in range(count)]

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
        """Pass on that a partition has room again."""
        self.owner(partition).on_room(partition)
