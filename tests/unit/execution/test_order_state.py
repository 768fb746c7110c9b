from decimal import Decimal

import pytest

from bellwire.execution.order_state import (
    Anomaly,
    IllegalOrderTransitionError,
    InvalidFillError,
    OrderLife,
    OrderState,
    order_state,
)
from bellwire.trading.v1 import order_pb2

S = OrderState
TABLE = {
    S.INITIALIZED: "DENIED PENDING_NEW NEW CANCELED REJECTED EXPIRED",
    S.PENDING_NEW: (
        "NEW PARTIALLY_FILLED FILLED REJECTED CANCELED EXPIRED PENDING_CANCEL PENDING_REPLACE"
    ),
    S.NEW: "PARTIALLY_FILLED FILLED PENDING_CANCEL PENDING_REPLACE CANCELED EXPIRED REJECTED",
    S.PARTIALLY_FILLED: "PARTIALLY_FILLED FILLED PENDING_CANCEL PENDING_REPLACE CANCELED EXPIRED",
    S.PENDING_REPLACE: (
        "NEW PARTIALLY_FILLED FILLED PENDING_CANCEL PENDING_REPLACE CANCELED EXPIRED REJECTED"
    ),
    S.PENDING_CANCEL: "CANCELED FILLED PARTIALLY_FILLED NEW PENDING_CANCEL EXPIRED REJECTED",
    S.CANCELED: "PARTIALLY_FILLED FILLED",
    S.FILLED: "",
    S.REJECTED: "",
    S.DENIED: "",
    S.EXPIRED: "",
}


def life(state=S.NEW, quantity=10):
    return OrderLife("BW-1", Decimal(quantity), state)


def test_states_carry_the_names_and_numbers_of_the_contract():
    contract = dict(order_pb2.OrdStatus.items())
    del contract["ORD_STATUS_UNSPECIFIED"]
    assert {f"ORD_STATUS_{state.name}": int(state) for state in S} == contract
    assert order_state(order_pb2.ORD_STATUS_FILLED) is S.FILLED
    assert order_state(0) is None
    assert order_state(99) is None


@pytest.mark.parametrize("current", list(S))
@pytest.mark.parametrize("asked", list(S))
def test_every_pair_of_states_is_legal_exactly_where_the_table_says(current, asked):
    order = life(current)
    if asked.name in TABLE[current].split():
        order.transition(asked)
        assert order.state is asked
    else:
        with pytest.raises(IllegalOrderTransitionError, match=f"{current.name} and cannot"):
            order.transition(asked)
        assert order.state is current


def test_fills_add_up_and_end_the_order():
    order = life()
    assert order.fill(Decimal(4), Decimal(100)) is Anomaly.NONE
    assert (order.state, order.cum_qty, order.leaves_qty) == (S.PARTIALLY_FILLED, 4, 6)
    assert order.fill(Decimal(6), Decimal("110")) is Anomaly.NONE
    assert (order.state, order.cum_qty, order.leaves_qty) == (S.FILLED, 10, 0)
    assert order.avg_px == Decimal(106)
    assert not order.working


def test_a_fill_without_an_acknowledgement_is_normal():
    order = life(S.PENDING_NEW)
    assert order.fill(Decimal(10), Decimal(1)) is Anomaly.NONE
    assert order.state is S.FILLED


def test_a_fill_while_a_cancel_travels_is_normal():
    order = life(S.PENDING_CANCEL)
    assert order.fill(Decimal(3), Decimal(1)) is Anomaly.NONE
    assert order.state is S.PARTIALLY_FILLED
    order.transition(S.CANCELED)
    assert order.leaves_qty == 0


def test_a_late_fill_after_the_cancel_counts_and_is_flagged():
    order = life()
    order.transition(S.CANCELED)
    assert order.fill(Decimal(3), Decimal(1)) is Anomaly.LATE_FILL
    assert (order.state, order.cum_qty) == (S.PARTIALLY_FILLED, 3)
    assert order.leaves_qty == 0  # the cancel stands: nothing more is expected
    assert not order.working
    assert order.fill(Decimal(7), Decimal(1)) is Anomaly.LATE_FILL
    assert order.state is S.FILLED


def test_an_overfill_is_recorded_and_flagged_never_dropped():
    order = life()
    assert order.fill(Decimal(12), Decimal(2)) is Anomaly.OVERFILL
    assert (order.state, order.cum_qty, order.leaves_qty) == (S.FILLED, 12, 0)
    again = order.fill(Decimal(1), Decimal(2))
    assert again == Anomaly.OVERFILL | Anomaly.FILL_AFTER_END
    assert order.cum_qty == 13
    assert order.anomalies == Anomaly.OVERFILL | Anomaly.FILL_AFTER_END


@pytest.mark.parametrize("state", [S.REJECTED, S.EXPIRED, S.DENIED])
def test_a_fill_after_the_end_counts_and_leaves_the_state(state):
    order = life(state)
    assert order.fill(Decimal(1), Decimal(1)) is Anomaly.FILL_AFTER_END
    assert (order.state, order.cum_qty) == (state, 1)


def test_a_fill_of_an_order_never_sent_is_flagged():
    order = OrderLife("BW-1", Decimal(10))
    assert order.fill(Decimal(1), Decimal(1)) is Anomaly.UNSENT_FILL
    assert (order.state, order.cum_qty) == (S.INITIALIZED, 1)


@pytest.mark.parametrize(("quantity", "price"), [(0, 1), (-1, 1), (1, 0), (1, -1)])
def test_a_fill_of_nothing_or_for_nothing_is_refused(quantity, price):
    order = life()
    with pytest.raises(InvalidFillError, match="must be above 0"):
        order.fill(Decimal(quantity), Decimal(price))
    assert (order.state, order.cum_qty) == (S.NEW, 0)
