from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellwire.agents.tactical.quantity import confidence_factor, quantity_of

ONE = Decimal(1)


@pytest.mark.parametrize(
    ("confidence", "factor"),
    [(0.4, "0.5"), (0.65, "0.8125"), (0.8, "1"), (0.9, "1.125"), (1.0, "1.25"), (1.0001, "1.25")],
)
def test_the_factor_is_the_confidence_over_eighty_percent_and_bounded(confidence, factor):
    assert confidence_factor(confidence) == Decimal(factor)


@pytest.mark.parametrize(
    ("position", "base", "step", "factor", "quantity"),
    [
        (1.0, "10000000", "1", "1", "10000000"),
        (-0.5, "10000000", "1", "0.8125", "4062500"),
        (0.5, "1", "0.001", "1.125", "0.562"),  # 562.5 steps: half to even
        (0.75, "3", "1", "1", "2"),  # 2.25 steps
        (0.01, "1", "1", "1", "1"),  # never nothing
        (0.0, "5", "1", "1", "0"),
    ],
)
def test_quantities_are_whole_steps_of_the_venue(position, base, step, factor, quantity):
    found = quantity_of(position, Decimal(base), Decimal(step), Decimal(factor))
    assert found == Decimal(quantity)


@given(
    st.floats(-1.0, 1.0).filter(lambda position: position != 0.0),
    st.decimals("0.000001", "1000000000", places=6),
    st.sampled_from([Decimal("0.000001"), Decimal("0.01"), ONE, Decimal(100)]),
    st.floats(0.0, 1.0),
)
def test_no_position_turns_into_an_order_for_nothing(position, base, step, confidence):
    quantity = quantity_of(position, base, step, confidence_factor(confidence))
    assert quantity >= step
    assert quantity % step == 0
    assert quantity <= base * Decimal("1.25") + step
