"""Merge ordered inputs by event time, so that the result does not depend on who arrived first.

Each input is ordered by event time in itself and says, by watermarks, up to when it is complete.
An item leaves once nothing that belongs before it can still come, from any input. Of equal times the
input of lower rank goes first: fills of a bar before the signals of the same bar.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from bellwire.wire.errors import CallerError, CapacityError

T = TypeVar("T")

BUFFERED_ITEMS_MAX: Final = 10_000  # one bar releases a handful; more means an input has died
_NEVER: Final = -1  # before every event time
_END: Final = 1 << 64  # after every event time a fixed64 can hold


class OutOfOrderError(CallerError):
    """An input went back in event time, or broke its own watermark."""

    reason = "EVENT_TIME_OUT_OF_ORDER"

    def __init__(self, source: str, time_unix_nano: int, complete_until: int) -> None:
        self.source = source
        self.time_unix_nano = time_unix_nano
        self.complete_until = complete_until
        """The input had promised that nothing at or before this event time follows."""
        super().__init__(
            f"input {source!r} brought event time {time_unix_nano} after it had passed "
            f"{complete_until}; publish each input in event-time order"
        )


class UnknownInputError(CallerError):
    """No input of that name is merged."""

    reason = "MERGE_INPUT_UNKNOWN"

    def __init__(self, source: str, known: Sequence[str]) -> None:
        self.source = source
        super().__init__(f"input {source!r} is not merged here; known: {', '.join(known)}")


class MergeBufferFullError(CapacityError):
    """The merge holds as many items as it may; the item was refused and nothing was lost."""

    reason = "MERGE_BUFFER_FULL"

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(
            f"merge buffer holds {limit} items, its limit; another input has stopped sending "
            "watermarks, send the item again once it has caught up"
        )


@dataclass(slots=True)
class _Input(Generic[T]):
    name: str
    complete_until: int = _NEVER
    """Nothing at or before this event time can still come."""
    waiting: deque[tuple[int, T]] = field(default_factory=deque)


class EventTimeMerge(Generic[T]):
    """Hold items back until their turn. Sans-I/O; overflow policy REJECT.

    Every call returns the items it released, in order: by (event time, rank of the input), and items
    of one input and time in the order they were pushed.
    """

    __slots__ = ("_buffered", "_buffered_max", "_by_name", "_inputs")

    def __init__(
        self, inputs: Sequence[str], *, buffered_items_max: int = BUFFERED_ITEMS_MAX
    ) -> None:
        """Merge the named inputs; their order is their rank, the first goes first."""
        self._inputs: list[_Input[T]] = [_Input(name) for name in inputs]
        self._by_name = {entry.name: entry for entry in self._inputs}
        self._buffered_max = buffered_items_max
        self._buffered = 0

    @property
    def buffered(self) -> int:
        """Items held back."""
        return self._buffered

    def push(self, source: str, time_unix_nano: int, item: T) -> list[T]:
        """Take the next item of an input; return whatever may leave now.

        Raises:
            UnknownInputError: no such input.
            OutOfOrderError: the input had passed this event time; nothing has changed.
            MergeBufferFullError: the buffer is full; nothing has changed.
        """
        entry = self._entry(source)
        if time_unix_nano <= entry.complete_until:
            raise OutOfOrderError(source, time_unix_nano, entry.complete_until)
        if self._buffered >= self._buffered_max:
            raise MergeBufferFullError(self._buffered_max)
        entry.waiting.append((time_unix_nano, item))
        # Inputs are ordered: an item also says that everything before its time has come.
        entry.complete_until = time_unix_nano - 1
        self._buffered += 1
        return self._release()

    def advance(self, source: str, time_unix_nano: int) -> list[T]:
        """Take a watermark: nothing at or before this event time follows on the input.

        A watermark that lies behind the input is ignored, as after a redelivery.

        Raises:
            UnknownInputError: no such input.
        """
        entry = self._entry(source)
        entry.complete_until = max(entry.complete_until, time_unix_nano)
        return self._release()

    def close(self, source: str) -> list[T]:
        """Take the end of an input: nothing follows on it at all."""
        return self.advance(source, _END)

    def _entry(self, source: str) -> _Input[T]:
        entry = self._by_name.get(source)
        if entry is None:
            raise UnknownInputError(source, list(self._by_name))
        return entry

    def _release(self) -> list[T]:
        released: list[T] = []
        while (rank := self._head_rank()) is not None and self._is_complete_before(rank):
            released.append(self._inputs[rank].waiting.popleft()[1])
            self._buffered -= 1
        return released

    def _head_rank(self) -> int | None:
        """Return the rank of the input whose oldest waiting item comes first of all."""
        heads = [
            (entry.waiting[0][0], rank) for rank, entry in enumerate(self._inputs) if entry.waiting
        ]
        return min(heads)[1] if heads else None

    def _is_complete_before(self, rank: int) -> bool:
        time = self._inputs[rank].waiting[0][0]
        return all(
            # A lower rank may still bring the same time, which would go first.
            entry.complete_until >= (time if other < rank else time - 1)
            for other, entry in enumerate(self._inputs)
            if other != rank
        )
