"""The ordered pre-trade checks: each says how much of the asked quantity it allows.

A check that allows everything has passed; one that allows nothing denies; one that allows a part
clamps. The first check that denies decides; when none does, the smallest part allowed is what may be
sent. Every check runs and is reported, also behind one that failed. What cannot be read is denied.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NamedTuple, TypeAlias

from bellwire.risk.decimal_text import ZERO, decimal_text, round_down
from bellwire.risk.decision_log import Recall
from bellwire.risk.limits import NANOS_PER_SECOND, RiskLimits
from bellwire.risk.trading_state import TradingState
from bellwire.trading.v1 import risk_pb2
from bellwire.trading.v1.risk_pb2 import RiskCheck, RiskVerdict

UNREADABLE: Final = "unreadable"


@dataclass(frozen=True, slots=True)
class Ask:
    """One order as asked for, and the state it meets: all that the checks may read."""

    sign: int
    """+1 buys, -1 sells."""
    quantity: Decimal | None
    """Quantity asked for; None when the signal's text is no decimal."""
    relative: bool
    """Whether the quantity follows from the position held; then 0 means nothing is to be done."""
    reduce_only: bool
    """Whether it only closes what is held; then limits clamp it instead of denying it."""
    reference_px: Decimal | None
    """Price the notional is computed from; None when there is none."""
    signal_time_unix_nano: int
    """Event time of the newest data the signal used; 0 = not stated."""
    valid_until_unix_nano: int
    """Event time after which the signal is stale; 0 = never."""
    now_unix_nano: int
    """Event time of the gateway."""
    recall: Recall
    """What is known of its order id."""
    trading_state: TradingState
    """Strictest kill switch that concerns it."""
    trading_scope: str
    """Where that state comes from."""
    reducible: Decimal
    """How much of the side asked for would make the account's position smaller, at least 0."""
    worst_position: Decimal
    """The account's signed position once every open order of this side has filled."""
    open_orders: int
    """Orders the gateway has at venues now."""
    tokens: int
    """Orders the strategy's rate allows now."""
    holder_room: bool
    """Whether the holder has, or may get, an entry in the book."""


class Finding(NamedTuple):
    """Result of one check."""

    check: RiskCheck
    allowed: Decimal
    """Quantity it allows: all that was asked for, a part, or 0."""


class Evaluation(NamedTuple):
    """Result of all checks."""

    verdict: "RiskVerdict.ValueType"
    reason_code: str
    """Code of the check that denied, else of the first that clamped, else empty."""
    approved_qty: Decimal
    checks: tuple[RiskCheck, ...]


Check: TypeAlias = Callable[[Ask, RiskLimits], Finding]


def _finding(ask: Ask, code: str, allowed: Decimal, limit: str, observed: str) -> Finding:
    asked = ask.quantity
    passed = asked is not None and 0 < asked <= allowed
    check = RiskCheck(code=code, passed=passed, limit=limit, observed=observed)
    return Finding(check, ZERO if asked is None else max(ZERO, min(asked, allowed)))


def _gate(ask: Ask, code: str, passed: bool, limit: str, observed: str) -> Finding:
    """Allow everything or nothing; such a check does not depend on the quantity."""
    check = RiskCheck(code=code, passed=passed, limit=limit, observed=observed)
    return Finding(check, (ask.quantity or ZERO) if passed else ZERO)


def trading_state(ask: Ask, limits: RiskLimits) -> Finding:
    """Hold the order against the kill switches."""
    observed = f"{ask.trading_state.name} ({ask.trading_scope})"
    if ask.trading_state is TradingState.REDUCING:
        limit = f"{decimal_text(ask.reducible)} units reduce the position"
        return _finding(ask, "TRADING_STATE_REDUCING", ask.reducible, limit, observed)
    passed = ask.trading_state is TradingState.ACTIVE
    return _gate(ask, "TRADING_HALTED", passed, "ACTIVE", observed)


def stale_signal(ask: Ask, limits: RiskLimits) -> Finding:
    """Refuse what was decided on old data, on the clock of the data."""
    age = ask.now_unix_nano - ask.signal_time_unix_nano
    expired = 0 < ask.valid_until_unix_nano < ask.now_unix_nano
    stated = ask.signal_time_unix_nano > 0
    passed = stated and not expired and 0 <= age <= limits.signal_age_nanos_max
    observed = f"{age / NANOS_PER_SECOND:g} s old" if stated else "no event time"
    if expired:
        observed += (
            f", expired {(ask.now_unix_nano - ask.valid_until_unix_nano) // 1_000_000} ms ago"
        )
    limit = f"0 to {limits.signal_age_seconds_max:g} s old, not expired"
    return _gate(ask, "STALE_SIGNAL", passed, limit, observed)


def duplicate_order(ask: Ask, limits: RiskLimits) -> Finding:
    """Refuse an order id that stands, or may have stood, for something else."""
    passed = ask.recall is Recall.NEW
    return _gate(ask, "DUPLICATE_ORDER", passed, "an order id not used before", ask.recall.name)


def something_to_do(ask: Ask, limits: RiskLimits) -> Finding:
    """Refuse to exit without a position, or to move to a target that is reached."""
    passed = not ask.relative or ask.quantity != 0
    observed = "a quantity to trade" if passed else "nothing held, or target reached"
    return _gate(ask, "NOTHING_TO_DO", passed, "a quantity to trade", observed)


def quantity(ask: Ask, limits: RiskLimits) -> Finding:
    """Refuse a quantity that is no positive multiple of the step, or too large for one order."""
    limit = (
        f"multiple of {decimal_text(limits.quantity_step)}, "
        f"at most {decimal_text(limits.order_qty_max)} units"
    )
    asked = ask.quantity
    observed = UNREADABLE if asked is None else f"{decimal_text(asked)} units"
    if asked is None or asked <= 0:
        return _gate(ask, "QUANTITY_INVALID", False, limit, observed)
    whole = round_down(asked, limits.quantity_step)
    if whole != asked:
        allowed = min(whole, limits.order_qty_max) if ask.reduce_only else ZERO
        return _finding(ask, "QUANTITY_STEP", allowed, limit, observed)
    fits = asked <= limits.order_qty_max
    allowed = limits.order_qty_max if fits or ask.reduce_only else ZERO
    return _finding(ask, "QUANTITY_MAX", allowed, limit, observed)


def reference_price(ask: Ask, limits: RiskLimits) -> Finding:
    """Refuse an order whose value nobody can tell."""
    price = ask.reference_px
    passed = price is not None and price > 0
    observed = "none" if price is None else decimal_text(price)
    return _gate(ask, "NO_REFERENCE_PRICE", passed, "a price above 0", observed)


def notional(ask: Ask, limits: RiskLimits) -> Finding:
    """Hold the value of the order against its limit."""
    limit = f"{decimal_text(limits.order_notional_max)} quote currency"
    price = ask.reference_px
    if ask.quantity is None or price is None or price <= 0:
        return _gate(ask, "MAX_NOTIONAL", False, limit, UNREADABLE)
    value = ask.quantity * price
    fits = value <= limits.order_notional_max
    if fits or not ask.reduce_only:
        return _gate(ask, "MAX_NOTIONAL", fits, limit, decimal_text(value))
    # Getting out must stay possible, if in pieces.
    return _finding(
        ask, "MAX_NOTIONAL", limits.order_notional_max / price, limit, decimal_text(value)
    )


def position(ask: Ask, limits: RiskLimits) -> Finding:
    """Hold the position after every open order and this one against its limit; clamp to what fits."""
    room = limits.position_qty_max - ask.sign * ask.worst_position
    after = ask.worst_position + ask.sign * (ask.quantity or ZERO)
    limit = f"{decimal_text(limits.position_qty_max)} units either way"
    observed = f"{decimal_text(after)} units once all open orders have filled"
    return _finding(ask, "MAX_POSITION", max(room, ZERO), limit, observed)


def open_orders(ask: Ask, limits: RiskLimits) -> Finding:
    """Bound what can be open at once, and how many holders are kept."""
    passed = ask.open_orders < limits.open_orders_max and ask.holder_room
    observed = f"{ask.open_orders} open" + ("" if ask.holder_room else ", no room for a holder")
    limit = f"{limits.open_orders_max} open orders, {limits.accounts_max} holders"
    return _gate(ask, "MAX_OPEN_ORDERS", passed, limit, observed)


def rate(ask: Ask, limits: RiskLimits) -> Finding:
    """Bound how many orders a strategy may send in event time."""
    limit = f"{limits.orders_burst} at once, {limits.orders_per_hour} per hour"
    observed = f"{ask.tokens} orders left"
    return _gate(ask, "RATE_LIMIT_EXCEEDED", ask.tokens > 0, limit, observed)


CHECKS: Final[Sequence[Check]] = (
    trading_state,
    stale_signal,
    duplicate_order,
    something_to_do,
    quantity,
    reference_price,
    notional,
    position,
    open_orders,
    rate,
)
"""In the order in which they decide."""


def evaluate(ask: Ask, limits: RiskLimits) -> Evaluation:
    """Run every check and say what may be sent."""
    findings = [check(ask, limits) for check in CHECKS]
    checks = tuple(finding.check for finding in findings)
    for finding in findings:
        if not finding.check.passed and not finding.allowed:
            return Evaluation(risk_pb2.RISK_VERDICT_DENY, finding.check.code, ZERO, checks)
    tightest = min(findings, key=lambda finding: finding.allowed)
    approved = round_down(tightest.allowed, limits.quantity_step)
    if not approved:  # what was left is smaller than the market trades
        code = tightest.check.code
        return Evaluation(risk_pb2.RISK_VERDICT_DENY, code, ZERO, checks)
    clamped = next((f.check.code for f in findings if not f.check.passed), "")
    if clamped:
        return Evaluation(risk_pb2.RISK_VERDICT_CLAMP, clamped, approved, checks)
    return Evaluation(risk_pb2.RISK_VERDICT_ACCEPT, "", approved, checks)
