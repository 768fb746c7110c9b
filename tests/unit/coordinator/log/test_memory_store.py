"""bellwire.coordinator.log.memory_store: bounded, the oldest dropped and counted."""

from __future__ import annotations

from bellwire.coordinator.log.memory_store import MemoryStore
from bellwire.coordinator.log.records import (
    DeadLetterRecord,
    DeadLettersRemovedRecord,
    ResultRecord,
)
from bellwire.coordinator.log.store import DeadLetterQuery, Store


def letter(letter_id: int, topic: str = "t") -> DeadLetterRecord:
    return DeadLetterRecord(letter_id, topic, 0, letter_id, 1, "s", 1, "r", 1, letter_id, "k", b"")


def ids_of(store: Store, topic: str = "t") -> list[int]:
    return [one.id for one in store.dead_letters(DeadLetterQuery(topic))]


def test_a_topic_keeps_its_latest_dead_letters_and_counts_the_others():
    store = MemoryStore(dead_letters_max=3)
    store.write([letter(1), letter(2, "other"), *map(letter, range(3, 8))])
    assert (ids_of(store), ids_of(store, "other")) == ([5, 6, 7], [2])
    assert store.dropped_dead_letters == 3
    assert store.load().dead_letters == {"t": 3, "other": 1}


def test_a_dead_letter_that_was_dropped_can_still_be_removed():
    store = MemoryStore(dead_letters_max=1)
    store.write([letter(1), letter(2), DeadLettersRemovedRecord((1, 2))])
    assert ids_of(store) == []
    assert store.load().last_dead_letter_id == 2


def test_the_latest_results_stay_and_the_others_are_counted():
    store = MemoryStore(results_max=2)
    results = [ResultRecord("scope", str(n), b"", b"", 100 - n) for n in range(4)]
    store.write([results[0], results[1], results[0], results[2], results[3]])
    assert {one.request_id for one in store.load().results} == {"2", "3"}
    assert store.dropped_results == 2


def test_nothing_of_it_is_on_a_disk():
    store = MemoryStore()
    store.write([letter(1)])
    store.close()
    assert (store.durable, store.path, store.disk_bytes()) == (False, "", 0)
