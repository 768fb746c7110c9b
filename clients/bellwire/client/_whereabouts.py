"""Where an unnamed subscription has come in each group of coordinators. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from bellwire.client._resume import EphemeralResume

__all__ = ["Origin", "Whereabouts"]


class Origin(NamedTuple):
    """What is known when a part of a subscription begins.

    Attributes:
        here: Where the parts before it came in the same group; None = there was none.
        elsewhere: Where other parts are, or ended, in other groups. Their offsets mean nothing here; that a topic is
            among them does: it was read from its beginning, or from where the subscription began, and passed on.
    """

    here: EphemeralResume | None = None
    elsewhere: tuple[EphemeralResume, ...] = ()


class Whereabouts:
    """Positions of the parts that have ended, group by group, so that a later part goes on behind them.

    Bounded by what there is: one position for each partition that was read, in each group that it was read in.
    """

    def __init__(self) -> None:
        self._left: dict[str, EphemeralResume] = {}

    def leave(self, group: str, position: EphemeralResume) -> None:
        """Note where a part of a group ended."""
        self._left.setdefault(group, EphemeralResume()).go_on_after(position, lambda topic: True)

    def origin(self, group: str, running: Iterable[tuple[str, EphemeralResume]]) -> Origin:
        """Return what a new part of a group begins with.

        Args:
            group: Its name.
            running: Groups and positions of the parts that have not ended.
        """
        known = [*self._left.items(), *running]
        return Origin(
            self._left.get(group), tuple(position for name, position in known if name != group)
        )
