"""What was decided and what came of it, measured by the definitions of `execution.quality`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
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
    decided_by: Mapping[str, int]
    """Signals by what decided them, "tactical 1" or "rules-fvg 0.1.0", most first."""
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
    models = Counter(signal_model(signal) for _, signal in recording.of(Signal))
    return TradingSummary(
        signals=models.total(),
        decided_by=dict(models.most_common()),
        decisions=len(decisions),
        orders=sum(1 for _ in recording.of(OrderRequest)),
        quality=collector.report(),
    )


def signal_model(signal: Signal) -> str:
    """Name what decided a signal: its model, the version and how it is quantized, if it is."""
    model = signal.model
    quantization = "" if model.quantization in ("", "none") else model.quantization
    words = (model.name or signal.strategy_id or "unnamed", model.version, quantization)
    return " ".join(filter(None, words))
