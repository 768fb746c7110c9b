"""Bars and orders for the tests of the paper venue."""

from decimal import Decimal

from bellwire.execution.adapters.paper.settings import PaperSettings
from bellwire.trading.v1 import order_pb2, signal_pb2
from bellwire.trading.v1.market_data_pb2 import Bar
from bellwire.trading.v1.order_pb2 import OrderRequest

HOUR = 3_600 * 10**9
T0 = 1_483_308_000 * 10**9  # 2017-01-01 22:00 UTC
BUY, SELL = signal_pb2.SIDE_BUY, signal_pb2.SIDE_SELL
MARKET, LIMIT = order_pb2.ORD_TYPE_MARKET, order_pb2.ORD_TYPE_LIMIT
DAY, GTC = order_pb2.TIME_IN_FORCE_DAY, order_pb2.TIME_IN_FORCE_GTC
IOC, FOK = order_pb2.TIME_IN_FORCE_IOC, order_pb2.TIME_IN_FORCE_FOK
GTD = order_pb2.TIME_IN_FORCE_GTD

ROUND = PaperSettings(
    spread_bps=Decimal(20),  # 0.1 either side of 100: easy to follow by eye
    participation=Decimal("0.1"),
    commission_bps=Decimal(1),
    order_life_bars=24,
    price_tick=Decimal("0.01"),
)


def bar(number, open_="100", high="101", low="99", volume="1000", symbol="X", step=HOUR):
    """The bar that opens `number` steps after T0."""
    opens = T0 + number * step
    return Bar(
        symbol=symbol,
        interval="1h",
        open_time_unix_nano=opens,
        close_time_unix_nano=opens + step,
        open=open_,
        high=high,
        low=low,
        close=open_,
        volume=volume,
        sequence=number,
    )


def order(name="o1", side=BUY, qty="50", ord_type=MARKET, tif=GTC, price="", at=0, **more):
    """An order made at the close of the bar before bar `at`."""
    return OrderRequest(
        cl_ord_id=name,
        signal_id=f"signal-{name}",
        strategy_id=more.pop("strategy", "rules"),
        symbol=more.pop("symbol", "X"),
        side=side,
        ord_type=ord_type,
        time_in_force=tif,
        order_qty=qty,
        price=price,
        arrival_px="100",
        arrival_time_unix_nano=T0 + at * HOUR,
        adapter="paper",
        **more,
    )


def limit(price, name="o1", side=BUY, **more):
    """A limit order."""
    return order(name, side, ord_type=LIMIT, price=price, **more)
