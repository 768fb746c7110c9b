from contextlib import suppress
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from bellwire.execution.order_state import (
    IllegalOrderTransitionError,
    OrderLife,
    OrderState,
)

EVENTS = st.lists(
    st.one_of(
        st.sampled_from(list(OrderState)),
        st.tuples(st.integers(1, 9), st.integers(1, 1_000)),
    ),
    max_size=20,
)


@given(EVENTS)
def test_whatever_happens_quantities_add_up_and_never_shrink(events):
    life = OrderLife("BW-1", Decimal(10))
    filled = notional = Decimal(0)
    ended = False
    for event in events:
        before = life.cum_qty
        if isinstance(event, tuple):
            quantity, price = map(Decimal, event)
            life.fill(quantity, price)
            filled += quantity
            notional += quantity * price
        else:
            with suppress(IllegalOrderTransitionError):
                life.transition(event)
        assert life.cum_qty == filled >= before
        assert life.cum_notional == notional
        assert life.leaves_qty >= 0
        ended |= not life.working
        if ended:
            assert not life.working
            assert life.leaves_qty == 0
        else:
            assert life.leaves_qty == max(Decimal(0), life.order_qty - life.cum_qty)
