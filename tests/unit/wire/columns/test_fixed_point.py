"""Floats become integers exactly, or not at all."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bellwire.wire.columns import ColumnInexactError, ColumnScaleError, from_floats, to_floats


def test_a_decimal_of_the_scale_becomes_its_digits():
    assert from_floats(np.array([61837.63, 0.1, -0.29, 0.0, -0.0]), 2).tolist() == [
        6183763,
        10,
        -29,
        0,
        0,
    ]
    assert from_floats(np.array([1e-18, 0.000123]), 18).tolist() == [1, 123_000_000_000_000]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1.234, "round it first"),
        (0.1 + 0.2, "round it first"),
        (math.nan, "drop or mend"),
        (math.inf, "drop or mend"),
        (-math.inf, "drop or mend"),
        (1e300, "source's digits"),
        (float(1 << 54), "source's digits"),
    ],
)
def test_what_is_no_such_decimal_is_refused_with_its_row(value, words):
    with pytest.raises(
        ColumnInexactError, match=f"of row 1 is no decimal of 2 places.*{words}"
    ) as e:
        from_floats(np.array([1.5, value]), 2)
    assert (e.value.row, e.value.scale) == (1, 2)


@pytest.mark.parametrize("scale", [-1, 19, 1.0])
def test_a_scale_out_of_range_is_refused(scale):
    with pytest.raises(ColumnScaleError):
        from_floats(np.array([1.0]), scale)


def test_integers_become_floats():
    assert to_floats(np.array([6183763, -29]), 2).tolist() == [61837.63, -0.29]
