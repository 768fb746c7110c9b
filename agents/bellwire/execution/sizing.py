"""How much of what a signal wants traded, given what is held: no limits yet, only meaning."""

from decimal import Decimal
from typing import NamedTuple

from bellwire.risk.decimal_text import ZERO, parse_decimal
from bellwire.risk.exposure import Exposure, Holder
from bellwire.trading.v1 import signal_pb2
from bellwire.trading.v1.signal_pb2 import Signal


class Sizing(NamedTuple):
    """One order as the signal means it."""

    sign: int
    """+1 buys, -1 sells."""
    quantity: Decimal | None
    """Quantity to trade; None when the signal's text is no decimal."""
    relative: bool = False
    """Whether the quantity follows from the position; then 0 means nothing is to be done."""
    reduce_only: bool = False
    """Whether it only closes what is held."""
    cancel_ids: tuple[str, ...] = ()
    """Open orders of the strategy that contradict it and are taken back first."""


def size_of(signal: Signal, exposure: Exposure, holder: Holder, base_qty: Decimal) -> Sizing:
    """Return what an ENTER, EXIT or TARGET signal asks for; its action and side must be valid."""
    sign = 1 if signal.side == signal_pb2.SIDE_BUY else -1
    if signal.action == signal_pb2.SIGNAL_ACTION_EXIT:
        return _exit(exposure, holder, sign)
    quantity = parse_decimal(signal.target_qty) if signal.target_qty else base_qty
    if signal.action == signal_pb2.SIGNAL_ACTION_TARGET:
        return _target(exposure, holder, sign, quantity)
    return Sizing(sign, quantity)


def _exit(exposure: Exposure, holder: Holder, sign: int) -> Sizing:
    """Close what the strategy holds on the other side, less what is being closed already."""
    held = max(ZERO, -sign * exposure.position(holder))
    closing, opening = ZERO, []
    for order in exposure.orders_of(holder):
        if order.signed_leaves * sign > 0:
            closing += abs(order.signed_leaves)
        else:
            opening.append(order.cl_ord_id)
    return Sizing(sign, max(ZERO, held - closing), True, True, tuple(opening))


def _target(exposure: Exposure, holder: Holder, sign: int, target: Decimal | None) -> Sizing:
    """Go from the position to the target; whatever still works towards another one is taken back."""
    if target is None or target < 0:
        return Sizing(sign, None, True)
    difference = sign * target - exposure.position(holder)
    working = list(exposure.orders_of(holder))
    if difference == sum((order.signed_leaves for order in working), ZERO):
        return Sizing(sign, ZERO, True)  # what works already leads there
    open_ids = tuple(order.cl_ord_id for order in working)
    return Sizing(1 if difference > 0 else -1, abs(difference), True, False, open_ids)
