"""Which coordinator of a group is active, as a state machine: answers and time in, what to do next out. No I/O.

The lease in Redis gives liveness only: somebody is active in the end, and as a rule one. Safety is the store's:
whoever becomes active opens it, and that fences whoever had it before. So what follows may be wrong about who holds
the lease for as long as it likes, and nothing acknowledged is lost by it.

1. A standby takes a lease that nobody holds, and then opens the store (OPENING). It takes none before Redis has
   answered for a whole time to live: after an outage the holder comes first.
2. The holder renews each third of the time to live, and serves until half of one has passed since it sent a
   renewal that was answered. Clocks may then differ in speed by a factor of two.
3. A holder that Redis does not answer asks the store instead: a commit proves that nobody had taken over when
   it was begun, and counts as a renewal. So an outage of Redis ends nothing, and a holder that is cut off from
   Redis alone ends when its successor has fenced it.
4. A holder whose time was over, or whose lease was gone (Redis came back empty), serves on only after such a commit.
5. Whoever was fenced, or finds somebody else's lease, serves no more. Who then still holds the lease opens the
   store again, at most `FENCES_MAX` times: else two groups with one store would fence each other for good.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, NamedTuple

from bellwire.coordinator.cluster.holder import Holder

__all__ = ["Answer", "Election", "LeaseTimes", "Role"]

OPENINGS_MAX: Final = 3  # Tries to open the store before another coordinator is let try.
REST_TERMS: Final = 2  # Times to live for which the one that could not leaves the lease to others.
FENCES_MAX: Final = 3  # While the lease was its own: once may be a coordinator that was paused.
STEADY_TERMS: Final = 100  # Times to live after which those are forgotten: 5 minutes of 3 s.


class Role(Enum):
    """What a coordinator is in its group."""

    STANDBY = auto()
    """Somebody else is active, or nobody yet."""
    OPENING = auto()
    """It holds the lease and opens the store."""
    ACTIVE = auto()
    """It has opened the store; `may_serve` says whether it may serve now."""
    LEFT = auto()
    """It stops for good."""


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """How long things last, seconds.

    Attributes:
        ttl: Time to live of the lease.
    """

    ttl: float = 3.0

    @property
    def renew(self) -> float:
        """Between two renewals: one may be lost."""
        return self.ttl / 3

    @property
    def poll(self) -> float:
        """Between two looks of a standby: how late it notices that the lease was given back."""
        return self.ttl / 12

    @property
    def request(self) -> float:
        """Bound of one request: some fit between two renewals."""
        return self.ttl / 6

    @property
    def serve(self) -> float:
        """How long a renewal lets its holder serve."""
        return self.ttl / 2


class Answer(NamedTuple):
    """What Redis said.

    Attributes:
        holder: Who holds the lease now; None = nobody.
        taken: Whether it was free and is ours by this very request.
        left_seconds: Until it ends unless renewed; 0 = unknown.
    """

    holder: Holder | None
    taken: bool = False
    left_seconds: float = 0.0


class Election:
    """One coordinator's view of its group.

    Args:
        me: What it writes into the lease.
        times: Of the lease.
        now: Monotonic clock, seconds; so are all others.

    Attributes:
        role: What it is.
        owner: Who holds the lease as far as known, itself included; None = nobody is known.
        serve_until: Until when it may serve, once it is ACTIVE.
    """

    def __init__(self, me: Holder, times: LeaseTimes, now: float) -> None:
        self.me = me
        self.times = times
        self.role = Role.STANDBY
        self.owner: Holder | None = None
        self.serve_until = now
        self._held_until = now  # Half a time to live after the lease was last heard to be ours.
        self._ask_at = now
        self._open_at = now
        self._openings = 0
        self._fences = 0
        self._fenced_at = now
        self._rest_until = now
        self._given_back_at: float | None = None
        self._failing = False
        self._failed_at: float | None = None
        self._answered_at = now
        self._doubt_since: float | None = None  # Somebody else may have held the lease meanwhile.

    # ------------------------------------------------------------ what to do

    @property
    def is_holder(self) -> bool:
        """Whether the lease was its own when last heard of."""
        return self.role in (Role.OPENING, Role.ACTIVE)

    @property
    def is_failing(self) -> bool:
        """Whether Redis left the latest request unanswered."""
        return self._failing

    @property
    def is_contested(self) -> bool:
        """Whether somebody fences it again and again who does not hold the lease."""
        return self.role is Role.OPENING and self._fences >= FENCES_MAX

    def may_serve(self, now: float) -> bool:
        """Tell whether it may serve."""
        return self.role is Role.ACTIVE and now < self.serve_until

    def may_write(self, now: float) -> bool:
        """Tell whether it may open the store, which fences whoever has it."""
        return self.is_holder and now < self._held_until

    def ask_at(self) -> float:
        """Return when Redis is to be asked next."""
        return self._ask_at

    def may_take(self, now: float) -> bool:
        """Tell whether the next request may take a lease that nobody holds."""
        if self.is_holder:
            return True
        if self.role is Role.LEFT or now < self._rest_until:
            return False
        return self._failed_at is None or now - self._failed_at >= self.times.ttl

    def open_at(self) -> float | None:
        """Return when the store is to be opened; None = it is not."""
        return self._open_at if self.role is Role.OPENING else None

    def wants_proof(self) -> bool:
        """Tell whether the store should be asked whether anybody has taken over."""
        return self.role is Role.ACTIVE and (self._failing or self._doubt_since is not None)

    # ------------------------------------------------------------ what happened

    def answered(self, answer: Answer, sent_at: float, now: float) -> None:
        """Take an answer of Redis to a request sent at a time."""
        if self.role is Role.LEFT:
            return
        if self._given_back_at is not None and sent_at <= self._given_back_at:
            return  # It tells of a lease that was given back since.
        self._failing = False
        self._answered_at = now
        self.owner = answer.holder
        if answer.holder is None or answer.holder.id != self.me.id:
            self._not_ours(answer, now)
            return
        self._ask_at = sent_at + self.times.renew
        if self.role is Role.STANDBY:
            self._begin(now)
        elif answer.taken or now >= self.serve_until:
            self._doubt_since = now
        self._held_until = sent_at + self.times.serve
        self._serve_from(sent_at)

    def failed(self, now: float) -> None:
        """Take note that Redis did not answer."""
        self._failing = True
        self._failed_at = now
        self._ask_at = now + self.times.poll
        if not self.is_holder and now - self._answered_at >= self.times.ttl:
            self.owner = None  # Whoever it was may be gone.

    def proved(self, sent_at: float, now: float) -> None:
        """Take note that the store took a commit that was begun at a time: nobody had taken over by then."""
        if self.role is not Role.ACTIVE:
            return
        if self._doubt_since is not None and sent_at >= self._doubt_since:
            self._doubt_since = None
        self._held_until = max(self._held_until, sent_at + self.times.serve)
        self._serve_from(sent_at)

    def opened(self, now: float) -> None:
        """Take note that the store is open."""
        if self.role is Role.OPENING:
            self.role = Role.ACTIVE
            self._openings = 0

    def not_opened(self, now: float) -> bool:
        """Take note that the store could not be opened; True = the lease is to be given back."""
        if self.role is not Role.OPENING:
            return False
        self._openings += 1
        self._open_at = now + self.times.renew
        if self._openings < OPENINGS_MAX:
            return False
        self.role = Role.STANDBY
        self.owner = None
        self._openings = 0
        self._rest_until = now + REST_TERMS * self.times.ttl
        self._ask_at = now + self.times.poll
        self._given_back_at = now
        return True

    def fenced(self, now: float) -> None:
        """Take note that the store refuses us: somebody else has opened it."""
        if self.role is not Role.ACTIVE:
            return
        if now - self._fenced_at >= STEADY_TERMS * self.times.ttl:
            self._fences = 0
        self._fences += 1
        self._fenced_at = now
        # Whether the lease is still ours only Redis knows. It is asked at once.
        self.role = Role.STANDBY
        self.owner = None
        self._ask_at = now

    def leave(self) -> None:
        """Stop for good."""
        self.role = Role.LEFT

    # ------------------------------------------------------------ transitions

    def _begin(self, now: float) -> None:
        self.role = Role.OPENING
        self._doubt_since = None
        self._open_at = now
        self.serve_until = now  # Of a former term.

    def _not_ours(self, answer: Answer, now: float) -> None:
        left = answer.left_seconds or self.times.poll
        self._ask_at = now + min(self.times.poll, left)
        if answer.holder is not None:
            self._fences = 0  # By a successor, as it should be.
        if self.is_holder:
            self.role = Role.STANDBY

    def _serve_from(self, sent_at: float) -> None:
        if self._doubt_since is None:
            self.serve_until = max(self.serve_until, sent_at + self.times.serve)
