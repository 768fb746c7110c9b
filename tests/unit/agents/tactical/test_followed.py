"""bellwire.agents.tactical.followed: series apart by symbol and interval, and no more than asked for."""

from dataclasses import dataclass

import pytest

from bellwire.agents.tactical.followed import Followed, TooManySymbolsError


@dataclass
class Memory:
    newest_close: int = -1


@pytest.fixture
def followed():
    return Followed(3, Memory)


def test_a_series_keeps_its_memory_and_shares_it_with_none(followed):
    first = followed.of("EURUSD", "1h")
    assert followed.of("EURUSD", "1h") is first
    assert followed.of("EURUSD", "5m") is not first
    assert followed.of("IBM", "1h") is not first
    assert followed.symbols == ["EURUSD", "IBM"]


def test_every_interval_counts_towards_the_limit(followed):
    for interval in ("1m", "5m", "1h"):
        followed.of("EURUSD", interval)
    with pytest.raises(
        TooManySymbolsError, match="3 symbols are followed, the limit, each inter"
    ) as caught:
        followed.of("EURUSD", "1d")
    assert caught.value.limit == 3
    assert followed.of("EURUSD", "1m") is followed.of("EURUSD", "1m"), "those followed still are"


def test_the_newest_is_that_whose_bar_closed_last_unless_an_interval_is_named(followed):
    hourly, quick = followed.of("EURUSD", "1h"), followed.of("EURUSD", "5m")
    followed.of("IBM", "1d").newest_close = 99
    hourly.newest_close, quick.newest_close = 10, 11
    assert followed.newest("EURUSD") == ("5m", quick)
    assert followed.newest("EURUSD", "1h") == ("1h", hourly)
    quick.newest_close = 10
    assert followed.newest("EURUSD") == ("1h", hourly), "the one followed first"


def test_what_is_not_followed_has_no_newest(followed):
    followed.of("EURUSD", "1h")
    assert followed.newest("IBM") is None
    assert followed.newest("EURUSD", "5m") is None


def test_a_series_begun_elsewhere_takes_the_place_of_the_one_that_was_known(followed):
    for interval in ("1m", "5m", "1h"):
        followed.of("EURUSD", interval)
    other = Memory(7)
    followed.adopt("EURUSD", "5m", other)
    assert followed.of("EURUSD", "5m") is other
    with pytest.raises(TooManySymbolsError):
        followed.adopt("EURUSD", "1d", other)
