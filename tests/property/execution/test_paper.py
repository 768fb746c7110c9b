from collections import defaultdict
from dataclasses import replace
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.execution.paper.venue import (
    BUY,
    DAY,
    FOK,
    GTC,
    HOUR,
    IOC,
    LIMIT,
    MARKET,
    ROUND,
    SELL,
    T0,
    bar,
    order,
)

from bellwire.execution.adapters.paper.matching import PaperVenue
from bellwire.execution.order_state import ENDED_STATES, order_state
from bellwire.trading.v1 import order_pb2
from bellwire.trading.v1.order_pb2 import OrderCancelRequest

TRADE = order_pb2.EXEC_TYPE_TRADE
PRICES = st.integers(9_800, 10_200).map(lambda cents: Decimal(cents) / 100)


@st.composite
def bars(draw):
    low, open_, high = sorted(draw(st.tuples(PRICES, PRICES, PRICES)))
    return str(open_), str(high), str(low), str(draw(st.integers(0, 3_000)))


ORDERS = st.builds(
    lambda side, kind, tif, qty, price, reduce, strategy: {
        "side": side,
        "ord_type": kind,
        "tif": tif,
        "qty": str(qty),
        "price": str(price) if kind == LIMIT else "",
        "reduce_only": reduce,
        "strategy": strategy,
    },
    st.sampled_from([BUY, SELL]),
    st.sampled_from([MARKET, LIMIT]),
    st.sampled_from([GTC, DAY, IOC, FOK]),
    st.integers(0, 400),  # 0 is rejected
    PRICES,
    st.booleans(),
    st.sampled_from(["a", "b"]),
)
ROUNDS = st.lists(
    st.tuples(bars(), st.lists(ORDERS, max_size=4), st.lists(st.integers(0, 20), max_size=2)),
    max_size=12,
)
VENUE = replace(ROUND, order_life_bars=4)


def play(rounds, seen=None):
    """Bars, then the orders and cancels made at their close; returns every report in order."""
    venue = PaperVenue(VENUE)
    log, names = [], []
    for number, (prices, orders, cancels) in enumerate(rounds):
        the_bar = bar(number, *prices)
        log.append(("bar", number, the_bar, venue.on_bar(the_bar)))
        for details in orders:
            name = f"o{len(names)}"
            names.append(name)
            request = order(name, at=number + 1, **details)
            log.append(("order", number, request, venue.submit(request)))
        for target in cancels:
            cancel = OrderCancelRequest(orig_cl_ord_id=f"o{target}", symbol="X")
            log.append(("cancel", number, cancel, venue.cancel(cancel)))
    log.append(("end", len(rounds), None, venue.end_of_stream("X")))
    assert venue.open_order_count == 0
    return log


def reports_of(log):
    return [report for *_, reports in log for report in reports]


@given(ROUNDS)
@settings(deadline=None)
def test_the_same_inputs_give_the_same_log(rounds):
    first, second = (reports_of(play(rounds)) for _ in range(2))
    assert [r.SerializeToString(deterministic=True) for r in first] == [
        r.SerializeToString(deterministic=True) for r in second
    ]


@given(ROUNDS)
@settings(deadline=None)
def test_quantity_is_conserved_and_cumulates_to_one_end(rounds):
    by_order = defaultdict(list)
    for report in reports_of(play(rounds)):
        by_order[report.cl_ord_id].append(report)
    ids = [report.exec_id for reports in by_order.values() for report in reports]
    assert len(ids) == len(set(ids))
    for reports in by_order.values():
        filled = Decimal(0)
        for report in reports:
            filled += Decimal(report.last_qty)
            assert Decimal(report.cum_qty) == filled <= Decimal(report.order_qty)
            ended = order_state(report.ord_status) in ENDED_STATES
            left = Decimal(0) if ended else Decimal(report.order_qty) - filled
            assert Decimal(report.leaves_qty) == left
            assert ended == (report is reports[-1])


@given(ROUNDS)
@settings(deadline=None)
def test_no_bar_lends_more_than_its_participation_and_every_price_is_inside_it(rounds):
    for kind, _, the_bar, reports in play(rounds):
        fills = [report for report in reports if report.exec_type == TRADE]
        if kind != "bar":
            assert not fills
            continue
        total = sum((Decimal(fill.last_qty) for fill in fills), Decimal(0))
        assert total <= Decimal(the_bar.volume) * VENUE.participation
        margin = Decimal(the_bar.open) * VENUE.half_spread + VENUE.price_tick
        for fill in fills:
            assert Decimal(the_bar.low) - margin <= Decimal(fill.last_px)
            assert Decimal(fill.last_px) <= Decimal(the_bar.high) + margin


@given(ROUNDS)
@settings(deadline=None)
def test_no_fill_uses_a_bar_that_was_known_when_the_order_was_accepted(rounds):
    accepted = {}
    for kind, number, _, reports in play(rounds):
        for report in reports:
            if report.exec_type == order_pb2.EXEC_TYPE_NEW:
                accepted[report.cl_ord_id] = number
                assert report.transact_time_unix_nano == T0 + (number + 1) * HOUR
            if report.exec_type == TRADE:
                assert kind == "bar"
                assert number > accepted[report.cl_ord_id]
                assert report.transact_time_unix_nano >= T0 + number * HOUR


@given(ROUNDS)
@settings(deadline=None)
def test_limits_are_kept_and_reduce_only_never_turns_a_position(rounds):
    positions = defaultdict(Decimal)
    requests = {}
    for kind, _, subject, reports in play(rounds):
        if kind == "order":
            requests[subject.cl_ord_id] = subject
        for report in reports:
            if report.exec_type != TRADE:
                continue
            request = requests[report.cl_ord_id]
            sign = 1 if request.side == BUY else -1
            if request.price:
                assert sign * (Decimal(request.price) - Decimal(report.last_px)) >= 0
            before = positions[request.strategy_id]
            after = before + sign * Decimal(report.last_qty)
            if request.reduce_only:
                assert abs(after) < abs(before)
                assert after * before >= 0
            positions[request.strategy_id] = after
