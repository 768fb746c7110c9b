"""bellwire.cli.demo.market_data: what is played, checked before anything starts."""

from __future__ import annotations

import hashlib

import pytest

from bellwire.agents.data.series import EURUSD_1H
from bellwire.cli.demo.log_tail import log_tail
from bellwire.cli.demo.market_data import BARS_DEFAULT, choose_market_data
from bellwire.cli.faults import UsageFault


def write_csv(path, rows=120):
    lines = ["time,open,high,low,close,volume"]
    lines += [f"2020-01-{1 + n // 24:02d}T{n % 24:02d}:00:00Z,1,2,1,2,{n}" for n in range(rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_by_default_the_bundled_hourly_series_is_played():
    data = choose_market_data(None, None, None)
    facts = data.facts()
    assert (facts.symbol, facts.interval, facts.bars) == ("EURUSD", "1h", BARS_DEFAULT)
    assert facts.sha256 == hashlib.sha256(EURUSD_1H.path.read_bytes()).hexdigest()
    assert facts.source == "bundled eurusd_1h.csv.gz"


def test_the_other_bundled_series_is_named_by_its_symbol():
    assert choose_market_data(None, "ibm", 200).interval == "1d"


def test_a_file_of_ones_own_is_named_after_itself(tmp_path):
    data = choose_market_data(write_csv(tmp_path / "my-fund.csv"), None, 110)
    assert (data.symbol, data.interval, data.bars) == ("MY-FUND", "1h", 110)


def test_fewer_bars_than_the_agents_look_back_are_refused(tmp_path):
    with pytest.raises(UsageFault, match="give at least 100"):
        choose_market_data(None, None, 99)
    with pytest.raises(UsageFault, match="50 bars, at least 100 are needed"):
        choose_market_data(write_csv(tmp_path / "short.csv", rows=50), None, None)


@pytest.mark.parametrize("symbol", ["two words", "a/b", "x" * 65])
def test_a_symbol_that_cannot_be_a_key_is_refused(tmp_path, symbol):
    with pytest.raises(UsageFault, match="--symbol is"):
        choose_market_data(write_csv(tmp_path / "a.csv"), symbol, None)


def test_a_file_with_a_hole_names_line_and_column(tmp_path):
    path = write_csv(tmp_path / "a.csv")
    path.write_text(path.read_text().replace("1,2,1,2,7\n", "1,2,nan,2,7\n"))
    with pytest.raises(UsageFault, match="line 9"):
        choose_market_data(path, None, None)


def test_the_end_of_a_log_is_its_last_lines(tmp_path):
    log = tmp_path / "x.log"
    log.write_text("\n".join(str(n) for n in range(100_000)))
    assert log_tail(log).splitlines() == [str(n) for n in range(99_985, 100_000)]
    log.write_text("")
    assert log_tail(log) == "(its log is empty)"
    assert "cannot be read" in log_tail(tmp_path / "absent.log")
