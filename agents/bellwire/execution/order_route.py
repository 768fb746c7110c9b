"""How an approved quantity leaves: which adapter, for how long, under which id."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from bellwire.execution.order_id import DEFAULT_PREFIX, client_order_id
from bellwire.risk.decimal_text import decimal_text
from bellwire.risk.exposure import Holder
from bellwire.trading.v1 import order_pb2, signal_pb2
from bellwire.trading.v1.order_pb2 import OrderCancelRequest, OrderRequest
from bellwire.trading.v1.signal_pb2 import Side, Signal
from bellwire.wire.settings import check_settings, setting

ORDER_LEG: Final = "order"
CANCEL_LEG: Final = "cancel"

_TIME_IN_FORCE: Final = {
    "DAY": order_pb2.TIME_IN_FORCE_DAY,
    "GTC": order_pb2.TIME_IN_FORCE_GTC,
    "IOC": order_pb2.TIME_IN_FORCE_IOC,
    "FOK": order_pb2.TIME_IN_FORCE_FOK,
}


@dataclass(frozen=True, slots=True)
class OrderRoute:
    """Market orders to one adapter."""

    adapter: str = field(
        default="paper", metadata=setting(unit="", why="the only adapter that needs no account")
    )
    time_in_force: str = field(
        default="DAY",
        metadata=setting(
            unit="",
            why="what the day does not fill ends with it instead of trading on old reasons",
            choices=tuple(_TIME_IN_FORCE),
        ),
    )
    order_id_prefix: str = field(
        default=DEFAULT_PREFIX,
        metadata=setting(unit="", why="tells our orders apart at a shared venue account"),
    )

    def __post_init__(self) -> None:
        check_settings(self)
        self.order_id("")  # refuses a bad prefix at the start, not at the first order

    def order_id(self, signal_id: str) -> str:
        """Return the client order id of a signal's order."""
        return client_order_id(signal_id, ORDER_LEG, self.order_id_prefix)

    def order(
        self, signal: Signal, sign: int, quantity: Decimal, reference_px: Decimal | None, now: int
    ) -> OrderRequest:
        """Return the order of a signal; `now` is event time, nanoseconds since the Unix epoch."""
        return OrderRequest(
            cl_ord_id=self.order_id(signal.signal_id),
            signal_id=signal.signal_id,
            strategy_id=signal.strategy_id,
            symbol=signal.symbol,
            side=signal_pb2.SIDE_BUY if sign > 0 else signal_pb2.SIDE_SELL,
            ord_type=order_pb2.ORD_TYPE_MARKET,
            time_in_force=_TIME_IN_FORCE[self.time_in_force],
            order_qty=decimal_text(quantity),
            arrival_px="" if reference_px is None else decimal_text(reference_px),
            arrival_time_unix_nano=now,
            tenant=signal.tenant,
            account=signal.account,
            adapter=self.adapter,
        )

    def cancel(self, cl_ord_id: str, holder: Holder, side: "Side.ValueType") -> OrderCancelRequest:
        """Return the request to take an order back; the same order always gives the same id."""
        return OrderCancelRequest(
            cl_ord_id=client_order_id(cl_ord_id, CANCEL_LEG, self.order_id_prefix),
            orig_cl_ord_id=cl_ord_id,
            symbol=holder.symbol,
            side=side,
            account=holder.account,
        )
