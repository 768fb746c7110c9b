"""Each check by itself; how they work together is tested with the gateway."""

from dataclasses import replace
from decimal import Decimal

import pytest

from bellwire.risk.checks import CHECKS, Ask, evaluate
from bellwire.risk.decision_log import Recall
from bellwire.risk.limits import RiskLimits
from bellwire.risk.trading_state import TradingState
from bellwire.trading.v1 import risk_pb2

NOW = 1_000 * 10**9
LIMITS = RiskLimits(
    base_qty=Decimal(10),
    order_qty_max=Decimal(100),
    order_notional_max=Decimal(150),
    position_qty_max=Decimal(120),
    signal_age_seconds_max=60.0,
    open_orders_max=3,
)
GOOD = Ask(
    sign=1,
    quantity=Decimal(50),
    relative=False,
    reduce_only=False,
    reference_px=Decimal(2),
    signal_time_unix_nano=NOW,
    valid_until_unix_nano=0,
    now_unix_nano=NOW,
    recall=Recall.NEW,
    trading_state=TradingState.ACTIVE,
    trading_scope="global",
    reducible=Decimal(0),
    worst_position=Decimal(0),
    open_orders=0,
    tokens=5,
    holder_room=True,
)
DENY = risk_pb2.RISK_VERDICT_DENY
CLAMP = risk_pb2.RISK_VERDICT_CLAMP
ACCEPT = risk_pb2.RISK_VERDICT_ACCEPT


def test_a_good_order_passes_every_check_in_the_stated_order():
    result = evaluate(GOOD, LIMITS)
    assert (result.verdict, result.reason_code, result.approved_qty) == (ACCEPT, "", 50)
    assert [check.code for check in result.checks] == [
        "TRADING_HALTED",
        "STALE_SIGNAL",
        "DUPLICATE_ORDER",
        "NOTHING_TO_DO",
        "QUANTITY_MAX",
        "NO_REFERENCE_PRICE",
        "MAX_NOTIONAL",
        "MAX_POSITION",
        "MAX_OPEN_ORDERS",
        "RATE_LIMIT_EXCEEDED",
    ]
    assert all(check.passed and check.limit and check.observed for check in result.checks)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"trading_state": TradingState.HALTED}, "TRADING_HALTED"),
        ({"trading_state": TradingState.REDUCING}, "TRADING_STATE_REDUCING"),
        ({"signal_time_unix_nano": 0}, "STALE_SIGNAL"),
        ({"signal_time_unix_nano": NOW - 61 * 10**9}, "STALE_SIGNAL"),
        ({"signal_time_unix_nano": NOW + 1}, "STALE_SIGNAL"),
        ({"valid_until_unix_nano": NOW - 1}, "STALE_SIGNAL"),
        ({"recall": Recall.CONFLICT}, "DUPLICATE_ORDER"),
        ({"recall": Recall.FORGOTTEN}, "DUPLICATE_ORDER"),
        ({"relative": True, "quantity": Decimal(0)}, "NOTHING_TO_DO"),
        ({"quantity": None}, "QUANTITY_INVALID"),
        ({"quantity": Decimal(0)}, "QUANTITY_INVALID"),
        ({"quantity": Decimal(-1)}, "QUANTITY_INVALID"),
        ({"quantity": Decimal("1.5")}, "QUANTITY_STEP"),
        ({"quantity": Decimal(101)}, "QUANTITY_MAX"),
        ({"reference_px": None}, "NO_REFERENCE_PRICE"),
        ({"reference_px": Decimal(0)}, "NO_REFERENCE_PRICE"),
        ({"quantity": Decimal(76)}, "MAX_NOTIONAL"),
        ({"worst_position": Decimal(120)}, "MAX_POSITION"),
        ({"worst_position": Decimal(130)}, "MAX_POSITION"),
        ({"open_orders": 3}, "MAX_OPEN_ORDERS"),
        ({"holder_room": False}, "MAX_OPEN_ORDERS"),
        ({"tokens": 0}, "RATE_LIMIT_EXCEEDED"),
    ],
)
def test_each_limit_denies_with_its_own_code_and_every_check_is_reported(changes, reason):
    result = evaluate(replace(GOOD, **changes), LIMITS)
    assert (result.verdict, result.reason_code, result.approved_qty) == (DENY, reason, 0)
    assert len(result.checks) == len(CHECKS)


@pytest.mark.parametrize(
    "changes",
    [
        {"signal_time_unix_nano": NOW - 60 * 10**9},
        {"valid_until_unix_nano": NOW},
        {"quantity": Decimal(75)},
        {"worst_position": Decimal(70)},
        {"worst_position": Decimal(-1_000)},
        {"open_orders": 2},
        {"tokens": 1},
    ],
)
def test_what_lies_exactly_at_a_limit_passes(changes):
    result = evaluate(replace(GOOD, **changes), LIMITS)
    assert result.verdict == ACCEPT


def test_the_position_limit_clamps_to_what_fits():
    result = evaluate(replace(GOOD, worst_position=Decimal("80.5")), LIMITS)
    assert (result.verdict, result.reason_code, result.approved_qty) == (CLAMP, "MAX_POSITION", 39)
    selling = replace(GOOD, sign=-1, worst_position=Decimal(-100))
    assert evaluate(selling, LIMITS).approved_qty == 20


def test_a_rest_smaller_than_the_step_is_denied():
    result = evaluate(replace(GOOD, worst_position=Decimal("119.5")), LIMITS)
    assert (result.verdict, result.reason_code) == (DENY, "MAX_POSITION")


def test_a_denial_behind_a_clamp_is_named_as_the_reason():
    result = evaluate(replace(GOOD, worst_position=Decimal(80), tokens=0), LIMITS)
    assert (result.verdict, result.reason_code) == (DENY, "RATE_LIMIT_EXCEEDED")


def test_the_first_of_several_denials_decides():
    result = evaluate(replace(GOOD, quantity=Decimal(101), tokens=0, reference_px=None), LIMITS)
    assert result.reason_code == "QUANTITY_MAX"
    failed = [check.code for check in result.checks if not check.passed]
    assert failed == ["QUANTITY_MAX", "NO_REFERENCE_PRICE", "MAX_NOTIONAL", "RATE_LIMIT_EXCEEDED"]


def test_an_order_that_closes_is_cut_to_size_instead_of_denied():
    closing = replace(GOOD, reduce_only=True, relative=True, worst_position=Decimal(-5_000))
    large = evaluate(replace(closing, quantity=Decimal(5_000)), LIMITS)
    assert (large.verdict, large.reason_code, large.approved_qty) == (CLAMP, "QUANTITY_MAX", 75)
    odd = evaluate(replace(closing, quantity=Decimal("10.5")), LIMITS)
    assert (odd.verdict, odd.reason_code, odd.approved_qty) == (CLAMP, "QUANTITY_STEP", 10)


def test_a_reducing_state_lets_through_only_what_reduces():
    ask = replace(GOOD, trading_state=TradingState.REDUCING, reducible=Decimal(20))
    result = evaluate(ask, LIMITS)
    assert (result.verdict, result.approved_qty) == (CLAMP, 20)
    assert result.reason_code == "TRADING_STATE_REDUCING"
