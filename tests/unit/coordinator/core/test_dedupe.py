"""bellwire.coordinator.core.dedupe: the same sequence twice is appended once."""

from __future__ import annotations

import pytest

from bellwire.coordinator.core import dedupe
from bellwire.coordinator.core.dedupe import BATCHES_REMEMBERED, ProducerIds, ProducerTable
from bellwire.wire.errors import ProducerFencedError, SequenceGapError

PRODUCER = 7
FAR = 1 << 40  # High watermark above everything: all is committed.


@pytest.fixture
def table() -> ProducerTable:
    """A table in which the producer has appended sequences 0..9 at offset 500."""
    table = ProducerTable()
    assert table.check(PRODUCER, 0, 0, 10) is None
    table.record(PRODUCER, 0, 0, 10, 500, FAR)
    return table


def test_the_next_sequence_is_new(table: ProducerTable):
    assert table.check(PRODUCER, 0, 10, 5) is None


def test_the_same_batch_again_gets_its_first_offset(table: ProducerTable):
    assert table.check(PRODUCER, 0, 0, 10) == 500


def test_a_batch_at_offset_zero_is_recognised_too():
    table = ProducerTable()
    table.record(PRODUCER, 0, 0, 1, 0, FAR)
    assert table.check(PRODUCER, 0, 0, 1) == 0


def test_a_gap_names_what_was_found_and_what_is_missing(table: ProducerTable):
    with pytest.raises(SequenceGapError, match="sent sequence 11, expected 10") as caught:
        table.check(PRODUCER, 0, 11, 1)
    assert caught.value.metadata == {"found": "11", "expected": "10"}


@pytest.mark.parametrize(("sequence", "count"), [(0, 9), (0, 11), (5, 5), (9, 1)])
def test_another_cut_of_what_was_appended_is_no_duplicate(table, sequence, count):
    with pytest.raises(SequenceGapError):
        table.check(PRODUCER, 0, sequence, count)


def test_an_older_epoch_is_fenced(table: ProducerTable):
    table.record(PRODUCER, 2, 0, 1, 510, FAR)
    with pytest.raises(ProducerFencedError) as caught:
        table.check(PRODUCER, 1, 1, 1)
    assert caught.value.metadata == {"epoch": "1", "current_epoch": "2"}


def test_what_is_not_committed_is_remembered_however_much_it_is():
    table = ProducerTable()
    for sequence in range(2 * BATCHES_REMEMBERED):
        table.record(PRODUCER, 0, sequence, 1, 1_000 + sequence, 1_010)
    assert table.check(PRODUCER, 0, 10, 1) == 1_010
    with pytest.raises(SequenceGapError):
        table.check(PRODUCER, 0, 9, 1)


def test_what_is_rolled_back_is_new_again_and_the_epoch_stays(table: ProducerTable):
    table.record(PRODUCER, 0, 10, 5, 510, 510)
    table.record(PRODUCER, 1, 0, 5, 515, 510)
    table.roll_back(510)
    assert table.check(PRODUCER, 1, 0, 5) is None
    with pytest.raises(ProducerFencedError):
        table.check(PRODUCER, 0, 10, 5)


def test_a_rolled_back_batch_is_appended_anew_after_what_was_committed(table: ProducerTable):
    table.record(PRODUCER, 0, 10, 5, 510, 510)
    table.roll_back(510)
    assert table.check(PRODUCER, 0, 0, 10) == 500
    assert table.check(PRODUCER, 0, 10, 5) is None


def test_records_bring_a_table_back(table: ProducerTable):
    table.record(PRODUCER, 0, 10, 5, 510, FAR)
    copy = ProducerTable(table.records(1))
    assert copy.check(PRODUCER, 0, 10, 5) == 510
    assert copy.check(PRODUCER, 0, 15, 1) is None
    assert list(table.records(1)) == []
    table.unsaved()
    assert len(list(table.records(1))) == 1


def test_a_newer_epoch_begins_anywhere_and_forgets_the_older_batches(table: ProducerTable):
    assert table.check(PRODUCER, 1, 0, 10) is None
    table.record(PRODUCER, 1, 0, 10, 600, FAR)
    assert table.check(PRODUCER, 1, 0, 10) == 600


def test_producers_do_not_disturb_each_other(table: ProducerTable):
    assert table.check(PRODUCER + 1, 0, 0, 10) is None


def test_a_resend_is_recognised_as_far_back_as_a_frame_reaches():
    table = ProducerTable()
    for sequence in range(BATCHES_REMEMBERED + 1):
        table.record(PRODUCER, 0, sequence, 1, 1_000 + sequence, FAR)
    assert table.check(PRODUCER, 0, 1, 1) == 1_001
    with pytest.raises(SequenceGapError):
        table.check(PRODUCER, 0, 0, 1)


def test_the_producer_heard_least_recently_is_forgotten_first(monkeypatch):
    monkeypatch.setattr(dedupe, "PRODUCERS_REMEMBERED", 2)
    table = ProducerTable()
    for producer in (1, 2, 1, 3):
        known = table.check(producer, 0, 5, 1)
        assert known is None or producer == 1
        table.record(producer, 0, 5, 1, 0, FAR)
    assert table.check(1, 0, 5, 1) == 0
    assert table.check(2, 0, 99, 1) is None  # Forgotten: it may begin anywhere.


def test_a_producer_of_this_life_begins_at_zero_so_that_nothing_overtakes_a_refused_batch():
    table = ProducerTable()

    with pytest.raises(SequenceGapError) as refused:
        table.check(PRODUCER, 0, 10, 5, known_from_start=True)

    assert refused.value.metadata == {"found": "10", "expected": "0"}
    assert table.check(PRODUCER, 0, 0, 5, known_from_start=True) is None


def test_producer_ids_are_distinct_and_known_only_to_their_own_life():
    ids, other_life = ProducerIds(7), ProducerIds(8)
    issued = [ids.issue() for _ in range(3)]

    assert len(set(issued)) == 3
    assert all(map(ids.issued, issued))
    assert not any(map(other_life.issued, issued))
    assert not ids.issued(1)
