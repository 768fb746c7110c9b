"""bellwire.cli.moments: times and durations as people write them."""

from __future__ import annotations

import pytest

from bellwire.cli.faults import UsageFault
from bellwire.cli.moments import parse_duration, parse_moment, spell_out_relative

NOW = 1_700_000_000_000_000_000  # 2023-11-14T22:13:20Z
SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2023-11-14T22:13:20Z", NOW),
        ("2023-11-14t22:13:20z", NOW),
        ("2023-11-14 22:13:20", NOW),
        ("2023-11-14T23:13:20+01:00", NOW),
        ("2023-11-14T22:13:20.123456789Z", NOW + 123_456_789),
        ("2023-11-14T22:13:20.5Z", NOW + SECOND // 2),
        ("2023-11-14T22:13", NOW - 20 * SECOND),
        ("2023-11-14", NOW - (22 * 3600 + 13 * 60 + 20) * SECOND),
        ("now", NOW),
        ("-15m", NOW - 900 * SECOND),
        ("now-1h30m", NOW - 5400 * SECOND),
        ("+30s", NOW + 30 * SECOND),
        ("now+250ms", NOW + SECOND // 4),
        ("1700000000000000000", NOW),
    ],
)
def test_a_moment_is_read_to_the_nanosecond(text, moment):
    assert parse_moment(text, NOW, "--from") == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "15m",
        "2023-13-01",
        "2023-11-14T25:00:00Z",
        "-15",
        "1700000000",
        "now-",
        "٣",
    ],
)
def test_what_is_no_moment_is_refused_with_examples(text):
    with pytest.raises(UsageFault, match=r"--from is .* expected a time: 2026-01-31T09:30:00Z"):
        parse_moment(text, NOW, "--from")


@pytest.mark.parametrize("text", ["1969-12-31T23:59:59Z", "2262-05-01", "now-60000d", "9" * 25])
def test_a_moment_the_bus_cannot_hold_is_refused(text):
    with pytest.raises(UsageFault, match="after 1970 and before 2262"):
        parse_moment(text, NOW, "--from")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1.5", 1.5), ("30s", 30), ("250ms", 0.25), ("1h30m", 5400), ("2d", 172_800)],
)
def test_a_duration_is_read(text, seconds):
    assert parse_duration(text, "--lease") == seconds


@pytest.mark.parametrize("text", ["", "-5s", "soon", "5 s", "5x"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(UsageFault, match=r"--lease is .* for example 30s"):
        parse_duration(text, "--lease")


def test_only_a_time_before_now_is_spelt_out():
    given = ["risk", "-15m", "-n", "5", "-1h30m", "-a", "--json", "-5"]
    assert spell_out_relative(given) == [
        *("risk", "now-15m", "-n", "5", "now-1h30m", "-a", "--json", "-5")
    ]
