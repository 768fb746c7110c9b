import pytest

from bellwire.agents.bars import read_ohlcv
from bellwire.agents.data import EURUSD_1H
from bellwire.agents.feed import to_message
from bellwire.agents.tactical.networks import Variant, initial_weights
from bellwire.agents.tactical.onnx_graph import write_model

BARS = 200


@pytest.fixture(scope="session")
def real_bars():
    series = read_ohlcv(EURUSD_1H.path, symbol="EURUSD")
    return [to_message(bar, number) for number, bar in enumerate(series.bars[:BARS])]


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory):
    """An untrained tiny model: it knows nothing, and says something on every bar."""
    folder = tmp_path_factory.mktemp("tactical") / "3"
    write_model(folder, initial_weights(Variant.TINY, 11), version=3)
    return folder
