from dataclasses import replace
from decimal import Decimal

import pytest
from tests.unit.execution.paper.venue import (
    BUY,
    DAY,
    FOK,
    GTD,
    HOUR,
    IOC,
    ROUND,
    SELL,
    T0,
    bar,
    limit,
    order,
)

from bellwire.execution.adapters.paper.admission import OrdRejReason
from bellwire.execution.adapters.paper.matching import PaperVenue
from bellwire.execution.adapters.paper.pricing import UnusableBarError
from bellwire.trading.v1 import order_pb2
from bellwire.trading.v1.order_pb2 import OrderCancelRequest

NEW, TRADE = order_pb2.EXEC_TYPE_NEW, order_pb2.EXEC_TYPE_TRADE
CANCELED, EXPIRED = order_pb2.EXEC_TYPE_CANCELED, order_pb2.EXEC_TYPE_EXPIRED
REJECTED = order_pb2.EXEC_TYPE_REJECTED


@pytest.fixture
def venue():
    return PaperVenue(ROUND)


def told(reports):
    """The part of reports most tests are about."""
    return [(r.cl_ord_id, r.exec_type, r.last_qty, r.last_px) for r in reports]


def test_an_order_is_acknowledged_and_fills_at_the_next_open_plus_half_the_spread(venue):
    venue.on_bar(bar(0))
    (ack,) = venue.submit(order(at=1))
    assert (ack.exec_type, ack.ord_status) == (NEW, order_pb2.ORD_STATUS_NEW)
    assert (ack.leaves_qty, ack.cum_qty, ack.paper, ack.adapter) == ("50", "0", True, "paper")
    assert ack.transact_time_unix_nano == T0 + HOUR
    (fill,) = venue.on_bar(bar(1, "100.50"))
    assert (fill.exec_type, fill.ord_status) == (TRADE, order_pb2.ORD_STATUS_FILLED)
    assert (fill.last_qty, fill.last_px, fill.avg_px) == ("50", "100.61", "100.61")
    assert (fill.cum_qty, fill.leaves_qty) == ("50", "0")
    assert fill.commission == "0.50305"  # 50 * 100.61 * 1 bp
    assert fill.transact_time_unix_nano == T0 + HOUR
    assert (fill.signal_id, fill.strategy_id, fill.arrival_px) == ("signal-o1", "rules", "100")
    assert venue.open_order_count == 0


def test_a_sell_gets_the_open_minus_half_the_spread_rounded_against_it(venue):
    venue.submit(order(side=SELL))
    (fill,) = venue.on_bar(bar(0, "100.05"))
    assert fill.last_px == "99.94"  # 100.05 * 0.999 = 99.94995


def test_the_bar_that_was_known_when_the_order_came_never_fills_it(venue):
    venue.on_bar(bar(0))
    venue.submit(order(at=1))
    assert venue.on_bar(bar(0)) == []  # delivered again
    assert venue.counters.bars_repeated == 1
    early = PaperVenue(ROUND)
    early.submit(order(at=1))  # arrives before the venue has seen bar 0, which closes at 1
    assert early.on_bar(bar(0)) == []
    assert told(early.on_bar(bar(1))) == [("o1", TRADE, "50", "100.1")]


def test_an_order_that_comes_late_waits_for_the_bar_after_the_newest(venue):
    venue.on_bar(bar(5))
    (ack,) = venue.submit(order(at=1))
    assert ack.transact_time_unix_nano == T0 + 6 * HOUR
    assert venue.on_bar(bar(3)) == []
    assert len(venue.on_bar(bar(6))) == 1


def test_a_large_order_fills_over_several_bars_within_the_participation(venue):
    venue.submit(order(qty="250"))
    assert told(venue.on_bar(bar(0))) == [("o1", TRADE, "100", "100.1")]
    assert told(venue.on_bar(bar(1, volume="1009"))) == [("o1", TRADE, "100", "100.1")]
    (last,) = venue.on_bar(bar(2, "101", "101"))
    assert (last.last_qty, last.cum_qty, last.leaves_qty) == ("50", "250", "0")
    assert last.avg_px == "100.302"  # (200 * 100.10 + 50 * 101.11) / 250
    assert last.ord_status == order_pb2.ORD_STATUS_FILLED


def test_a_bar_without_volume_fills_nothing(venue):
    venue.submit(order())
    assert venue.on_bar(bar(0, volume="0")) == []
    assert venue.on_bar(bar(1, volume="9")) == []  # 0.9 of a unit rounds down to none


def test_competing_orders_share_one_volume_in_order_of_arrival(venue):
    for name in "abc":
        venue.submit(order(name, qty="60"))
    venue.submit(order("sell", SELL, qty="60"))
    assert told(venue.on_bar(bar(0))) == [("a", TRADE, "60", "100.1"), ("b", TRADE, "40", "100.1")]
    assert told(venue.on_bar(bar(1))) == [
        ("b", TRADE, "20", "100.1"),
        ("c", TRADE, "60", "100.1"),
        ("sell", TRADE, "20", "99.9"),
    ]


def test_market_orders_go_first_then_the_better_price_then_the_earlier(venue):
    venue.submit(limit("99.50", "low", qty="60"))
    venue.submit(limit("99.80", "high", qty="60"))
    venue.submit(limit("99.80", "high later", qty="60"))
    venue.submit(order("market", qty="30"))
    assert told(venue.on_bar(bar(0))) == [
        ("market", TRADE, "30", "100.1"),
        ("high", TRADE, "60", "99.8"),
        ("high later", TRADE, "10", "99.8"),
    ]


def test_a_limit_is_filled_only_when_the_bar_goes_through_it(venue):
    venue.submit(limit("99.00", "buy"))
    venue.submit(limit("101.00", "sell", SELL))
    assert venue.on_bar(bar(0, low="99.00", high="101.00")) == []  # touched, not passed
    fills = venue.on_bar(bar(1, low="98.99", high="101.01"))
    assert told(fills) == [("buy", TRADE, "50", "99"), ("sell", TRADE, "50", "101")]
    assert {fill.transact_time_unix_nano for fill in fills} == {T0 + 2 * HOUR}


def test_a_limit_beyond_the_open_fills_at_the_open(venue):
    venue.submit(limit("105.00", "buy"))
    venue.submit(limit("95.00", "sell", SELL))
    fills = venue.on_bar(bar(0))
    assert told(fills) == [("buy", TRADE, "50", "100.1"), ("sell", TRADE, "50", "99.9")]


def test_an_immediate_order_cancels_what_the_open_does_not_fill(venue):
    venue.submit(order("ioc", tif=IOC, qty="150"))
    venue.submit(limit("99.90", "far", tif=IOC))  # below the ask: nothing at the open
    reports = venue.on_bar(bar(0))
    assert told(reports) == [
        ("ioc", TRADE, "100", "100.1"),
        ("ioc", CANCELED, "0", "0"),
        ("far", CANCELED, "0", "0"),
    ]
    assert (reports[1].cum_qty, reports[1].leaves_qty) == ("100", "0")
    assert reports[1].ord_status == order_pb2.ORD_STATUS_CANCELED
    assert venue.open_order_count == 0


def test_fill_or_kill_fills_whole_or_not_at_all(venue):
    venue.submit(order("too large", tif=FOK, qty="101"))
    venue.submit(order("fits", tif=FOK, qty="100"))
    assert told(venue.on_bar(bar(0))) == [
        ("fits", TRADE, "100", "100.1"),
        ("too large", CANCELED, "0", "0"),
    ]


def test_a_day_order_ends_with_the_first_day_it_could_trade_on(venue):
    # 22:00: the last two hours of the day.
    venue.submit(order(tif=DAY, qty="999"))
    assert told(venue.on_bar(bar(0))) == [("o1", TRADE, "100", "100.1")]
    assert told(venue.on_bar(bar(1))) == [
        ("o1", TRADE, "100", "100.1"),
        ("o1", EXPIRED, "0", "0"),
    ]


def test_a_day_order_does_not_survive_a_weekend(venue):
    venue.submit(order(tif=DAY, qty="999"))
    venue.on_bar(bar(0))
    (report,) = venue.on_bar(bar(48))
    assert (report.exec_type, report.text, report.cum_qty) == (EXPIRED, "the day ended", "100")
    assert report.transact_time_unix_nano == T0 + 48 * HOUR


def test_a_day_order_on_daily_bars_gets_one_bar(venue):
    day = 24 * HOUR
    venue.submit(order(tif=DAY, qty="150"))
    reports = venue.on_bar(bar(1, step=day))
    assert [r.exec_type for r in reports] == [TRADE, EXPIRED]


def test_an_order_good_till_a_date_ends_when_it_is_reached(venue):
    venue.submit(order(tif=GTD, qty="999", expire_time_unix_nano=T0 + HOUR))
    assert told(venue.on_bar(bar(0))) == [("o1", TRADE, "100", "100.1")]
    assert told(venue.on_bar(bar(1))) == [("o1", EXPIRED, "0", "0")]


def test_no_order_works_longer_than_the_setting():
    venue = PaperVenue(replace(ROUND, order_life_bars=2))
    venue.submit(order(qty="999"))
    assert [r.exec_type for r in venue.on_bar(bar(0))] == [TRADE]
    reports = venue.on_bar(bar(1))
    assert [r.exec_type for r in reports] == [TRADE, EXPIRED]
    assert (reports[1].cum_qty, reports[1].leaves_qty) == ("200", "0")
    assert reports[1].text == "worked for 2 bars"


def test_reduce_only_never_opens_or_turns_a_position(venue):
    venue.submit(order("idle", SELL, reduce_only=True))
    reports = venue.on_bar(bar(0))
    assert [(r.exec_type, r.text) for r in reports] == [(CANCELED, "nothing left to reduce")]
    venue.submit(order("open", qty="30", at=1))
    venue.on_bar(bar(1))
    venue.submit(order("close", SELL, qty="50", reduce_only=True, at=2))
    assert told(venue.on_bar(bar(2))) == [
        ("close", TRADE, "30", "99.9"),
        ("close", CANCELED, "0", "0"),
    ]


def test_reduce_only_looks_at_the_position_of_its_own_strategy(venue):
    venue.submit(order("mine", qty="30", strategy="a"))
    venue.on_bar(bar(0))
    venue.submit(order("other", SELL, reduce_only=True, strategy="b", at=1))
    assert [r.exec_type for r in venue.on_bar(bar(1))] == [CANCELED]


def test_a_canceled_order_fills_no_more(venue):
    venue.on_bar(bar(0))
    venue.submit(order(at=1))
    request = OrderCancelRequest(cl_ord_id="c1", orig_cl_ord_id="o1", symbol="X")
    (report,) = venue.cancel(request)
    assert (report.exec_type, report.ord_status) == (CANCELED, order_pb2.ORD_STATUS_CANCELED)
    assert report.transact_time_unix_nano == T0 + HOUR
    assert venue.on_bar(bar(1)) == []
    assert venue.cancel(request) == []
    assert venue.counters.cancels_too_late == 1


def test_the_end_of_the_stream_expires_what_is_open_of_that_symbol(venue):
    venue.submit(order("x", qty="999"))
    venue.submit(order("y", symbol="Y"))
    venue.on_bar(bar(0))
    (report,) = venue.end_of_stream("X")
    assert (report.cl_ord_id, report.exec_type, report.cum_qty) == ("x", EXPIRED, "100")
    assert report.transact_time_unix_nano == T0 + HOUR
    assert venue.open_order_count == 1
    assert venue.end_of_stream("X") == []


def test_bars_of_one_symbol_leave_the_orders_of_others_alone(venue):
    venue.submit(order("y", symbol="Y"))
    assert venue.on_bar(bar(0)) == []
    assert len(venue.on_bar(bar(0, symbol="Y"))) == 1


def test_the_same_order_again_is_not_booked_twice(venue):
    venue.submit(order())
    assert venue.submit(order()) == []
    venue.on_bar(bar(0))
    assert venue.submit(order()) == []  # also when it has ended
    assert venue.counters.duplicate_orders == 2
    assert venue.open_order_count == 0


def test_another_order_under_a_known_id_is_rejected_without_ending_the_live_one(venue):
    venue.submit(order())
    (report,) = venue.submit(order(qty="51"))
    assert report.exec_type == REJECTED
    assert report.ord_status == order_pb2.ORD_STATUS_NEW
    assert report.ord_rej_reason == OrdRejReason.DUPLICATE_ORDER == 6
    assert told(venue.on_bar(bar(0))) == [("o1", TRADE, "50", "100.1")]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (order(symbol="Z"), OrdRejReason.UNKNOWN_SYMBOL),
        (order(symbol=""), OrdRejReason.UNKNOWN_SYMBOL),
        (order(qty="0"), OrdRejReason.INCORRECT_QUANTITY),
        (order(qty="-5"), OrdRejReason.INCORRECT_QUANTITY),
        (order(qty="1.5"), OrdRejReason.INCORRECT_QUANTITY),
        (order(qty="many"), OrdRejReason.INCORRECT_QUANTITY),
        (order(qty=""), OrdRejReason.INCORRECT_QUANTITY),
        (order(ord_type=order_pb2.ORD_TYPE_STOP), OrdRejReason.UNSUPPORTED),
        (order(ord_type=0), OrdRejReason.UNSUPPORTED),
        (order(ord_type=77), OrdRejReason.UNSUPPORTED),
        (order(tif=9), OrdRejReason.UNSUPPORTED),
        (order(side=0), OrdRejReason.OTHER),
        (limit(""), OrdRejReason.OTHER),
        (limit("0"), OrdRejReason.OTHER),
        (limit("99.995"), OrdRejReason.OTHER),
        (order(name=""), OrdRejReason.OTHER),
        (order(name="x" * 33), OrdRejReason.OTHER),
    ],
)
def test_what_cannot_trade_is_rejected_with_fix_code_and_words(bad, reason):
    venue = PaperVenue(replace(ROUND, symbols=("X", "Y")))
    (report,) = venue.submit(bad)
    assert (report.exec_type, report.ord_status) == (REJECTED, order_pb2.ORD_STATUS_REJECTED)
    assert report.ord_rej_reason == reason
    assert report.text
    assert (report.cum_qty, report.leaves_qty, report.order_id) == ("0", "0", "")
    assert venue.open_order_count == 0
    assert PaperVenue(replace(ROUND, symbols=("X", "Y"))).submit(bad) == [report]


def test_orders_beyond_the_limit_are_rejected():
    venue = PaperVenue(replace(ROUND, open_orders_max=1))
    venue.submit(order("a"))
    (report,) = venue.submit(order("b"))
    assert report.ord_rej_reason == OrdRejReason.EXCEEDS_LIMIT
    venue.on_bar(bar(0))
    assert venue.submit(order("b", at=1))[0].exec_type == NEW


def test_ended_orders_are_forgotten_beyond_the_bound_and_open_ones_never():
    venue = PaperVenue(replace(ROUND, open_orders_max=1, ended_orders_kept_max=1))
    venue.submit(order("a"))
    for number, name in enumerate("bcd"):
        venue.on_bar(bar(number))
        venue.submit(order(name, at=number + 1))
    assert venue.submit(order("d", at=3)) == []  # open: known
    assert venue.submit(order("c", at=2)) == []  # ended last: known


def test_exec_ids_follow_from_the_order_alone(venue):
    reports = venue.submit(order(qty="150")) + venue.on_bar(bar(0)) + venue.on_bar(bar(1))
    assert [report.exec_id for report in reports] == ["paper-o1-0", "paper-o1-1", "paper-o1-2"]
    assert {report.order_id for report in reports} == {"paper-o1"}


@pytest.mark.parametrize(
    "bad",
    [
        bar(0, open_="x"),
        bar(0, open_="0"),
        bar(0, high="99"),
        bar(0, low="100.5"),
        bar(0, volume="-1"),
        bar(0, volume=""),
        bar(0, step=0),
    ],
)
def test_a_bar_that_cannot_be_read_is_refused_and_changes_nothing(venue, bad):
    venue.submit(order())
    with pytest.raises(UnusableBarError, match="bar of 'X'"):
        venue.on_bar(bad)
    assert len(venue.on_bar(bar(0))) == 1


def test_settings_state_unit_and_reason():
    from dataclasses import fields

    from bellwire.wire.settings import setting_info

    for field in fields(type(ROUND)):
        info = setting_info(field)
        assert info is not None
        assert info.why, field.name


def test_a_limit_buy_never_pays_more_than_its_limit(venue):
    venue.submit(limit("100.10"))
    (fill,) = venue.on_bar(bar(0))
    assert Decimal(fill.last_px) <= Decimal("100.10")
    assert fill.side == BUY
