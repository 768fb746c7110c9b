"""Producer deduplication per partition: (producer id, epoch, sequence), as Kafka's idempotent producer.

Source: KIP-98, "Producer ID and sequence"; here a sequence counts messages, not batches of one record.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from itertools import count
from secrets import randbits
from typing import Final, NamedTuple

from bellwire.wire.errors import ProducerFencedError, SequenceGapError

BATCHES_REMEMBERED: Final = (
    64  # The most batches one frame may hold; a resend goes back no further.
)
INCARNATION_BITS: Final = 31
COUNTER_BITS: Final = 32
PRODUCERS_REMEMBERED: Final = 10_000  # Per partition, least recently used dropped: about 10 MB.


class _Appended(NamedTuple):
    base_sequence: int
    messages: int
    base_offset: int


class _Producer:
    __slots__ = ("epoch", "next_sequence", "recent")

    def __init__(self, epoch: int, next_sequence: int) -> None:
        self.epoch = epoch
        self.next_sequence = next_sequence
        self.recent: deque[_Appended] = deque(maxlen=BATCHES_REMEMBERED)


class ProducerTable:
    """Knows for each producer what it appended last.

    A producer whose id was issued by this coordinator begins at 0: were its first batch refused, the one
    behind it must not overtake. A producer from before a restart goes on where it was, because a memory
    topic has forgotten it.
    """

    def __init__(self) -> None:
        self._producers: OrderedDict[int, _Producer] = OrderedDict()

    def check(
        self,
        producer_id: int,
        epoch: int,
        base_sequence: int,
        count: int,
        *,
        issued_here: bool = False,
    ) -> int | None:
        """Return None when the batch is new, or the base offset it got the first time.

        Raises:
            ProducerFencedError: A newer epoch was seen.
            SequenceGapError: Messages before it are missing, or it is too old to be remembered.
        """
        producer = self._producers.get(producer_id)
        if producer is None:
            if issued_here and base_sequence:
                raise _gap(producer_id, base_sequence, 0)
            return None
        if epoch > producer.epoch:
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

    def record(
        self, producer_id: int, epoch: int, base_sequence: int, count: int, base_offset: int
    ) -> None:
        """Remember an appended batch."""
        producer = self._producers.get(producer_id)
        if producer is None or epoch > producer.epoch:
            producer = self._producers[producer_id] = _Producer(epoch, base_sequence)
        producer.next_sequence = base_sequence + count
        producer.recent.append(_Appended(base_sequence, count, base_offset))
        self._producers.move_to_end(producer_id)
        if len(self._producers) > PRODUCERS_REMEMBERED:
            self._producers.popitem(last=False)


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

    def issue(self) -> int:
        """Return a new id, never 0."""
        return self._incarnation << COUNTER_BITS | next(self._counter)

    def issued(self, producer_id: int) -> bool:
        """Tell whether `issue` gave this id."""
        return producer_id >> COUNTER_BITS == self._incarnation
