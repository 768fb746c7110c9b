"""What a batcher counts: plain integers, read when somebody looks."""

from collections.abc import Sequence
from typing import Final

from bellwire.agents.inference.endpoint import CloseReason

BUCKETS: Final = 32  # Powers of two: up to 2^31 rows, or 2^31 µs, which is 36 minutes.
MICROS: Final = 1e6


class PowerHistogram:
    """Counts values by powers of two: bucket b holds values of b bits, 2^(b-1) … 2^b - 1; bucket 0 holds 0.

    Attributes:
        counts: By bucket; the last one also holds all above.
        total: Sum of the values.
        highest: Largest value.
    """

    __slots__ = ("counts", "highest", "total")

    def __init__(self) -> None:
        self.counts = [0] * BUCKETS
        self.total = 0
        self.highest = 0

    def note(self, value: int) -> None:
        """Count a value ≥ 0."""
        bucket = value.bit_length()
        self.counts[bucket if bucket < BUCKETS else BUCKETS - 1] += 1
        self.total += value
        if value > self.highest:
            self.highest = value

    def note_all(self, values: Sequence[int]) -> None:
        """Count values ≥ 0; at least one."""
        counts = self.counts
        for value in values:
            bucket = value.bit_length()
            counts[bucket if bucket < BUCKETS else BUCKETS - 1] += 1
        self.total += sum(values)
        self.highest = max(self.highest, *values)

    @property
    def count(self) -> int:
        """Values so far."""
        return sum(self.counts)

    def percentile(self, percent: float) -> int:
        """Return an upper bound of a percentile, at most twice the value itself; 0 = nothing was counted."""
        wanted, seen = self.count * percent / 100, 0
        for bucket, count in enumerate(self.counts):
            seen += count
            if count and seen >= wanted:
                return min((1 << bucket) - 1, self.highest)
        return 0


class BatchStatistics:
    """Where requests were, how long, and why batches were closed.

    Attributes:
        requests: That came and could be computed: refused and dropped ones included, invalid ones not.
        rows: Of all requests that were computed.
        batches: That were computed, those of one request after a failure included.
        closes: Batches by the reason they were closed for.
        batch_rows: Sizes of batches.
        queue_micros: From a request to the start of its computation.
        compute_micros: Of each batch.
        failures: Requests that could not be computed.
        retried: Requests of failed batches that were computed once more, each by itself.
        timeouts: Requests that were told that the engine does not answer.
        deadline_drops: Requests past their deadline before they were computed.
        refused: Requests for which there was no room.
        cancelled: Requests whose callers went away while they waited.
    """

    __slots__ = (
        "batch_rows",
        "batches",
        "cancelled",
        "closes",
        "compute_micros",
        "deadline_drops",
        "failures",
        "queue_micros",
        "refused",
        "requests",
        "retried",
        "rows",
        "timeouts",
    )

    def __init__(self) -> None:
        self.requests = 0
        self.rows = 0
        self.batches = 0
        self.closes = dict.fromkeys(CloseReason, 0)
        self.batch_rows = PowerHistogram()
        self.queue_micros = PowerHistogram()
        self.compute_micros = PowerHistogram()
        self.failures = 0
        self.retried = 0
        self.timeouts = 0
        self.deadline_drops = 0
        self.refused = 0
        self.cancelled = 0

    def computed(self, rows: int, seconds: float, reason: CloseReason) -> None:
        """Count a batch that went well or failed, not one that did not come back."""
        self.batches += 1
        self.rows += rows
        self.closes[reason] += 1
        self.batch_rows.note(rows)
        self.compute_micros.note(int(seconds * MICROS))
