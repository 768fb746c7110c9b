"""The orders a gateway has sent, kept in step with the reports that come back."""

from collections import OrderedDict
from decimal import Decimal
from enum import Enum, auto
from typing import Final, NamedTuple

from bellwire.execution.order_state import (
    ENDED_STATES,
    IllegalOrderTransitionError,
    OrderLife,
    OrderState,
    order_state,
)
from bellwire.risk.decimal_text import ZERO, parse_decimal
from bellwire.risk.exposure import Exposure, Holder
from bellwire.trading.v1 import order_pb2, signal_pb2
from bellwire.trading.v1.order_pb2 import ExecutionReport, OrderRequest
from bellwire.trading.v1.signal_pb2 import Side

ENDED_ORDERS_KEPT_MAX: Final = (
    1_000  # late fills come within seconds; older ones still move positions
)


class ReportEffect(Enum):
    """What an execution report did."""

    APPLIED = auto()
    """It moved the order as the state table expects."""
    DUPLICATE = auto()
    """Its exec id was seen before: nothing has changed."""
    UNKNOWN_ORDER = auto()
    """The order was not sent from here: it was adopted, and its fill moved the position."""
    ANOMALY = auto()
    """A late fill, an overfill or a fill after the end: it counts, and calls for reconciliation."""
    ILLEGAL = auto()
    """The state it names cannot follow; the order stays as it was."""
    UNREADABLE = auto()
    """Id, quantity, price or side of a fill cannot be read: the position is unknown from here on."""


class _Fill(NamedTuple):
    sign: int
    quantity: Decimal
    price: Decimal


class _Sent(NamedTuple):
    life: OrderLife
    holder: Holder
    sign: int


class SentOrders:
    """Orders by id: all that are open and the newest that ended.

    Exec ids and ended orders are remembered up to a bound, overflow policy DROP_OLDEST. A fill of an
    order no longer remembered counts as one of an unknown order: it moves the position all the same.
    """

    __slots__ = ("_ended", "_exec_ids", "_exec_ids_kept_max", "_exposure", "_open")

    def __init__(self, exposure: Exposure, exec_ids_kept_max: int) -> None:
        self._exposure = exposure
        self._exec_ids_kept_max = exec_ids_kept_max
        self._exec_ids: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._open: dict[str, _Sent] = {}
        self._ended: OrderedDict[str, _Sent] = OrderedDict()

    def add(self, order: OrderRequest, holder: Holder, sign: int, quantity: Decimal) -> None:
        """Book an order on its way out: from now on its whole quantity counts as exposure."""
        life = OrderLife(order.cl_ord_id, quantity)
        life.transition(OrderState.PENDING_NEW)
        self._open[order.cl_ord_id] = _Sent(life, holder, sign)
        self._exposure.set_leaves(order.cl_ord_id, holder, sign * quantity)

    def side_of(self, cl_ord_id: str) -> "Side.ValueType":
        """Return the side of an open order; unspecified when there is none."""
        sent = self._open.get(cl_ord_id)
        if sent is None:
            return signal_pb2.SIDE_UNSPECIFIED
        return signal_pb2.SIDE_BUY if sent.sign > 0 else signal_pb2.SIDE_SELL

    def apply(self, report: ExecutionReport) -> ReportEffect:
        """Take one report; see `ReportEffect`."""
        is_fill = report.exec_type == order_pb2.EXEC_TYPE_TRADE
        fill = _fill_of(report) if is_fill else None
        if is_fill and fill is None:
            return ReportEffect.UNREADABLE
        if self._seen(report):
            return ReportEffect.DUPLICATE
        sent = self._open.get(report.cl_ord_id) or self._ended.get(report.cl_ord_id)
        if sent is not None:
            return self._move(sent, report, fill)
        adopted = _adopted(report, fill)
        if adopted is not None:
            self._open[report.cl_ord_id] = adopted
            self._move(adopted, report, fill)
        elif fill is not None:
            self._exposure.add_fill(_holder(report), fill.sign * fill.quantity)
        return ReportEffect.UNKNOWN_ORDER

    def _move(self, sent: _Sent, report: ExecutionReport, fill: _Fill | None) -> ReportEffect:
        if fill is not None:
            # The report says who holds the fill and on which side; the order is only our memory.
            self._exposure.add_fill(_holder(report), fill.sign * fill.quantity)
            unusual = sent.life.fill(fill.quantity, fill.price)
            effect = ReportEffect.ANOMALY if unusual else ReportEffect.APPLIED
        else:
            effect = _transition(sent.life, report)
        self._exposure.set_leaves(
            sent.life.cl_ord_id, sent.holder, sent.sign * sent.life.leaves_qty
        )
        if not sent.life.working and sent.life.cl_ord_id in self._open:
            del self._open[sent.life.cl_ord_id]
            self._ended[sent.life.cl_ord_id] = sent
            if len(self._ended) > ENDED_ORDERS_KEPT_MAX:
                self._ended.popitem(last=False)
        return effect

    def _seen(self, report: ExecutionReport) -> bool:
        if not report.exec_id:  # nothing to tell it by; only fills must have one
            return False
        key = (report.adapter, report.exec_id)
        if key in self._exec_ids:
            return True
        self._exec_ids[key] = None
        if len(self._exec_ids) > self._exec_ids_kept_max:
            self._exec_ids.popitem(last=False)
        return False


def _transition(life: OrderLife, report: ExecutionReport) -> ReportEffect:
    state = order_state(report.ord_status)
    if state is life.state:  # such as a refused duplicate: the live order is as it was
        return ReportEffect.APPLIED
    if state is None:
        return ReportEffect.ILLEGAL
    try:
        life.transition(state)
    except IllegalOrderTransitionError:
        return ReportEffect.ILLEGAL
    return ReportEffect.APPLIED


def _adopted(report: ExecutionReport, fill: _Fill | None) -> _Sent | None:
    """Return an order of unknown origin that may still trade, as it stood before this report."""
    quantity = parse_decimal(report.order_qty)
    cumulative = parse_decimal(report.cum_qty) or ZERO
    state = order_state(report.ord_status)
    if state is None or state in ENDED_STATES:
        return None
    if not report.cl_ord_id or quantity is None or quantity <= 0:
        return None
    if not report.symbol or report.side not in (signal_pb2.SIDE_BUY, signal_pb2.SIDE_SELL):
        return None
    before = cumulative if fill is None else max(ZERO, cumulative - fill.quantity)
    earlier = OrderState.PARTIALLY_FILLED if before else OrderState.NEW
    life = OrderLife(report.cl_ord_id, quantity, earlier, before)
    return _Sent(life, _holder(report), 1 if report.side == signal_pb2.SIDE_BUY else -1)


def _fill_of(report: ExecutionReport) -> _Fill | None:
    quantity, price = parse_decimal(report.last_qty), parse_decimal(report.last_px)
    if quantity is None or price is None or quantity <= 0 or price <= 0 or not report.exec_id:
        return None
    if report.side not in (signal_pb2.SIDE_BUY, signal_pb2.SIDE_SELL) or not report.symbol:
        return None
    return _Fill(1 if report.side == signal_pb2.SIDE_BUY else -1, quantity, price)


def _holder(report: ExecutionReport) -> Holder:
    return Holder(report.account, report.strategy_id, report.symbol)
