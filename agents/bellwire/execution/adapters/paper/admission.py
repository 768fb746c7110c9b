"""Whether the paper venue takes an order at all, in FIX's words (tag 103)."""

from decimal import Decimal
from enum import IntEnum
from typing import Final, NamedTuple

from bellwire.execution.adapters.paper.settings import PaperSettings
from bellwire.execution.order_id import CL_ORD_ID_CHARACTERS_MAX
from bellwire.risk.decimal_text import decimal_text, is_multiple, parse_decimal
from bellwire.trading.v1 import order_pb2, signal_pb2
from bellwire.trading.v1.order_pb2 import OrderRequest

_TIMES_IN_FORCE: Final = frozenset(
    {
        order_pb2.TIME_IN_FORCE_UNSPECIFIED,  # the contract reads it as DAY
        order_pb2.TIME_IN_FORCE_DAY,
        order_pb2.TIME_IN_FORCE_GTC,
        order_pb2.TIME_IN_FORCE_IOC,
        order_pb2.TIME_IN_FORCE_FOK,
        order_pb2.TIME_IN_FORCE_GTD,
    }
)


class OrdRejReason(IntEnum):
    """FIX tag 103, the values used here."""

    UNKNOWN_SYMBOL = 1
    """The venue does not trade the instrument."""
    EXCEEDS_LIMIT = 3
    """The venue holds as many open orders as it may."""
    DUPLICATE_ORDER = 6
    """The id stands for another order."""
    UNSUPPORTED = 11
    """Order type or time in force the venue does not have."""
    INCORRECT_QUANTITY = 13
    """No positive multiple of the step."""
    OTHER = 99
    """Anything else; the text says what."""


class Refusal(NamedTuple):
    """Why an order is not taken."""

    reason: OrdRejReason
    text: str


class Terms(NamedTuple):
    """What an order that can be taken asks for."""

    sign: int
    quantity: Decimal
    limit: Decimal | None


def admit(order: OrderRequest, settings: PaperSettings) -> Terms | Refusal:
    """Return the terms of an order, or why it is refused; looks at nothing but the order."""
    if not 1 <= len(order.cl_ord_id) <= CL_ORD_ID_CHARACTERS_MAX:
        limit = f"1 to {CL_ORD_ID_CHARACTERS_MAX} characters"
        found = len(order.cl_ord_id)
        return Refusal(OrdRejReason.OTHER, f"cl_ord_id has {found} characters, need {limit}")
    if not order.symbol or (settings.symbols and order.symbol not in settings.symbols):
        return Refusal(OrdRejReason.UNKNOWN_SYMBOL, f"symbol {order.symbol!r} is not traded here")
    if order.side not in (signal_pb2.SIDE_BUY, signal_pb2.SIDE_SELL):
        return Refusal(OrdRejReason.OTHER, f"side {order.side} is unknown")
    if order.ord_type not in (order_pb2.ORD_TYPE_MARKET, order_pb2.ORD_TYPE_LIMIT):
        name = _name(order_pb2.OrdType.items(), order.ord_type)
        return Refusal(OrdRejReason.UNSUPPORTED, f"{name} is not supported, only MARKET and LIMIT")
    if order.time_in_force not in _TIMES_IN_FORCE:
        return Refusal(OrdRejReason.UNSUPPORTED, f"time in force {order.time_in_force} is unknown")
    quantity = parse_decimal(order.order_qty)
    if quantity is None or quantity <= 0 or not is_multiple(quantity, settings.quantity_step):
        step = decimal_text(settings.quantity_step)
        text = f"order_qty {order.order_qty[:40]!r} is no positive multiple of {step}"
        return Refusal(OrdRejReason.INCORRECT_QUANTITY, text)
    return _with_limit(order, quantity, settings)


def _with_limit(order: OrderRequest, quantity: Decimal, settings: PaperSettings) -> Terms | Refusal:
    sign = 1 if order.side == signal_pb2.SIDE_BUY else -1
    if order.ord_type == order_pb2.ORD_TYPE_MARKET:
        return Terms(sign, quantity, None)
    price = parse_decimal(order.price)
    if price is None or price <= 0 or not is_multiple(price, settings.price_tick):
        tick = decimal_text(settings.price_tick)
        text = f"price {order.price[:40]!r} is no positive multiple of the tick {tick}"
        return Refusal(OrdRejReason.OTHER, text)
    return Terms(sign, quantity, price)


def _name(items: list[tuple[str, "order_pb2.OrdType.ValueType"]], number: int) -> str:
    return next((name for name, value in items if value == number), f"order type {number}")
