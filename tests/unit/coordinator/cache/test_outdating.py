"""Which spaces a message outdates, and what is remembered of that."""

from __future__ import annotations

from bellwire.coordinator.cache.outdating import PATTERNS_MAX, Outdating
from bellwire.policy.generations import Generations


def outdating(settle_seconds: float = 1.0) -> Outdating:
    return Outdating(Generations(100), settle_seconds)


def test_a_message_outdates_the_spaces_whose_patterns_it_matches() -> None:
    generations = Generations(100)
    watched = Outdating(generations, 0.0)
    watched.watch("value", ["bars.>"], 0.0)
    watched.watch("spread", ["bars.1h", "quotes"], 0.0)
    stamps = {space: generations.stamp((space,)) for space in ("value", "spread")}
    assert not watched.on_message("orders", 1.0)
    assert all(generations.is_current(stamp) for stamp in stamps.values())
    assert watched.on_message("quotes", 1.0)
    assert [generations.is_current(stamps[space]) for space in ("value", "spread")] == [True, False]
    assert watched.on_message("bars.5m", 1.0)
    assert not generations.is_current(stamps["value"])


def test_a_space_watched_for_the_first_time_is_outdated_and_redis_is_to_hear_of_it() -> None:
    assert not outdating().is_watching
    watched = outdating()
    assert watched.watch("value", ["bars"], 5.0)
    assert watched.is_watching
    assert list(watched.untold) == ["value"]
    before = dict(watched.untold)
    assert watched.watch("value", ["bars"], 6.0)
    assert watched.untold == before


def test_redis_is_told_again_of_what_was_outdated_meanwhile() -> None:
    watched = outdating()
    watched.outdate("value", 0.0)
    number = watched.untold["value"]
    watched.outdate("value", 0.0)
    watched.told("value", number)
    assert "value" in watched.untold
    watched.told("value", watched.untold["value"])
    assert watched.untold == {}


def test_answers_begun_too_soon_after_a_message_are_not_settled() -> None:
    watched = outdating(settle_seconds=1.0)
    assert watched.is_settled("value", 0.0)
    watched.outdate("value", 10.0)
    assert [watched.is_settled("value", began) for began in (9.0, 10.5, 11.0)] == [
        False,
        False,
        True,
    ]
    assert watched.is_settled("other", 10.5)


def test_patterns_of_all_agents_count_and_are_bounded() -> None:
    watched = outdating()
    assert watched.watch("value", ["bars"], 0.0)
    assert watched.watch("value", ["quotes"], 0.0)
    assert watched.on_message("bars", 0.0)
    assert watched.on_message("quotes", 0.0)
    assert not watched.watch("value", [f"t{n}" for n in range(PATTERNS_MAX)], 0.0)
    assert watched.on_message("bars", 0.0)


def test_a_topic_is_found_anew_when_more_is_watched() -> None:
    watched = outdating()
    watched.watch("value", ["bars"], 0.0)
    assert not watched.on_message("quotes", 0.0)
    watched.watch("spread", ["quotes"], 0.0)
    assert watched.on_message("quotes", 0.0)
