"""The batcher's decisions one by one; their interplay is in tests/property/client."""

from __future__ import annotations

import asyncio

import pytest

from bellwire.bus.v1.message_pb2 import Message, PositionRange
from bellwire.bus.v1.publisher_pb2 import (
    ACK_LEVEL_RECEIVED,
    ACK_LEVEL_UNSPECIFIED,
    PublishAck,
    PublishFailure,
)
from bellwire.client._batcher import Batcher
from bellwire.client._outcomes import Refused
from bellwire.client._segment import estimated_bytes
from bellwire.client.settings import PublishSettings
from bellwire.wire.batch import open_batch
from bellwire.wire.errors import (
    CapacityError,
    InternalError,
    NotOwnerError,
    PayloadTooLargeError,
    ProducerFencedError,
    SequenceGapError,
    StoreFullError,
    StoreReadOnlyError,
    to_item_error,
)
from bellwire.wire.message import new_message
from bellwire.wire.payload_run import PayloadRun
from bellwire.wire.window import Window

MEBIBYTE = 1 << 20


class Ticket:
    def __init__(self) -> None:
        self.over = False

    def done(self) -> bool:
        return self.over


def batcher(
    window_messages: int = 100_000, window_bytes: int = 64 * MEBIBYTE, **publish
) -> Batcher:
    made = Batcher(PublishSettings(**publish), ACK_LEVEL_UNSPECIFIED)
    made.started(7, 3, Window(window_messages, window_bytes))
    return made


def add(
    made: Batcher, count: int, *, partition: int = 0, size: int = 10, topic: str = "bars"
) -> Ticket:
    messages = [new_message(data=bytes(size)) for _ in range(count)]
    ticket = Ticket()
    made.add(topic, partition, messages, estimated_bytes(messages), ticket)
    return ticket


def counts(frame) -> list[int]:
    return [batch.header.message_count for batch in frame.batches.batches]


def ack(made: Batcher, frame, first_offset: int = 0) -> None:
    positions = []
    for batch in frame.batches.batches:
        header = batch.header
        last = first_offset + header.message_count - 1
        positions.append(
            PositionRange(
                topic=header.topic,
                partition=header.partition,
                first_offset=first_offset,
                last_offset=last,
            )
        )
        first_offset = last + 1
    sequence = frame.batches.frame_sequence
    made.on_ack(
        PublishAck(first_frame_sequence=sequence, last_frame_sequence=sequence, positions=positions)
    )


def refuse(made: Batcher, frame, error, *, index: int = 0, now: float = 0.0) -> None:
    sequence = frame.batches.frame_sequence
    made.on_failure(
        PublishFailure(
            frame_sequence=sequence, batch_index=index, message_index=-1, error=to_item_error(error)
        ),
        now,
    )


def test_nothing_is_sent_before_the_stream_has_started() -> None:
    made = Batcher(PublishSettings(), ACK_LEVEL_UNSPECIFIED)
    add(made, 1)
    assert made.next_frame(0.0) is None


def test_headers_carry_producer_and_sequence_and_frames_the_level_asked_for() -> None:
    made = Batcher(PublishSettings(), ACK_LEVEL_RECEIVED)
    made.started(7, 3, Window(1_000, MEBIBYTE))
    add(made, 5)
    add(made, 5, partition=1)
    first = made.next_frame(0.0)
    add(made, 5)
    second = made.next_frame(0.0)
    assert first is not None
    assert second is not None
    headers = [batch.header for frame in (first, second) for batch in frame.batches.batches]
    assert [(h.producer_id, h.producer_epoch) for h in headers] == [(7, 3)] * 3
    assert [(h.partition, h.base_sequence) for h in headers] == [(0, 0), (1, 0), (0, 5)]
    assert first.batches.ack_level == ACK_LEVEL_RECEIVED


def test_single_messages_that_gathered_share_a_batch() -> None:
    made = batcher()
    for _ in range(230):
        add(made, 1)
    frame = made.next_frame(0.0)
    assert frame is not None
    assert counts(frame) == [100, 100, 30]


def test_at_the_limit_of_frames_in_flight_messages_gather() -> None:
    made = batcher(frames_in_flight_max=2)
    frames = []
    for _ in range(2):
        add(made, 1)
        frames.append(made.next_frame(0.0))
    add(made, 1)
    add(made, 1)
    assert made.next_frame(0.0) is None
    ack(made, frames[0])
    third = made.next_frame(0.0)
    assert third is not None
    assert counts(third) == [2]


def test_partitions_take_turns_when_a_frame_is_full() -> None:
    made = batcher(frame_batches_max=2, batch_messages_max=10)
    add(made, 10, partition=0)
    add(made, 10, partition=0)
    add(made, 10, partition=0)
    add(made, 10, partition=1)
    first, second = made.next_frame(0.0), made.next_frame(0.0)
    assert first is not None
    assert second is not None
    assert [b.header.partition for b in first.batches.batches] == [0, 0]
    assert [b.header.partition for b in second.batches.batches] == [1, 0]


def test_a_batch_of_large_messages_is_cut_to_the_limit_of_bytes() -> None:
    made = batcher(batch_bytes_max=10_000)
    add(made, 50, size=1_000)
    frame = made.next_frame(0.0)
    assert frame is not None
    assert sum(counts(frame)) == 50
    assert all(b.header.uncompressed_bytes <= 10_000 for b in frame.batches.batches)


def test_attributes_that_estimates_do_not_see_are_cut_after_encoding() -> None:
    made = batcher(batch_bytes_max=10_000)
    messages = [new_message(data=b"", attributes={"a": "x" * 2_000}) for _ in range(20)]
    made.add("bars", 0, messages, estimated_bytes(messages), Ticket())
    frame = made.next_frame(0.0)
    assert frame is not None
    assert sum(counts(frame)) == 20
    assert all(b.header.uncompressed_bytes <= 10_000 for b in frame.batches.batches)


def test_one_message_above_the_limit_is_refused_and_the_others_are_sent() -> None:
    made = batcher(batch_bytes_max=10_000)
    add(made, 1)
    large = add(made, 1, size=20_000)
    add(made, 1)
    frame = made.next_frame(0.0)
    assert frame is not None
    assert sum(counts(frame)) == 2
    (outcome,) = made.outcomes
    assert isinstance(outcome, Refused)
    assert outcome.segments[0].ticket is large
    assert isinstance(outcome.error, PayloadTooLargeError)
    assert made.buffer.messages == 2


def test_a_frame_stays_below_its_limit_of_bytes() -> None:
    made = batcher(frame_bytes_max=MEBIBYTE, compress_above_bytes=4 * MEBIBYTE)
    for _ in range(8):
        add(made, 1, size=300_000)
    frame = made.next_frame(0.0)
    assert frame is not None
    assert frame.ByteSize() <= MEBIBYTE + 1_000
    assert counts(frame) == [3]


@pytest.mark.parametrize("length", [1, 4, 30], ids=["single", "short", "long"])
def test_runs_of_payloads_that_gathered_share_a_batch_in_order(length: int) -> None:
    made = batcher()
    runs = [
        PayloadRun([b"%d/%d" % (call, index) for index in range(length)], Message(type=f"t{call}"))
        for call in range(3)
    ]
    for run in runs:
        made.add("bars", 0, run, estimated_bytes(run), Ticket())
    frame = made.next_frame(0.0)
    assert frame is not None
    (batch,) = frame.batches.batches
    assert list(open_batch(batch)) == [message for run in runs for message in run]


def test_runs_of_payloads_and_messages_share_a_batch_in_order() -> None:
    made = batcher()
    run = PayloadRun([b"%d" % index for index in range(20)], Message(type="t"))
    alone = new_message(data=b"alone")
    made.add("bars", 0, run, estimated_bytes(run), Ticket())
    made.add("bars", 0, [alone], 1, Ticket())
    made.add("bars", 0, run, estimated_bytes(run), Ticket())
    frame = made.next_frame(0.0)
    assert frame is not None
    (batch,) = frame.batches.batches
    assert list(open_batch(batch)) == [*run, alone, *run]


def test_a_frame_is_full_with_a_mebibyte_so_that_both_sides_work_at_once() -> None:
    made = batcher(batch_messages_max=1_000)
    for _ in range(7):
        add(made, 1_000, size=300)
    frames = [made.next_frame(0.0) for _ in range(4)]
    assert [counts(frame) for frame in frames if frame] == [[1_000] * 3, [1_000] * 3, [1_000]]


def test_what_fills_a_frame_is_counted_across_partitions() -> None:
    made = batcher(batch_messages_max=1_000)
    for partition in range(4):
        add(made, 600, size=600, partition=partition)
    frames = [made.next_frame(0.0) for _ in range(2)]
    assert [counts(frame) for frame in frames if frame] == [[600, 600, 600], [600]]


def test_the_window_holds_messages_back_until_something_is_answered() -> None:
    made = batcher(window_messages=150)
    add(made, 100)
    add(made, 100)
    first = made.next_frame(0.0)
    assert first is not None
    assert counts(first) == [100]
    assert made.next_frame(0.0) is None
    ack(made, first)
    second = made.next_frame(0.0)
    assert second is not None
    assert counts(second) == [100]


def test_a_window_below_a_batch_makes_smaller_batches() -> None:
    made = batcher(window_messages=30)
    add(made, 100)
    frame = made.next_frame(0.0)
    assert frame is not None
    assert counts(frame) == [30]


def test_a_window_that_shrank_cuts_batches_not_sent_yet() -> None:
    made = batcher(window_messages=100)
    add(made, 100)
    add(made, 100)
    first = made.next_frame(0.0)
    made.resize_window(40, MEBIBYTE)
    assert made.next_frame(0.0) is None
    ack(made, first)
    second = made.next_frame(0.0)
    assert second is not None
    assert counts(second) == [25]
    assert made.next_frame(0.0) is None


def test_what_may_have_been_appended_is_never_cut_but_refused_when_it_no_longer_fits() -> None:
    made = batcher()
    add(made, 100)
    assert made.next_frame(0.0) is not None
    made.lost()
    made.started(7, 3, Window(50, MEBIBYTE))
    assert made.next_frame(0.0) is None
    (outcome,) = made.outcomes
    assert isinstance(outcome, Refused)
    assert "whether it was appended before is unknown" in outcome.error.message


def test_messages_nobody_waits_for_are_not_sent() -> None:
    made = batcher()
    gone = add(made, 10)
    add(made, 1)
    gone.over = True
    frame = made.next_frame(0.0)
    assert frame is not None
    assert counts(frame) == [1]
    assert made.buffer.messages == 1


def test_an_empty_buffer_takes_anything_and_a_full_one_nothing() -> None:
    made = batcher(buffer_messages_max=10)
    assert made.buffer.fits(1_000, 1)
    add(made, 6)
    assert made.buffer.fits(4, 1)
    assert not made.buffer.fits(5, 1)
    assert not made.buffer.fits(1, 1 << 40)


def test_a_mark_is_passed_when_all_before_it_is_resolved_whatever_came_after() -> None:
    made = batcher(frames_in_flight_max=1)
    add(made, 1)
    mark = made.buffer.mark()
    frame = made.next_frame(0.0)
    add(made, 1)
    assert not made.buffer.resolved_through(mark)
    ack(made, frame)
    assert made.buffer.resolved_through(mark)


def test_a_delayed_retry_holds_only_its_own_partition() -> None:
    made = batcher()
    add(made, 1, partition=0)
    frame = made.next_frame(0.0)
    refuse(made, frame, CapacityError("full", retry_delay_seconds=1.0), now=0.0)
    add(made, 1, partition=0)
    add(made, 1, partition=1)
    other = made.next_frame(0.5)
    assert other is not None
    assert [b.header.partition for b in other.batches.batches] == [1]
    assert made.wake_at(0.5) in (1.0, 0.75)
    again = made.next_frame(1.0)
    assert again is not None
    assert [(b.header.partition, b.header.base_sequence) for b in again.batches.batches] == [
        (0, 0),
        (0, 1),
    ]


def test_an_overdue_frame_holds_its_own_lane_only() -> None:
    made = batcher(frames_in_flight_max=1)
    add(made, 1, topic="full")
    stuck = made.next_frame(0.0)
    add(made, 1, topic="full")
    add(made, 1, topic="orders")
    assert made.next_frame(0.1) is None
    assert made.wake_at(0.1) == 0.25
    other = made.next_frame(0.3)
    assert other is not None
    assert [b.header.topic for b in other.batches.batches] == ["orders"]
    ack(made, stuck)
    ack(made, other)
    rest = made.next_frame(0.3)
    assert rest is not None
    assert [b.header.topic for b in rest.batches.batches] == ["full"]


def test_no_more_batches_are_in_flight_than_the_coordinator_can_recognise() -> None:
    made = batcher(batch_messages_max=1, frame_batches_max=64, frames_in_flight_max=100)
    for _ in range(100):
        add(made, 1)
    sent = 0
    while (frame := made.next_frame(0.0)) is not None:
        sent += len(counts(frame))
    assert sent == 64


def test_a_gap_that_nothing_of_ours_explains_asks_for_a_new_producer() -> None:
    made = batcher()
    add(made, 5)
    frame = made.next_frame(0.0)
    refuse(made, frame, SequenceGapError("gap"))
    assert made.producer_lost
    made.lost()
    assert (made.producer_id, made.producer_epoch) == (0, 0)
    made.started(8, 0, Window(1_000, MEBIBYTE))
    again = made.next_frame(0.0)
    assert again is not None
    assert [(b.header.producer_id, b.header.base_sequence) for b in again.batches.batches] == [
        (8, 0)
    ]


def sent_as(frame) -> list[tuple[int, int]]:
    """Return (base sequence, messages) of each batch."""
    return [(b.header.base_sequence, b.header.message_count) for b in frame.batches.batches]


def test_a_tail_that_was_rolled_back_travels_again_in_order_after_the_delay() -> None:
    made = batcher(frames_in_flight_max=8)
    frames = []
    for count in (3, 2, 1):
        add(made, count)
        frames.append(made.next_frame(0.0))
    error = StoreFullError("disk full", retry_delay_seconds=0.5)
    refuse(made, frames[0], error)
    refuse(made, frames[1], error)
    assert made.next_frame(9.0) is None, "what follows may still be under way"
    refuse(made, frames[2], SequenceGapError("gap", metadata={"expected": "0"}))
    assert made.next_frame(0.4) is None
    again = made.next_frame(0.5)
    assert sent_as(again) == [(0, 3), (3, 2), (5, 1)]
    ack(made, again)
    assert made.buffer.messages == 0


def test_a_batch_in_doubt_is_tried_until_the_restart_and_keeps_its_sequences() -> None:
    made = batcher(tries_max=2)
    add(made, 3)
    frame = made.next_frame(0.0)
    add(made, 2)
    behind = made.next_frame(0.0)
    refuse(made, frame, StoreReadOnlyError("in doubt"))
    refuse(made, behind, SequenceGapError("gap"))
    for now in range(1, 11):
        frame = made.next_frame(float(now))
        assert sent_as(frame) == [(0, 3), (3, 2)]
        refuse(made, frame, StoreReadOnlyError("in doubt"), index=0, now=float(now))
        refuse(made, frame, StoreReadOnlyError("in doubt"), index=1, now=float(now))
        assert made.next_frame(now + 0.5) is None, "it asks too often"
    assert made.outcomes == []


def test_what_is_in_doubt_keeps_its_place_though_nobody_waits_for_it() -> None:
    made = batcher()
    doubtful = add(made, 3)
    frame = made.next_frame(0.0)
    refuse(made, frame, StoreReadOnlyError("in doubt"))
    doubtful.over = True
    add(made, 3)
    made.lost()
    made.started(7, 3, Window(1_000, MEBIBYTE))
    assert sent_as(made.next_frame(0.0)) == [(0, 3), (3, 3)]


def test_what_was_sent_before_a_lost_connection_is_in_doubt_with_the_batch_before_it() -> None:
    made = batcher(batch_messages_max=3)
    first = add(made, 3)
    second = add(made, 3)
    made.next_frame(0.0)
    made.lost()  # The refusals are lost, too.
    made.started(7, 3, Window(1_000, MEBIBYTE))
    frame = made.next_frame(0.0)
    refuse(made, frame, StoreReadOnlyError("in doubt"), index=0)
    first.over = second.over = True
    refuse(made, frame, SequenceGapError("gap"), index=1)
    add(made, 3)
    made.lost()
    made.started(7, 3, Window(1_000, MEBIBYTE))
    assert sent_as(made.next_frame(0.0)) == [(0, 3), (3, 3), (6, 3)]


def test_what_was_refused_for_sure_gives_its_place_to_the_next_one() -> None:
    made = batcher(batch_messages_max=3)
    first = add(made, 3)
    frame = made.next_frame(0.0)
    first.over = True
    refuse(made, frame, StoreFullError("disk full", retry_delay_seconds=0.5))
    add(made, 2)
    assert sent_as(made.next_frame(0.5)) == [(0, 2)]


def test_a_new_stream_does_not_wait_for_what_the_old_coordinator_asked_for() -> None:
    made = batcher()
    add(made, 1)
    refuse(made, made.next_frame(0.0), StoreFullError("disk full", retry_delay_seconds=5.0))
    made.lost()
    made.started(7, 3, Window(1_000, MEBIBYTE))
    assert made.next_frame(0.0) is not None


def test_a_fenced_producer_is_told_apart() -> None:
    made = batcher()
    add(made, 1)
    refuse(made, made.next_frame(0.0), ProducerFencedError("epoch 4 has taken over"))
    assert isinstance(made.fenced, ProducerFencedError)


def test_draining_sends_nothing_new_and_the_next_stream_does() -> None:
    made = batcher()
    add(made, 1)
    frame = made.next_frame(0.0)
    add(made, 1)
    made.drain()
    assert made.next_frame(0.0) is None
    assert not made.idle()
    ack(made, frame)
    assert made.idle()
    made.lost()
    made.started(7, 3, Window(1_000, MEBIBYTE))
    again = made.next_frame(0.0)
    assert again is not None
    assert again.batches.batches[0].header.base_sequence == 1
    assert again.batches.frame_sequence == 1


def test_giving_up_returns_everything_whose_fate_is_unknown() -> None:
    made = batcher()
    tickets = {add(made, 1)}
    made.next_frame(0.0)
    tickets.add(add(made, 2))
    segments = made.give_up()
    assert {segment.ticket for segment in segments} == tickets
    assert (made.buffer.messages, made.buffer.size_bytes) == (0, 0)
    assert not made.is_awaited()


@pytest.mark.parametrize(
    "answer",
    [
        PublishAck(first_frame_sequence=1, last_frame_sequence=2),
        PublishAck(first_frame_sequence=2, last_frame_sequence=1),
        PublishAck(first_frame_sequence=1, last_frame_sequence=1),
        PublishAck(
            first_frame_sequence=1,
            last_frame_sequence=1,
            positions=[PositionRange(topic="bars", partition=0, first_offset=0, last_offset=7)],
        ),
        PublishAck(
            first_frame_sequence=1,
            last_frame_sequence=1,
            positions=[PositionRange(topic="bars", partition=9, first_offset=0, last_offset=0)],
        ),
    ],
    ids=["never sent", "backwards", "too few positions", "wrong count", "wrong partition"],
)
def test_an_acknowledgement_that_contradicts_what_was_sent_is_an_error(answer: PublishAck) -> None:
    made = batcher()
    add(made, 1)
    made.next_frame(0.0)
    with pytest.raises(InternalError, match="coordinator"):
        made.on_ack(answer)


@pytest.mark.parametrize(("sequence", "index"), [(2, 0), (1, 5)])
def test_a_refusal_of_what_was_not_sent_is_an_error(sequence: int, index: int) -> None:
    made = batcher()
    add(made, 1)
    made.next_frame(0.0)
    with pytest.raises(InternalError, match="not unanswered"):
        made.on_failure(PublishFailure(frame_sequence=sequence, batch_index=index), 0.0)


def test_a_future_serves_as_a_ticket() -> None:
    loop = asyncio.new_event_loop()
    try:
        future = loop.create_future()
        made = batcher()
        made.add("bars", 0, [new_message(data=b"1")], 1, future)
        assert made.is_awaited()
        future.cancel()
        assert not made.is_awaited()
    finally:
        loop.close()


FOREIGN = NotOwnerError("elsewhere", metadata={"topic": "bars", "group": "b", "owner": "b:7400"})


def test_what_another_group_owns_waits_to_be_given_away_however_often_it_is_refused() -> None:
    made = batcher(tries_max=2, batch_messages_max=1)
    made.is_led = True
    tickets = [add(made, 1) for _ in range(3)]
    add(made, 1, topic="other")
    now = 0.0
    for _ in range(4):
        frame = made.next_frame(now)
        assert frame is not None
        assert made.give_away("bars") == []  # It may still be answered.
        for index, batch in enumerate(frame.batches.batches):
            if batch.header.topic == "bars":
                refuse(made, frame, FOREIGN, index=index, now=now)
        assert made.foreign is not None
        assert made.foreign.group == "b"
        assert made.next_frame(now) is None
        now += 1.0
    assert made.holds("bars")
    tickets[1].over = True
    given = made.give_away("bars")
    assert [(partition, segment.ticket) for partition, segment in given] == [
        (0, tickets[0]),
        (0, tickets[2]),
    ]
    assert not made.holds("bars")
    assert made.buffer.messages == 1
    add(made, 1)
    frame = made.next_frame(now)
    assert frame is not None
    assert [batch.header.base_sequence for batch in frame.batches.batches] == [0]


def test_where_nobody_takes_it_away_what_another_group_owns_is_refused_in_the_end() -> None:
    made = batcher(tries_max=2)
    add(made, 1)
    now = 0.0
    while not made.outcomes:
        frame = made.next_frame(now)
        assert frame is not None
        refuse(made, frame, FOREIGN)
        now += 10.0
    (outcome,) = made.outcomes
    assert isinstance(outcome, Refused)
    assert isinstance(outcome.error, NotOwnerError)


def test_what_was_sent_before_a_lost_connection_is_given_away_too_and_sequences_go_on() -> None:
    made = batcher()
    first, second = add(made, 2), add(made, 1)
    assert made.next_frame(0.0) is not None
    made.lost()
    assert [segment.ticket for _, segment in made.give_away("bars")] == [first, second]
    made.started(7, 3, Window(1_000, MEBIBYTE))
    add(made, 1)
    frame = made.next_frame(0.0)
    assert frame is not None
    assert frame.batches.batches[0].header.base_sequence == 3
