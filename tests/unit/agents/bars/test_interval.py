"""Bar lengths and their names."""

import pytest

from bellwire.agents.bars import Bar, IntervalError, interval_name, interval_seconds

NAMES = {"1s": 1, "30s": 30, "1m": 60, "5m": 300, "90m": 5400, "1h": 3600, "1d": 86_400}


@pytest.mark.parametrize(("name", "seconds"), [*NAMES.items(), ("1w", 604_800)])
def test_name_and_length_are_inverse(name, seconds):
    assert interval_seconds(name) == seconds
    assert interval_name(seconds) == name


@pytest.mark.parametrize(
    "name", ["", "h", "0h", "1", "1H", "-1h", "1.5h", "1mo", "2w", "8d", "1h "]
)
def test_names_that_are_no_interval_are_refused(name):
    with pytest.raises(IntervalError) as caught:
        interval_seconds(name)
    assert caught.value.found == name
    assert "like 5m, 1h or 1d" in str(caught.value)


@pytest.mark.parametrize("seconds", [0, -60, 604_801])
def test_lengths_without_a_name_are_refused(seconds):
    with pytest.raises(IntervalError):
        interval_name(seconds)


def test_bar_closes_one_interval_after_it_opened():
    bar = Bar("EURUSD", "5m", 1_000_000_000, "1.10", "1.2", "1.0", "1.15", "7")
    assert bar.close_time_unix_nano == 301_000_000_000
    assert bar.floats() == (1.1, 1.2, 1.0, 1.15, 7.0)
