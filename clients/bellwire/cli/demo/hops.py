"""How long each hop took, from the spans of the run and the causation of its messages.

A message's clock starts when its publisher hands it to the bus: the start of its `send` span, read
in the publisher's process. A hop from message A to the message B that A caused therefore holds the
way of A over the bus, and the work of the agent up to the moment it hands over B. All processes
run on one machine and read one clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from bellwire.cli.demo.recording import Recorded, Recording
from bellwire.cli.demo.statistics import Distribution, distribution
from bellwire.telemetry.trace_file import SpanRecord
from bellwire.trading.v1.market_data_pb2 import Bar
from bellwire.trading.v1.order_pb2 import (
    EXEC_TYPE_NEW,
    EXEC_TYPE_TRADE,
    ExecutionReport,
    OrderRequest,
)
from bellwire.trading.v1.risk_pb2 import RiskDecision
from bellwire.trading.v1.signal_pb2 import Signal
from bellwire.wire.trace_context import parse_traceparent

__all__ = ["Hop", "RunSpans", "measure_hops"]


@dataclass(frozen=True, slots=True)
class Hop:
    """One hop of the path from a bar to a fill."""

    name: str
    meaning: str
    seconds: Distribution | None  # None = never happened


class RunSpans:
    """The spans of a run, found by the messages they sent."""

    def __init__(self, spans: list[SpanRecord]) -> None:
        self.spans = spans
        self._by_span_id = {span.span_id: span for span in spans}

    def sent(self, recorded: Recorded) -> int | None:
        """Return when a message was handed to the bus, Unix nanoseconds; None when untraced."""
        span = self.send_span(recorded)
        return span.start_unix_nano if span else None

    def send_span(self, recorded: Recorded) -> SpanRecord | None:
        """Return the `send` span that is a message's creation context."""
        context = parse_traceparent(recorded.message.traceparent)
        return self._by_span_id.get(context.span_id) if context else None

    def linked_to(self, span: SpanRecord) -> list[SpanRecord]:
        """Return the spans a span links to."""
        links = (self._by_span_id.get(link.span_id) for link in span.links)
        return [found for found in links if found is not None]


Seconds = Callable[[], Iterator[float]]


class _Hops:
    """Joins each message with what caused it."""

    def __init__(self, recording: Recording, spans: RunSpans) -> None:
        self._recording = recording
        self._spans = spans
        self._by_id = recording.by_id()
        self._orders = {order.cl_ord_id: r for r, order in recording.of(OrderRequest)}

    def bar_to_signal(self) -> Iterator[float]:
        for recorded, _ in self._recording.of(Signal):
            yield from self._between(self._cause(recorded), recorded)

    def signal_to_decision(self) -> Iterator[float]:
        for recorded, _ in self._recording.of(RiskDecision):
            yield from self._between(self._cause(recorded), recorded)

    def signal_to_order(self) -> Iterator[float]:
        for recorded, _ in self._recording.of(OrderRequest):
            yield from self._between(self._cause(recorded), recorded)

    def order_to_ack(self) -> Iterator[float]:
        for recorded, report in self._recording.of(ExecutionReport):
            if report.exec_type == EXEC_TYPE_NEW:
                yield from self._between(self._orders.get(report.cl_ord_id), recorded)

    def bar_to_its_fill(self) -> Iterator[float]:
        """From the bar an order matched against to the fill."""
        for recorded, _ in self._fills():
            span = self._spans.send_span(recorded)
            if span is not None:
                for bar in self._spans.linked_to(span):
                    yield (span.start_unix_nano - bar.start_unix_nano) / 1e9

    def order_to_fill(self) -> Iterator[float]:
        for recorded, report in self._fills():
            yield from self._between(self._orders.get(report.cl_ord_id), recorded)

    def bar_to_fill(self) -> Iterator[float]:
        for recorded, report in self._fills():
            yield from self._between(self._origin(report.cl_ord_id), recorded)

    def round(self) -> Iterator[float]:
        """From each bar to the next one, whatever happened in between."""
        sent = [self._spans.sent(recorded) for recorded, _ in self._recording.of(Bar)]
        known = [time for time in sent if time is not None]
        for earlier, later in pairwise(known):
            yield (later - earlier) / 1e9

    def _fills(self) -> Iterator[tuple[Recorded, ExecutionReport]]:
        for recorded, report in self._recording.of(ExecutionReport):
            if report.exec_type == EXEC_TYPE_TRADE:
                yield recorded, report

    def _cause(self, recorded: Recorded) -> Recorded | None:
        return self._by_id.get(recorded.message.causation_id)

    def _origin(self, cl_ord_id: str) -> Recorded | None:
        """Return the bar that led to an order: its cause's cause."""
        order = self._orders.get(cl_ord_id)
        signal = self._cause(order) if order else None
        return self._cause(signal) if signal else None

    def _between(self, earlier: Recorded | None, later: Recorded) -> Iterator[float]:
        start = self._spans.sent(earlier) if earlier else None
        end = self._spans.sent(later)
        if start is not None and end is not None:
            yield (end - start) / 1e9


def measure_hops(recording: Recording, spans: RunSpans, *, lockstep: bool) -> list[Hop]:
    """Return every hop with its distribution in seconds, from bar to fill."""
    hops = _Hops(recording, spans)
    rows: list[tuple[str, str, Seconds]] = [
        ("bar → signal", "until the signal is sent", hops.bar_to_signal),
        ("signal → decision", "until the risk gateway decides", hops.signal_to_decision),
        ("signal → order", "until the risk gateway sends the order", hops.signal_to_order),
        ("order → ack", "until the paper venue acknowledges it", hops.order_to_ack),
        ("order → fill", "until the fill, which takes the next bar", hops.order_to_fill),
        ("bar → its fill", "from the bar an order trades in to the fill", hops.bar_to_its_fill),
        ("bar → fill", "from the bar behind the signal to the fill", hops.bar_to_fill),
        ("bar → next bar", _ROUND_LOCKSTEP if lockstep else _ROUND_FREE, hops.round),
    ]
    return [Hop(name, meaning, distribution(seconds())) for name, meaning, seconds in rows]


_ROUND_LOCKSTEP: Final = "one lockstep round: all agents are done"
_ROUND_FREE: Final = "how fast the feed sends, waiting for nobody"
