"""Flights: begun once, shared, called off by the last, new after landing."""

from bellwire.policy.single_flight import SingleFlight


def test_the_first_begins_and_the_others_share() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    assert [flights.join("a", n) for n in range(3)] == [True, False, False]
    assert flights.join("b", 9)
    assert (flights.waiting, flights.shared, len(flights)) == (4, 2, 2)
    assert flights.land("a") == [0, 1, 2]
    assert flights.join("a", 3)
    assert flights.waiting == 2


def test_only_the_last_who_leaves_calls_it_off() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    for n in range(3):
        flights.join("a", n)
    assert [flights.leave("a", n) for n in (0, 2, 2, 1)] == [False, False, False, True]
    assert (flights.waiting, len(flights)) == (0, 0)
    assert flights.join("a", 4)


def test_leaving_after_landing_changes_nothing() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    flights.join("a", 1)
    assert flights.land("a") == [1]
    assert flights.join("a", 2)
    assert not flights.leave("a", 1)
    assert flights.waiting == 1
    assert flights.land("never begun") == []
