"""What was decided and what came of it, measured by the definitions of `execution.quality`."""

from __future__ import annotations

from dataclasses import dataclass

from bellwire.cli.demo.recording import Recording
from bellwire.execution.quality import QualityCollector, QualityReport
from bellwire.trading.v1.order_pb2 import ExecutionReport, OrderRequest
from bellwire.trading.v1.risk_pb2 import RiskDecision
from bellwire.trading.v1.signal_pb2 import Signal

__all__ = ["TradingSummary", "summarize_trading"]


@dataclass(frozen=True, slots=True)
class TradingSummary:
    """The trading side of a run."""

    signals: int
    decisions: int
    orders: int
    quality: QualityReport


def summarize_trading(recording: Recording) -> TradingSummary:
    """Count signals, decisions and orders, and measure how the orders ended."""
    collector = QualityCollector()
    decisions = [decision for _, decision in recording.of(RiskDecision)]
    for decision in decisions:
        collector.on_decision(decision)
    for _, report in recording.of(ExecutionReport):
        collector.on_report(report)
    return TradingSummary(
        signals=sum(1 for _ in recording.of(Signal)),
        decisions=len(decisions),
        orders=sum(1 for _ in recording.of(OrderRequest)),
        quality=collector.report(),
    )
