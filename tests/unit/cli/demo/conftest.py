"""A small run by hand: two bars, one signal, one order, an acknowledgement and two fills."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from bellwire.bus.v1.message_pb2 import Message
from bellwire.cli.demo.hops import RunSpans
from bellwire.cli.demo.recording import Recording
from bellwire.telemetry.trace_file import SpanLink, SpanRecord
from bellwire.trading.v1 import order_pb2, risk_pb2
from bellwire.trading.v1.market_data_pb2 import Bar
from bellwire.trading.v1.order_pb2 import ExecutionReport, OrderRequest
from bellwire.trading.v1.risk_pb2 import RiskDecision
from bellwire.trading.v1.signal_pb2 import SIDE_BUY, SIGNAL_ACTION_ENTER, Model, Signal

MICROS = 1000
START_UNIX_NANO = 1_700_000_000_000_000_000


@dataclass
class HandMadeRun:
    """Builds messages, and the `send` span of each."""

    run: str = "a"  # part of every id, as ids differ between runs
    recording: Recording = field(default_factory=Recording)
    spans: list[SpanRecord] = field(default_factory=list)
    offsets: dict[str, int] = field(default_factory=dict)

    def send(self, topic, payload, at_us, *, cause="", trace=1, parent="", links=()):
        """Publish a payload at a time; returns the message id."""
        number = len(self.spans) + 1
        span_id, trace_id = f"{number:016x}", f"{trace:032x}"
        message = Message(
            id=f"{self.run}-{number}",
            type=payload.DESCRIPTOR.full_name,
            key="EURUSD",
            causation_id=cause,
            traceparent=f"00-{trace_id}-{span_id}-01",
            data=payload.SerializeToString(),
        )
        offset = self.offsets.get(topic, 0)
        self.offsets[topic] = offset + 1
        self.recording.add(topic, 0, offset, [message])
        self.spans.append(
            SpanRecord(
                trace_id=trace_id,
                span_id=span_id,
                parent_span_id=parent,
                name=f"send {topic}",
                kind="PRODUCER",
                service_name=topic,
                process_pid=number,
                start_unix_nano=START_UNIX_NANO + at_us * MICROS,
                end_unix_nano=START_UNIX_NANO + (at_us + 10) * MICROS,
                links=tuple(SpanLink(f"{1:032x}", link) for link in links),
            )
        )
        return message.id


def report(kind, *, exec_id, last_qty="", last_px="", cum_qty="0"):
    status = {"NEW": "NEW", "TRADE": "FILLED" if cum_qty == "5" else "PARTIALLY_FILLED"}[kind]
    return ExecutionReport(
        exec_id=exec_id,
        exec_type=order_pb2.ExecType.Value(f"EXEC_TYPE_{kind}"),
        ord_status=order_pb2.OrdStatus.Value(f"ORD_STATUS_{status}"),
        cl_ord_id="o1",
        symbol="EURUSD",
        side=SIDE_BUY,
        order_qty="5",
        last_qty=last_qty,
        last_px=last_px,
        cum_qty=cum_qty,
        arrival_px="1.00",
        adapter="paper",
        paper=True,
    )


def play(run="a", *, order_qty="5", ack_text="", wait_us=0):
    """Play the run; `wait_us` delays everything after the order."""
    made = HandMadeRun(run)
    bar = made.send("bars.1h", Bar(symbol="EURUSD", sequence=0), 0)
    signal = made.send(
        "signals.tactical",
        Signal(
            signal_id="s1",
            symbol="EURUSD",
            side=SIDE_BUY,
            action=SIGNAL_ACTION_ENTER,
            model=Model(name="tactical", version="1"),
        ),
        400,
        cause=bar,
        parent=f"{1:016x}",
    )
    made.send(
        "risk.decisions",
        RiskDecision(signal_id="s1", verdict=risk_pb2.RISK_VERDICT_ACCEPT, approved_qty="5"),
        700,
        cause=signal,
    )
    order = made.send(
        "orders.paper",
        OrderRequest(cl_ord_id="o1", symbol="EURUSD", side=SIDE_BUY, order_qty=order_qty),
        800,
        cause=signal,
        parent=f"{2:016x}",
    )
    ack = report("NEW", exec_id="e1")
    ack.text = ack_text
    made.send("executions.paper", ack, 1100 + wait_us, cause=order)
    made.send("bars.1h", Bar(symbol="EURUSD", sequence=1), 2000 + wait_us, trace=2)
    second = f"{len(made.spans):016x}"
    for number, cum in enumerate(("2", "5"), start=2):
        made.send(
            "executions.paper",
            report(
                "TRADE",
                exec_id=f"e{number}",
                last_qty=str(number),
                last_px="1.01",
                cum_qty=cum,
            ),
            2500 + wait_us,
            cause=order,
            links=(second,),
        )
    return made


@pytest.fixture
def hand_made_run():
    """Return the function that plays the run."""
    return play


@pytest.fixture
def run_spans(hand_made_run):
    """Return the spans of the usual run."""
    return RunSpans(hand_made_run().spans)
