"""Consecutive ids of one generator, kept as what they share and a counter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final, NamedTuple, overload

COUNTER_BITS: Final = 12  # rand_a of RFC 9562 §5.7, used as a counter within one millisecond.
COUNTER_MAX: Final = (1 << COUNTER_BITS) - 1
# Formatting a number as hex costs three times the rest of an id.
COUNTER_HEX: Final = tuple(f"{counter:03x}" for counter in range(COUNTER_MAX + 1))
_COUNTER_BYTES: Final = tuple(digits.encode() for digits in COUNTER_HEX)


class IdSpan(NamedTuple):
    """Ids that differ in their counter only: it begins at `first` and takes `length` values."""

    prefix: str
    first: int
    length: int


class IdRun(Sequence[str]):
    """Ids without a text for each: a text is made only for an id that is asked for.

    Args:
        spans: In order; a new one begins where the counter was used up.
        tail: What stands behind the counter of every id.
    """

    __slots__ = ("_length", "_spans", "_tail")

    def __init__(self, spans: Sequence[IdSpan], tail: str) -> None:
        self._spans = spans
        self._tail = tail
        self._length = sum([span.length for span in spans])

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> IdRun: ...
    def __getitem__(self, index: int | slice) -> str | IdRun:
        if isinstance(index, slice):
            start, stop, step = index.indices(self._length)
            if step != 1:
                raise ValueError(f"ids are cut in steps of 1, not {step}")
            return IdRun(list(self._cut(start, stop)), self._tail)
        at = range(self._length)[index]
        return self[at : at + 1]._texts()[0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts())

    def pieces(self) -> Iterator[tuple[bytes, Sequence[bytes], bytes]]:
        """Yield what stands before the counters of a span, the counters, and what stands behind them."""
        tail = self._tail.encode()
        for prefix, first, count in self._spans:
            yield prefix.encode(), _COUNTER_BYTES[first : first + count], tail

    def _texts(self) -> list[str]:
        return list(chain.from_iterable(map(self._span_texts, self._spans)))

    def _span_texts(self, span: IdSpan) -> list[str]:
        prefix, first, count = span
        tail = self._tail
        return [prefix + digits + tail for digits in COUNTER_HEX[first : first + count]]

    def _cut(self, start: int, stop: int) -> Iterator[IdSpan]:
        begin = 0
        for prefix, first, count in self._spans:
            low, high = max(start - begin, 0), min(stop - begin, count)
            if low < high:
                yield IdSpan(prefix, first + low, high - low)
            begin += count
