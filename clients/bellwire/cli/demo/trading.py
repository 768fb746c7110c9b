"""What was decided and what came of it: decisions, orders, fills, slippage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from bellwire.cli.demo.recording import Recording
from bellwire.cli.demo.statistics import Distribution, distribution
from bellwire.trading.v1.order_pb2 import (
    EXEC_TYPE_CANCELED,
    EXEC_TYPE_EXPIRED,
    EXEC_TYPE_NEW,
    EXEC_TYPE_REJECTED,
    EXEC_TYPE_TRADE,
    ExecutionReport,
    OrderRequest,
)
from bellwire.trading.v1.risk_pb2 import RiskDecision, RiskVerdict
from bellwire.trading.v1.signal_pb2 import SIDE_SELL, Signal

__all__ = ["TradingSummary", "slippage_bps", "summarize_trading"]

BPS: Final = Decimal(10_000)  # basis points in 1
NO_REASON: Final = "OK"


@dataclass(frozen=True, slots=True)
class TradingSummary:
    """The trading side of a run."""

    signals: int
    decisions: dict[str, dict[str, int]]  # verdict -> reason -> count
    orders: int
    acknowledged: int
    rejected: int
    expired: int
    canceled: int
    fills: int
    orders_with_fill: int
    orders_filled: int
    ordered_qty: Decimal
    filled_qty: Decimal
    slippage_bps: Distribution | None  # per fill, against the arrival price; > 0 costs money

    @property
    def order_fill_rate(self) -> float | None:
        """Share of orders filled completely; None without orders."""
        return self.orders_filled / self.orders if self.orders else None

    @property
    def quantity_fill_rate(self) -> float | None:
        """Share of the ordered quantity that was filled; None without orders."""
        return float(self.filled_qty / self.ordered_qty) if self.ordered_qty else None


def summarize_trading(recording: Recording) -> TradingSummary:
    """Count decisions, orders and executions."""
    orders = {order.cl_ord_id: Decimal(order.order_qty) for _, order in recording.of(OrderRequest)}
    reports = [report for _, report in recording.of(ExecutionReport)]
    kinds = Counter(report.exec_type for report in reports)
    fills = [report for report in reports if report.exec_type == EXEC_TYPE_TRADE]
    filled = _filled_by_order(fills)
    return TradingSummary(
        signals=sum(1 for _ in recording.of(Signal)),
        decisions=_decisions(decision for _, decision in recording.of(RiskDecision)),
        orders=len(orders),
        acknowledged=kinds[EXEC_TYPE_NEW],
        rejected=kinds[EXEC_TYPE_REJECTED],
        expired=kinds[EXEC_TYPE_EXPIRED],
        canceled=kinds[EXEC_TYPE_CANCELED],
        fills=len(fills),
        orders_with_fill=len(filled),
        orders_filled=sum(filled.get(name, Decimal(0)) >= qty for name, qty in orders.items()),
        ordered_qty=sum(orders.values(), Decimal(0)),
        filled_qty=sum(filled.values(), Decimal(0)),
        slippage_bps=distribution(float(slippage_bps(fill)) for fill in fills),
    )


def _decisions(decisions: Iterable[RiskDecision]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for decision in decisions:
        verdict = RiskVerdict.Name(decision.verdict).removeprefix("RISK_VERDICT_")
        reasons = found.setdefault(verdict, {})
        reason = decision.reason_code or NO_REASON
        reasons[reason] = reasons.get(reason, 0) + 1
    return {verdict: dict(sorted(reasons.items())) for verdict, reasons in sorted(found.items())}


def _filled_by_order(fills: Iterable[ExecutionReport]) -> dict[str, Decimal]:
    filled: dict[str, Decimal] = {}
    for fill in fills:
        filled[fill.cl_ord_id] = filled.get(fill.cl_ord_id, Decimal(0)) + Decimal(fill.last_qty)
    return filled


def slippage_bps(fill: ExecutionReport) -> Decimal:
    """Return how much worse than the arrival price a fill was, in basis points; < 0 is better."""
    arrival = Decimal(fill.arrival_px)
    worse = Decimal(fill.last_px) - arrival
    if fill.side == SIDE_SELL:
        worse = -worse
    return worse / arrival * BPS
