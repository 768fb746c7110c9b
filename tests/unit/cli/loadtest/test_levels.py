"""bellwire.cli.loadtest.levels: rates and lengths as people write them."""

from __future__ import annotations

import pytest

from bellwire.cli.faults import UsageFault
from bellwire.cli.loadtest.levels import parse_rate, parse_seconds, parse_tps


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("1000", (1_000,)),
        ("1000,5000, 20k", (1_000, 5_000, 20_000)),
        ("1_000", (1_000,)),
        ("10000000", (10_000_000,)),
    ],
)
def test_levels_are_rates_with_commas_between(text, levels):
    assert parse_tps(text) == levels


@pytest.mark.parametrize("text", ["", "abc", "0", "-5", "1000,", "1.5", "10000001", "k", "²"])
def test_what_is_no_rate_is_refused(text):
    with pytest.raises(UsageFault, match=r"--tps is .* expected messages per second"):
        parse_tps(text)


def test_more_levels_than_anybody_waits_for_are_refused():
    with pytest.raises(UsageFault, match="--tps has 101 levels, the limit is 100"):
        parse_tps(",".join(["1"] * 101))


@pytest.mark.parametrize(("text", "rate"), [("2x", 2), ("0.5", 0.5), ("10", 10)])
def test_a_rate_is_a_multiple(text, rate):
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "x", "0", "-1", "nan", "inf", "1000001", "max"])
def test_what_is_no_multiple_is_refused(text):
    with pytest.raises(UsageFault, match=r"--rate is .* for example 2x"):
        parse_rate(text)


def test_a_length_has_a_unit_or_is_seconds():
    assert (parse_seconds("30", "--seconds"), parse_seconds("30m", "--soak")) == (30, 1_800)


@pytest.mark.parametrize("text", ["0", "8d", "soon"])
def test_what_is_no_length_is_refused(text):
    with pytest.raises(UsageFault, match="--soak is"):
        parse_seconds(text, "--soak")
