import pytest

from bellwire.agents.bars import read_ohlcv
from bellwire.agents.data import EURUSD_1H
from bellwire.agents.feed import to_message

BARS = 120


@pytest.fixture(scope="session")
def real_bars():
    series = read_ohlcv(EURUSD_1H.path, symbol="EURUSD")
    return [to_message(bar, number) for number, bar in enumerate(series.bars[:BARS])]
