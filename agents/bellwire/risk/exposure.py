"""Positions and what open orders may still add to them: the numbers the limits are held against."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from bellwire.risk.decimal_text import ZERO


class Holder(NamedTuple):
    """Whose position it is."""

    account: str
    strategy_id: str
    symbol: str


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """What an order at the venue may still trade."""

    cl_ord_id: str
    holder: Holder
    signed_leaves: Decimal
    """Quantity that may still be filled; above 0 buys, below 0 sells."""


@dataclass(slots=True)
class _Instrument:
    """Everything of one account in one instrument."""

    positions: dict[str, Decimal] = field(default_factory=dict)  # by strategy
    open: dict[str, OpenOrder] = field(default_factory=dict)  # by cl_ord_id


class Exposure:
    """The book of one gateway. A reservation counts as exposure from the moment it is made.

    Size: one entry per holder ever seen and one per open order; the gateway bounds both.
    """

    __slots__ = ("_by_order", "_holders", "_instruments")

    def __init__(self) -> None:
        self._instruments: dict[tuple[str, str], _Instrument] = {}
        self._by_order: dict[str, OpenOrder] = {}
        self._holders: set[Holder] = set()

    @property
    def holders(self) -> frozenset[Holder]:
        """Everyone who has or had a position or an open order."""
        return frozenset(self._holders)

    @property
    def holder_count(self) -> int:
        """How many holders there are."""
        return len(self._holders)

    @property
    def open_order_count(self) -> int:
        """How many orders may still trade."""
        return len(self._by_order)

    def knows(self, holder: Holder) -> bool:
        """Tell whether the holder has an entry already."""
        return holder in self._holders

    def position(self, holder: Holder) -> Decimal:
        """Return the strategy's own signed position."""
        entry = self._instruments.get((holder.account, holder.symbol))
        return ZERO if entry is None else entry.positions.get(holder.strategy_id, ZERO)

    def net(self, holder: Holder) -> Decimal:
        """Return the signed position of the account in the instrument, all strategies together."""
        entry = self._instruments.get((holder.account, holder.symbol))
        return ZERO if entry is None else sum(entry.positions.values(), ZERO)

    def working(self, holder: Holder, sign: int) -> Decimal:
        """Return what the account's open orders of one side may still trade, at least 0."""
        entry = self._instruments.get((holder.account, holder.symbol))
        if entry is None:
            return ZERO
        leaves = (order.signed_leaves * sign for order in entry.open.values())
        return sum((quantity for quantity in leaves if quantity > 0), ZERO)

    def orders_of(self, holder: Holder) -> Iterator[OpenOrder]:
        """Yield the strategy's open orders in the instrument, oldest first."""
        entry = self._instruments.get((holder.account, holder.symbol))
        if entry is not None:
            yield from (order for order in entry.open.values() if order.holder == holder)

    def set_leaves(self, cl_ord_id: str, holder: Holder, signed_leaves: Decimal) -> None:
        """State what an order may still trade; 0 gives its reservation back."""
        entry = self._entry(holder)
        if not signed_leaves:
            entry.open.pop(cl_ord_id, None)
            self._by_order.pop(cl_ord_id, None)
            return
        order = OpenOrder(cl_ord_id, holder, signed_leaves)
        entry.open[cl_ord_id] = order
        self._by_order[cl_ord_id] = order

    def add_fill(self, holder: Holder, signed_qty: Decimal) -> None:
        """Move the position by a fill."""
        positions = self._entry(holder).positions
        positions[holder.strategy_id] = positions.get(holder.strategy_id, ZERO) + signed_qty

    def _entry(self, holder: Holder) -> _Instrument:
        self._holders.add(holder)
        return self._instruments.setdefault((holder.account, holder.symbol), _Instrument())
