"""Kill switches: who may trade, by scope; the strictest one in force decides."""

from enum import IntEnum
from typing import Final

from bellwire.trading.v1 import risk_pb2
from bellwire.trading.v1.risk_pb2 import KillSwitch
from bellwire.wire.errors import CallerError

GLOBAL_SCOPE: Final = "global"
STRATEGY_PREFIX: Final = "strategy:"
SYMBOL_PREFIX: Final = "symbol:"
SCOPES_MAX: Final = 10_000  # bounds memory; only scopes that are not ACTIVE are kept


class TradingState(IntEnum):
    """What may be sent, in rising strictness; numbers are those of `KillSwitchState`."""

    ACTIVE = risk_pb2.KILL_SWITCH_STATE_ACTIVE
    """Everything within the limits."""
    REDUCING = risk_pb2.KILL_SWITCH_STATE_REDUCING
    """Only orders that make a position smaller."""
    HALTED = risk_pb2.KILL_SWITCH_STATE_HALTED
    """Nothing but cancels."""


_STATES: Final[dict[int, TradingState]] = {int(state): state for state in TradingState}


class InvalidKillSwitchError(CallerError):
    """A kill switch names no known state or scope."""

    reason = "KILL_SWITCH_INVALID"

    def __init__(self, switch: KillSwitch) -> None:
        self.scope = switch.scope
        self.state = int(switch.state)
        super().__init__(
            f"kill switch has scope {switch.scope!r} and state {self.state}; "
            "use scope 'global', 'strategy:NAME' or 'symbol:NAME' and state ACTIVE, REDUCING or "
            "HALTED; nothing was changed"
        )


class TooManyScopesError(CallerError):
    """More kill switches are set than are kept; the whole gateway was halted instead."""

    reason = "KILL_SWITCH_SCOPES_EXCEEDED"

    def __init__(self) -> None:
        super().__init__(
            f"more than {SCOPES_MAX} kill switches are set; trading is halted globally, "
            "set scopes back to ACTIVE and then 'global'"
        )


class KillSwitches:
    """The switches in force. State lives in memory: a restarted gateway begins ACTIVE."""

    __slots__ = ("_states",)

    def __init__(self) -> None:
        self._states: dict[str, TradingState] = {}

    def apply(self, switch: KillSwitch) -> None:
        """Set the state of one scope.

        Raises:
            InvalidKillSwitchError: unknown state or scope; nothing has changed.
            TooManyScopesError: no room is left; trading is halted globally.
        """
        state = _STATES.get(switch.state)
        if state is None or not _is_scope(switch.scope):
            raise InvalidKillSwitchError(switch)
        if state is TradingState.ACTIVE:
            self._states.pop(switch.scope, None)
            return
        if len(self._states) >= SCOPES_MAX and switch.scope not in self._states:
            self._states[GLOBAL_SCOPE] = TradingState.HALTED
            raise TooManyScopesError
        self._states[switch.scope] = state

    def state_for(self, strategy_id: str, symbol: str) -> tuple[TradingState, str]:
        """Return the strictest state that concerns an order, and the scope it comes from."""
        scopes = (GLOBAL_SCOPE, STRATEGY_PREFIX + strategy_id, SYMBOL_PREFIX + symbol)
        return max(
            ((self._states.get(scope, TradingState.ACTIVE), scope) for scope in scopes),
            key=lambda entry: entry[0],
        )


def _is_scope(scope: str) -> bool:
    if scope == GLOBAL_SCOPE:
        return True
    return any(
        scope.startswith(prefix) and len(scope) > len(prefix)
        for prefix in (STRATEGY_PREFIX, SYMBOL_PREFIX)
    )
