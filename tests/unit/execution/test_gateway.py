from decimal import Decimal

import pytest

from bellwire.execution.gateway import RiskGateway
from bellwire.execution.order_id import OrderIdPrefixError, client_order_id
from bellwire.execution.order_route import OrderRoute
from bellwire.execution.sent_orders import ReportEffect
from bellwire.execution.signal_contract import reference_of
from bellwire.risk.exposure import Holder
from bellwire.risk.limits import RiskLimits
from bellwire.trading.v1 import order_pb2, risk_pb2, signal_pb2
from bellwire.trading.v1.order_pb2 import ExecutionReport
from bellwire.trading.v1.risk_pb2 import KillSwitch
from bellwire.trading.v1.signal_pb2 import Signal

T0 = 1_483_308_000 * 10**9
HOUR = 3_600 * 10**9
BUY, SELL = signal_pb2.SIDE_BUY, signal_pb2.SIDE_SELL
ENTER = signal_pb2.SIGNAL_ACTION_ENTER
EXIT = signal_pb2.SIGNAL_ACTION_EXIT
TARGET = signal_pb2.SIGNAL_ACTION_TARGET
CANCEL = signal_pb2.SIGNAL_ACTION_CANCEL
ACCEPT = risk_pb2.RISK_VERDICT_ACCEPT
CLAMP = risk_pb2.RISK_VERDICT_CLAMP
DENY = risk_pb2.RISK_VERDICT_DENY
HOLDER = Holder("", "rules", "EURUSD")
LIMITS = RiskLimits(
    base_qty=Decimal(10),
    order_qty_max=Decimal(50),
    order_notional_max=Decimal(1_000),
    position_qty_max=Decimal(25),
    orders_burst=5,
)


def signal(name="s1", action=ENTER, side=BUY, qty="", time=T0, **more):
    return Signal(
        signal_id=name,
        strategy_id="rules",
        symbol="EURUSD",
        action=action,
        side=side,
        target_qty=qty,
        decision_time_unix_nano=time,
        decision_px="1.05",
        **more,
    )


class Desk:
    """A gateway and the reports a venue would send about its orders."""

    def __init__(self, limits=LIMITS, route=None):
        self.gateway = RiskGateway(limits, route)
        self.reports = 0

    def decide(self, *args, now=None, **kwargs):
        sent = args[0] if args and isinstance(args[0], Signal) else signal(*args, **kwargs)
        now = max(T0, sent.decision_time_unix_nano) if now is None else now
        return self.gateway.decide(sent, reference_px=reference_of(sent), now_unix_nano=now)

    def report(self, order, exec_type, status, qty="0", px="0", cum="0", exec_id=None):
        self.reports += 1
        return self.gateway.on_report(
            ExecutionReport(
                exec_id=f"e{self.reports}" if exec_id is None else exec_id,
                exec_type=exec_type,
                ord_status=status,
                cl_ord_id=order.cl_ord_id,
                strategy_id=order.strategy_id,
                symbol=order.symbol,
                side=order.side,
                order_qty=order.order_qty,
                last_qty=qty,
                last_px=px,
                cum_qty=cum,
                account=order.account,
                adapter="paper",
                paper=True,
            )
        )

    def fill(self, order, qty=None, **kwargs):
        status = (
            order_pb2.ORD_STATUS_FILLED if qty is None else order_pb2.ORD_STATUS_PARTIALLY_FILLED
        )
        quantity = qty or order.order_qty
        return self.report(
            order, order_pb2.EXEC_TYPE_TRADE, status, quantity, "1.05", quantity, **kwargs
        )

    def expire(self, order):
        return self.report(order, order_pb2.EXEC_TYPE_EXPIRED, order_pb2.ORD_STATUS_EXPIRED)

    @property
    def position(self):
        return self.gateway.exposure.position(HOLDER)

    @property
    def working(self):
        exposure = self.gateway.exposure
        return exposure.working(HOLDER, 1), exposure.working(HOLDER, -1)


@pytest.fixture
def desk():
    return Desk()


def test_an_accepted_signal_becomes_one_complete_order(desk):
    outcome = desk.decide(signal(qty="7", account="", tenant="t"))
    order = outcome.order
    assert outcome.decision.verdict == ACCEPT
    assert outcome.decision.cl_ord_id == order.cl_ord_id == client_order_id("s1", "order")
    assert (order.signal_id, order.strategy_id, order.symbol) == ("s1", "rules", "EURUSD")
    assert (order.side, order.order_qty, order.arrival_px) == (BUY, "7", "1.05")
    assert order.ord_type == order_pb2.ORD_TYPE_MARKET
    assert order.time_in_force == order_pb2.TIME_IN_FORCE_DAY
    assert (order.arrival_time_unix_nano, order.adapter, order.tenant) == (T0, "paper", "t")
    assert not order.reduce_only
    assert outcome.cancels == ()
    assert desk.working == (7, 0)


def test_a_signal_without_quantity_gets_the_base_quantity(desk):
    outcome = desk.decide(signal())
    assert outcome.decision.requested_qty == outcome.order.order_qty == "10"


def test_the_same_signal_again_replays_its_decision_and_sends_nothing(desk):
    first = desk.decide(signal())
    # What has happened since does not matter: the stored decision comes back.
    desk.gateway.apply_kill_switch(
        KillSwitch(scope="global", state=risk_pb2.KILL_SWITCH_STATE_HALTED)
    )
    again = desk.decide(
        signal(agent_id="another-replica", rationale="other words"), now=T0 + 9 * HOUR
    )
    assert again.order is None
    assert again.decision.replayed
    again.decision.replayed = False
    assert again.decision == first.decision
    assert desk.working == (10, 0)


@pytest.mark.parametrize(
    "change",
    [{"qty": "9"}, {"side": SELL}, {"action": EXIT}, {"time": T0 - 1}, {"account": "b"}],
)
def test_the_same_id_with_other_content_is_denied_as_duplicate(desk, change):
    desk.decide(signal())
    outcome = desk.decide(signal(**change))
    assert outcome.decision.verdict == DENY
    assert outcome.decision.reason_code == "DUPLICATE_ORDER"
    assert outcome.order is None
    assert outcome.cancels == ()
    assert desk.working == (10, 0)
    assert desk.decide(signal()).decision.replayed  # the first content keeps its decision


def test_a_denied_signal_is_denied_again_by_replay(desk):
    denied = desk.decide(signal(qty="51"))
    assert denied.decision.reason_code == "QUANTITY_MAX"
    assert denied.decision.cl_ord_id == ""
    assert desk.decide(signal(qty="51")).decision.replayed


def test_open_orders_count_against_the_position_limit_before_they_fill(desk):
    assert desk.decide("s1").decision.verdict == ACCEPT
    assert desk.decide("s2").decision.verdict == ACCEPT
    third = desk.decide("s3")
    assert third.decision.verdict == CLAMP
    assert (third.decision.requested_qty, third.decision.approved_qty) == ("10", "5")
    assert (third.decision.reason_code, third.order.order_qty) == ("MAX_POSITION", "5")
    fourth = desk.decide("s4")
    assert (fourth.decision.verdict, fourth.decision.reason_code) == (DENY, "MAX_POSITION")
    assert desk.working == (25, 0)


def test_an_expired_order_gives_its_room_back(desk):
    first = desk.decide("s1", qty="25").order
    assert desk.decide("s2").decision.verdict == DENY
    desk.fill(first, "15")
    assert desk.working == (10, 0)
    assert desk.expire(first) is ReportEffect.APPLIED
    assert (desk.position, desk.working) == (15, (0, 0))
    assert desk.decide("s3").order.order_qty == "10"


def test_buys_and_sells_are_held_against_the_limit_each_on_its_own(desk):
    desk.decide("s1", qty="25")
    # The open buy may never fill, so it makes no room for sells.
    sell = desk.decide("s2", side=SELL, qty="30")
    assert sell.decision.approved_qty == "25"


def test_strategies_of_one_account_share_its_position_limit(desk):
    desk.decide("s1", qty="20")
    other = signal("s2", qty="10")
    other.strategy_id = "momentum"
    assert desk.decide(other).decision.approved_qty == "5"
    third = signal("s3", qty="10", account="another")
    assert desk.decide(third).decision.approved_qty == "10"


def test_an_exit_closes_what_the_strategy_holds_and_only_that(desk):
    desk.fill(desk.decide("s1", qty="20").order)
    outcome = desk.decide("s2", action=EXIT, side=SELL, time=T0 + HOUR)
    assert (outcome.order.side, outcome.order.order_qty) == (SELL, "20")
    assert outcome.order.reduce_only
    again = desk.decide("s3", action=EXIT, side=SELL, time=T0 + HOUR)
    assert again.decision.reason_code == "NOTHING_TO_DO"  # it is being closed already


def test_an_exit_without_a_position_does_nothing(desk):
    for side in (BUY, SELL):
        outcome = desk.decide(f"s{side}", action=EXIT, side=side)
        assert (outcome.decision.verdict, outcome.decision.reason_code) == (DENY, "NOTHING_TO_DO")
        assert outcome.order is None


def test_an_exit_takes_back_what_would_open_the_position_again(desk):
    entry = desk.decide("s1", qty="20").order
    desk.fill(entry, "5")
    outcome = desk.decide("s2", action=EXIT, side=SELL, time=T0 + HOUR)
    assert outcome.order.order_qty == "5"
    (cancel,) = outcome.cancels
    assert cancel.orig_cl_ord_id == entry.cl_ord_id
    assert cancel.cl_ord_id == client_order_id(entry.cl_ord_id, "cancel")
    assert (cancel.symbol, cancel.side) == ("EURUSD", BUY)


def test_an_exit_before_the_first_fill_still_takes_the_entry_back(desk):
    entry = desk.decide("s1").order
    outcome = desk.decide("s2", action=EXIT, side=SELL, time=T0 + HOUR)
    assert outcome.order is None
    assert [cancel.orig_cl_ord_id for cancel in outcome.cancels] == [entry.cl_ord_id]


def test_a_target_is_reached_from_where_the_position_is(desk):
    desk.fill(desk.decide("s1", qty="20").order)
    down = desk.decide("s2", action=TARGET, side=BUY, qty="5", time=T0 + HOUR)
    assert (down.order.side, down.order.order_qty) == (SELL, "15")
    turn = desk.decide("s3", action=TARGET, side=SELL, qty="5", time=T0 + HOUR)
    assert (turn.order.side, turn.order.order_qty) == (SELL, "25")
    assert [cancel.orig_cl_ord_id for cancel in turn.cancels] == [down.order.cl_ord_id]


def test_a_target_that_is_reached_or_being_reached_does_nothing(desk):
    order = desk.decide("s1", action=TARGET, side=BUY, qty="20").order
    same = desk.decide("s2", action=TARGET, side=BUY, qty="20")
    assert (same.decision.reason_code, same.cancels) == ("NOTHING_TO_DO", ())
    desk.fill(order)
    held = desk.decide("s3", action=TARGET, side=BUY, qty="20")
    assert held.decision.reason_code == "NOTHING_TO_DO"
    flat = desk.decide("s4", action=TARGET, side=BUY, qty="0")
    assert (flat.order.side, flat.order.order_qty) == (SELL, "20")


def test_a_cancel_signal_takes_back_all_open_orders_also_when_halted(desk):
    orders = [desk.decide(f"s{n}", qty="5").order for n in range(2)]
    desk.gateway.apply_kill_switch(
        KillSwitch(scope="global", state=risk_pb2.KILL_SWITCH_STATE_HALTED)
    )
    outcome = desk.decide("c1", action=CANCEL, side=0)
    assert outcome.decision.verdict == ACCEPT
    assert [c.orig_cl_ord_id for c in outcome.cancels] == [order.cl_ord_id for order in orders]
    assert desk.working == (10, 0)  # reserved until the venue confirms


def test_a_halt_denies_and_a_resume_accepts(desk):
    switch = KillSwitch(scope="symbol:EURUSD", state=risk_pb2.KILL_SWITCH_STATE_HALTED)
    desk.gateway.apply_kill_switch(switch)
    assert desk.decide("s1").decision.reason_code == "TRADING_HALTED"
    switch.state = risk_pb2.KILL_SWITCH_STATE_ACTIVE
    desk.gateway.apply_kill_switch(switch)
    assert desk.decide("s2").decision.verdict == ACCEPT


def test_a_reducing_state_sends_only_orders_marked_to_reduce(desk):
    desk.fill(desk.decide("s1", qty="20").order)
    desk.gateway.apply_kill_switch(
        KillSwitch(scope="strategy:rules", state=risk_pb2.KILL_SWITCH_STATE_REDUCING)
    )
    assert desk.decide("s2").decision.reason_code == "TRADING_STATE_REDUCING"
    outcome = desk.decide("s3", side=SELL, qty="30")
    assert (outcome.decision.verdict, outcome.order.order_qty) == (CLAMP, "20")
    assert outcome.order.reduce_only


def test_the_rate_is_counted_on_event_time_and_only_for_orders_sent(desk):
    for number in range(5):
        assert desk.decide(f"s{number}", qty="1").decision.verdict == ACCEPT
    denied = desk.decide("s5", qty="1").decision
    assert denied.reason_code == "RATE_LIMIT_EXCEEDED"
    minute = T0 + 60 * 10**9
    assert desk.decide("s6", qty="1", time=minute).decision.verdict == ACCEPT
    assert desk.decide("s7", qty="99", time=minute).decision.reason_code == "QUANTITY_MAX"


def test_a_signal_without_a_price_is_denied(desk):
    for number, price in enumerate(["", "NaN", "0", "-1"]):
        sent = signal(f"s{number}")
        sent.decision_px = price
        assert desk.decide(sent).decision.reason_code == "NO_REFERENCE_PRICE"


def test_an_unreadable_quantity_is_denied_and_echoed(desk):
    decision = desk.decide("s1", qty="1e3").decision
    assert (decision.reason_code, decision.requested_qty) == ("QUANTITY_INVALID", "1e3")


@pytest.mark.parametrize(
    "change",
    [
        {"signal_id": ""},
        {"signal_id": "x" * 129},
        {"strategy_id": ""},
        {"symbol": ""},
        {"symbol": "ü" * 129},
        {"action": 0},
        {"action": 42},
        {"side": 0},
        {"side": 3},
        {"account": "a" * 129},
    ],
)
def test_a_signal_against_the_contract_is_denied_before_any_check(desk, change):
    sent = signal()
    for name, value in change.items():
        setattr(sent, name, value)
    outcome = desk.decide(sent)
    assert (outcome.decision.verdict, outcome.decision.reason_code) == (DENY, "SIGNAL_INVALID")
    assert [check.passed for check in outcome.decision.checks] == [False]
    assert outcome.order is None
    assert outcome.decision.ByteSize() < 1_000


def test_a_stale_signal_does_not_take_orders_back(desk):
    desk.decide("s1")
    late = desk.decide("s2", action=EXIT, side=SELL, now=T0 + 2 * HOUR)
    assert (late.decision.reason_code, late.cancels) == ("STALE_SIGNAL", ())


def test_each_execution_counts_once(desk):
    order = desk.decide("s1").order
    assert desk.fill(order, "4", exec_id="x") is ReportEffect.APPLIED
    assert desk.fill(order, "4", exec_id="x") is ReportEffect.DUPLICATE
    assert desk.position == 4
    assert desk.gateway.counters.reports == {"APPLIED": 1, "DUPLICATE": 1}


def test_a_rejected_order_gives_its_room_back(desk):
    order = desk.decide("s1").order
    effect = desk.report(order, order_pb2.EXEC_TYPE_REJECTED, order_pb2.ORD_STATUS_REJECTED)
    assert effect is ReportEffect.APPLIED
    assert desk.working == (0, 0)


def test_a_refused_duplicate_at_the_venue_leaves_the_live_order_open(desk):
    order = desk.decide("s1").order
    desk.report(order, order_pb2.EXEC_TYPE_NEW, order_pb2.ORD_STATUS_NEW)
    desk.report(order, order_pb2.EXEC_TYPE_REJECTED, order_pb2.ORD_STATUS_NEW)
    assert desk.working == (10, 0)


def test_late_and_too_large_fills_move_the_position_and_are_told_apart(desk):
    order = desk.decide("s1").order
    desk.report(order, order_pb2.EXEC_TYPE_CANCELED, order_pb2.ORD_STATUS_CANCELED)
    assert desk.fill(order, "4") is ReportEffect.ANOMALY
    assert (desk.position, desk.working) == (4, (0, 0))
    other = desk.decide("s2").order
    assert desk.fill(other) is ReportEffect.APPLIED
    assert desk.fill(other, "3") is ReportEffect.ANOMALY
    assert desk.position == 17


def test_a_state_that_cannot_follow_leaves_the_order_as_it_was(desk):
    order = desk.decide("s1").order
    desk.fill(order, "4")
    assert (
        desk.report(order, order_pb2.EXEC_TYPE_NEW, order_pb2.ORD_STATUS_NEW)
        is ReportEffect.ILLEGAL
    )
    assert desk.report(order, order_pb2.EXEC_TYPE_NEW, 0) is ReportEffect.ILLEGAL
    assert desk.working == (6, 0)


def test_reports_of_unknown_orders_rebuild_position_and_reservations(desk):
    order = desk.decide("s1", qty="20").order
    fresh = Desk()
    assert fresh.report(order, order_pb2.EXEC_TYPE_NEW, order_pb2.ORD_STATUS_NEW) is (
        ReportEffect.UNKNOWN_ORDER
    )
    assert fresh.working == (20, 0)
    assert fresh.fill(order, "8") is ReportEffect.APPLIED
    assert (fresh.position, fresh.working) == (8, (12, 0))

    later = Desk()  # sees only the second half
    partial = order_pb2.ORD_STATUS_PARTIALLY_FILLED
    later.report(order, order_pb2.EXEC_TYPE_TRADE, partial, "2", "1.05", "10")
    assert (later.position, later.working) == (2, (10, 0))

    last = Desk()  # sees only the end
    assert last.fill(order) is ReportEffect.UNKNOWN_ORDER
    assert (last.position, last.working) == (20, (0, 0))


@pytest.mark.parametrize(
    "change",
    [{"last_qty": ""}, {"last_px": "x"}, {"last_qty": "0"}, {"side": 0}, {"exec_id": ""}],
)
def test_a_fill_that_cannot_be_read_halts_its_instrument(desk, change):
    order = desk.decide("s1").order
    report = ExecutionReport(
        exec_id="e",
        exec_type=order_pb2.EXEC_TYPE_TRADE,
        cl_ord_id=order.cl_ord_id,
        symbol="EURUSD",
        side=BUY,
        last_qty="1",
        last_px="1",
    )
    for name, value in change.items():
        setattr(report, name, value)
    assert desk.gateway.on_report(report) is ReportEffect.UNREADABLE
    decision = desk.decide("s2").decision
    assert decision.reason_code == "TRADING_HALTED"
    assert decision.checks[0].observed == "HALTED (symbol:EURUSD)"


def test_a_fill_without_a_symbol_halts_everything(desk):
    desk.gateway.on_report(ExecutionReport(exec_id="e", exec_type=order_pb2.EXEC_TYPE_TRADE))
    assert desk.decide("s1").decision.checks[0].observed == "HALTED (global)"


def test_memory_is_bounded_by_denying_further_holders_and_orders():
    limits = RiskLimits(
        base_qty=Decimal(1),
        order_qty_max=Decimal(50),
        position_qty_max=Decimal(1_000),
        accounts_max=1,
        open_orders_max=2,
    )
    desk = Desk(limits)
    assert desk.decide("s1").decision.verdict == ACCEPT
    stranger = signal("s2", account="other")
    assert desk.decide(stranger).decision.reason_code == "MAX_OPEN_ORDERS"
    assert desk.decide("s3").decision.verdict == ACCEPT
    assert desk.decide("s4").decision.reason_code == "MAX_OPEN_ORDERS"
    assert desk.gateway.exposure.holder_count == 1


def test_a_strategy_without_room_for_a_rate_bucket_is_denied():
    desk = Desk(RiskLimits(accounts_max=1))
    desk.decide("s1", qty="1")
    other = signal("s2", qty="1")
    other.strategy_id = "other"
    assert desk.decide(other).decision.verdict == DENY


def test_a_duplicate_of_a_forgotten_decision_is_denied():
    limits = RiskLimits(base_qty=Decimal(1), position_qty_max=Decimal(1_000), decisions_kept_max=1)
    desk = Desk(limits)
    desk.decide("s1")
    desk.decide("s2", time=T0 + 1)
    again = desk.decide("s1", now=T0 + 1)
    assert (again.decision.reason_code, again.order) == ("DUPLICATE_ORDER", None)


def test_the_route_names_adapter_time_in_force_and_prefix():
    desk = Desk(route=OrderRoute(adapter="x", time_in_force="IOC", order_id_prefix="T1"))
    order = desk.decide("s1").order
    assert (order.adapter, order.time_in_force) == ("x", order_pb2.TIME_IN_FORCE_IOC)
    assert order.cl_ord_id.startswith("T1-")
    with pytest.raises(OrderIdPrefixError):
        OrderRoute(order_id_prefix="no good")


def test_counters_tell_what_the_gateway_did(desk):
    desk.decide("s1")
    desk.decide("s1")
    desk.decide("s2", qty="99")
    counters = desk.gateway.counters
    assert (counters.signals, counters.replayed, counters.orders) == (3, 1, 1)
