"""What of a signal the gateway relies on: is it within the contract, and is it the same again?"""

from decimal import Decimal
from hashlib import sha256
from typing import Final

from bellwire.risk.decimal_text import parse_decimal
from bellwire.risk.exposure import Holder
from bellwire.trading.v1 import risk_pb2, signal_pb2
from bellwire.trading.v1.risk_pb2 import RiskCheck, RiskDecision
from bellwire.trading.v1.signal_pb2 import Signal

ID_BYTES_MAX: Final = 128  # the contract's bound on signal and strategy ids
SYMBOL_BYTES_MAX: Final = 256  # a message subject holds no more
ECHOED_CHARACTERS_MAX: Final = 64  # of text that could not be read: enough to find it again


def reference_of(signal: Signal) -> Decimal | None:
    """Return the price the agent saw when it decided, or None when it states none."""
    price = parse_decimal(signal.decision_px)
    return price if price is not None and price > 0 else None


def holder_of(signal: Signal) -> Holder:
    """Return whose position the signal is about."""
    return Holder(signal.account, signal.strategy_id, signal.symbol)


def problem_of(signal: Signal) -> str:
    """Say what makes a signal unusable whatever the limits are; empty when nothing does."""
    for name, text, limit in (
        ("signal_id", signal.signal_id, ID_BYTES_MAX),
        ("strategy_id", signal.strategy_id, ID_BYTES_MAX),
        ("symbol", signal.symbol, SYMBOL_BYTES_MAX),
    ):
        size = len(text.encode())
        if not 1 <= size <= limit:
            return f"{name} has {size} bytes, 1 to {limit} are allowed"
    if len(signal.account.encode()) > ID_BYTES_MAX:
        return f"account has more than {ID_BYTES_MAX} bytes"
    if not signal.action or signal.action not in signal_pb2.SignalAction.values():
        return f"action {signal.action} is unknown"
    sided = signal.action != signal_pb2.SIGNAL_ACTION_CANCEL
    if sided and signal.side not in (signal_pb2.SIDE_BUY, signal_pb2.SIDE_SELL):
        return f"side {signal.side} is unknown"
    return ""


def refusal_of(
    signal: Signal, problem: str, now_unix_nano: int, policy_version: str
) -> RiskDecision:
    """Return the decision on a signal no check can be run on; what it echoes is bounded."""
    check = RiskCheck(code="SIGNAL_INVALID", limit="the contract of Signal", observed=problem)
    return RiskDecision(
        signal_id=signal.signal_id[:ID_BYTES_MAX],
        verdict=risk_pb2.RISK_VERDICT_DENY,
        checks=[check],
        reason_code=check.code,
        requested_qty=signal.target_qty[:ECHOED_CHARACTERS_MAX],
        approved_qty="0",
        policy_version=policy_version,
        symbol=signal.symbol[:SYMBOL_BYTES_MAX],
        time_unix_nano=now_unix_nano,
    )


def content_of(signal: Signal) -> bytes:
    """Return a digest of everything that shapes the order; who sent the signal and why does not."""
    order = Signal(
        signal_id=signal.signal_id,
        strategy_id=signal.strategy_id,
        symbol=signal.symbol,
        action=signal.action,
        side=signal.side,
        target_qty=signal.target_qty,
        decision_time_unix_nano=signal.decision_time_unix_nano,
        valid_until_unix_nano=signal.valid_until_unix_nano,
        decision_px=signal.decision_px,
        tenant=signal.tenant,
        account=signal.account,
    )
    return sha256(order.SerializeToString(deterministic=True)).digest()
