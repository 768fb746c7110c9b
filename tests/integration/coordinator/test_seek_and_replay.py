"""Seek moves a cursor, with its members at work or without; Replay shows a stretch of the log again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from tests.integration.coordinator.frames import (
    BOTH_CODECS,
    TOPIC,
    WIDE,
    PublishStream,
    Stubs,
    SubscribeStream,
    batch,
    eventually,
    payloads,
    refusal,
    within,
)
from tests.integration.coordinator.guarantees import (
    BOTH_LOGS,
    LOG_NAMES,
    REJECT,
    RELEASE,
    SECOND,
    letters,
    publish_at,
    publish_batch,
    publish_each,
    served,
    subscription_stats,
)

from bellwire.admin.v1.topic_pb2 import LOG_KIND_MEMORY, LOG_KIND_SQLITE
from bellwire.bus.v1.message_pb2 import Position, Window
from bellwire.bus.v1.subscriber_pb2 import (
    ORDERING_NONE,
    START_POLICY_EARLIEST,
    START_POLICY_LATEST,
    START_POLICY_POSITIONS,
    START_POLICY_TIME,
    START_POLICY_UNSPECIFIED,
    ReplayRequest,
    SeekRequest,
    SeekResponse,
    StartPolicy,
    StartPosition,
)
from bellwire.wire.batch import encode_batch
from bellwire.wire.errors import (
    CallerError,
    InvalidTopicNameError,
    OffsetOutOfRangeError,
    UnknownSubscriptionError,
    UnknownTopicError,
)
from bellwire.wire.message import new_message

pytestmark = pytest.mark.integration

FIVE = [b"0", b"1", b"2", b"3", b"4"]
TIMES = [n * SECOND for n in range(1, 6)]
EARLIEST = StartPosition(policy=START_POLICY_EARLIEST)
UNKNOWN = StartPosition(policy=StartPolicy.ValueType(77))
LATEST = StartPosition(policy=START_POLICY_LATEST)
LATE_SECONDS = 5.0  # What a busy machine may add to a wait.


def at_time(time_ns: int) -> StartPosition:
    return StartPosition(policy=START_POLICY_TIME, time_unix_nano=time_ns)


def at_offset(offset: int, partition: int = 0, **fields: Any) -> StartPosition:
    fields = {"topic": TOPIC, **fields}
    position = Position(partition=partition, offset=offset, **fields)
    return StartPosition(policy=START_POLICY_POSITIONS, positions=[position])


@pytest.fixture(params=BOTH_LOGS, ids=LOG_NAMES)
async def either(request: pytest.FixtureRequest, tmp_path) -> AsyncIterator[Stubs]:
    """A coordinator whose one topic is kept in memory, or on the disk."""
    async with served(tmp_path) as bus:
        await bus.create_topic(log=request.param)
        yield bus


async def seek(
    bus: Stubs, position: StartPosition, subscription: str = "risk", **fields: Any
) -> SeekResponse:
    request = SeekRequest(subscription=subscription, position=position, **fields)
    return await within(bus.subscriber.Seek(request))


async def read_all(bus: Stubs) -> None:
    """Have the subscription settle five messages, and leave."""
    stream = await SubscribeStream(bus).open("risk")
    assert len(await stream.data(5)) == 5
    await stream.finish()


# ---------------------------------------------------------------- seek


@pytest.mark.parametrize(
    ("position", "offset"),
    [
        (EARLIEST, 0),
        (LATEST, 5),
        (at_time(3 * SECOND), 2),
        (at_time(3 * SECOND + 1), 3),
        (at_time(9 * SECOND), 5),
        (at_offset(0), 0),
        (at_offset(4), 4),
        (at_offset(5), 5),
    ],
    ids=["EARLIEST", "LATEST", "TIME", "between", "after-all", "first", "last", "end"],
)
async def test_a_cursor_is_moved_to_where_it_is_told_and_reads_on_from_there(
    either: Stubs, position, offset
):
    await publish_at(either, *TIMES)
    await read_all(either)
    (found,) = (await seek(either, position)).positions
    assert (found.topic, found.partition, found.offset) == (TOPIC, 0, offset)
    assert found.log_id
    stream = await SubscribeStream(either).open("risk")
    await publish_at(either, 6 * SECOND)
    wanted = [str(time_ns).encode() for time_ns in [*TIMES, 6 * SECOND][offset:]]
    assert await stream.data(len(wanted)) == wanted


async def test_a_seek_into_the_middle_of_a_batch_reads_on_within_it(either: Stubs):
    await either.publish(*FIVE)
    await read_all(either)
    await seek(either, at_offset(3))
    stream = await SubscribeStream(either).open("risk")
    delivery = await stream.delivery()
    assert (payloads([delivery]), delivery.first_offset) == ([b"3", b"4"], 3)


@pytest.mark.parametrize("offset", [-1, 6, 2**62])
async def test_a_seek_outside_the_log_is_refused_and_moves_nothing(either: Stubs, offset):
    await publish_each(either, *FIVE)
    stream = await SubscribeStream(either).open("risk")
    assert await stream.data(2) == [b"0", b"1"]
    request = SeekRequest(subscription="risk", position=at_offset(offset))
    error = await refusal(either.subscriber.Seek(request))
    assert isinstance(error, OffsetOutOfRangeError)
    assert f"offset {offset} is outside partition 0" in error.message
    assert (error.metadata["low_offset"], error.metadata["high_watermark"]) == ("0", "5")
    assert await stream.data(3) == [b"2", b"3", b"4"]


async def test_a_seek_below_what_retention_kept_is_refused_with_what_there_is(tmp_path):
    async with served(tmp_path) as bus:
        await bus.create_topic(log=LOG_KIND_SQLITE, retention_messages=8)
        stream = await SubscribeStream(bus).open("risk")
        for n in range(20):
            await bus.publish(str(n).encode())
            await stream.data(1)
        (kept,) = (await bus.stats()).partitions
        request = SeekRequest(subscription="risk", position=at_offset(kept.low_offset - 1))
        error = await refusal(bus.subscriber.Seek(request))
        assert isinstance(error, OffsetOutOfRangeError)
        assert error.metadata["low_offset"] == str(kept.low_offset)
        await seek(bus, at_offset(kept.low_offset))
        assert await stream.data(1) == [str(kept.low_offset).encode()]


async def test_a_position_of_another_log_is_refused(either: Stubs):
    await publish_each(either, *FIVE)
    await read_all(either)
    request = SeekRequest(subscription="risk", position=at_offset(1, log_id=7))
    error = await refusal(either.subscriber.Seek(request))
    assert isinstance(error, OffsetOutOfRangeError)
    assert "names log 7" in error.message


@pytest.mark.parametrize(
    ("fields", "cls"),
    [
        ({"subscription": "nobody", "position": EARLIEST}, UnknownSubscriptionError),
        ({"subscription": "", "position": EARLIEST}, UnknownSubscriptionError),
        ({"position": StartPosition(policy=START_POLICY_UNSPECIFIED)}, CallerError),
        ({"position": UNKNOWN}, CallerError),
        ({"position": StartPosition(policy=START_POLICY_POSITIONS)}, CallerError),
        ({"position": at_offset(0, partition=9)}, CallerError),
        ({"position": at_offset(0, topic="orders")}, CallerError),
        ({"position": EARLIEST, "topics": ["no.such"]}, UnknownTopicError),
    ],
)
async def test_a_seek_that_cannot_be_is_refused_and_moves_nothing(bus: Stubs, fields, cls):
    await publish_each(bus, *FIVE)
    await read_all(bus)
    request = SeekRequest(**{"subscription": "risk", **fields})
    assert isinstance(await refusal(bus.subscriber.Seek(request)), cls)
    assert (await subscription_stats(bus)).backlog_messages == 0


async def test_one_bad_position_among_good_ones_moves_none(bus: Stubs):
    await bus.create_topic(partition_count=2)
    for partition in (0, 1):
        await publish_batch(bus, batch(b"x", partition=partition))
    stream = await SubscribeStream(bus).open("risk")
    await stream.data(2)
    position = at_offset(0)
    position.positions.append(Position(topic=TOPIC, partition=1, offset=2))
    request = SeekRequest(subscription="risk", position=position)
    assert isinstance(await refusal(bus.subscriber.Seek(request)), OffsetOutOfRangeError)
    assert (await subscription_stats(bus)).backlog_messages == 0


async def test_only_the_topics_and_partitions_named_are_moved(bus: Stubs):
    await bus.create_topic("a.x", partition_count=2)
    await bus.create_topic("a.y")
    for topic, partition in (("a.x", 0), ("a.x", 1), ("a.y", 0)):
        await publish_batch(bus, batch(b"%d" % partition, topic=topic, partition=partition))
    stream = await SubscribeStream(bus).open("risk", topics=["a.*"])
    await stream.data(3)
    await seek(bus, at_offset(0, partition=1, topic="a.x"))
    assert await stream.data(1) == [b"1"]
    answer = await seek(bus, EARLIEST, topics=["a.y"])
    places = {(p.topic, p.partition): p.offset for p in answer.positions}
    assert places == {("a.x", 0): 1, ("a.x", 1): 1, ("a.y", 0): 0}
    assert (await stream.delivery()).batch.header.topic == "a.y"


async def test_a_member_at_work_goes_on_at_the_new_place_and_its_old_tags_still_settle(
    either: Stubs,
):
    await publish_each(either, *FIVE)
    stream = await SubscribeStream(either).open("risk")
    held = [await stream.delivery() for _ in range(5)]
    await seek(either, at_offset(3))
    again = [await stream.delivery() for _ in range(2)]
    assert payloads(again) == [b"3", b"4"]
    assert [delivery.attempt for delivery in again] == [0, 0]
    for delivery in held:  # What was in flight when it moved: settled, and changes nothing.
        await stream.settle(delivery, RELEASE)
    for delivery in again:
        await stream.settle(delivery)
    await either.publish(b"5")
    assert await stream.data(1) == [b"5"]
    assert (await subscription_stats(either)).in_flight_messages == 0


async def test_what_was_rejected_from_before_a_seek_is_no_dead_letter(either: Stubs):
    await either.publish(b"0")
    stream = await SubscribeStream(either).open("risk")
    held = await stream.delivery()
    await seek(either, EARLIEST)
    again = await stream.delivery()
    await stream.settle(held, REJECT)
    await stream.settle(again)
    await either.publish(b"1")
    assert await stream.data(1) == [b"1"]
    assert await letters(either) == []


async def test_released_messages_that_wait_are_forgotten_by_a_seek(either: Stubs):
    await publish_each(either, *FIVE)
    stream = await SubscribeStream(either).open("risk", ordering=ORDERING_NONE)
    for _ in range(5):
        await stream.settle(await stream.delivery(), RELEASE, delay_millis=600_000)
    await eventually(
        lambda: subscription_stats(either), lambda found: found.redelivery_messages == 5
    )
    await seek(either, LATEST)
    found = await subscription_stats(either)
    assert (found.redelivery_messages, found.backlog_messages) == (0, 0)


async def test_what_a_seek_skips_is_counted_and_what_it_brings_back_is_not(either: Stubs):
    await publish_each(either, *FIVE)
    narrow = Window(messages=2, bytes=1 << 20)
    stream = await SubscribeStream(either).open("risk", window=narrow)
    for _ in range(2):
        await stream.delivery()
    await seek(either, at_offset(4))
    skipped = {"skipped_by_seek": 2}
    assert dict((await subscription_stats(either)).dropped_by_reason) == skipped
    assert dict((await either.stats()).dropped_messages) == skipped
    await seek(either, EARLIEST)
    assert (await subscription_stats(either)).dropped_messages == 2


async def test_released_messages_that_a_seek_skips_are_counted_too(either: Stubs):
    await publish_each(either, *FIVE)
    stream = await SubscribeStream(either).open("risk", ordering=ORDERING_NONE)
    for _ in range(5):
        await stream.settle(await stream.delivery(), RELEASE, delay_millis=600_000)
    await eventually(
        lambda: subscription_stats(either), lambda found: found.redelivery_messages == 5
    )
    await seek(either, LATEST)
    assert dict((await subscription_stats(either)).dropped_by_reason) == {"skipped_by_seek": 5}


async def test_a_seek_is_remembered_over_a_restart(tmp_path):
    async with served(tmp_path, default_log="sqlite") as bus:
        await publish_each(bus, *FIVE)
        await read_all(bus)
        await seek(bus, at_offset(2))
    async with served(tmp_path) as bus:
        stream = await SubscribeStream(bus).open("risk")
        assert await stream.data(3) == [b"2", b"3", b"4"]


# ---------------------------------------------------------------- replay


def replaying(bus: Stubs, **fields: Any) -> Any:
    """A replay under way; `begin` is where from."""
    begin = fields.pop("begin", EARLIEST)
    fields = {"topics": [TOPIC], "accepted_codecs": BOTH_CODECS, **fields}
    request = ReplayRequest(**fields, **{"from": begin})
    return bus.subscriber.Replay(request)


async def replayed(bus: Stubs, **fields: Any) -> list[Any]:
    """All deliveries of a replay."""

    async def gathered() -> list[Any]:
        return [answer.delivery async for answer in replaying(bus, **fields)]

    return await within(gathered())


async def test_a_replay_marks_every_delivery_and_brings_the_publishers_bytes(either: Stubs):
    sent = [batch(b"bid 1.0843 " * 100, key="A"), batch(b"1", b"2")]
    for item in sent:
        await publish_batch(either, item)
    found = await replayed(either)
    assert [delivery.batch for delivery in found] == sent
    assert all(delivery.replayed for delivery in found)
    assert [delivery.first_offset for delivery in found] == [0, 1]
    assert {delivery.first_delivery_tag for delivery in found} == {0}
    assert len({delivery.log_id for delivery in found} - {0}) == 1
    assert all(delivery.admitted_time_unix_nano for delivery in found)


async def test_a_replay_moves_no_cursor_and_leaves_no_subscription(either: Stubs):
    await publish_each(either, *FIVE)
    stream = await SubscribeStream(either).open("risk")
    assert payloads(await replayed(either)) == FIVE
    assert [s.subscription for s in (await either.stats()).subscriptions] == ["risk"]
    assert await stream.data(5) == FIVE


async def test_who_names_no_codec_is_shown_plain_messages(either: Stubs):
    await publish_batch(either, batch(b"bid 1.0843 " * 100))
    (found,) = await replayed(either, accepted_codecs=[])
    assert [message.data for message in found.batch.messages] == [b"bid 1.0843 " * 100]
    assert not found.batch.block


@pytest.mark.parametrize(
    ("begin", "until", "expected"),
    [
        (EARLIEST, 0, [1, 2, 3, 4, 5]),
        (EARLIEST, 3 * SECOND, [1, 2]),
        (EARLIEST, 3 * SECOND + 1, [1, 2, 3]),
        (EARLIEST, SECOND, []),
        (at_time(2 * SECOND), 4 * SECOND, [2, 3]),
        (at_offset(3), 0, [4, 5]),
        (LATEST, 0, []),
        (at_time(9 * SECOND), 0, []),
    ],
)
@pytest.mark.parametrize("speed", [0.0, 1_000_000.0], ids=["unpaced", "paced"])
async def test_a_replay_begins_and_ends_where_it_is_told(
    either: Stubs, begin, until, expected, speed
):
    await publish_at(either, *TIMES)
    found = await replayed(either, begin=begin, until_time_unix_nano=until, speed=speed)
    assert payloads(found) == [str(n * SECOND).encode() for n in expected]


@pytest.mark.parametrize("speed", [0.0, 1_000_000.0], ids=["unpaced", "paced"])
async def test_until_cuts_within_a_batch(either: Stubs, speed):
    made = [
        new_message(data=str(n).encode(), time_unix_nano=time_ns)
        for n, time_ns in enumerate([1_000, 3_000, 2_000, 4_000])
    ]
    await publish_batch(either, encode_batch(TOPIC, 0, made))
    found = await replayed(either, until_time_unix_nano=3_000, speed=speed)
    # By message time, whatever its place in the batch.
    assert payloads(found) == [b"0", b"2"]


async def test_a_replay_from_within_a_batch_begins_within_it(either: Stubs):
    await either.publish(*FIVE)
    (found,) = await replayed(either, begin=at_offset(2))
    assert (payloads([found]), found.first_offset) == ([b"2", b"3", b"4"], 2)


@pytest.mark.parametrize("log", BOTH_LOGS, ids=LOG_NAMES)
@pytest.mark.parametrize("speed", [0.0, 1_000_000.0], ids=["unpaced", "paced"])
async def test_partitions_and_topics_are_merged_in_the_order_of_their_times(tmp_path, log, speed):
    async with served(tmp_path) as bus:
        await bus.create_topic("a", log=log, partition_count=2)
        await bus.create_topic("b", log=log)
        await publish_at(bus, 3_000, 4_000, 8_000, topic="a")
        await publish_at(bus, 2_000, 6_000, 7_000, topic="a", partition=1)
        await publish_at(bus, 1_000, 5_000, 9_000, topic="b")
        found = await replayed(bus, topics=["a", "b"], speed=speed)
        assert payloads(found) == [b"%d" % n for n in range(1_000, 10_000, 1_000)]
        found = await replayed(bus, topics=[">"], speed=speed)
        assert payloads(found) == [b"%d" % n for n in range(1_000, 10_000, 1_000)]


async def test_messages_of_one_partition_keep_their_order_though_their_times_do_not(
    either: Stubs,
):
    await publish_at(either, 5_000, 1_000, 3_000)
    found = await replayed(either, speed=1_000_000.0)
    assert payloads(found) == [b"5000", b"1000", b"3000"]


async def test_at_speed_1_the_pace_is_that_of_the_data(either: Stubs):
    times = [SECOND, SECOND + SECOND // 10, SECOND + SECOND // 5]
    await publish_at(either, *times)
    began = time.monotonic()
    arrivals = [time.monotonic() - began async for _ in replaying(either, speed=1.0)]
    assert len(arrivals) == 3
    for arrival, least in zip(arrivals, (0.0, 0.1, 0.2), strict=True):
        assert least - 0.01 <= arrival < least + LATE_SECONDS
    assert arrivals[2] - arrivals[0] >= 0.15


async def test_n_times_the_speed_takes_an_nth_of_the_time(either: Stubs):
    await publish_at(either, SECOND, 3 * SECOND, 5 * SECOND)
    began = time.monotonic()
    found = await replayed(either, speed=20.0)
    assert payloads(found) == [b"%d" % (n * SECOND) for n in (1, 3, 5)]
    assert 0.19 <= time.monotonic() - began < 0.2 + LATE_SECONDS / 2


async def test_a_batch_is_paced_message_by_message(either: Stubs):
    made = [
        new_message(data=str(n).encode(), time_unix_nano=SECOND + n * SECOND // 10)
        for n in range(3)
    ]
    await publish_batch(either, encode_batch(TOPIC, 0, made))
    began = time.monotonic()
    found = await replayed(either, speed=1.0)
    assert [payloads([delivery]) for delivery in found] == [[b"0"], [b"1"], [b"2"]]
    assert [delivery.first_offset for delivery in found] == [0, 1, 2]
    assert time.monotonic() - began >= 0.19


async def test_a_replay_as_fast_as_possible_waits_for_nothing(either: Stubs):
    await publish_at(either, 1, 3_600 * SECOND, 7_200 * SECOND)
    assert len(await replayed(either, speed=0.0)) == 3


async def test_expired_and_delayed_messages_are_replayed_all_the_same(either: Stubs):
    later = time.time_ns() + 3_600 * SECOND
    made = [
        new_message(data=b"expired", expire_time_unix_nano=1),
        new_message(data=b"delayed", not_before_time_unix_nano=later),
    ]
    await publish_batch(either, encode_batch(TOPIC, 0, made))
    assert payloads(await replayed(either)) == [b"expired", b"delayed"]
    assert not (await either.stats()).dropped_messages


async def test_what_comes_while_it_runs_is_no_part_of_a_replay(either: Stubs):
    await publish_at(either, SECOND, SECOND + SECOND // 5)
    call = replaying(either, speed=1.0)
    found = [(await within(call.read())).delivery]
    await publish_at(either, 2 * SECOND)
    while (answer := await within(call.read())) is not grpc.aio.EOF:
        found.append(answer.delivery)
    assert payloads(found) == [b"%d" % SECOND, b"%d" % (SECOND + SECOND // 5)]


async def test_history_is_replayed_after_a_restart_and_from_beyond_the_cache(tmp_path):
    data = [bytes([n]) * (300 << 10) for n in range(20)]
    async with served(tmp_path, default_log="sqlite") as bus:
        publisher = await PublishStream(bus).open()
        for item in data:
            made = encode_batch(TOPIC, 0, [new_message(data=item)], compress_above_bytes=1 << 30)
            await publisher.publish(made)
        await publisher.acknowledged(len(data))
    async with served(tmp_path, store_cache_bytes=4 << 20) as bus:
        found = await replayed(bus)
        assert payloads(found) == data
        assert all(delivery.replayed for delivery in found)


async def test_a_replay_that_is_abandoned_ends_on_the_server_too(bus: Stubs):
    await publish_at(bus, SECOND, 3_600 * SECOND)

    async def tasks() -> int:
        await bus.stats()  # A round trip, so that both sides have their turn.
        return len(asyncio.all_tasks())

    idle = await tasks()
    call = replaying(bus, speed=1.0)
    await within(call.read())
    assert await tasks() > idle  # Server and client share this loop.
    call.cancel()
    await eventually(tasks, lambda found: found <= idle)


@pytest.mark.parametrize(
    ("fields", "cls", "words"),
    [
        ({"topics": ["no.such"]}, UnknownTopicError, "bellwire topics list"),
        ({"topics": []}, CallerError, "1 to 64"),
        ({"topics": ["a"] * 65}, CallerError, "1 to 64"),
        ({"topics": ["a b"]}, InvalidTopicNameError, "a b"),
        ({"speed": -1.0}, CallerError, "speed is -1.0"),
        ({"speed": float("nan")}, CallerError, "speed is nan"),
        ({"speed": float("inf")}, CallerError, "speed is inf"),
        ({"speed": 1_000_001.0}, CallerError, "1,000,000"),
        ({"begin": UNKNOWN}, CallerError, "77"),
        ({"accepted_codecs": [77]}, CallerError, "77"),
    ],
)
async def test_a_replay_that_cannot_be_is_refused_in_words(bus: Stubs, fields, cls, words):
    await bus.publish(b"x")
    error = await refusal(replaying(bus, **fields).read())
    assert isinstance(error, cls)
    assert words in error.message


async def test_a_replay_from_below_what_is_kept_begins_at_the_oldest(tmp_path):
    async with served(tmp_path) as bus:
        await bus.create_topic(log=LOG_KIND_MEMORY, retention_messages=2)
        await publish_each(bus, *FIVE)
        low = (await bus.stats()).partitions[0].low_offset
        assert low > 0
        found = await replayed(bus, begin=at_offset(0))
        assert payloads(found) == FIVE[low:]


async def test_retention_that_overtakes_a_replay_ends_it_with_an_error(bus: Stubs):
    await bus.create_topic(retention_messages=3)
    await publish_at(bus, SECOND, SECOND + SECOND // 5, 2 * SECOND)
    call = replaying(bus, speed=1.0)
    await within(call.read())
    await publish_at(bus, *range(3 * SECOND, 7 * SECOND, SECOND))
    await within(call.read())  # It was at hand already.
    error = await refusal(call.read())
    assert isinstance(error, OffsetOutOfRangeError)
    assert "retention overtook the replay" in error.message


async def test_the_window_of_a_reader_is_wide_enough_for_what_follows_a_seek(bus: Stubs):
    await publish_each(bus, *FIVE)
    stream = await SubscribeStream(bus).open("risk", window=WIDE)
    for _ in range(3):
        assert await stream.data(5) == FIVE
        await seek(bus, EARLIEST)
