from decimal import Decimal

from bellwire.risk.exposure import Exposure, Holder

ALICE = Holder("acc", "alice", "EURUSD")
BOB = Holder("acc", "bob", "EURUSD")
OTHER_ACCOUNT = Holder("acc2", "alice", "EURUSD")


def test_fills_move_the_strategy_and_the_net_of_the_account():
    book = Exposure()
    book.add_fill(ALICE, Decimal(5))
    book.add_fill(BOB, Decimal(-2))
    book.add_fill(OTHER_ACCOUNT, Decimal(100))
    assert book.position(ALICE) == 5
    assert book.position(BOB) == -2
    assert book.net(ALICE) == book.net(BOB) == 3
    assert book.holders == {ALICE, BOB, OTHER_ACCOUNT}


def test_working_orders_count_by_side_over_all_strategies_of_the_account():
    book = Exposure()
    book.set_leaves("1", ALICE, Decimal(4))
    book.set_leaves("2", BOB, Decimal(3))
    book.set_leaves("3", BOB, Decimal(-9))
    assert book.working(ALICE, 1) == 7
    assert book.working(ALICE, -1) == 9
    assert [order.cl_ord_id for order in book.orders_of(BOB)] == ["2", "3"]
    assert book.open_order_count == 3


def test_leaves_of_zero_give_the_reservation_back():
    book = Exposure()
    book.set_leaves("1", ALICE, Decimal(4))
    book.set_leaves("1", ALICE, Decimal(1))
    assert book.working(ALICE, 1) == 1
    book.set_leaves("1", ALICE, Decimal(0))
    book.set_leaves("1", ALICE, Decimal(0))
    assert book.working(ALICE, 1) == 0
    assert book.open_order_count == 0


def test_a_stranger_has_no_position_and_no_entry():
    book = Exposure()
    assert book.position(ALICE) == book.net(ALICE) == book.working(ALICE, 1) == 0
    assert list(book.orders_of(ALICE)) == []
    assert not book.knows(ALICE)
    assert book.holder_count == 0
