"""When the next stream is opened: by an injected clock and dice."""

from random import Random

from bellwire.client._reconnect import Reconnect
from bellwire.client.settings import ClientSettings

SETTINGS = ClientSettings(reconnect_first_seconds=0.05, reconnect_max_seconds=2.0)
CLIENTS = 1_000


def worst(_: object = None) -> float:
    return 1.0


def test_a_coordinator_that_ends_every_stream_is_left_alone_for_longer_and_longer() -> None:
    reconnect = Reconnect(SETTINGS, worst)
    delays = [round(reconnect.after_stream(0.0), 3) for _ in range(8)]
    assert delays == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]


def test_a_stream_that_lived_begins_again_with_the_shortest_delay() -> None:
    reconnect = Reconnect(SETTINGS, worst)
    for _ in range(8):
        reconnect.after_stream(0.0)
    assert reconnect.after_stream(lived_seconds=2.0) == 0.05


def test_the_delay_a_coordinator_asked_for_is_kept() -> None:
    assert Reconnect(SETTINGS, lambda: 0.0).after_stream(0.0, floor_seconds=0.7) == 0.7


def test_an_outage_of_any_length_ends_with_the_shortest_delay() -> None:
    """The clock: a stream that fails, tries in growing intervals, the end of the outage."""
    for tries in (1, 10, 1_000):
        reconnect = Reconnect(SETTINGS, worst)
        now = sum(reconnect.after_stream(0.0) for _ in range(tries))
        assert now > 0
        assert reconnect.after_outage() <= 0.05
        assert reconnect.after_stream(0.0) <= 0.1, "the tries before the outage still count"


def test_a_crowd_that_hears_of_the_end_at_once_does_not_come_at_once() -> None:
    crowd = [Reconnect(SETTINGS, Random(seed).random) for seed in range(CLIENTS)]
    arrivals = sorted(reconnect.after_outage() for reconnect in crowd)
    fullest = max(
        sum(millis <= at * 1_000 < millis + 5 for at in arrivals) for millis in range(0, 50, 5)
    )
    assert arrivals[-1] - arrivals[0] > 0.045
    assert fullest < CLIENTS / 10 * 1.5, "they do not spread over the first delay"
