"""Decisions by order id, so that a redelivered signal gets the decision it already has."""

from collections import OrderedDict
from enum import Enum, auto
from typing import Final

from bellwire.trading.v1.risk_pb2 import RiskDecision

_NEVER: Final = -1  # before every event time


class Recall(Enum):
    """What is known of an order id."""

    NEW = auto()
    """Never seen, and seen it would be."""
    SAME = auto()
    """Seen with the same content: its decision can be replayed."""
    CONFLICT = auto()
    """Seen with other content."""
    FORGOTTEN = auto()
    """As old as decisions that were dropped: nobody can tell whether it was seen."""


class DecisionLog:
    """The newest decisions; overflow policy DROP_OLDEST, and what is dropped is not trusted again."""

    __slots__ = ("_entries", "_forgotten_until", "_kept_max")

    def __init__(self, kept_max: int) -> None:
        self._kept_max = kept_max
        self._entries: OrderedDict[str, tuple[bytes, int, bytes]] = OrderedDict()
        self._forgotten_until = _NEVER

    def __len__(self) -> int:
        return len(self._entries)

    def recall(self, cl_ord_id: str, content: bytes, signal_time_unix_nano: int) -> Recall:
        """Tell whether this order id was decided before, and on the same content (a digest)."""
        entry = self._entries.get(cl_ord_id)
        if entry is not None:
            return Recall.SAME if entry[0] == content else Recall.CONFLICT
        return Recall.FORGOTTEN if signal_time_unix_nano <= self._forgotten_until else Recall.NEW

    def replay(self, cl_ord_id: str) -> RiskDecision:
        """Return the stored decision, marked as replayed.

        Raises:
            KeyError: nothing is stored; ask `recall` first.
        """
        decision = RiskDecision.FromString(self._entries[cl_ord_id][2])
        decision.replayed = True
        return decision

    def store(
        self, cl_ord_id: str, content: bytes, signal_time_unix_nano: int, decision: RiskDecision
    ) -> None:
        """Keep a decision; the first one of an id stays, whatever comes after it."""
        if cl_ord_id in self._entries:
            return
        # Bytes, not the message: nobody can change what was decided by accident.
        stored = decision.SerializeToString(deterministic=True)
        self._entries[cl_ord_id] = (content, signal_time_unix_nano, stored)
        if len(self._entries) > self._kept_max:
            _, (_, dropped_time, _) = self._entries.popitem(last=False)
            self._forgotten_until = max(self._forgotten_until, dropped_time)
