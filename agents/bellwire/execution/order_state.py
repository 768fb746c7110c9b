"""The life of one order: which state may follow which, and what its fills add up to.

The table is that of FIX 4.4 order state changes (appendix D) as trading systems apply it, with two
states of our own before the venue (INITIALIZED, DENIED). Three things happen at real venues and are
legal here: a fill without an acknowledgement, a fill while a cancel travels, a fill after the cancel.
A fill that no state allows (overfill, fill of an ended order) is still recorded, because the
position is real; it raises a flag instead of an error.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from enum import Flag, IntEnum, auto
from typing import Final

from bellwire.risk.decimal_text import ZERO, decimal_text, divide
from bellwire.trading.v1 import order_pb2
from bellwire.wire.errors import CallerError


class OrderState(IntEnum):
    """States of an order; numbers and names are those of `bellwire.trading.v1.OrdStatus`."""

    INITIALIZED = order_pb2.ORD_STATUS_INITIALIZED
    """Taken by the bus, not yet checked."""
    DENIED = order_pb2.ORD_STATUS_DENIED
    """Refused locally; never left the bus."""
    PENDING_NEW = order_pb2.ORD_STATUS_PENDING_NEW
    """On its way to the venue; also when a submit timed out and nobody knows."""
    NEW = order_pb2.ORD_STATUS_NEW
    """Accepted by the venue."""
    PARTIALLY_FILLED = order_pb2.ORD_STATUS_PARTIALLY_FILLED
    """Some of it traded."""
    FILLED = order_pb2.ORD_STATUS_FILLED
    """All of it traded."""
    CANCELED = order_pb2.ORD_STATUS_CANCELED
    """Taken back; a fill may still arrive late."""
    PENDING_CANCEL = order_pb2.ORD_STATUS_PENDING_CANCEL
    """A cancel is on its way."""
    REJECTED = order_pb2.ORD_STATUS_REJECTED
    """Refused by the venue."""
    EXPIRED = order_pb2.ORD_STATUS_EXPIRED
    """Ended by its time in force or by the venue."""
    PENDING_REPLACE = order_pb2.ORD_STATUS_PENDING_REPLACE
    """A replace is on its way."""


_BY_NUMBER: Final[dict[int, OrderState]] = {int(state): state for state in OrderState}


def order_state(number: int) -> OrderState | None:
    """Return the state an `OrdStatus` number stands for, or None when it stands for none."""
    return _BY_NUMBER.get(number)


_S = OrderState
_NEXT: Final[dict[OrderState, frozenset[OrderState]]] = {
    _S.INITIALIZED: frozenset(
        # The last four: an order found at the venue that this process never sent.
        {_S.DENIED, _S.PENDING_NEW, _S.NEW, _S.CANCELED, _S.REJECTED, _S.EXPIRED}
    ),
    _S.PENDING_NEW: frozenset(
        {
            *(_S.NEW, _S.PARTIALLY_FILLED, _S.FILLED, _S.REJECTED, _S.CANCELED, _S.EXPIRED),
            *(_S.PENDING_CANCEL, _S.PENDING_REPLACE),
        }
    ),
    _S.NEW: frozenset(
        {
            *(_S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELED, _S.EXPIRED, _S.REJECTED),
            *(_S.PENDING_CANCEL, _S.PENDING_REPLACE),
        }
    ),
    _S.PARTIALLY_FILLED: frozenset(
        {
            *(_S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELED, _S.EXPIRED),
            *(_S.PENDING_CANCEL, _S.PENDING_REPLACE),
        }
    ),
    _S.PENDING_REPLACE: frozenset(
        {
            *(_S.NEW, _S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELED, _S.EXPIRED, _S.REJECTED),
            *(_S.PENDING_CANCEL, _S.PENDING_REPLACE),
        }
    ),
    _S.PENDING_CANCEL: frozenset(
        {
            *(_S.CANCELED, _S.FILLED, _S.PARTIALLY_FILLED, _S.NEW, _S.EXPIRED, _S.REJECTED),
            _S.PENDING_CANCEL,
        }
    ),
    _S.CANCELED: frozenset({_S.PARTIALLY_FILLED, _S.FILLED}),
    _S.FILLED: frozenset(),
    _S.REJECTED: frozenset(),
    _S.DENIED: frozenset(),
    _S.EXPIRED: frozenset(),
}

ENDED_STATES: Final = frozenset({_S.FILLED, _S.CANCELED, _S.REJECTED, _S.DENIED, _S.EXPIRED})
"""States in which nothing of the order works at the venue any more."""


class Anomaly(Flag):
    """What a fill did that should not happen; each calls for reconciliation with the venue."""

    NONE = 0
    """Nothing unusual."""
    UNSENT_FILL = auto()
    """A fill arrived for an order that was never sent."""
    LATE_FILL = auto()
    """A fill arrived after the cancel was confirmed."""
    FILL_AFTER_END = auto()
    """A fill arrived after FILLED, REJECTED, DENIED or EXPIRED."""
    OVERFILL = auto()
    """More was filled than ordered."""


class IllegalOrderTransitionError(CallerError):
    """The state asked for cannot follow the one the order is in."""

    reason = "ORDER_TRANSITION_ILLEGAL"

    def __init__(self, cl_ord_id: str, current: OrderState, asked: OrderState) -> None:
        self.cl_ord_id = cl_ord_id
        self.current = current
        self.asked = asked
        allowed = ", ".join(sorted(state.name for state in _NEXT[current])) or "nothing"
        super().__init__(
            f"order {cl_ord_id} is {current.name} and cannot become {asked.name}; "
            f"allowed: {allowed}"
        )


class InvalidFillError(CallerError):
    """A fill's quantity or price is not above 0."""

    reason = "FILL_INVALID"

    def __init__(self, cl_ord_id: str, quantity: Decimal, price: Decimal) -> None:
        self.cl_ord_id = cl_ord_id
        self.quantity = quantity
        self.price = price
        super().__init__(
            f"fill of order {cl_ord_id} has quantity {decimal_text(quantity)} and price "
            f"{decimal_text(price)}; both must be above 0"
        )


@dataclass(slots=True)
class OrderLife:
    """State and fills of one order. Feed it each report once: it does not remember exec ids."""

    cl_ord_id: str
    order_qty: Decimal
    """Quantity ordered, > 0."""
    state: OrderState = OrderState.INITIALIZED
    cum_qty: Decimal = ZERO
    """Quantity filled so far; above `order_qty` after an overfill."""
    cum_notional: Decimal = ZERO
    """Sum of quantity times price over the fills, exact."""
    anomalies: Anomaly = Anomaly.NONE
    """Everything unusual seen so far."""
    _working: bool = field(default=True, init=False, repr=False)

    def __post_init__(self) -> None:
        self._working = self.state not in ENDED_STATES

    @property
    def working(self) -> bool:
        """Whether the venue may still fill it as ordered; never True again after an end."""
        return self._working

    @property
    def leaves_qty(self) -> Decimal:
        """Quantity that may still be filled; 0 once the order has ended, also after a late fill."""
        return max(ZERO, self.order_qty - self.cum_qty) if self._working else ZERO

    @property
    def avg_px(self) -> Decimal:
        """Volume-weighted price of the fills to 18 digits; 0 without a fill."""
        return divide(self.cum_notional, self.cum_qty) if self.cum_qty else ZERO

    def transition(self, to: OrderState) -> None:
        """Move to another state: the only place where the state changes.

        Raises:
            IllegalOrderTransitionError: the table does not allow it; nothing has changed.
        """
        if to not in _NEXT[self.state]:
            raise IllegalOrderTransitionError(self.cl_ord_id, self.state, to)
        self.state = to
        if to in ENDED_STATES:
            self._working = False

    def fill(self, quantity: Decimal, price: Decimal) -> Anomaly:
        """Record a fill, move to PARTIALLY_FILLED or FILLED where the table allows it.

        Returns:
            What was unusual about this fill; the fill counts in any case.

        Raises:
            InvalidFillError: quantity or price is not above 0; nothing has changed.
        """
        if quantity <= 0 or price <= 0:
            raise InvalidFillError(self.cl_ord_id, quantity, price)
        self.cum_qty += quantity
        self.cum_notional += quantity * price
        found = self._anomaly()
        complete = self.cum_qty >= self.order_qty
        target = OrderState.FILLED if complete else OrderState.PARTIALLY_FILLED
        if target in _NEXT[self.state]:
            self.transition(target)
        self.anomalies |= found
        return found

    def _anomaly(self) -> Anomaly:
        found = Anomaly.NONE
        if self.cum_qty > self.order_qty:
            found |= Anomaly.OVERFILL
        if self.state is OrderState.INITIALIZED:
            found |= Anomaly.UNSENT_FILL
        if self.state is OrderState.CANCELED or Anomaly.LATE_FILL in self.anomalies:
            found |= Anomaly.LATE_FILL
        elif self.state in ENDED_STATES:
            found |= Anomaly.FILL_AFTER_END
        return found
