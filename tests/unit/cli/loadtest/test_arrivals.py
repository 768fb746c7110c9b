"""bellwire.cli.loadtest.arrivals: lost, twice, out of order."""

from __future__ import annotations

from bellwire.cli.loadtest.arrivals import Arrivals

ONE = ("t", 0)
OTHER = ("t", 1)


def noted(*sequences: int, arrivals: Arrivals | None = None) -> Arrivals:
    arrivals = arrivals or Arrivals()
    for sequence in sequences:
        arrivals.note(sequence, ONE)
    return arrivals


def figures(arrivals: Arrivals) -> tuple[int, int, int]:
    return arrivals.received, arrivals.duplicates, arrivals.out_of_order


def test_messages_in_order_are_only_received():
    assert figures(noted(0, 1, 2)) == (3, 0, 0)


def test_a_message_that_came_before_is_a_duplicate_and_not_out_of_order():
    assert figures(noted(0, 1, 1, 0)) == (2, 2, 0)


def test_a_message_that_was_overtaken_is_out_of_order_and_not_missing():
    arrivals = noted(0, 2, 1)
    assert figures(arrivals) == (3, 0, 1)
    assert arrivals.missing(3) == []


def test_over_partitions_no_order_is_promised():
    arrivals = noted(0, 2)
    arrivals.note(1, OTHER)
    assert figures(arrivals) == (3, 0, 0)


def test_what_never_came_is_missing_also_at_the_end():
    assert noted(0, 3).missing(6) == [(1, 3), (4, 6)]


def test_a_broken_stream_gives_its_oldest_gaps_up_and_still_counts_them():
    arrivals = noted(0, 2, 4, 6, 8, arrivals=Arrivals(gaps_max=3))
    assert (arrivals.given_up, arrivals.received) == (2, 5)
    assert arrivals.missing(9) == [(5, 6), (7, 8)]
    # Should one come after all, it is counted as a duplicate: nobody remembers it was missing.
    assert figures(noted(1, arrivals=arrivals)) == (5, 1, 0)
