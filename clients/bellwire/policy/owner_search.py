"""Which of several servers to talk to, when only one of them serves and the others know which. No I/O."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final, Generic, TypeVar

__all__ = ["ROUND_SECONDS", "SHUN_SECONDS", "OwnerSearch"]

# A standby names the one that died until its lease has ended: 3 s by default. Asked again in between, because the
# one that could not be reached may be well, and only the way to it was not.
SHUN_SECONDS: Final = 2.0
ROUND_SECONDS: Final = (
    0.5  # A lost place is not gone to in turn for as long: once round takes no less.
)

P = TypeVar("P", bound=Hashable)


class OwnerSearch(Generic[P]):
    """Follows the name it is told, and else goes round.

    Bounded, so that two servers that name each other, or one that names a dead one, do not keep anybody running
    to and fro: nobody goes to a place that was lost less than `SHUN_SECONDS` ago because somebody names it, nor in
    turn for `ROUND_SECONDS`, and what is said of a place where we no longer are is not heard. The pauses between two
    questions are the asker's.

    Args:
        places: Where servers are, at least one; the first is tried first.
        shun_seconds: How long a lost place is not gone to by name.

    Attributes:
        current: Where to go.
    """

    def __init__(self, places: Sequence[P], shun_seconds: float = SHUN_SECONDS) -> None:
        if not places:
            raise ValueError("no place to begin with: give at least one")
        self._places = tuple(dict.fromkeys(places))
        self._shun_seconds = shun_seconds
        self._lost_at: dict[P, float] = {}
        self.current: P = self._places[0]

    @property
    def places(self) -> tuple[P, ...]:
        """Those it was given; it may be at another one, of which it was told."""
        return self._places

    @property
    def has_choice(self) -> bool:
        """Whether there is anywhere else to go by itself."""
        return len(self._places) > 1 or self.current not in self._places

    def refused(self, place: P, owner: P | None, now: float) -> bool:
        """Take note that a server is not the one, and which it says is; True = go elsewhere now.

        Args:
            place: Who says so.
            owner: Whom it names; None = it knows nobody.
            now: Monotonic seconds.
        """
        if place != self.current:
            return False
        if owner is None:
            return self._go(self._next(now))
        if owner == place or self._was_lost(owner, now, self._shun_seconds):
            return False
        return self._go(owner)

    def lost(self, place: P, now: float) -> bool:
        """Take note that nobody answers at a place; True = go elsewhere now."""
        if place != self.current:
            return False
        self._lost_at = {p: at for p, at in self._lost_at.items() if now - at < self._shun_seconds}
        self._lost_at[place] = now
        return self._go(self._next(now))

    def shun(self, place: P, now: float) -> None:
        """Take note that nobody answers at a place, and stay: somebody who knows will say where to go."""
        self._lost_at[place] = now

    def lead(self, place: P) -> bool:
        """Go where somebody says who knows, whatever was met there before; True = that is elsewhere."""
        self._lost_at.pop(place, None)
        return self._go(place)

    def _next(self, now: float) -> P:
        """Return the next place in turn that was not just lost, the current one when all others were."""
        places = self._places
        at = places.index(self.current) if self.current in places else -1
        for step in range(1, len(places) + 1):
            place = places[(at + step) % len(places)]
            if not self._was_lost(place, now, ROUND_SECONDS):
                return place
        return self.current

    def _was_lost(self, place: P, now: float, seconds: float) -> bool:
        lost_at = self._lost_at.get(place)
        return lost_at is not None and now - lost_at < seconds

    def _go(self, place: P) -> bool:
        moved = place != self.current
        self.current = place
        return moved
