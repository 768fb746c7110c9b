"""Who waits to be computed, in what order, and when a batch of them is closed; no clock, no I/O."""

from collections import OrderedDict
from dataclasses import dataclass
from math import inf
from typing import Final, Generic, TypeVar

from bellwire.agents.inference.batching.settings import BatchSettings
from bellwire.agents.inference.endpoint import PRIORITIES, CloseReason

NEVER: Final = inf


class Waiting:
    """One request that waits; whoever queues it adds what he needs to answer it."""

    __slots__ = ("deadline_seconds", "priority", "rows", "since_seconds", "size_bytes")

    def __init__(
        self,
        rows: int,
        size_bytes: int,
        since_seconds: float,
        priority: int = 0,
        deadline_seconds: float = NEVER,
    ) -> None:
        """Describe it.

        Args:
            rows: ≥ 1.
            size_bytes: Of its inputs.
            since_seconds: When it came.
            priority: 0 … 7, 0 first.
            deadline_seconds: From then on it is not computed any more.
        """
        assert rows >= 1, "checked before it was queued"
        assert 0 <= priority < PRIORITIES, "checked before it was queued"
        self.rows = rows
        self.size_bytes = size_bytes
        self.since_seconds = since_seconds
        self.priority = priority
        self.deadline_seconds = deadline_seconds


W = TypeVar("W", bound=Waiting)


@dataclass(slots=True)
class Closed(Generic[W]):
    """What leaves the queue at once."""

    batch: list[W]
    """To be computed together, in this order; empty = it is better to wait."""
    rows: int
    """Of the batch."""
    reason: CloseReason | None
    """Why the batch was closed; None = it was not."""
    dropped: list[W]
    """Past their deadline: to be told, not computed."""


class BatchQueue(Generic[W]):
    """Strict priorities, first come first served within each, bounded in rows and bytes.

    It is asked for a batch only when the engine is idle, and gives one whenever somebody waits (it is
    work-conserving), unless `delay_seconds` allows the first of them to wait for more. No request passes another
    of its priority, also where a smaller one would still have fitted into the batch. A steady flow of a higher
    priority keeps a lower one waiting until its deadline: that is what priorities are for.

    Attributes:
        rows: Waiting now.
        size_bytes: Waiting now.
    """

    __slots__ = ("_deadline", "_lanes", "_settings", "rows", "size_bytes")

    def __init__(self, settings: BatchSettings) -> None:
        self._settings = settings
        # Ordered dicts, since a caller who goes away takes his request out of the middle, in O(1).
        self._lanes: tuple[OrderedDict[W, None], ...] = tuple(
            OrderedDict() for _ in range(PRIORITIES)
        )
        self._deadline = NEVER  # Of whoever waits or has waited: never later than the first one.
        self.rows = 0
        self.size_bytes = 0

    def __len__(self) -> int:
        return sum(map(len, self._lanes))

    def push(self, waiting: W) -> bool:
        """Let a request wait; False = there is no room for it (policy REFUSE)."""
        settings = self._settings
        rows, size_bytes = self.rows + waiting.rows, self.size_bytes + waiting.size_bytes
        if rows > settings.queue_rows_max or size_bytes > settings.queue_bytes_max:
            return False
        self.rows, self.size_bytes = rows, size_bytes
        self._lanes[waiting.priority][waiting] = None
        if waiting.deadline_seconds < self._deadline:
            self._deadline = waiting.deadline_seconds
        return True

    def remove(self, waiting: W) -> bool:
        """Take a request out whose caller went away; False = it does not wait here any more."""
        lane = self._lanes[waiting.priority]
        if waiting not in lane:
            return False
        del lane[waiting]
        self._subtract(waiting.rows, waiting.size_bytes)
        return True

    def close(self, now: float) -> Closed[W]:
        """Close a batch for an idle engine, if it is time to.

        Priority by priority requests are taken until the next one does not fit; a first one that is larger than
        a batch goes alone.
        """
        dropped = self.expire(now)
        reason = self._reason(now)
        if reason is None:
            return Closed([], 0, None, dropped)
        batch, rows, is_full = self._take()
        return Closed(batch, rows, CloseReason.FULL if is_full else reason, dropped)

    def expire(self, now: float) -> list[W]:
        """Take out all whose deadline has passed; a look at one number unless a deadline may have."""
        if now < self._deadline:
            return []
        waiting = [each for lane in self._lanes for each in lane]
        late = [each for each in waiting if each.deadline_seconds <= now]
        for each in late:
            self.remove(each)
        self._deadline = min(
            (each.deadline_seconds for each in waiting if each.deadline_seconds > now),
            default=NEVER,
        )
        return late

    def clear(self) -> list[W]:
        """Take out all."""
        everybody = [each for lane in self._lanes for each in lane]
        for lane in self._lanes:
            lane.clear()
        self.rows = self.size_bytes = 0
        self._deadline = NEVER
        return everybody

    def wake_at(self, is_idle: bool) -> float:
        """Return when to look again though nothing happens: to close a batch, or to tell who is too late.

        It may be early, never late: then the next look finds the right time. NEVER while nobody waits for it.

        Args:
            is_idle: Whether the engine could take a batch.
        """
        if not self.rows:
            return NEVER
        if not is_idle or self._settings.delay_seconds == 0:
            return self._deadline
        settings = self._settings
        closes = min(
            self._oldest() + settings.delay_seconds,
            self._deadline - settings.deadline_margin_seconds,
        )
        return min(closes, self._deadline)

    # ------------------------------------------------------------ inside

    def _reason(self, now: float) -> CloseReason | None:
        settings = self._settings
        if not self.rows:
            return None
        if settings.delay_seconds == 0:
            return CloseReason.IDLE
        if self.rows >= settings.batch_rows_max:
            return CloseReason.FULL
        if now >= self._oldest() + settings.delay_seconds:
            return CloseReason.DELAY
        if now >= self._first_deadline() - settings.deadline_margin_seconds:
            return CloseReason.DEADLINE
        return None

    def _take(self) -> tuple[list[W], int, bool]:
        """Return a batch, its rows, and whether one more row would have gone above its size."""
        rows_max = self._settings.batch_rows_max
        if self.rows <= rows_max:
            rows = self.rows
            return self.clear(), rows, rows >= rows_max
        batch: list[W] = []
        rows = size_bytes = 0
        is_full = False
        for lane in self._lanes:
            for waiting in lane:
                if batch and rows + waiting.rows > rows_max:
                    is_full = True
                    break
                batch.append(waiting)
                rows += waiting.rows
                size_bytes += waiting.size_bytes
            if is_full:
                break
        for waiting in batch:
            del self._lanes[waiting.priority][waiting]
        self._subtract(rows, size_bytes)
        return batch, rows, is_full or rows >= rows_max

    def _subtract(self, rows: int, size_bytes: int) -> None:
        self.rows -= rows
        self.size_bytes -= size_bytes
        if not self.rows:
            self._deadline = NEVER

    def _oldest(self) -> float:
        return min(next(iter(lane)).since_seconds for lane in self._lanes if lane)

    def _first_deadline(self) -> float:
        """Return the first deadline exactly, so that nobody closes a batch for one who has left."""
        if self._deadline < NEVER:
            self._deadline = min(each.deadline_seconds for lane in self._lanes for each in lane)
        return self._deadline
