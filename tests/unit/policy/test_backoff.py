"""Backoff: bounded, growing, jittered."""

import pytest

from bellwire.policy.backoff import Backoff


def test_bounds_double_up_to_the_cap() -> None:
    backoff = Backoff(0.1, 1.0, draw=lambda: 1.0)
    assert [round(backoff.next_delay(), 3) for _ in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_the_draw_scales_the_whole_bound() -> None:
    assert Backoff(0.1, 1.0, draw=lambda: 0.0).next_delay() == 0.0
    assert Backoff(0.1, 1.0, draw=lambda: 0.5).next_delay() == 0.05


def test_reset_begins_again_from_the_base() -> None:
    backoff = Backoff(0.1, 1.0, draw=lambda: 1.0)
    for _ in range(5):
        backoff.next_delay()
    assert backoff.tries == 5
    backoff.reset()
    assert (backoff.tries, backoff.next_delay()) == (0, 0.1)


def test_a_floor_asked_for_by_the_peer_is_kept_under_the_jitter() -> None:
    backoff = Backoff(0.1, 1.0, draw=lambda: 0.5)
    assert backoff.next_delay(floor_seconds=2.0) == 2.05


def test_days_of_outage_do_not_overflow() -> None:
    backoff = Backoff(0.1, 1.0, draw=lambda: 1.0)
    for _ in range(5_000):
        assert backoff.next_delay() <= 1.0


@pytest.mark.parametrize(("base", "cap"), [(0.0, 1.0), (-1.0, 1.0), (2.0, 1.0)])
def test_bounds_that_contradict_each_other_are_refused(base: float, cap: float) -> None:
    with pytest.raises(ValueError, match="base must be above 0"):
        Backoff(base, cap)
