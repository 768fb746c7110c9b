"""The OHLCV reader gives back what was written, and meets damage with one error class only."""

from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from bellwire.agents.bars import (
    BarSeries,
    OhlcvFileError,
    interval_name,
    interval_seconds,
    read_ohlcv,
)
from bellwire.agents.data import EURUSD_1H

HEADER = "time,open,high,low,close,volume\n"
SAMPLE = (
    HEADER + "2017-01-02T00:00:00Z,1.10,1.30,1.00,1.20,100\n"
    "2017-01-02T01:00:00Z,1.20,1.40,1.10,1.30,0\n2017-01-02T02:00:00Z,1.30,1.50,1.20,1.40,7\n"
).encode()

prices = st.decimals("0.00000001", "99999999", places=8, allow_nan=False).map(lambda d: f"{d:f}")


@st.composite
def rows(draw):
    """Draw bars as text: ascending times, two to thirty of them, valid OHLCV."""
    interval = draw(st.sampled_from([60, 300, 3600, 86_400]))
    steps = draw(st.lists(st.integers(1, 3), min_size=2, max_size=30))
    time = draw(st.integers(100_000_000, 4_000_000_000))
    result = []
    for step in [0, *steps]:
        time += step * interval
        low, *between, high = sorted((draw(prices) for _ in range(4)), key=float)
        open_, close = draw(st.permutations(between))
        volume = str(draw(st.integers(0, 10**12)))
        result.append((time, open_, high, low, close, volume))
    return result


@settings(max_examples=60, deadline=None)
@given(rows(), st.booleans())
def test_what_is_written_is_read_back_digit_for_digit(tmp_path_factory, bars, epoch):
    path = tmp_path_factory.getbasetemp() / "round_trip.csv"
    lines = (
        ",".join([str(t) if epoch else datetime.fromtimestamp(t, UTC).isoformat(), *numbers])
        for t, *numbers in bars
    )
    path.write_text(HEADER + "\n".join(lines))
    # Named, as the median of few steps may be two or three bars long.
    step = min(b[0] - a[0] for a, b in pairwise(bars))
    series = read_ohlcv(path, symbol="X", interval=interval_name(step))
    read = [
        (b.open_time_unix_nano // 10**9, b.open, b.high, b.low, b.close, b.volume)
        for b in series.bars
    ]
    assert read == bars
    opens = [bar.open_time_unix_nano // 10**9 for bar in series.bars]
    slack = 3600 if step >= 86_400 else 0
    far = [b - a - step for a, b in pairwise(opens) if b - a > step + slack]
    assert series.gaps.count == len(far)
    assert series.gaps.largest_seconds == max(far, default=0)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_files_end_in_one_error_class_or_in_valid_bars(tmp_path_factory, data):
    content = bytearray(SAMPLE if data.draw(st.booleans()) else EURUSD_1H.path.read_bytes()[:400])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    path = tmp_path_factory.getbasetemp() / "damaged.csv"
    path.write_bytes(content)
    series: BarSeries | None = None
    refusal: OhlcvFileError | None = None
    try:
        series = read_ohlcv(path, symbol="X")
    except OhlcvFileError as error:
        refusal = error
    if series is None:
        assert refusal is not None
        assert refusal.path == path
        assert str(refusal).startswith(str(path))
        assert str(refusal).endswith(refusal.advice)
        return
    for bar in series.bars:
        open_, high, low, close, volume = bar.floats()
        assert 0 < low <= min(open_, close)
        assert high >= max(open_, close)
        assert volume >= 0


@given(st.integers(1, 604_800))
def test_interval_names_and_lengths_are_inverse(seconds):
    assert interval_seconds(interval_name(seconds)) == seconds
