"""Random life of the producer table against a list per producer of what it has appended.

Batches are staged, committed in groups while others are staged behind them, rolled back, and read back
after a crash from the records that were committed.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bellwire.coordinator.core.dedupe import BATCHES_REMEMBERED, ProducerTable
from bellwire.coordinator.log.records import ProducerRecord
from bellwire.wire.errors import ProducerFencedError, SequenceGapError

LOG_ID = 11
PRODUCERS = st.integers(1, 3)
COUNTS = st.integers(1, 4)


@dataclass
class Batch:
    """A batch of a producer at its place."""

    sequence: int
    count: int
    offset: int


@dataclass
class Producer:
    """What the model knows of one producer.

    Attributes:
        begins: Sequence its next batch has when it has appended none.
        longest: Most batches it ever had appended in this epoch: a table may have forgotten what
            was more than `BATCHES_REMEMBERED` batches ago then, though the latest were rolled back since.
    """

    epoch: int
    begins: int
    batches: list[Batch] = field(default_factory=list)
    longest: int = 0

    def next_sequence(self) -> int:
        if not self.batches:
            return self.begins
        return self.batches[-1].sequence + self.batches[-1].count

    def must_know(self, index: int) -> bool:
        return index >= self.longest - BATCHES_REMEMBERED


Model = dict[int, Producer]


class DedupeMachine(RuleBasedStateMachine):
    """One table and the partition around it: an end, a high watermark and a store."""

    @initialize()
    def begin(self) -> None:
        self.table = ProducerTable()
        self.producers: Model = {}
        self.end = self.high_watermark = 0
        self.disk: dict[int, ProducerRecord] = {}
        self.saved: Model = {}
        self.writing: tuple[list[ProducerRecord], Model, int] | None = None

    # -------------------------------------------------------- producers

    @rule(producer_id=PRODUCERS, counts=st.lists(COUNTS, min_size=1, max_size=5))
    def send_the_next(self, producer_id: int, counts: list[int]) -> None:
        for count in counts:
            self._send_next(producer_id, count)

    @rule(producer_id=PRODUCERS, batches=st.integers(BATCHES_REMEMBERED - 3, BATCHES_REMEMBERED))
    def send_as_many_as_are_remembered(self, producer_id: int, batches: int) -> None:
        for _ in range(batches):
            self._send_next(producer_id, 1)

    @precondition(lambda self: any(p.batches for p in self.producers.values()))
    @rule(data=st.data(), latest=st.integers(1, BATCHES_REMEMBERED + 3))
    def send_again(self, data: st.DataObject, latest: int) -> None:
        known = sorted(i for i, p in self.producers.items() if p.batches)
        producer_id = data.draw(st.sampled_from(known))
        producer = self.producers[producer_id]
        index = max(0, len(producer.batches) - latest)
        batch = producer.batches[index]
        try:
            offset = self._check(producer_id, producer.epoch, batch.sequence, batch.count)
        except SequenceGapError:
            assert not producer.must_know(index)
            assert batch.offset < self.high_watermark, "it was not committed yet"
        else:
            assert offset == batch.offset

    @precondition(lambda self: self.producers)
    @rule(data=st.data(), ahead=st.integers(1, 9), count=COUNTS)
    def leave_a_gap(self, data: st.DataObject, ahead: int, count: int) -> None:
        producer_id = data.draw(st.sampled_from(sorted(self.producers)))
        producer = self.producers[producer_id]
        with pytest.raises(SequenceGapError) as caught:
            self._check(producer_id, producer.epoch, producer.next_sequence() + ahead, count)
        assert caught.value.metadata["expected"] == str(producer.next_sequence())

    @precondition(lambda self: any(p.batches for p in self.producers.values()))
    @rule(data=st.data(), count=st.integers(5, 9))
    def send_again_but_cut_otherwise(self, data: st.DataObject, count: int) -> None:
        known = sorted(i for i, p in self.producers.items() if p.batches)
        producer_id = data.draw(st.sampled_from(known))
        producer = self.producers[producer_id]
        batch = data.draw(st.sampled_from(producer.batches))
        with pytest.raises(SequenceGapError):
            self._check(producer_id, producer.epoch, batch.sequence, count)

    @precondition(lambda self: self.producers)
    @rule(data=st.data(), newer=st.integers(1, 2), sequence=st.sampled_from([0, 0, 5]))
    def begin_a_newer_epoch(self, data: st.DataObject, newer: int, sequence: int) -> None:
        producer_id = data.draw(st.sampled_from(sorted(self.producers)))
        epoch = self.producers[producer_id].epoch + newer
        if sequence:
            with pytest.raises(SequenceGapError):
                self.table.check(producer_id, epoch, sequence, 1, known_from_start=True)
        assert self.table.check(producer_id, epoch, sequence, 1) is None
        self.producers[producer_id] = Producer(epoch, sequence)
        self._append(producer_id, 1)

    @precondition(lambda self: any(p.epoch for p in self.producers.values()))
    @rule(data=st.data(), older=st.integers(1, 3), sequence=st.integers(0, 9))
    def send_from_an_older_epoch(self, data: st.DataObject, older: int, sequence: int) -> None:
        later = sorted(i for i, p in self.producers.items() if p.epoch)
        producer_id = data.draw(st.sampled_from(later))
        epoch = max(0, self.producers[producer_id].epoch - older)
        with pytest.raises(ProducerFencedError):
            self._check(producer_id, epoch, sequence, 1)

    # -------------------------------------------------------- commits

    @precondition(lambda self: self.writing is None)
    @rule()
    def take_a_group(self) -> None:
        records = list(self.table.records(LOG_ID))
        assert all(len(record.recent) <= BATCHES_REMEMBERED for record in records)
        self.writing = (records, deepcopy(self.producers), self.end)

    @precondition(lambda self: self.writing is not None)
    @rule()
    def commit(self) -> None:
        assert self.writing is not None
        records, self.saved, self.high_watermark = self.writing
        self.disk.update((record.producer_id, record) for record in records)
        self.writing = None

    @precondition(lambda self: self.writing is not None)
    @rule()
    def fail_the_commit(self) -> None:
        """As the journal does it: what is staged behind goes too, and all is recorded anew."""
        self.writing = None
        self.end = self.high_watermark
        for producer in self.producers.values():
            while producer.batches and producer.batches[-1].offset >= self.high_watermark:
                producer.begins = producer.batches.pop().sequence
        self.table.roll_back(self.high_watermark)
        self.table.unsaved()

    @rule()
    def crash(self) -> None:
        self.writing = None
        self.end = self.high_watermark
        self.producers = deepcopy(self.saved)
        self.table = ProducerTable(self.disk.values())

    # -------------------------------------------------------- what must always hold

    @invariant()
    def the_next_batch_is_new_and_the_last_is_not(self) -> None:
        for producer_id, producer in getattr(self, "producers", {}).items():
            assert self._check(producer_id, producer.epoch, producer.next_sequence(), 1) is None
            if producer.batches and producer.must_know(len(producer.batches) - 1):
                batch = producer.batches[-1]
                found = self._check(producer_id, producer.epoch, batch.sequence, batch.count)
                assert found == batch.offset

    def teardown(self) -> None:
        """Each producer's list, from its oldest batch that must be known on, is known."""
        for producer_id, producer in getattr(self, "producers", {}).items():
            for index, batch in enumerate(producer.batches):
                if producer.must_know(index):
                    found = self._check(producer_id, producer.epoch, batch.sequence, batch.count)
                    assert found == batch.offset

    # -------------------------------------------------------- the model

    def _check(self, producer_id: int, epoch: int, sequence: int, count: int) -> int | None:
        return self.table.check(producer_id, epoch, sequence, count, known_from_start=True)

    def _send_next(self, producer_id: int, count: int) -> None:
        producer = self.producers.setdefault(producer_id, Producer(0, 0))
        sequence = producer.next_sequence()
        assert self._check(producer_id, producer.epoch, sequence, count) is None
        self._append(producer_id, count)

    def _append(self, producer_id: int, count: int) -> None:
        producer = self.producers[producer_id]
        batch = Batch(producer.next_sequence(), count, self.end)
        self.table.record(
            producer_id, producer.epoch, batch.sequence, count, batch.offset, self.high_watermark
        )
        producer.batches.append(batch)
        producer.longest = max(producer.longest, len(producer.batches))
        self.end += count


TestProducerTable = DedupeMachine.TestCase
TestProducerTable.settings = settings(max_examples=100, stateful_step_count=40)
