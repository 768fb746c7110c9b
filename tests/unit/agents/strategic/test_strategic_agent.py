import subprocess
import sys

import numpy as np
import pytest

from bellwire.agents.features import InvalidBarError
from bellwire.agents.strategic import (
    initial_strategic_weights,
    strategic_forward,
    strategic_rows,
    strategic_stance,
)
from bellwire.agents.strategic.model import BUNDLED_MODEL, open_model
from bellwire.agents.strategic.onnx_graph import write_strategic_model
from bellwire.agents.strategic.storage import load_strategic_weights
from bellwire.agents.strategic.strategic_agent import StrategicAgent
from bellwire.agents.tactical.followed import TooManySymbolsError
from bellwire.agents.tactical.networks import Variant, initial_weights
from bellwire.agents.tactical.onnx_graph import write_model
from bellwire.runtime.harness import AgentHarness
from bellwire.trading.v1.market_data_pb2 import Bar

WEIGHTS = initial_strategic_weights(7)  # untrained: it says something on every bar


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("strategic") / "3"
    write_strategic_model(folder, WEIGHTS, version=3)
    return str(folder)


async def play(bars, **settings):
    harness = AgentHarness(StrategicAgent(settings))
    await harness.start()
    for bar in bars:
        assert await harness.feed("bars.1h", bar) == [], "it publishes nothing"
    return harness


async def stance_of(harness, symbol="EURUSD"):
    return await harness.call("stance", {"symbol": symbol})


def expected_stance(bars, weights):
    closes = [float(bar.close) for bar in bars]
    table = strategic_forward(weights, strategic_rows(closes)[-1:]).probabilities[0]
    return strategic_stance(table)


@pytest.mark.parametrize("count", [81, 120])
async def test_the_stance_is_what_the_networks_say_of_the_newest_bar(real_bars, model_dir, count):
    bars = real_bars[:count]
    found = await stance_of(await play(bars, model_dir=model_dir))
    expected = expected_stance(bars, WEIGHTS)
    assert (found["bars"], found["bars_missing"], found["has_stance"]) == (count, 0, True)
    assert found["close_time_unix_nano"] == bars[-1].close_time_unix_nano
    assert (found["position"], found["regime"]) == (expected.position, expected.regime.name)
    assert found["score"] == pytest.approx(expected.score, abs=1e-6)
    assert (found["reason"], found["model"]) == (expected.reason.value, "strategic:3")


async def test_until_81_bars_there_is_no_stance(real_bars, model_dir):
    found = await stance_of(await play(real_bars[:80], model_dir=model_dir))
    assert (found["has_stance"], found["bars_missing"], found["position"]) == (False, 1, 0.0)
    assert found["reason"] == "WARMING_UP"


async def test_a_bar_delivered_again_changes_nothing(real_bars, model_dir):
    once = await stance_of(await play(real_bars, model_dir=model_dir))
    again = await stance_of(await play([*real_bars, *real_bars[-30:]], model_dir=model_dir))
    assert once == again


@pytest.mark.parametrize("played", [40, 80, 81, 119])
async def test_a_restart_is_not_noticed(real_bars, model_dir, played):
    bars = real_bars[:120]
    before = await play(bars[:played], model_dir=model_dir)
    after = AgentHarness(StrategicAgent({"model_dir": model_dir}), log=before.log)
    await after.start()
    for bar in (bars[played - 1], *bars[played:]):  # The last one comes again.
        await after.feed("bars.1h", bar)
    assert await stance_of(after) == await stance_of(await play(bars, model_dir=model_dir))


async def test_it_reads_back_no_more_than_it_may(real_bars, model_dir):
    before = await play(real_bars[:100], model_dir=model_dir)
    settings = {"model_dir": model_dir, "recover_messages_max": 0}
    after = AgentHarness(StrategicAgent(settings), log=before.log)
    await after.start()
    await after.feed("bars.1h", real_bars[100])
    assert (await stance_of(after))["bars"] == 1


async def test_a_bar_without_a_price_takes_no_room(model_dir):
    harness = await play([], model_dir=model_dir)
    with pytest.raises(InvalidBarError):
        await harness.feed("bars.1h", Bar(symbol="IBM", close="0"))
    assert await stance_of(harness, "IBM") == {"symbol": "IBM", "known": False, "symbols": []}


async def test_a_symbol_never_seen_is_told_with_those_that_were(real_bars, model_dir):
    found = await stance_of(await play(real_bars[:1], model_dir=model_dir), "IBM")
    assert found == {"symbol": "IBM", "known": False, "symbols": ["EURUSD"]}


async def test_without_a_model_it_says_why_it_has_no_stance(real_bars, tmp_path, caplog):
    found = await stance_of(await play(real_bars[:81], model_dir=str(tmp_path)))
    assert (found["has_stance"], found["position"], found["model"]) == (False, 0.0, "")
    assert found["reason"] == "MODEL_INVALID"
    assert "has no stance" in caplog.text


async def test_a_tactical_model_is_refused(real_bars, tmp_path, caplog):
    write_model(tmp_path, initial_weights(Variant.TINY, 0))
    await play(real_bars[:1], model_dir=str(tmp_path))
    assert "expected features (batch, 13) in, probabilities out" in caplog.text


async def test_symbols_and_prices_are_bounded(real_bars, model_dir):
    harness = await play(real_bars[:1], model_dir=model_dir, symbols_max=1)
    with pytest.raises(TooManySymbolsError):
        await harness.feed("bars.1h", Bar(symbol="IBM", interval="1h", close="1"))
    late = Bar(symbol="EURUSD", interval="1h", close="1e19", close_time_unix_nano=2**62)
    with pytest.raises(InvalidBarError):
        await harness.feed("bars.1h", late)


async def test_the_bundled_model_answers(real_bars):
    found = await stance_of(await play(real_bars))
    weights = load_strategic_weights(BUNDLED_MODEL / "weights.npz")
    expected = expected_stance(real_bars, weights)
    assert (found["position"], found["model"]) == (expected.position, "strategic:1")


def test_the_model_computes_what_numpy_computes(model_dir):
    seen = np.random.default_rng(1).uniform(-1, 1, (20, 13)).astype(np.float32)
    model = open_model(BUNDLED_MODEL.parent / "1")
    weights = load_strategic_weights(BUNDLED_MODEL / "weights.npz")
    for row in seen:
        expected = strategic_forward(weights, row[None]).probabilities[0]
        assert model.ask(row) == pytest.approx(expected, abs=1e-6)
    model.close()


def test_serving_loads_neither_onnx_nor_torch():
    code = (
        "import sys, bellwire.agents.strategic.strategic_agent;"
        "print([name for name in ('onnx', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
