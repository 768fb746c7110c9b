import pytest

from bellwire.risk import trading_state
from bellwire.risk.trading_state import (
    InvalidKillSwitchError,
    KillSwitches,
    TooManyScopesError,
    TradingState,
)
from bellwire.trading.v1 import risk_pb2
from bellwire.trading.v1.risk_pb2 import KillSwitch

ACTIVE = risk_pb2.KILL_SWITCH_STATE_ACTIVE
REDUCING = risk_pb2.KILL_SWITCH_STATE_REDUCING
HALTED = risk_pb2.KILL_SWITCH_STATE_HALTED


def test_states_carry_the_numbers_of_the_contract():
    names = {f"KILL_SWITCH_STATE_{state.name}": int(state) for state in TradingState}
    contract = dict(risk_pb2.KillSwitchState.items())
    del contract["KILL_SWITCH_STATE_UNSPECIFIED"]
    assert names == contract


def test_the_strictest_scope_decides():
    switches = KillSwitches()
    assert switches.state_for("rules", "EURUSD")[0] is TradingState.ACTIVE
    switches.apply(KillSwitch(scope="strategy:rules", state=REDUCING))
    switches.apply(KillSwitch(scope="symbol:EURUSD", state=HALTED))
    assert switches.state_for("rules", "EURUSD") == (TradingState.HALTED, "symbol:EURUSD")
    assert switches.state_for("rules", "IBM") == (TradingState.REDUCING, "strategy:rules")
    assert switches.state_for("other", "IBM")[0] is TradingState.ACTIVE
    switches.apply(KillSwitch(scope="global", state=HALTED))
    assert switches.state_for("other", "IBM") == (TradingState.HALTED, "global")


def test_a_scope_set_active_trades_again():
    switches = KillSwitches()
    switches.apply(KillSwitch(scope="global", state=HALTED))
    switches.apply(KillSwitch(scope="global", state=ACTIVE))
    assert switches.state_for("rules", "EURUSD")[0] is TradingState.ACTIVE


@pytest.mark.parametrize(
    ("scope", "state"),
    [("global", 0), ("global", 9), ("", HALTED), ("symbol:", HALTED), ("venue:x", HALTED)],
)
def test_a_switch_nobody_understands_is_refused_and_changes_nothing(scope, state):
    switches = KillSwitches()
    switches.apply(KillSwitch(scope="strategy:rules", state=REDUCING))
    with pytest.raises(InvalidKillSwitchError, match="nothing was changed"):
        switches.apply(KillSwitch(scope=scope, state=state))
    assert switches.state_for("rules", "EURUSD")[0] is TradingState.REDUCING
    assert switches.state_for("other", "EURUSD")[0] is TradingState.ACTIVE


def test_too_many_scopes_halt_everything(monkeypatch):
    monkeypatch.setattr(trading_state, "SCOPES_MAX", 2)
    switches = KillSwitches()
    switches.apply(KillSwitch(scope="symbol:A", state=REDUCING))
    switches.apply(KillSwitch(scope="symbol:B", state=REDUCING))
    with pytest.raises(TooManyScopesError):
        switches.apply(KillSwitch(scope="symbol:C", state=REDUCING))
    assert switches.state_for("any", "Z")[0] is TradingState.HALTED
