"""Retention and cursors: what a dropping reader misses is counted exactly, a blocking one misses nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.coordinator.core.stage import TOPIC, Stage, append, offsets

from bellwire.bus.v1.subscriber_pb2 import OVERFLOW_POLICY_BLOCK, OVERFLOW_POLICY_DROP_OLDEST
from bellwire.coordinator.core.dedupe import ProducerTable
from bellwire.wire.errors import SequenceGapError

# A publication of so many messages, or (negative) a delivery of at most so many.
STEPS = st.lists(st.integers(-6, 6).filter(bool), max_size=80)


@given(STEPS, st.integers(1, 15))
def test_a_dropping_reader_is_told_of_every_message_it_misses(steps: list[int], retention: int):
    stage = Stage(retention_messages=retention)
    member = stage.join(stage.subscribe("", overflow=OVERFLOW_POLICY_DROP_OLDEST))
    partition = stage.topic.partitions[0]
    expected = 0
    for step in [*steps, *[-1_000] * len(steps)]:
        if step > 0:
            assert partition.make_room()
            append(partition, step)
            continue
        handout = stage.take(member, -step)
        if handout is None:
            continue
        read = offsets(handout)
        assert read[0] == expected + handout.dropped
        expected = read[-1] + 1
        stage.accept(member, handout)
    assert expected == partition.log.end_offset
    assert stage.topic.stats.dropped["overflow"] == member.subscription.dropped[TOPIC, "overflow"]


@given(STEPS, st.integers(1, 15))
def test_a_blocking_reader_misses_nothing_and_the_log_stays_bounded(
    steps: list[int], retention: int
):
    stage = Stage(retention_messages=retention)
    member = stage.join(stage.subscribe(overflow=OVERFLOW_POLICY_BLOCK))
    partition = stage.topic.partitions[0]
    read: list[int] = []
    for step in [*steps, *[-1_000] * len(steps)]:
        if step < 0:
            handout = stage.take(member, -step)
            read += offsets(handout)
            if handout is not None:
                stage.accept(member, handout)
        elif partition.make_room():
            append(partition, step)
            # At most one entry beyond retention: the one that was just let in.
            assert partition.log.end_offset - partition.log.low_offset < retention + 2 * 6
    assert read == list(range(partition.log.end_offset))


@given(st.lists(st.integers(1, 5), min_size=1, max_size=30), st.data())
def test_a_producer_that_sends_again_and_again_is_appended_once(
    counts: list[int], data: st.DataObject
):
    table = ProducerTable()
    log: list[int] = []
    bases: list[int] = []
    sequence = 0
    for count in counts:
        assert table.check(7, 0, sequence, count) is None
        table.record(7, 0, sequence, count, len(log), 1 << 40)
        bases.append(len(log))
        log += range(sequence, sequence + count)
        sequence += count
        at = data.draw(st.integers(0, len(bases) - 1), label="sent again")
        assert table.check(7, 0, sum(counts[:at]), counts[at]) == bases[at]
        with pytest.raises(SequenceGapError) as caught:
            table.check(7, 0, sequence + data.draw(st.integers(1, 9), label="gap"), 1)
        assert caught.value.metadata["expected"] == str(sequence)
    assert log == list(range(sequence))
