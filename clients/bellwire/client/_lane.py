"""The outgoing side of one topic partition: order and producer sequences."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

from bellwire.client._segment import OutBatch, Segment

BATCHES_IN_FLIGHT_MAX: Final = (
    64  # As many as the coordinator remembers per producer and partition.
)


class Lane:
    """Keeps the batches of one partition in order through refusals and lost connections.

    The coordinator appends only the batch that carries the sequence it expects, and a refused batch
    does not move that number. So everything in flight behind a refused batch comes back with
    OUT_OF_ORDER_SEQUENCE; the lane then *rewinds*: it sends nothing until all of it is back, and sends
    it again in the old order with new sequences.

    A refusal tells that a batch was not appended, with one exception: of a store in doubt
    (STORE_READ_ONLY) nobody knows before the coordinator is restarted. Such a batch keeps its sequences
    and its place, whoever still waits for it: another batch in its place would be taken for it.

    Attributes:
        topic: Topic.
        partition: Partition, 0-based.
        pending: Messages not yet put into a batch.
        ready: Batches to be sent before anything pending.
        in_flight: Batches sent and not answered, in the order sent.
        rewound: Batches that came back while rewinding, in no order.
        rewinding: True from a refusal until nothing is in flight.
        in_doubt: True while rewinding because of a store in doubt.
        next_sequence: Sequence of the next message sent.
        hold_until: Loop time before which nothing may be sent.
        queued: True while the batcher has the lane in its turn list.
    """

    __slots__ = (
        "hold_until",
        "in_doubt",
        "in_flight",
        "next_sequence",
        "partition",
        "pending",
        "queued",
        "ready",
        "rewinding",
        "rewound",
        "topic",
    )

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.partition = partition
        self.pending: deque[Segment] = deque()
        self.ready: deque[OutBatch] = deque()
        self.in_flight: deque[OutBatch] = deque()
        self.rewound: list[OutBatch] = []
        self.rewinding = False
        self.in_doubt = False
        self.next_sequence = 0
        self.hold_until = 0.0
        self.queued = False

    def has_work(self) -> bool:
        """Tell whether anything waits to be sent."""
        return bool(self.ready or self.pending)

    def held(self) -> Iterator[Segment]:
        """Yield every segment whose fate is unknown."""
        for out in (*self.in_flight, *self.rewound, *self.ready):
            yield from out.segments
        yield from self.pending

    def may_send(self, now: float) -> bool:
        """Tell whether it need not wait: for what is in flight to come back, or before another try."""
        if self.rewinding or now < self.hold_until:
            return False
        self.hold_until = 0.0
        return True

    def is_full(self) -> bool:
        """Tell whether one more batch might not be recognised after a lost connection."""
        return len(self.in_flight) >= BATCHES_IN_FLIGHT_MAX

    def start_over(self) -> None:
        """Number everything anew: the coordinator gave another producer id, and knows none of its sequences."""
        self.next_sequence = 0
        for out in self.ready:
            out.fixed = False

    def sent(self, out: OutBatch) -> None:
        """Number a batch, unless it keeps its number, and count it as in flight."""
        if not out.fixed:
            out.base_sequence = self.next_sequence
        out.tries += 1
        self.next_sequence = max(self.next_sequence, out.base_sequence + out.count)
        self.in_flight.append(out)

    def landed(self, out: OutBatch) -> None:
        """Note that a batch was appended."""
        self.in_flight.remove(out)
        if self.rewinding:
            self.next_sequence = max(self.next_sequence, out.base_sequence + out.count)

    def returned(self, out: OutBatch, *, expected_sequence: int | None = None) -> None:
        """Note that a batch was refused, and begin to rewind; it is sent again unless refused for good."""
        self.in_flight.remove(out)
        out.fixed = out.fixed and self.in_doubt
        expected = out.base_sequence if expected_sequence is None else expected_sequence
        self.next_sequence = min(self.next_sequence, expected)
        self.rewinding = True

    def doubted(self, out: OutBatch) -> None:
        """Note that nobody knows whether a batch was appended, nor those sent before a lost connection."""
        out.fixed = True
        out.tries = 0  # As while nobody can be reached: it is not the batch that is refused.
        self.in_doubt = True
        self.returned(out)

    def end_rewind(self) -> list[OutBatch]:
        """Make what came back ready again, once nothing is in flight; return what nobody waits for.

        Those can be dropped without a gap: they were never appended, and sequences are given out when
        a batch is sent. What is in doubt stands before them, and stays.
        """
        if not self.rewinding or self.in_flight:
            return []
        self.rewinding = self.in_doubt = False
        self.rewound.sort(key=_by_sequence)
        dropped = [out for out in self.rewound if out.abandoned() and not out.fixed]
        kept = [out for out in self.rewound if out.fixed or not out.abandoned()]
        self.rewound = []
        self.ready.extendleft(reversed(kept))
        return dropped

    def give_away(self) -> list[Segment]:
        """Return every segment, in order, and forget them; sequences go on where they are.

        Nothing may be in flight. What is in doubt is given away, too: elsewhere its sequences mean nothing.
        """
        self.rewound.sort(key=_by_sequence)
        segments = list(self.held())
        self.ready.clear()
        self.rewound = []
        self.pending.clear()
        self.rewinding = self.in_doubt = False
        self.hold_until = 0.0
        return segments

    def connection_lost(self) -> None:
        """Make everything unanswered ready again, with the sequences it was sent with.

        Nothing may be dropped or cut differently here: whether a batch was appended is unknown, and
        the coordinator recognises it by its sequences. Nor may a number be given out twice: a batch
        behind these may have been acknowledged already, when their frame waits for another topic.
        """
        for out in self.in_flight:
            out.fixed = True
        unanswered = sorted([*self.in_flight, *self.rewound], key=_by_sequence)
        self.in_flight.clear()
        self.rewound = []
        self.rewinding = self.in_doubt = False
        self.hold_until = 0.0  # Asked for by a coordinator that may be another one now.
        self.ready.extendleft(reversed(unanswered))

    def take_pending(
        self, messages_max: int, bytes_max: int
    ) -> tuple[list[Segment], list[Segment]]:
        """Take segments for one batch; also return those nobody waits for any more.

        Always takes at least one message when there is one; `bytes_max` is held against estimates.
        """
        taken: list[Segment] = []
        abandoned: list[Segment] = []
        count = size_bytes = 0
        pending = self.pending
        while pending and count < messages_max:
            segment = pending[0]
            if segment.ticket.done():
                abandoned.append(pending.popleft())
                continue
            length = len(segment.messages)
            if count + length > messages_max:
                if taken:
                    break
                segment, rest = segment.split(messages_max)
                pending[0] = rest
                taken.append(segment)
                break
            if taken and size_bytes + segment.size_bytes > bytes_max:
                break
            taken.append(pending.popleft())
            count += length
            size_bytes += segment.size_bytes
        return taken, abandoned


def _by_sequence(out: OutBatch) -> int:
    return out.base_sequence
