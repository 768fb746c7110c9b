"""bellwire.cli.loadtest.limits: what `--limits` takes, and who misses what."""

from __future__ import annotations

import pytest

from bellwire.cli.faults import UsageFault
from bellwire.cli.loadtest.histogram import LatencyHistogram
from bellwire.cli.loadtest.limits import missed_limits, parse_limits, parse_size


def test_without_a_word_nearly_all_arrives_nothing_is_lost_and_memory_is_bounded():
    assert [(limit.name, limit.text) for limit in parse_limits(None)] == [
        ("tps", "95%"),
        ("loss", "0"),
        ("rss", "300MB"),
    ]


def test_limits_take_the_place_of_defaults_or_join_them():
    limits = {limit.name: limit.value for limit in parse_limits("p99=20ms, rss=1GiB,loss=0.1%")}
    assert limits == {"tps": 0.95, "loss": 0.001, "rss": 1 << 30, "p99": 20_000}


@pytest.mark.parametrize(
    ("text", "microseconds"), [("500us", 500), ("500µs", 500), ("1.5ms", 1_500), ("1s", 1_000_000)]
)
def test_a_latency_has_a_unit(text, microseconds):
    assert parse_limits(f"p99.9={text}")[-1].value == microseconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("p99", "expected NAME=VALUE"),
        ("p98=1ms", "expected NAME=VALUE, names: p50"),
        ("p99=20", "for example 500us, 20ms or 1s"),
        ("p99=-1ms", "for example 500us"),
        ("loss=few", "a count, or for example 0.1%"),
        ("loss=1MB", "a count"),
        ("rss=300", "for example 300MB"),
        ("tps=fast", "messages per second, or 95%"),
    ],
)
def test_what_is_no_limit_is_refused_with_what_would_be_one(text, expected):
    with pytest.raises(UsageFault, match=expected):
        parse_limits(text)


def test_a_good_level_misses_nothing(result):
    assert missed_limits(parse_limits("p50=2ms,p99=20ms,max=31ms,out-of-order=0"), result()) == ()


def test_every_limit_that_is_missed_is_named_with_what_was_found(result):
    bad = result(
        achieved_tps=900.0,
        lost=3,
        duplicates=2,
        out_of_order=1,
        coordinator_rss_bytes_max=301_000_000,
    )
    limits = parse_limits("p99=5ms,duplicates=1,out-of-order=0")
    assert missed_limits(limits, bad) == (
        "tps 900, at least 95% asked",
        "loss 3, at most 0 allowed",
        "rss 301 MB, at most 300MB allowed",
        "p99 10 ms, at most 5ms allowed",
        "duplicates 2, at most 1 allowed",
        "out-of-order 1, at most 0 allowed",
    )


def test_shares_are_of_what_was_offered(result):
    assert missed_limits(parse_limits("loss=0.1%"), result(lost=3)) == ()
    assert len(missed_limits(parse_limits("loss=0.1%"), result(lost=4))) == 1
    assert len(missed_limits(parse_limits("tps=1000"), result())) == 1


def test_a_latency_that_nobody_could_measure_is_missed(result):
    (miss,) = missed_limits(parse_limits("p99=1s"), result(latency=LatencyHistogram()))
    assert miss.startswith("p99 not measured: nothing came")


@pytest.mark.parametrize(("text", "size"), [("200", 200), ("4KiB", 4_096), ("1.5kB", 1_500)])
def test_a_size_has_a_unit_or_is_bytes(text, size):
    assert parse_size(text, "--size") == size


@pytest.mark.parametrize("text", ["", "big", "-1", "1XB", "1e3"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(UsageFault, match=r"--size is .* for example 200, 4KiB"):
        parse_size(text, "--size")
