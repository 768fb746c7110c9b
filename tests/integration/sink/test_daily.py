"""Materialised views answer as the messages themselves would, and are computed again only where those changed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.integration.sink.conftest import NOON_NS, TODAY, Shop

from bellwire.client import new_message
from bellwire.sink import QueryError
from bellwire.trading.v1.order_pb2 import EXEC_TYPE_NEW, EXEC_TYPE_TRADE, ExecutionReport
from bellwire.trading.v1.signal_pb2 import SIDE_BUY, SIDE_SELL, Signal

pytestmark = pytest.mark.integration

DAY_NS = 86_400_000_000_000
MILLI = 1_000_000
TABLES = 3
AGENTS = "SELECT day, agent, signals, buys, sells FROM daily.signals_by_agent ORDER BY ALL"


def signal(name, agent="rules", side=SIDE_BUY):
    made = Signal(signal_id=name, agent_id=agent, symbol="EURUSD", strategy_id="fvg", side=side)
    return new_message(
        data=made.SerializeToString(), type="bellwire.trading.v1.Signal", source=f"agents/{agent}"
    )


def fill(name, *, exec_type=EXEC_TYPE_TRADE, qty="2", price="1.5"):
    made = ExecutionReport(
        signal_id=name,
        cl_ord_id=f"o-{name}",
        symbol="EURUSD",
        strategy_id="fvg",
        adapter="paper",
        exec_type=exec_type,
        last_qty=qty,
        last_px=price,
        commission="0.25",
    )
    return new_message(
        data=made.SerializeToString(), type="bellwire.trading.v1.ExecutionReport", source="paper"
    )


@pytest.fixture
def trading(shop: Shop) -> Shop:
    """Two days: signals on the first, fills on both."""
    shop.put("signals.a", [signal("s1"), signal("s2", side=SIDE_SELL), signal("s3", "llm")])
    shop.put("executions.paper", [fill("s1", exec_type=EXEC_TYPE_NEW)], NOON_NS + 5 * MILLI)
    shop.put("executions.paper", [fill("s1"), fill("s1")], NOON_NS + 10 * MILLI)
    shop.put("executions.paper", [fill("s2", qty="1")], NOON_NS + 30 * MILLI)
    shop.put("executions.paper", [fill("s3")], NOON_NS + DAY_NS)
    return shop


def answers(shop: Shop):
    return {
        name: shop.rows(f"SELECT * FROM daily.{name} ORDER BY ALL")
        for name in ("signals_by_agent", "fills_by_symbol", "signal_to_fill")
    }


def test_the_usual_questions_are_answered(trading: Shop):
    assert trading.rows(AGENTS) == [(TODAY, "llm", 1, 1, 0), (TODAY, "rules", 2, 1, 1)]
    tomorrow = TODAY + timedelta(days=1)
    assert trading.rows("SELECT * FROM daily.fills_by_symbol ORDER BY day") == [
        (TODAY, "EURUSD", "paper", 3, 2, 5.0, 7.5, 0.75),
        (tomorrow, "EURUSD", "paper", 1, 1, 2.0, 3.0, 0.25),
    ]
    assert trading.rows("SELECT * FROM daily.signal_to_fill ORDER BY day") == [
        (TODAY, "fvg", 2, 20.0, 29.0, 30.0),
        (tomorrow, "fvg", 1, 86_400_000.0, 86_400_000.0, 86_400_000.0),
    ]


def test_kept_answers_are_those_computed_when_asked(trading: Shop):
    computed = answers(trading)
    after = TODAY + timedelta(days=2)
    assert (
        trading.upkeep(TODAY).refreshed_days == 0
    )  # A day that is not over is computed when asked.
    assert trading.upkeep(after).refreshed_days == 2 * TABLES
    assert answers(trading) == computed
    assert trading.upkeep(after).refreshed_days == 0


def test_only_days_that_changed_are_computed_again(trading: Shop):
    after = TODAY + timedelta(days=2)
    trading.upkeep(after)
    trading.put("signals.a", [signal("late")], NOON_NS + DAY_NS)
    tomorrow = TODAY + timedelta(days=1)
    # At once, before any upkeep.
    assert (tomorrow, "rules", 1, 1, 0) in trading.rows(AGENTS)
    computed = answers(trading)
    # Its own day, in each table.
    assert trading.upkeep(after).refreshed_days == TABLES
    assert answers(trading) == computed
    # What looks back a day is computed again for the day after too.
    trading.put("signals.a", [signal("later")])
    assert trading.upkeep(after).refreshed_days == TABLES + 1
    assert len(list(trading.folder.daily.rglob("*.parquet"))) == 2 * TABLES


def test_an_answer_that_is_kept_is_read_and_not_computed(trading: Shop):
    trading.upkeep(TODAY + timedelta(days=2))
    kept = sorted(trading.folder.daily.glob("signals_by_agent/day=2026-11-21/*"))
    other = sorted(trading.folder.daily.glob("signals_by_agent/day=2026-11-22/*"))
    kept[0].write_bytes(other[0].read_bytes())
    assert trading.rows(AGENTS) == []


def test_a_torn_answer_is_computed_again(trading: Shop):
    computed = answers(trading)
    trading.upkeep(TODAY + timedelta(days=2))
    torn = next(iter(trading.folder.daily.rglob("*.parquet")))
    torn.write_bytes(torn.read_bytes()[:-1])
    assert answers(trading) == computed
    assert trading.upkeep(TODAY + timedelta(days=2)).refreshed_days == 1


def test_answers_go_with_their_day(trading: Shop):
    trading.upkeep(TODAY + timedelta(days=2))
    trading.settings = type(trading.settings)(keep_days=2)
    report = trading.upkeep(TODAY + timedelta(days=2))
    assert report.dropped_days == 1
    assert {path.name for path in trading.folder.daily.glob("*/*")} == {"day=2026-11-22"}


def test_without_its_messages_there_is_no_such_table(shop: Shop):
    shop.put("signals.a", [signal("s1")])
    assert shop.rows(AGENTS) == [(TODAY, "rules", 1, 1, 0)]
    with pytest.raises(QueryError, match=r"tables here: .*daily\.signals_by_agent$"):
        shop.rows("SELECT * FROM daily.fills_by_symbol")
