"""Dispositions gather into few ranges, and leave in time."""

from bellwire.bus.v1.subscriber_pb2 import (
    DISPOSITION_ACCEPT,
    DISPOSITION_RELEASE,
    Settle,
)
from bellwire.client._settlements import Settlements

ACCEPT, RELEASE = DISPOSITION_ACCEPT, DISPOSITION_RELEASE


def ranges(settle: Settle) -> list[tuple[int, int, int]]:
    return [(s.first_tag, s.last_tag, s.disposition) for s in settle.settlements]


def test_acceptances_that_touch_become_one_range_in_whatever_order_they_come() -> None:
    gathered = Settlements(0.005, 1_000)
    for tag in (3, 1, 2, 7, 6, 9):
        gathered.add(tag, tag, ACCEPT, 0, "", 0.0)
    settle, count = gathered.take()
    assert ranges(settle) == [(1, 3, ACCEPT), (6, 7, ACCEPT), (9, 9, ACCEPT)]
    assert (count, gathered.messages) == (6, 0)


def test_nothing_is_due_before_the_linger_time_of_the_oldest() -> None:
    gathered = Settlements(0.005, 1_000)
    assert gathered.due_at() is None
    assert gathered.add(1, 1, ACCEPT, 0, "", 10.0)
    assert not gathered.add(2, 2, ACCEPT, 0, "", 10.004)
    assert gathered.due_at() == 10.005


def test_an_eighth_of_the_window_is_due_at_once() -> None:
    gathered = Settlements(0.005, 10)
    gathered.add(1, 9, ACCEPT, 0, "", 10.0)
    assert gathered.due_at() == 10.005
    assert gathered.add(10, 10, ACCEPT, 0, "", 10.001)
    assert gathered.urgent
    assert gathered.due_at() == 10.0


def test_a_window_of_one_settles_each_message_at_once() -> None:
    gathered = Settlements(0.005, 1 // 8)
    gathered.add(1, 1, ACCEPT, 0, "", 10.0)
    assert gathered.urgent


def test_a_release_is_due_at_once_and_keeps_its_delay() -> None:
    gathered = Settlements(0.005, 1_000)
    assert gathered.add(4, 5, RELEASE, 250, "", 10.0)
    assert gathered.due_at() == 10.0
    settle, count = gathered.take()
    (settlement,) = settle.settlements
    assert (settlement.first_tag, settlement.last_tag, settlement.delay_millis) == (4, 5, 250)
    assert count == 2


def test_a_frame_holds_at_most_a_thousand_ranges_and_the_rest_follows_at_once() -> None:
    gathered = Settlements(0.005, 1_000_000)
    for tag in range(1, 2_401, 2):
        gathered.add(tag, tag, ACCEPT, 0, "", 0.0)
    settle, count = gathered.take()
    assert (len(settle.settlements), count, gathered.messages) == (1_000, 1_000, 200)
    assert gathered.due_at() == 0.0
    settle, count = gathered.take()
    assert (len(settle.settlements), count) == (200, 200)
    assert gathered.due_at() is None


def test_a_lost_lease_forgets_everything() -> None:
    gathered = Settlements(0.005, 1)
    gathered.add(1, 5, ACCEPT, 0, "", 0.0)
    gathered.clear()
    assert (gathered.messages, gathered.urgent, gathered.due_at()) == (0, False, None)
