"""Trading quality, defined once: fill rates, how orders ended, slippage against the arrival price.

Definitions, with s = +1 for a buy and -1 for a sell:
- order fill rate: orders FILLED / orders the venue accepted;
- quantity fill rate: sum of filled quantity / sum of ordered quantity, of accepted orders;
- share of an end: orders that ended so / orders that ended, the denied ones included;
- slippage of an order: s * (V - P0) / P0 * 10,000 bps, V the volume-weighted price of its fills and P0
  its arrival price; positive is a cost. Its mean is weighted by filled quantity, its percentiles are
  over orders (nearest rank). Spread, delay and impact are in it together.
Every figure comes with its n and says whether it was traded on paper.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from bellwire.execution.order_state import ENDED_STATES, OrderState, order_state
from bellwire.risk.decimal_text import ZERO, divide, parse_decimal
from bellwire.trading.v1 import order_pb2, risk_pb2, signal_pb2
from bellwire.trading.v1.order_pb2 import ExecutionReport
from bellwire.trading.v1.risk_pb2 import RiskDecision

ORDERS_MAX: Final = 100_000  # about 70 MB; further orders are counted and not measured
BPS: Final = 10_000  # basis points in one
_Z95: Final = 1.959963984540054  # two-sided 95 % of the normal distribution


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole, with a 95 % Wilson interval; zeros when n is 0."""

    count: int
    n: int
    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Slippage:
    """Against the arrival price, basis points; positive is a cost; zeros when n is 0."""

    n: int
    """Orders with at least one fill and an arrival price."""
    mean_bps: float
    """Weighted by filled quantity."""
    mean_standard_error_bps: float
    """Of that mean, orders taken as independent; 0 with fewer than two orders."""
    p50_bps: float
    p95_bps: float


@dataclass(frozen=True, slots=True)
class QualityReport:
    """Everything measured so far."""

    venue: str
    """`paper`, `live`, or `mixed`; empty before the first report."""
    signals_decided: int
    verdicts: dict[str, int]
    """Decisions by verdict, replays not counted."""
    denied_by_reason: dict[str, int]
    clamped_by_reason: dict[str, int]
    orders_accepted: int
    """By the venue."""
    orders_open: int
    fills: int
    partial_fills: int
    """Fills that left a part of their order open."""
    order_fill_rate: Share
    quantity_fill_rate: float
    """0 to 1; above 1 only after an overfill."""
    ends: dict[str, Share]
    """Shares of ended orders by state; partly filled ones apart, as CANCELED_PARTIAL and so on."""
    slippage: Slippage
    commission: Decimal
    """Quote currency."""
    orders_unmeasured: int
    """Orders beyond the bound on memory."""


@dataclass(slots=True)
class _Order:
    sign: int
    quantity: Decimal
    arrival_px: Decimal | None
    state: OrderState = OrderState.PENDING_NEW
    accepted: bool = False
    filled: Decimal = ZERO
    notional: Decimal = ZERO


@dataclass(slots=True)
class QualityCollector:
    """Feed it every report and decision once, in any order between the two; ask at any time."""

    orders_max: int = ORDERS_MAX
    _orders: dict[tuple[str, str], _Order] = field(default_factory=dict, repr=False)
    _verdicts: Counter[str] = field(default_factory=Counter, repr=False)
    _denied: Counter[str] = field(default_factory=Counter, repr=False)
    _clamped: Counter[str] = field(default_factory=Counter, repr=False)
    _venues: set[str] = field(default_factory=set, repr=False)
    _fills: int = 0
    _partial_fills: int = 0
    _commission: Decimal = ZERO
    _unmeasured: int = 0

    def on_decision(self, decision: RiskDecision) -> None:
        """Count a decision; a replayed one was counted before."""
        if decision.replayed:
            return
        name = risk_pb2.RiskVerdict.Name(decision.verdict).removeprefix("RISK_VERDICT_")
        self._verdicts[name] += 1
        if decision.verdict == risk_pb2.RISK_VERDICT_DENY:
            self._denied[decision.reason_code] += 1
        elif decision.verdict == risk_pb2.RISK_VERDICT_CLAMP:
            self._clamped[decision.reason_code] += 1

    def on_report(self, report: ExecutionReport) -> None:
        """Take an execution report; the caller leaves out those delivered twice."""
        self._venues.add("paper" if report.paper else "live")
        order = self._order(report)
        if order is None:
            return
        if report.exec_type == order_pb2.EXEC_TYPE_TRADE:
            self._fill(order, report)
        order.accepted |= report.exec_type != order_pb2.EXEC_TYPE_REJECTED
        order.state = order_state(report.ord_status) or order.state

    def report(self) -> QualityReport:
        """Return the figures as they stand."""
        accepted = [order for order in self._orders.values() if order.accepted]
        filled = sum(order.state is OrderState.FILLED for order in accepted)
        ordered = sum((order.quantity for order in accepted), ZERO)
        traded = sum((order.filled for order in accepted), ZERO)
        return QualityReport(
            venue="mixed" if len(self._venues) > 1 else next(iter(self._venues), ""),
            signals_decided=self._verdicts.total(),
            verdicts=dict(self._verdicts),
            denied_by_reason=dict(self._denied),
            clamped_by_reason=dict(self._clamped),
            orders_accepted=len(accepted),
            orders_open=sum(order.state not in ENDED_STATES for order in accepted),
            fills=self._fills,
            partial_fills=self._partial_fills,
            order_fill_rate=share_of(filled, len(accepted)),
            quantity_fill_rate=float(divide(traded, ordered)) if ordered else 0.0,
            ends=self._ends(),
            slippage=_slippage(self._orders.values()),
            commission=self._commission,
            orders_unmeasured=self._unmeasured,
        )

    def _order(self, report: ExecutionReport) -> _Order | None:
        key = (report.adapter, report.cl_ord_id)
        order = self._orders.get(key)
        if order is None:
            if len(self._orders) >= self.orders_max:
                self._unmeasured += report.exec_type == order_pb2.EXEC_TYPE_NEW
                return None
            sign = -1 if report.side == signal_pb2.SIDE_SELL else 1
            arrival = parse_decimal(report.arrival_px)
            order = _Order(sign, parse_decimal(report.order_qty) or ZERO, arrival or None)
            self._orders[key] = order
        return order

    def _fill(self, order: _Order, report: ExecutionReport) -> None:
        quantity = parse_decimal(report.last_qty) or ZERO
        order.filled += quantity
        order.notional += quantity * (parse_decimal(report.last_px) or ZERO)
        self._fills += 1
        self._partial_fills += order.filled < order.quantity
        self._commission += parse_decimal(report.commission) or ZERO

    def _ends(self) -> dict[str, Share]:
        ends = Counter(_end_of(o) for o in self._orders.values() if o.state in ENDED_STATES)
        ends[OrderState.DENIED.name] += self._denied.total()
        total = ends.total()
        return {name: share_of(count, total) for name, count in sorted(ends.items())}


def share_of(count: int, n: int) -> Share:
    """Return count / n with its 95 % score interval (Wilson 1927)."""
    if n == 0:
        return Share(0, 0, 0.0, 0.0, 0.0)
    share, z2 = count / n, _Z95 * _Z95
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    low = centre - half if count else 0.0  # exact at the ends, where floats leave a trace
    high = centre + half if count < n else 1.0
    return Share(count, n, share, low, high)


def nearest_rank(ascending: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least `percent` of the values do not exceed; 0 if none."""
    if not ascending:
        return 0.0
    rank = math.ceil(percent / 100 * len(ascending))
    return ascending[max(rank, 1) - 1]


def _end_of(order: _Order) -> str:
    partial = order.state is not OrderState.FILLED and order.filled
    return f"{order.state.name}_PARTIAL" if partial else order.state.name


def _slippage(orders: Iterable[_Order]) -> Slippage:
    measured = [(cost, float(o.filled)) for o in orders if (cost := _cost_bps(o)) is not None]
    if not measured:
        return Slippage(0, 0.0, 0.0, 0.0, 0.0)
    total = math.fsum(weight for _, weight in measured)
    mean = math.fsum(cost * weight for cost, weight in measured) / total
    squares = math.fsum((weight * (cost - mean)) ** 2 for cost, weight in measured)
    n = len(measured)
    # Ratio estimator of a weighted mean, with the n / (n - 1) of a sample (Cochran 1977, 2.11).
    error = math.sqrt(squares * n / (n - 1)) / total if n > 1 else 0.0
    ascending = sorted(cost for cost, _ in measured)
    return Slippage(n, mean, error, nearest_rank(ascending, 50), nearest_rank(ascending, 95))


def _cost_bps(order: _Order) -> float | None:
    if not order.filled or order.arrival_px is None or order.arrival_px <= 0:
        return None
    average = divide(order.notional, order.filled)
    return float(order.sign * (average - order.arrival_px) / order.arrival_px * BPS)
