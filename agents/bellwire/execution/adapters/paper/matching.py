"""The paper venue: orders in, bars in, execution reports out. Sans-I/O and without a clock or dice.

An order taken while bar n was the newest trades from bar n+1 on, never in bar n: what was known when
it was sent is not traded again. Each bar lends at most `participation` of its volume to all orders
of its symbol together, market orders first, then by price, then by arrival. Equal inputs in equal
order give equal reports, ids included.
"""

from collections import OrderedDict
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from bellwire.execution.adapters.paper.admission import OrdRejReason, Refusal, Terms, admit
from bellwire.execution.adapters.paper.pricing import (
    BarPrices,
    aggressiveness,
    read_bar,
    trade_price,
)
from bellwire.execution.adapters.paper.resting import (
    RestingOrder,
    content_of,
    rejection,
    utc_date,
)
from bellwire.execution.adapters.paper.settings import PaperSettings
from bellwire.execution.order_state import OrderLife, OrderState
from bellwire.risk.decimal_text import ZERO, round_down
from bellwire.trading.v1 import order_pb2
from bellwire.trading.v1.market_data_pb2 import Bar
from bellwire.trading.v1.order_pb2 import ExecutionReport, OrderCancelRequest, OrderRequest


@dataclass(slots=True)
class PaperCounters:
    """What the venue met since start, besides what its reports say."""

    duplicate_orders: int = 0
    """Orders delivered again: already booked, nothing happens."""
    cancels_too_late: int = 0
    """Cancels of orders that are unknown or have ended."""
    bars_repeated: int = 0
    """Bars that were not newer than the last of their symbol: ignored."""


class PaperVenue:
    """Match orders against bars."""

    def __init__(self, settings: PaperSettings | None = None) -> None:
        self.settings: Final = settings or PaperSettings()
        self.counters: Final = PaperCounters()
        self._open: dict[str, RestingOrder] = {}
        self._contents: OrderedDict[str, bytes] = OrderedDict()  # of open and ended orders
        self._newest_close: dict[str, int] = {}
        self._positions: dict[tuple[str, str, str], Decimal] = {}
        self._sequence = 0

    @property
    def open_order_count(self) -> int:
        """Orders that work now."""
        return len(self._open)

    def submit(self, order: OrderRequest) -> list[ExecutionReport]:
        """Take an order; return its acknowledgement or rejection.

        Nothing is returned for an order that was delivered before: it has been reported on. The
        refusal of another order under a known id carries the state of the order that has the id.
        """
        now = max(order.arrival_time_unix_nano, self._newest_close.get(order.symbol, 0))
        known = self._contents.get(order.cl_ord_id)
        if known is not None:
            return self._again(order, known, now)
        terms = admit(order, self.settings)
        if isinstance(terms, Terms) and len(self._open) >= self.settings.open_orders_max:
            limit = self.settings.open_orders_max
            terms = Refusal(OrdRejReason.EXCEEDS_LIMIT, f"{limit} orders are open, the limit")
        if isinstance(terms, Refusal):
            return [rejection(order, now, terms.reason, terms.text)]
        return [self._book(order, terms, now)]

    def cancel(self, request: OrderCancelRequest) -> list[ExecutionReport]:
        """Take an order back; nothing is returned when there is none to take back."""
        order = self._open.get(request.orig_cl_ord_id)
        if order is None:
            self.counters.cancels_too_late += 1
            return []
        now = max(order.accepted_at_unix_nano, self._newest_close.get(order.request.symbol, 0))
        return [self._end(order, OrderState.CANCELED, now, "canceled as asked")]

    def on_bar(self, bar: Bar) -> list[ExecutionReport]:
        """Trade what rests against a bar; return the reports in the order things happened.

        Raises:
            UnusableBarError: the bar cannot be read; nothing has changed.
        """
        prices = read_bar(bar)
        if prices.close_time_unix_nano <= self._newest_close.get(prices.symbol, -1):
            self.counters.bars_repeated += 1
            return []
        self._newest_close[prices.symbol] = prices.close_time_unix_nano
        eligible = [
            order
            for order in self._open.values()
            if order.request.symbol == prices.symbol
            and order.accepted_at_unix_nano <= prices.open_time_unix_nano
        ]
        reports = self._expire_before(eligible, prices)
        reports += self._trade([o for o in eligible if o.life.working], prices)
        return reports + self._end_after([o for o in eligible if o.life.working], prices)

    def end_of_stream(self, symbol: str) -> list[ExecutionReport]:
        """Expire what still works: no bar of the symbol will follow."""
        now = self._newest_close.get(symbol, 0)
        return [
            self._end(
                order, OrderState.EXPIRED, max(now, order.accepted_at_unix_nano), "no more bars"
            )
            for order in list(self._open.values())
            if order.request.symbol == symbol
        ]

    def request_of(self, cl_ord_id: str) -> OrderRequest | None:
        """Return an order that works now, as it was sent."""
        order = self._open.get(cl_ord_id)
        return None if order is None else order.request

    def _again(self, order: OrderRequest, known: bytes, now: int) -> list[ExecutionReport]:
        if known == content_of(order):
            self.counters.duplicate_orders += 1
            return []
        text = "another order has this cl_ord_id"
        report = rejection(order, now, OrdRejReason.DUPLICATE_ORDER, text)
        live = self._open.get(order.cl_ord_id)
        if live is not None:  # a reader must not take the refusal for the end of the live order
            report.ord_status = order_pb2.OrdStatus.ValueType(live.life.state)
        return [report]

    def _book(self, order: OrderRequest, terms: Terms, now: int) -> ExecutionReport:
        life = OrderLife(order.cl_ord_id, terms.quantity)
        life.transition(OrderState.PENDING_NEW)
        life.transition(OrderState.NEW)
        resting = RestingOrder(order, terms.sign, terms.limit, life, self._sequence, now)
        self._sequence += 1
        self._open[order.cl_ord_id] = resting
        self._contents[order.cl_ord_id] = content_of(order)
        self._forget_ended()
        return resting.report(order_pb2.EXEC_TYPE_NEW, now)

    def _forget_ended(self) -> None:
        kept = self.settings.ended_orders_kept_max + self.settings.open_orders_max
        while len(self._contents) > kept:
            oldest = next(iter(self._contents))
            if oldest in self._open:  # still needed: as good as new
                self._contents.move_to_end(oldest)
            else:
                del self._contents[oldest]

    def _expire_before(self, orders: list[RestingOrder], bar: BarPrices) -> list[ExecutionReport]:
        """End orders whose time was over when the bar opened."""
        reports = []
        today = utc_date(bar.open_time_unix_nano)
        for order in orders:
            if order.session is None:
                order.session = today
            until = order.request.expire_time_unix_nano
            good_till_date = order.request.time_in_force == order_pb2.TIME_IN_FORCE_GTD
            if good_till_date and until <= bar.open_time_unix_nano:
                text = "good-till date passed"
            elif _is_day(order) and order.session < today:
                text = "the day ended"
            else:
                continue
            reports.append(self._end(order, OrderState.EXPIRED, bar.open_time_unix_nano, text))
        return reports

    def _trade(self, orders: list[RestingOrder], bar: BarPrices) -> list[ExecutionReport]:
        """Share the bar's volume among the orders by price, then arrival."""
        reports = []
        room = round_down(bar.volume * self.settings.participation, self.settings.quantity_step)
        for order in sorted(
            orders, key=lambda o: (*aggressiveness(bar, o.sign, o.limit), o.sequence)
        ):
            order.bars_worked += 1
            price = trade_price(bar, order.sign, order.limit, order.immediate, self.settings)
            quantity = min(order.life.leaves_qty, room, self._reducible(order))
            whole = quantity == order.life.leaves_qty
            if price is None or not quantity or (order.fill_or_kill and not whole):
                continue
            at_limit = order.limit == price and order.limit is not None
            # Within a bar only the open has a known time; a limit may have traded as late as the close.
            time = bar.close_time_unix_nano if at_limit else bar.open_time_unix_nano
            room -= quantity
            self._move_position(order, quantity)
            reports.append(order.fill(quantity, price, time, self.settings))
            if not order.life.working:
                del self._open[order.request.cl_ord_id]
        return reports

    def _end_after(self, orders: list[RestingOrder], bar: BarPrices) -> list[ExecutionReport]:
        """End orders that this bar was the last for."""
        reports = []
        closes_on = utc_date(bar.close_time_unix_nano)
        for order in orders:
            state = OrderState.EXPIRED
            if order.immediate:
                state, text = OrderState.CANCELED, "the rest of an immediate order"
            elif not self._reducible(order):
                state, text = OrderState.CANCELED, "nothing left to reduce"
            elif _is_day(order) and order.session is not None and order.session < closes_on:
                text = "the day ended"
            elif order.bars_worked >= self.settings.order_life_bars:
                text = f"worked for {order.bars_worked} bars"
            else:
                continue
            reports.append(self._end(order, state, bar.close_time_unix_nano, text))
        return reports

    def _end(self, order: RestingOrder, state: OrderState, time: int, text: str) -> ExecutionReport:
        del self._open[order.request.cl_ord_id]
        return order.end(state, time, text)

    def _reducible(self, order: RestingOrder) -> Decimal:
        """Return how much the order may still trade by its reduce-only mark."""
        if not order.request.reduce_only:
            return order.life.leaves_qty
        return max(ZERO, -order.sign * self._positions.get(_holder(order), ZERO))

    def _move_position(self, order: RestingOrder, quantity: Decimal) -> None:
        holder = _holder(order)
        position = self._positions.get(holder, ZERO) + order.sign * quantity
        if position:
            self._positions[holder] = position
        else:
            self._positions.pop(holder, None)


def _holder(order: RestingOrder) -> tuple[str, str, str]:
    return (order.request.account, order.request.strategy_id, order.request.symbol)


def _is_day(order: RestingOrder) -> bool:
    return order.request.time_in_force in (
        order_pb2.TIME_IN_FORCE_DAY,
        order_pb2.TIME_IN_FORCE_UNSPECIFIED,
    )
