"""Limits and levels: whatever is typed is taken or refused in words, never a traceback."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from bellwire.cli.faults import UsageFault
from bellwire.cli.loadtest.levels import parse_rate, parse_seconds, parse_tps
from bellwire.cli.loadtest.limits import parse_limits, parse_size

typed = st.text(max_size=30) | st.from_regex(r"[a-z0-9.\-]{1,6}=[0-9.]{1,6}[a-zA-Zµ%]{0,3}")


@given(typed)
def test_nothing_typed_is_more_than_a_usage_fault(text):
    for parse in (
        parse_limits,
        parse_tps,
        parse_rate,
        lambda text: parse_size(text, "--size"),
        lambda text: parse_seconds(text, "--seconds"),
    ):
        with contextlib.suppress(UsageFault):
            parse(text)


@given(st.lists(st.integers(1, 10_000_000), min_size=1, max_size=20))
def test_levels_come_back_as_they_were_written(levels):
    assert list(parse_tps(",".join(map(str, levels)))) == levels
