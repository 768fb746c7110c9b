"""Channels to the active coordinator of one of several groups."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from math import inf
from typing import Final

from bellwire.transport.address import Address
from bellwire.transport.channel import ChannelPool, TransportSettings
from bellwire.wire.errors import NotOwnerError

__all__ = ["GroupPool"]

TROUBLE_SECONDS: Final = 2.0  # For so long after a loss the map is believed, be it no newer.


class GroupPool(ChannelPool):
    """A `ChannelPool` that a map of groups may lead.

    Before `guide` it is one. Then whoever is lost or refuses has the map asked, and the map says where to go: other
    addresses may be those of other groups. A newer owner is gone to at once; one that is no newer only in trouble, and
    not where nobody answered a moment ago, so that an outdated answer leads nobody astray.

    Args:
        addresses: Where coordinators are, or the only one.
        settings: How channels are kept.
    """

    def __init__(self, addresses: Address | Sequence[Address], settings: TransportSettings) -> None:
        super().__init__(addresses, settings)
        self._group: str | None = None
        self._since_unix_nano = 0
        self._troubled_at = -inf
        self._ask: Callable[[], object] = lambda: None
        self._is_alone: Callable[[], bool] = lambda: True

    def guide(
        self,
        group: str,
        since_unix_nano: int,
        ask: Callable[[], object],
        is_alone: Callable[[], bool],
    ) -> None:
        """Be led by a map from now on.

        Args:
            group: Whose coordinators are meant.
            since_unix_nano: Since when the one is active where the channels lead now.
            ask: Has the map read again, soon; called as often as there is trouble.
            is_alone: Tells whether there is one group only: then all addresses are of this one.
        """
        self._group = group
        self._since_unix_nano = since_unix_nano
        self._ask = ask
        self._is_alone = is_alone

    @property
    def group(self) -> str:
        """Whose coordinators are meant; empty = nobody has said yet."""
        return self._group or ""

    @property
    def is_led(self) -> bool:
        """Whether a map says where to go."""
        return self._group is not None

    @property
    def has_choice(self) -> bool:
        """Whether the channels may be moved to somewhere else."""
        return self.is_led or super().has_choice

    def follow(self, owner: Address, since_unix_nano: int) -> bool:
        """Take note of what the map says; True = the channels were moved."""
        now = time.monotonic()
        if since_unix_nano > self._since_unix_nano:
            self._since_unix_nano = since_unix_nano
            return self._moved(self._search.lead(owner))
        if self._is_alone() or now - self._troubled_at > TROUBLE_SECONDS:
            return False
        return self._moved(self._search.refused(self.address, owner, now))

    def is_foreign(self, error: NotOwnerError) -> bool:
        """Tell whether a refusal is about a topic of another group: it is no use to ask in this one again."""
        return self.is_led and bool(error.topic) and error.group != self._group

    def refused(self, place: Address, error: NotOwnerError) -> bool:
        """Take note that a coordinator is not the one; True = the channels were moved."""
        if not self.is_led:
            return super().refused(place, error)
        self._ask()
        if error.group != self._group and (error.group or error.topic):
            return False
        self._in_trouble(place)
        return super().refused(place, error)

    def lost(self, place: Address) -> bool:
        """Take note that nobody answers at a place; True = the channels were moved."""
        if not self.is_led:
            return super().lost(place)
        self._ask()
        self._in_trouble(place)
        if self._is_alone():
            return super().lost(place)
        self._search.shun(place, time.monotonic())
        return False

    def _in_trouble(self, place: Address) -> None:
        if place == self.address:
            self._troubled_at = time.monotonic()
