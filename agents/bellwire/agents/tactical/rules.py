"""A plain rules policy on the tactical features: an honest baseline, not a way to make money.

Enter when the fair value gaps and momentum point one way and volume confirms; leave when both
point the other way, when the zone behind the position breaks, or after a while. Its factors were
chosen to signal often enough to watch, not fitted to any return.
"""

import math
from dataclasses import asdict, dataclass, field
from typing import Final

from bellwire.agents.features import Observation
from bellwire.agents.tactical.decision import Action, Decision, Reason, Side, Vote
from bellwire.agents.tactical.votes import Ballot, cast_votes
from bellwire.wire.errors import CallerError
from bellwire.wire.settings import check_settings, setting

_NEVER: Final = -(10**9)  # bar number before any signal: no cooldown can reach back to it


class RulesInputError(CallerError):
    """The policy was asked about something that cannot be."""

    reason = "RULES_INPUT_INVALID"

    def __init__(self, name: str, found: float, expected: str) -> None:
        self.name = name
        self.found = found
        self.expected = expected
        super().__init__(f"{name} is {found}, expected {expected}")


@dataclass(frozen=True, slots=True)
class RulesSettings:
    """Thresholds of the rules; "typical" is the mean 5-bar move of the last 60 bars."""

    zone_near_moves: float = field(
        default=1.0,
        metadata=setting(
            unit="typical moves",
            why="an edge the market reaches within one ordinary 5-bar move is near",
            gt=0.0,
            le=20.0,
        ),
    )
    momentum_factor: float = field(
        default=1.25,
        metadata=setting(
            unit="typical moves",
            why="a quarter above ordinary is the least that stands out",
            gt=0.0,
            le=20.0,
        ),
    )
    volume_min: float = field(
        default=0.1,
        metadata=setting(
            unit="volume_ratio column",
            why="about 1.1 times the mean volume: at least busier than usual",
            ge=0.0,
            le=0.98,
        ),
    )
    cooldown_bars: int = field(
        default=6,
        metadata=setting(
            unit="bars",
            why="one more than the five of the momentum, so that no move is traded twice",
            ge=0,
            le=10_000,
        ),
    )
    hold_bars_max: int = field(
        default=24,
        metadata=setting(
            unit="bars", why="a day of hourly bars; a zone lives 50 at most", ge=1, le=10_000
        ),
    )
    exit_retry_bars: int = field(
        default=2,
        metadata=setting(
            unit="bars",
            why="an exit order gets two bars to fill before it is repeated",
            ge=1,
            le=100,
        ),
    )

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            SettingsError: naming the field and its range.
        """
        check_settings(self)


class RulesPolicy:
    """Decide bar by bar for one symbol. Reads no clock: equal inputs give equal decisions."""

    __slots__ = (
        "_ballot",
        "_entered_bar",
        "_exited_bar",
        "_held_from_bar",
        "_held_side",
        "_intended",
        "_last",
        "_position",
        "settings",
    )

    def __init__(self, settings: RulesSettings | None = None) -> None:
        self.settings: Final = settings or RulesSettings()
        self._entered_bar = _NEVER
        self._exited_bar = _NEVER
        self._held_from_bar = _NEVER
        self._held_side = 0
        self._intended = 0
        self._position = 0.0
        self._ballot: Ballot | None = None
        self._last: Decision | None = None

    @property
    def intended_position(self) -> int:
        """1 long, -1 short, 0 flat, as if every signal had filled; for callers without fills."""
        return self._intended

    def decide(
        self, observation: Observation | None, *, event_time_unix_nano: int, position: float
    ) -> Decision:
        """Return the decision on a closed bar.

        Args:
            observation: What `FeatureMatrix.observation()` gave after the bar. None (not ready)
                holds; the same one again returns the same decision.
            event_time_unix_nano: Close of the bar; it is passed on, not read.
            position: Signed position as the caller knows it; only its sign counts.

        Raises:
            RulesInputError: `position` is not finite or the observation is older than the last.
        """
        if not math.isfinite(position):
            raise RulesInputError("position", position, "a finite number")
        if observation is None:
            return _hold(Reason.WARMING_UP, (), event_time_unix_nano, 0)
        bar = observation.bar_count
        if self._last is not None and bar <= self._last.bar_count:
            if bar == self._last.bar_count:
                return self._last
            raise RulesInputError("bar_count", bar, f"more than {self._last.bar_count}")
        s = self.settings
        ballot = cast_votes(observation, s.zone_near_moves, s.momentum_factor, s.volume_min)
        self._see_position(bar, position)
        if self._held_side:
            decision = self._in_position(bar, ballot, event_time_unix_nano)
        else:
            decision = self._flat(bar, ballot, event_time_unix_nano)
        self._record(bar, position, ballot, decision)
        return decision

    def follow(self, bar_count: int, before: float, after: float) -> None:
        """Take note of a bar that somebody else may have decided on; after `decide` it changes nothing.

        Entries, exits and how long a position is held count from then on, whoever moved it.

        Args:
            bar_count: Of the bar, as observations count.
            before: Signed position when the bar came.
            after: Signed position that was decided on it.
        """
        self._see_position(bar_count, before)
        side = (after > 0.0) - (after < 0.0)
        if side == self._held_side:
            return
        self._intended = side
        if side:
            self._entered_bar = bar_count
        else:
            self._exited_bar = bar_count

    def explain(self) -> dict[str, object]:
        """Return the last decision and everything it was based on, ready for `json.dumps`."""
        last, ballot = self._last, self._ballot
        if last is None or ballot is None:
            return {"decision": None, "reason": Reason.WARMING_UP.value}
        left = max(self._entered_bar, self._exited_bar) + self.settings.cooldown_bars
        return {
            "decision": last.action.value,
            "side": None if last.side is None else last.side.value,
            "strength": last.strength,
            "confidence": last.confidence,
            "reason": last.reason.value,
            "event_time_unix_nano": last.event_time_unix_nano,
            "bar_count": last.bar_count,
            "position": self._position,
            "cooldown_bars_left": max(0, left - last.bar_count),
            "features": ballot.row._asdict(),
            "typical_momentum": ballot.typical_momentum,
            "votes": [asdict(vote) for vote in last.votes],
            "settings": asdict(self.settings),
        }

    def _see_position(self, bar: int, position: float) -> None:
        side = (position > 0.0) - (position < 0.0)
        if side != self._held_side:
            self._held_side, self._held_from_bar = side, bar

    def _in_position(self, bar: int, ballot: Ballot, time: int) -> Decision:
        against = -self._held_side
        broken = ballot.fvg.name == "mitigation" and ballot.fvg.direction == against
        if broken:
            reason = Reason.ZONE_BROKEN
        elif ballot.fvg.direction == ballot.momentum.direction == against:
            reason = Reason.VOTES_AGAINST
        elif bar - self._held_from_bar >= self.settings.hold_bars_max:
            reason = Reason.HELD_LONG
        else:
            return _hold(Reason.IN_POSITION, ballot.votes, time, bar)
        if bar - self._exited_bar < self.settings.exit_retry_bars:
            return _hold(Reason.EXIT_PENDING, ballot.votes, time, bar)
        # Leaving reduces risk: it takes the whole position and needs no conviction.
        return Decision(Action.EXIT, _side(against), 1.0, 1.0, reason, ballot.votes, time, bar)

    def _flat(self, bar: int, ballot: Ballot, time: int) -> Decision:
        direction = ballot.fvg.direction
        if direction == 0:
            reason = Reason.NO_ZONE
        elif ballot.momentum.direction != direction:
            reason = Reason.NO_AGREEMENT
        elif ballot.volume.direction == 0:
            reason = Reason.VOLUME_LOW
        elif bar - max(self._entered_bar, self._exited_bar) < self.settings.cooldown_bars:
            reason = Reason.COOLING_DOWN
        else:
            return Decision(
                Action.ENTER,
                _side(direction),
                ballot.momentum.score,
                ballot.confidence,
                Reason.VOTES_AGREE,
                ballot.votes,
                time,
                bar,
            )
        return _hold(reason, ballot.votes, time, bar)

    def _record(self, bar: int, position: float, ballot: Ballot, decision: Decision) -> None:
        self._position, self._ballot, self._last = position, ballot, decision
        if decision.action is Action.ENTER:
            self._entered_bar = bar
            self._intended = 1 if decision.side is Side.BUY else -1
        elif decision.action is Action.EXIT:
            self._exited_bar = bar
            self._intended = 0


def _side(direction: int) -> Side:
    return Side.BUY if direction > 0 else Side.SELL


def _hold(reason: Reason, votes: tuple[Vote, ...], time: int, bar: int) -> Decision:
    return Decision(Action.HOLD, None, 0.0, 0.0, reason, votes, time, bar)
