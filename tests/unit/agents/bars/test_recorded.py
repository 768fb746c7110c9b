"""bellwire.agents.bars.recorded: payloads in any order to a series, or a reason why not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellwire.agents.bars import RecordedBarsError, RecordedProblem, recorded_series
from bellwire.trading.v1.market_data_pb2 import Bar

HOUR = 3_600 * 10**9
FIRST = 1_795_262_400 * 10**9


def bar(number, **changed):
    fields = {
        "symbol": "EURUSD",
        "interval": "1h",
        "open_time_unix_nano": FIRST + number * HOUR,
        "close_time_unix_nano": FIRST + (number + 1) * HOUR,
        "open": "1.10",
        "high": "1.20",
        "low": "1.00",
        "close": "1.15",
        "volume": "7",
    }
    return Bar(**{**fields, **changed}).SerializeToString()


def refused(*payloads):
    with pytest.raises(RecordedBarsError) as caught:
        recorded_series("EURUSD", payloads)
    return caught.value


@given(st.lists(st.integers(0, 50), min_size=1))
def test_in_whatever_order_they_come_bars_are_sorted_and_each_there_once(numbers):
    found = recorded_series("EURUSD", [bar(number) for number in numbers])
    times = [each.open_time_unix_nano for each in found.series.bars]
    assert times == [FIRST + number * HOUR for number in sorted(set(numbers))]
    assert found.repeated == len(numbers) - len(set(numbers))
    assert found.contradicting == 0


def test_of_two_bars_that_contradict_each_other_the_first_counts():
    found = recorded_series("EURUSD", [bar(0), bar(0, close="1.05"), bar(0), bar(1)])
    assert [each.close for each in found.series.bars] == ["1.15", "1.15"]
    assert (found.repeated, found.contradicting) == (2, 1)


def test_the_digits_and_the_interval_are_those_of_the_message():
    series = recorded_series("EURUSD", [bar(0)]).series
    (only,) = series.bars
    assert (series.symbol, series.interval, only.interval) == ("EURUSD", "1h", "1h")
    assert (only.open, only.high, only.low, only.close, only.volume) == (
        *("1.10", "1.20", "1.00", "1.15"),
        "7",
    )
    assert only.close_time_unix_nano == FIRST + HOUR


def test_gaps_are_counted_measured_and_placed():
    gaps = recorded_series("EURUSD", [bar(0), bar(1), bar(4), bar(9)]).series.gaps
    assert (gaps.count, gaps.largest_seconds) == (2, 4 * 3_600)
    assert gaps.first_at_unix_nano == FIRST + 2 * HOUR


def test_no_bars_are_refused_with_what_to_do():
    error = refused()
    assert error.problem is RecordedProblem.NONE
    assert "record some with `bellwire sink`" in error.message


def test_mixed_intervals_are_counted():
    error = refused(bar(0), bar(1), bar(2, interval="30m"))
    assert error.problem is RecordedProblem.INTERVALS
    assert "2 of 1h, 1 of 30m" in error.message


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        (b"\xff", RecordedProblem.UNDECODABLE),
        (bar(1, symbol="IBM"), RecordedProblem.SYMBOLS),
        (bar(1, close_time_unix_nano=FIRST), RecordedProblem.TIME_INVALID),
        (
            bar(0, open_time_unix_nano=2**63 - HOUR, close_time_unix_nano=2**63),
            RecordedProblem.TIME_INVALID,
        ),
        (
            bar(0, open_time_unix_nano=FIRST + 1, close_time_unix_nano=FIRST + HOUR + 1),
            RecordedProblem.OVERLAP,
        ),
        (bar(1, close="nan"), RecordedProblem.NOT_A_NUMBER),
        (bar(1, open=""), RecordedProblem.NOT_A_NUMBER),
        (bar(1, low="-1"), RecordedProblem.NOT_A_NUMBER),
        (bar(1, volume="-1"), RecordedProblem.NOT_A_NUMBER),
        (bar(1, high="0.9"), RecordedProblem.OUTSIDE_RANGE),
        (bar(1, open="0.9"), RecordedProblem.OUTSIDE_RANGE),
        (bar(1, close="1.3"), RecordedProblem.OUTSIDE_RANGE),
    ],
)
def test_a_bar_that_cannot_be_is_refused_with_its_kind_of_fault(payload, problem):
    error = refused(bar(0), payload)
    assert (error.problem, error.symbol) == (problem, "EURUSD")


def test_a_length_without_a_name_is_refused():
    error = refused(bar(0, interval="1 hour"))
    assert error.problem is RecordedProblem.INTERVALS
    assert "'1 hour' is not supported" in error.message
