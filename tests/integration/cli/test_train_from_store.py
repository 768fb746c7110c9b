"""Bars that a sink stored, as training takes them: the same numbers, and what was wrong told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.integration.sink.conftest import NOON_NS, Shop

from bellwire.agents.bars import read_ohlcv
from bellwire.agents.data import EURUSD_1H
from bellwire.agents.feed import to_message
from bellwire.agents.train import load_bars
from bellwire.cli import recorded_bars
from bellwire.cli.faults import UsageFault
from bellwire.cli.recorded_bars import StoredBars, load_stored_bars
from bellwire.client import new_message
from bellwire.sink import QuerySettings, SinkSettings
from bellwire.trading.v1.market_data_pb2 import Bar, Watermark

pytestmark = pytest.mark.integration

BARS = 300
SETTINGS = QuerySettings()


def bars(symbol="EURUSD", count=BARS, **changed):
    series = read_ohlcv(EURUSD_1H.path, symbol=symbol)
    messages = [to_message(each, number) for number, each in enumerate(series.bars[:count])]
    for message in messages:
        message.MergeFrom(Bar(**changed))
    return messages


def sent(payload, key="EURUSD"):
    return new_message(
        data=payload.SerializeToString(),
        type=payload.DESCRIPTOR.full_name,
        key=key,
        time_unix_nano=NOON_NS,
    )


@pytest.fixture
def shop(tmp_path: Path):
    """A store with 300 bars out of order, three of them twice, their watermark, and another topic."""
    made = Shop(tmp_path / "it's a store", SinkSettings())
    stream = bars()
    made.put("bars.1h", [sent(bar) for bar in stream[100:]])
    made.put("bars.1h", [sent(bar) for bar in (*stream[:103], Watermark(symbol="EURUSD"))])
    made.put("bars.5m", [sent(bar) for bar in bars(interval="5m")])
    yield made
    made.writer.close()


def load(shop, *symbols, topic="bars.1h"):
    return load_stored_bars(StoredBars(shop.root, topic, symbols), SETTINGS)


def test_what_was_stored_is_what_the_file_holds(shop, capsys):
    (found,) = load(shop)
    told = load_bars("eurusd-1h")
    for name in ("open_times", "open", "high", "low", "close", "volume"):
        np.testing.assert_array_equal(getattr(found, name), getattr(told, name)[:BARS])
    assert (found.symbol, found.interval) == ("EURUSD", "1h")
    assert found.source == "analytic store, topic bars.1h"
    assert len(found.sha256) == 64
    err = capsys.readouterr().err
    assert err.startswith("train: EURUSD: 300 bars of 1h; 2 gaps, the first at 2017-01-")
    assert "3 repeated bars left out, 0 of them with other numbers" in err


def test_the_digest_is_of_the_bars_and_not_of_the_files(shop):
    (before,) = load(shop)
    shop.put("bars.1h", [sent(bar) for bar in bars()[:5]])
    (after,) = load(shop)
    assert after.sha256 == before.sha256
    shop.put("bars.1h", [sent(bar) for bar in bars(count=BARS + 1)[-1:]])
    (longer,) = load(shop)
    assert longer.sha256 != before.sha256


def test_of_two_bars_that_contradict_the_first_admitted_counts_whichever_was_stored_first(
    shop, capsys
):
    (usual,) = bars("IBM", 1)
    later, earlier = usual.open, usual.low
    for admitted_ns, close in ((NOON_NS + 2, later), (NOON_NS + 1, earlier)):
        (bar,) = bars("IBM", 1, close=close)
        shop.put("bars.1h", [sent(bar, "IBM")], admitted_ns)
    (found,) = load(shop, "IBM")
    assert found.close.tolist() == [float(earlier)]
    assert "1 repeated bars left out, 1 of them with other numbers" in capsys.readouterr().err


def test_every_symbol_of_the_topic_comes_unless_some_are_named(shop):
    shop.put("bars.1h", [sent(bar, "O'X") for bar in bars("O'X", 90)])
    assert [(each.symbol, len(each)) for each in load(shop)] == [("EURUSD", BARS), ("O'X", 90)]
    assert [each.symbol for each in load(shop, "O'X")] == ["O'X"]


@pytest.mark.parametrize(
    ("symbols", "topic", "said"),
    [
        (("IBM",), "bars.1h", "recorded bars of IBM: there are none"),
        ((), "bars.1d", "holds no bellwire.trading.v1.Bar; name the topic"),
        ((), "bars.5m", "where 5m is 300000000000 ns"),
    ],
)
def test_what_cannot_be_trained_on_is_said(shop, symbols, topic, said):
    with pytest.raises(UsageFault) as caught:
        load(shop, *symbols, topic=topic)
    assert said in str(caught.value)
    assert f"topic {topic} of the analytic store" in str(caught.value)


def test_mixed_intervals_in_one_topic_are_refused(shop):
    shop.put("bars.1h", [sent(bar) for bar in bars(count=2, interval="5m", close_time_unix_nano=1)])
    with pytest.raises(UsageFault, match="mixed intervals"):
        load(shop)


def test_a_folder_without_a_store_is_refused(tmp_path):
    with pytest.raises(UsageFault, match=r"--from-store: there is no .* or name another folder$"):
        load_stored_bars(StoredBars(tmp_path, "bars.1h"), SETTINGS)


def test_bars_and_symbols_are_bounded(shop, monkeypatch):
    shop.put("bars.1h", [sent(bar, "IBM") for bar in bars("IBM", 90)])
    monkeypatch.setattr(recorded_bars, "BARS_MAX", 302)
    with pytest.raises(UsageFault, match="more than 302 bars of EURUSD"):
        load(shop)
    monkeypatch.setattr(recorded_bars, "SYMBOLS_MAX", 1)
    with pytest.raises(UsageFault, match="more than 1 symbols; name some with --symbol"):
        load(shop)


def test_messages_that_are_no_bar_are_counted_and_left_out(shop, capsys):
    garbage = new_message(data=b"\xff", type=Bar.DESCRIPTOR.full_name, key="EURUSD")
    shop.put("bars.1h", [garbage])
    (found,) = load(shop)
    assert len(found) == BARS
    said = "train: 1 messages left out: their payload is no bellwire.trading.v1.Bar\n"
    assert capsys.readouterr().err.startswith(said)


def test_a_torn_file_is_left_out_and_said(shop, capsys):
    file = max((shop.root / "messages").rglob("*.parquet"), key=lambda path: path.stat().st_size)
    file.write_bytes(file.read_bytes()[:-1])
    assert load(shop, "EURUSD")
    assert capsys.readouterr().err.count("train: damaged file left out: ") == 1


BLOCKED = """
import sys
sys.modules.update(torch=type(sys)("torch"), onnx=type(sys)("onnx"), duckdb=None)
for name in ("torch", "onnx"):
    sys.modules[name].__spec__ = object()
from bellwire.cli.main import run
sys.exit(run(["train", "tactical", "--out", "out", "--from-store", sys.argv[1]]))
"""


def test_without_duckdb_it_names_the_extra(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stderr == (
        "error: this verb needs package 'duckdb': pip install 'bellwire[sinks]'\n"
    )
    assert (done.returncode, list(tmp_path.iterdir())) == (1, [])
