"""Every figure against a table worked out by hand."""

from decimal import Decimal

import pytest

from bellwire.execution.quality import QualityCollector, nearest_rank, share_of
from bellwire.trading.v1 import order_pb2, risk_pb2, signal_pb2
from bellwire.trading.v1.order_pb2 import ExecutionReport
from bellwire.trading.v1.risk_pb2 import RiskDecision

BUY, SELL = signal_pb2.SIDE_BUY, signal_pb2.SIDE_SELL
NEW = (order_pb2.EXEC_TYPE_NEW, order_pb2.ORD_STATUS_NEW)
PARTIAL = (order_pb2.EXEC_TYPE_TRADE, order_pb2.ORD_STATUS_PARTIALLY_FILLED)
FILLED = (order_pb2.EXEC_TYPE_TRADE, order_pb2.ORD_STATUS_FILLED)
EXPIRED = (order_pb2.EXEC_TYPE_EXPIRED, order_pb2.ORD_STATUS_EXPIRED)
CANCELED = (order_pb2.EXEC_TYPE_CANCELED, order_pb2.ORD_STATUS_CANCELED)
REJECTED = (order_pb2.EXEC_TYPE_REJECTED, order_pb2.ORD_STATUS_REJECTED)

#        order side  qty    event      last_qty last_px  arrival  commission
TABLE = [
    ("A", BUY, "100", NEW, "0", "0", "100", "0"),
    ("A", BUY, "100", PARTIAL, "40", "100.01", "100", "0.4"),
    ("A", BUY, "100", FILLED, "60", "100.06", "100", "0.6"),
    # V = 100.04, so +4 bps on 100
    ("B", SELL, "100", NEW, "0", "0", "200", "0"),
    ("B", SELL, "100", PARTIAL, "50", "200.20", "200", "1"),
    ("B", SELL, "100", EXPIRED, "0", "0", "200", "0"),
    # sold above arrival: -10 bps on 50
    ("C", BUY, "300", NEW, "0", "0", "50", "0"),
    ("C", BUY, "300", FILLED, "300", "50.10", "50", "3"),
    # +20 bps on 300
    ("D", BUY, "100", NEW, "0", "0", "100", "0"),
    ("D", BUY, "100", CANCELED, "0", "0", "100", "0"),
    ("E", BUY, "100", REJECTED, "0", "0", "100", "0"),
    ("F", SELL, "100", NEW, "0", "0", "100", "0"),
]


def report(name, side, qty, event, last_qty, last_px, arrival, commission, paper=True):
    return ExecutionReport(
        exec_type=event[0],
        ord_status=event[1],
        cl_ord_id=name,
        side=side,
        order_qty=qty,
        last_qty=last_qty,
        last_px=last_px,
        arrival_px=arrival,
        commission=commission,
        adapter="paper" if paper else "live",
        paper=paper,
    )


def decision(verdict, reason="", replayed=False):
    return RiskDecision(verdict=verdict, reason_code=reason, replayed=replayed)


@pytest.fixture
def measured():
    collector = QualityCollector()
    for row in TABLE:
        collector.on_report(report(*row))
    for _ in range(6):
        collector.on_decision(decision(risk_pb2.RISK_VERDICT_ACCEPT))
    collector.on_decision(decision(risk_pb2.RISK_VERDICT_ACCEPT, replayed=True))
    collector.on_decision(decision(risk_pb2.RISK_VERDICT_CLAMP, "MAX_POSITION"))
    collector.on_decision(decision(risk_pb2.RISK_VERDICT_DENY, "MAX_POSITION"))
    for _ in range(2):
        collector.on_decision(decision(risk_pb2.RISK_VERDICT_DENY, "STALE_SIGNAL"))
    return collector.report()


def test_fill_rates_are_over_orders_the_venue_accepted(measured):
    # A to D and F were accepted; A and C filled; 100 + 50 + 300 of 700 traded.
    assert measured.orders_accepted == 5
    assert measured.orders_open == 1
    assert (measured.order_fill_rate.count, measured.order_fill_rate.n) == (2, 5)
    assert measured.order_fill_rate.share == 0.4
    assert measured.quantity_fill_rate == pytest.approx(450 / 700)
    assert (measured.fills, measured.partial_fills) == (4, 2)


def test_ends_are_shares_of_everything_that_ended_denied_orders_included(measured):
    shares = {name: (share.count, share.n) for name, share in measured.ends.items()}
    assert shares == {
        "FILLED": (2, 8),
        "EXPIRED_PARTIAL": (1, 8),
        "CANCELED": (1, 8),
        "REJECTED": (1, 8),
        "DENIED": (3, 8),
    }


def test_slippage_is_weighted_by_quantity_and_positive_when_it_costs(measured):
    slippage = measured.slippage
    assert slippage.n == 3
    # (4 * 100 - 10 * 50 + 20 * 300) / 450 = 5900 / 450
    assert slippage.mean_bps == pytest.approx(5_900 / 450)
    assert (slippage.p50_bps, slippage.p95_bps) == (pytest.approx(4), pytest.approx(20))
    # Squares: (100 * -9.1111)^2 + (50 * -23.1111)^2 + (300 * 6.8889)^2 = 6436543.2; times 3/2.
    assert slippage.mean_standard_error_bps == pytest.approx(6.9046, abs=1e-3)


def test_decisions_are_counted_by_verdict_and_reason_without_replays(measured):
    assert measured.signals_decided == 10
    assert measured.verdicts == {"ACCEPT": 6, "CLAMP": 1, "DENY": 3}
    assert measured.denied_by_reason == {"MAX_POSITION": 1, "STALE_SIGNAL": 2}
    assert measured.clamped_by_reason == {"MAX_POSITION": 1}


def test_commission_is_summed_exactly_and_the_venue_is_named(measured):
    assert measured.commission == Decimal("5")
    assert measured.venue == "paper"


def test_paper_and_live_reports_are_never_mixed_silently():
    collector = QualityCollector()
    collector.on_report(report(*TABLE[0]))
    collector.on_report(report(*TABLE[0], paper=False))
    assert collector.report().venue == "mixed"
    assert collector.report().orders_accepted == 2  # ids are an adapter's own


def test_nothing_measured_gives_zeros_with_n_zero():
    empty = QualityCollector().report()
    assert empty.venue == ""
    assert empty.order_fill_rate.n == 0
    assert empty.slippage.n == 0
    assert empty.quantity_fill_rate == 0.0
    assert empty.ends["DENIED"].n == 0


def test_an_order_without_an_arrival_price_has_no_slippage():
    collector = QualityCollector()
    collector.on_report(report("A", BUY, "1", FILLED, "1", "100", "", "0"))
    collector.on_report(report("B", BUY, "1", FILLED, "1", "100", "0", "0"))
    assert collector.report().slippage.n == 0
    assert collector.report().order_fill_rate.count == 2


def test_orders_beyond_the_bound_are_counted_as_unmeasured():
    collector = QualityCollector(orders_max=1)
    for name in "ABB":
        collector.on_report(report(name, BUY, "1", NEW, "0", "0", "1", "0"))
    collector.on_report(report("B", BUY, "1", FILLED, "1", "1", "1", "0"))
    measured = collector.report()
    assert (measured.orders_accepted, measured.orders_unmeasured, measured.fills) == (1, 2, 0)


def test_the_score_interval_is_wilsons():
    # (0.8 + 0.19207 -+ 1.95996 * sqrt(0.016 + 0.0096036)) / 1.38415
    share = share_of(8, 10)
    assert (share.low, share.high) == (
        pytest.approx(0.4902, abs=1e-4),
        pytest.approx(0.9433, abs=1e-4),
    )
    assert share_of(0, 10).low == 0.0
    assert share_of(10, 10).high == 1.0


@pytest.mark.parametrize(
    ("values", "percent", "value"),
    [
        ([1.0], 95, 1.0),
        ([1, 2, 3, 4], 50, 2),
        (list(range(1, 101)), 95, 95),
        ([1, 2], 0, 1),
        ([], 50, 0),
    ],
)
def test_percentiles_are_values_that_occurred(values, percent, value):
    assert nearest_rank(values, percent) == value
