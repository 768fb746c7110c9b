"""Producer deduplication per partition: (producer id, epoch, sequence), as Kafka's idempotent producer.

Source: KIP-98, "Producer ID and sequence"; here a sequence counts messages, not batches of one record.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from itertools import count
from secrets import randbits
from typing import Final, NamedTuple

from bellwire.coordinator.log.records import ProducerRecord
from bellwire.wire.errors import ProducerFencedError, SequenceGapError

BATCHES_REMEMBERED: Final = (
    64  # The most batches one frame may hold; a resend goes back no further.
)
INCARNATION_BITS: Final = 31
COUNTER_BITS: Final = 32
PRODUCERS_REMEMBERED: Final = 10_000  # Per partition, least recently used dropped: about 10 MB.


class Appended(NamedTuple):
    """A batch of a producer and where it is."""

    base_sequence: int
    messages: int
    base_offset: int


class _Producer:
    __slots__ = ("epoch", "next_sequence", "recent")

    def __init__(self, epoch: int, next_sequence: int) -> None:
        self.epoch = epoch
        self.next_sequence = next_sequence
        self.recent: deque[Appended] = deque()


class ProducerTable:
    """Knows for each producer what it appended last.

    A producer this table should know from its first message begins at 0: were its first batch refused,
    the one behind it must not overtake. Others, from before a restart of a memory topic, go on where they
    were, because the topic has forgotten them.
    """

    def __init__(self, records: Iterable[ProducerRecord] = ()) -> None:
        self._producers: OrderedDict[int, _Producer] = OrderedDict()
        self._touched: set[int] = set()
        for record in records:
            producer = _Producer(record.epoch, record.next_sequence)
            producer.recent.extend(Appended(*item) for item in record.recent)
            self._producers[record.producer_id] = producer

    def check(
        self,
        producer_id: int,
        epoch: int,
        base_sequence: int,
        count: int,
        *,
        known_from_start: bool = False,
    ) -> int | None:
        """Return None when the batch is new, or the base offset it got the first time.

        Raises:
            ProducerFencedError: A newer epoch was seen.
            SequenceGapError: Messages before it are missing, or it is too old to be remembered.
        """
        producer = self._producers.get(producer_id)
        if producer is None or epoch > producer.epoch:
            if known_from_start and base_sequence:
                raise _gap(producer_id, base_sequence, 0)
            # Remembered before it is appended: should it find no room, the one behind it must not overtake.
            self._remember(producer_id, _Producer(epoch, base_sequence))
            return None
        if epoch < producer.epoch:
            raise ProducerFencedError(
                f"producer {producer_id} epoch {epoch} is fenced: epoch {producer.epoch} has taken over; "
                "open a new publish stream",
                metadata={"epoch": str(epoch), "current_epoch": str(producer.epoch)},
            )
        if base_sequence == producer.next_sequence:
            return None
        for appended in producer.recent:
            if appended.base_sequence == base_sequence and appended.messages == count:
                return appended.base_offset
        raise _gap(producer_id, base_sequence, producer.next_sequence)

    def next_sequence(self, producer_id: int, epoch: int) -> int | None:
        """Return the sequence a producer's next batch must have; None = any, nothing is known of it."""
        producer = self._producers.get(producer_id)
        if producer is None or epoch != producer.epoch:
            return None
        return producer.next_sequence

    def record(
        self,
        producer_id: int,
        epoch: int,
        base_sequence: int,
        count: int,
        base_offset: int,
        high_watermark: int,
    ) -> None:
        """Remember an appended batch; what is not committed yet is remembered whatever its number."""
        producer = self._producers.get(producer_id)
        if producer is None or epoch > producer.epoch:
            producer = self._producers[producer_id] = _Producer(epoch, base_sequence)
        producer.next_sequence = base_sequence + count
        recent = producer.recent
        recent.append(Appended(base_sequence, count, base_offset))
        while len(recent) > BATCHES_REMEMBERED and recent[0].base_offset < high_watermark:
            recent.popleft()
        self._remember(producer_id, producer)
        self._touched.add(producer_id)

    def _remember(self, producer_id: int, producer: _Producer) -> None:
        self._producers[producer_id] = producer
        self._producers.move_to_end(producer_id)
        if len(self._producers) > PRODUCERS_REMEMBERED:
            self._producers.popitem(last=False)

    def roll_back(self, high_watermark: int) -> None:
        """Forget batches at or above the high watermark: they were never committed.

        An epoch that was seen stays: what it has fenced must not write again.
        """
        for producer_id, producer in self._producers.items():
            recent = producer.recent
            while recent and recent[-1].base_offset >= high_watermark:
                producer.next_sequence = recent.pop().base_sequence
                self._touched.add(producer_id)

    def records(self, log_id: int) -> Iterator[ProducerRecord]:
        """Yield what has changed since the last call."""
        touched, self._touched = self._touched, set()
        for producer_id in sorted(touched):
            producer = self._producers.get(producer_id)
            if producer is not None:
                latest = tuple(producer.recent)[-BATCHES_REMEMBERED:]
                yield ProducerRecord(
                    log_id, producer_id, producer.epoch, producer.next_sequence, latest
                )

    def unsaved(self) -> None:
        """Yield everything with the next `records`: what it gave was not written."""
        self._touched.update(self._producers)


def _gap(producer_id: int, found: int, expected: int) -> SequenceGapError:
    return SequenceGapError(
        f"producer {producer_id} sent sequence {found}, expected {expected}",
        metadata={"found": str(found), "expected": str(expected)},
    )


class ProducerIds:
    """Issues producer ids that tell whether this coordinator, in this life, issued them.

    The upper half is drawn at random once per life, the lower half counts: nothing need be remembered.
    """

    def __init__(self, incarnation: int | None = None) -> None:
        drawn = randbits(INCARNATION_BITS) if incarnation is None else incarnation
        self._incarnation = drawn or 1
        self._counter = count(1)
        self._epochs: dict[int, int] = {}

    def issue(self) -> int:
        """Return a new id, never 0."""
        return self._incarnation << COUNTER_BITS | next(self._counter)

    def issued(self, producer_id: int) -> bool:
        """Tell whether `issue` gave this id."""
        return producer_id >> COUNTER_BITS == self._incarnation

    def fence(self, producer_id: int, epoch: int) -> None:
        """Let only this epoch of a producer append from now on."""
        self._epochs[producer_id] = epoch

    def check_epoch(self, producer_id: int, epoch: int) -> None:
        """Refuse an instance that another one has replaced.

        Raises:
            ProducerFencedError: A newer epoch was given out.
        """
        current = self._epochs.get(producer_id)
        if current is not None and epoch < current:
            raise ProducerFencedError(
                f"producer {producer_id} epoch {epoch} is fenced: another instance of the same name has taken "
                f"over with epoch {current}; stop this one",
                metadata={"epoch": str(epoch), "current_epoch": str(current)},
            )
