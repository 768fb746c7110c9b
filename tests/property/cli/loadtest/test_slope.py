"""Lines are found whatever their unit and origin."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellwire.cli.loadtest.slope import fit_slope

ys = st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=60)


@given(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), st.integers(3, 100))
def test_a_straight_line_is_found(slope, origin, count):
    xs = [float(i) for i in range(count)]
    found = fit_slope(xs, [origin + slope * x for x in xs])
    assert found is not None
    assert found.value == pytest.approx(slope, abs=1e-6)
    assert found.standard_error == pytest.approx(0, abs=1e-6)


@given(ys, st.floats(-1e3, 1e3), st.floats(-1e6, 1e6))
def test_a_line_added_adds_its_slope_and_no_doubt(values, slope, origin):
    xs = [float(i) for i in range(len(values))]
    before = fit_slope(xs, values)
    after = fit_slope(xs, [y + origin + slope * x for x, y in zip(xs, values, strict=True)])
    assert before is not None
    assert after is not None
    assert after.value == pytest.approx(before.value + slope, abs=1e-4)
    assert after.standard_error == pytest.approx(before.standard_error, abs=1e-4)


@given(ys, st.floats(0.001, 1e3))
def test_units_do_not_matter(values, scale):
    xs = [float(i) for i in range(len(values))]
    plain = fit_slope(xs, values)
    scaled = fit_slope([x * scale for x in xs], values)
    assert plain is not None
    assert scaled is not None
    assert scaled.value * scale == pytest.approx(plain.value, rel=1e-6, abs=1e-6)
    assert scaled.standard_error * scale == pytest.approx(plain.standard_error, rel=1e-3, abs=1e-6)
