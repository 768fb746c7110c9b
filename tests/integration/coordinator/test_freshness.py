"""Freshness: what expires, what waits, what a later message replaces, what goes first; and leases and pauses."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.integration.coordinator.frames import (
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
    acknowledge,
    letters,
    publish_batch,
    publish_each,
    served,
    subscription_stats,
)

from bellwire.admin.v1 import topic_pb2
from bellwire.bus.v1 import subscriber_pb2
from bellwire.bus.v1.message_pb2 import Batch, Message, Window
from bellwire.bus.v1.publisher_pb2 import PublishRequest
from bellwire.bus.v1.subscriber_pb2 import (
    DISPOSITION_RENEW,
    ORDERING_NONE,
    ORDERING_PARTITION,
    OVERFLOW_POLICY_CONFLATE,
    OVERFLOW_POLICY_DROP_OLDEST,
)
from bellwire.wire.batch import encode_batch
from bellwire.wire.errors import CallerError, LeaseExpiredError, from_item_error
from bellwire.wire.message import new_message

pytestmark = pytest.mark.integration

SOON = 300_000_000  # Nanoseconds a message waits, or lives.
LEASE_MILLIS = 1_000  # The shortest there is.
DAY = 86_400 * SECOND
ORDERINGS = pytest.mark.parametrize(
    "ordering", [ORDERING_PARTITION, ORDERING_NONE], ids=["PARTITION", "NONE"]
)


@pytest.fixture(params=BOTH_LOGS, ids=LOG_NAMES)
async def either(request: pytest.FixtureRequest, tmp_path) -> AsyncIterator[Stubs]:
    """A coordinator whose one topic is kept in memory, or on the disk."""
    async with served(tmp_path) as bus:
        await bus.create_topic(log=request.param)
        yield bus


def made(*messages: Message) -> Batch:
    return encode_batch(TOPIC, 0, messages)


def expiring(data: bytes, at_ns: int) -> Message:
    return new_message(data=data, expire_time_unix_nano=at_ns)


def delayed(data: bytes, until_ns: int) -> Message:
    return new_message(data=data, not_before_time_unix_nano=until_ns)


async def dropped(bus: Stubs, subscription: str = "risk", topic: str = TOPIC) -> dict[str, int]:
    """Drops by reason; topic and subscription must tell the same."""
    of_topic = dict((await bus.stats(topic)).dropped_messages)
    found = await subscription_stats(bus, subscription, topic)
    of_subscription = dict(found.dropped_by_reason)
    assert of_topic == of_subscription
    assert found.dropped_messages == sum(of_subscription.values())
    return of_subscription


# ---------------------------------------------------------------- expiry


async def test_what_has_expired_is_dropped_from_within_a_batch_and_counted(either: Stubs):
    later = time.time_ns() + 60 * SECOND
    await publish_batch(either, made(expiring(b"0", 1), expiring(b"1", later), expiring(b"2", 1)))
    await publish_batch(either, made(expiring(b"3", 1), expiring(b"4", 2)))  # None of it is left.
    await publish_batch(either, made(new_message(data=b"5")))
    stream = await SubscribeStream(either).open("risk")
    found = [await stream.delivery() for _ in range(2)]
    assert payloads(found) == [b"1", b"5"]
    assert [delivery.first_offset for delivery in found] == [1, 5]
    assert await dropped(either) == {"expired": 4}


async def test_a_message_that_expires_while_it_waits_for_room_is_not_delivered(either: Stubs):
    stream = await SubscribeStream(either).open("risk", window=Window(messages=1, bytes=1 << 20))
    await publish_each(either, b"first")
    held = await stream.delivery()
    expiry = time.time_ns() + SOON
    await publish_batch(either, made(expiring(b"stale", expiry)))
    await publish_each(either, b"fresh")
    await eventually(either.stats, lambda _: time.time_ns() > expiry)
    await stream.settle(held)
    assert await stream.data(1) == [b"fresh"]
    assert await dropped(either) == {"expired": 1}


async def test_a_released_message_that_has_expired_does_not_come_again(either: Stubs):
    stream = await SubscribeStream(either).open("risk")
    expiry = time.time_ns() + SOON
    await publish_batch(either, made(expiring(b"stale", expiry)))
    await publish_each(either, b"fresh")
    first, second = await stream.delivery(), await stream.delivery()
    await stream.settle(second)
    await eventually(either.stats, lambda _: time.time_ns() > expiry)
    await stream.settle(first, RELEASE)
    found = await eventually(
        lambda: subscription_stats(either), lambda found: found.dropped_messages
    )
    assert dict(found.dropped_by_reason) == {"expired": 1}
    assert (found.redelivery_messages, found.in_flight_messages) == (0, 0)


async def test_expiry_is_counted_for_each_subscription_that_missed_one(bus: Stubs):
    await publish_batch(bus, made(expiring(b"0", 1), new_message(data=b"1")))
    for name in ("risk", "audit"):
        stream = await SubscribeStream(bus).open(name)
        assert await stream.data(1) == [b"1"]
        assert dict((await subscription_stats(bus, name)).dropped_by_reason) == {"expired": 1}
    assert dict((await bus.stats()).dropped_messages) == {"expired": 2}


async def test_pull_steps_over_what_has_expired(either: Stubs):
    await publish_batch(either, made(expiring(b"0", 1), new_message(data=b"1")))
    pulled = await either.pull()
    assert payloads(pulled.deliveries) == [b"1"]
    assert pulled.deliveries[0].first_delivery_tag == 1
    await acknowledge(either, pulled.lease_id, 1, 1, subscriber_pb2.DISPOSITION_ACCEPT)


# ---------------------------------------------------------------- delayed delivery


@ORDERINGS
async def test_a_delayed_message_is_delivered_when_it_is_due_and_not_before(
    either: Stubs, ordering
):
    stream = await SubscribeStream(either).open("risk", ordering=ordering)
    due = time.time_ns() + SOON
    await publish_batch(either, made(delayed(b"later", due)))
    delivery = await stream.delivery()
    assert time.time_ns() >= due
    assert (payloads([delivery]), delivery.attempt) == ([b"later"], 0)
    assert delivery.first_offset == 0


async def test_where_partitions_keep_their_order_a_delayed_message_holds_back_what_follows(
    either: Stubs,
):
    stream = await SubscribeStream(either).open("risk")
    due = time.time_ns() + SOON
    await publish_batch(
        either, made(new_message(data=b"0"), delayed(b"1", due), new_message(data=b"2"))
    )
    await publish_each(either, b"3")
    first = await stream.delivery()
    assert payloads([first]) == [b"0"]
    await stream.settle(first)
    second = await stream.delivery()
    assert time.time_ns() >= due
    assert payloads([second, await stream.delivery()]) == [b"1", b"2", b"3"]


async def test_with_ordering_none_others_overtake_a_delayed_message(either: Stubs):
    stream = await SubscribeStream(either).open("risk", ordering=ORDERING_NONE)
    due = time.time_ns() + SOON
    await publish_batch(
        either, made(new_message(data=b"0"), delayed(b"1", due), new_message(data=b"2"))
    )
    await publish_each(either, b"3")
    found = []
    for _ in range(4):
        delivery = await stream.delivery()
        found += [(item, time.time_ns() >= due) for item in payloads([delivery])]
        await stream.settle(delivery)
    assert [item for item, _ in found] == [b"0", b"2", b"3", b"1"]
    assert dict(found)[b"1"] is True


async def test_messages_that_were_set_aside_come_in_the_order_they_are_due(either: Stubs):
    stream = await SubscribeStream(either).open("risk", ordering=ORDERING_NONE)
    now = time.time_ns()
    for n in (3, 1, 2):
        await publish_batch(either, made(delayed(b"%d" % n, now + n * SOON // 3)))
    assert await stream.data(3) == [b"1", b"2", b"3"]


async def test_a_delayed_message_in_one_partition_does_not_hold_back_another(bus: Stubs):
    await bus.create_topic(partition_count=2)
    stream = await SubscribeStream(bus).open("risk")
    due = time.time_ns() + SOON
    await publish_batch(bus, made(delayed(b"later", due)))
    await publish_batch(bus, batch(b"now", partition=1))
    assert await stream.data(2) == [b"now", b"later"]


async def test_a_delay_that_is_over_is_no_delay(either: Stubs):
    await publish_batch(either, made(delayed(b"0", 1), delayed(b"1", time.time_ns())))
    stream = await SubscribeStream(either).open("risk")
    assert payloads([await stream.delivery()]) == [b"0", b"1"]


async def test_a_pull_waits_for_a_delayed_message(either: Stubs):
    due = time.time_ns() + SOON
    await publish_batch(either, made(delayed(b"later", due)))
    assert not (await either.pull(wait_millis=0)).deliveries
    pulled = await either.pull()
    assert time.time_ns() >= due
    assert payloads(pulled.deliveries) == [b"later"]


async def test_a_delay_outlives_a_restart(tmp_path):
    due = time.time_ns() + 2 * SOON
    async with served(tmp_path, default_log="sqlite") as bus:
        stream = await SubscribeStream(bus).open("risk", ordering=ORDERING_NONE)
        await publish_batch(bus, made(delayed(b"later", due)))
        await publish_each(bus, b"now")
        assert await stream.data(1) == [b"now"]
    async with served(tmp_path) as bus:
        stream = await SubscribeStream(bus).open("risk")
        delivery = await stream.delivery()
        assert time.time_ns() >= due
        assert payloads([delivery]) == [b"later"]


async def test_a_message_that_expires_before_it_is_due_is_never_delivered(either: Stubs):
    stream = await SubscribeStream(either).open("risk")
    now = time.time_ns()
    message = new_message(
        data=b"never", not_before_time_unix_nano=now + 2 * SOON, expire_time_unix_nano=now + SOON
    )
    await publish_batch(either, made(message))
    await publish_each(either, b"next")
    assert await stream.data(1) == [b"next"]
    assert await dropped(either) == {"expired": 1}


@pytest.mark.parametrize("form", ["stream", "batch", "messages"])
async def test_a_delay_of_more_than_7_days_is_refused(bus: Stubs, form: str):
    far = delayed(b"x", time.time_ns() + 7 * DAY + 60 * SECOND)
    near = delayed(b"y", time.time_ns() + 7 * DAY - 60 * SECOND)
    if form == "stream":
        stream = await PublishStream(bus).open()
        await stream.publish(made(far), made(near))
        error: Any = from_item_error((await stream.read_arm("failure")).error)
        assert len(await stream.acknowledged(1)) == 1
    else:
        fields = [
            {"batch": made(message)} if form == "batch" else {"topic": TOPIC, "messages": [message]}
            for message in (far, near)
        ]
        error = await refusal(bus.publisher.Publish(PublishRequest(**fields[0])))
        await within(bus.publisher.Publish(PublishRequest(**fields[1])))
    assert isinstance(error, CallerError)
    assert "7.0 days, limit is 7" in error.message
    assert (await bus.stats()).published_messages == 1


# ---------------------------------------------------------------- conflation


async def conflating(bus: Stubs, subscription: str = "risk", **fields: Any) -> SubscribeStream:
    """A subscriber that holds one message, so that what follows waits."""
    return await SubscribeStream(bus).open(
        subscription,
        overflow_policy=OVERFLOW_POLICY_CONFLATE,
        window=Window(messages=1, bytes=1 << 20),
        **fields,
    )


async def publish_keys(bus: Stubs, *items: tuple[str, bytes]) -> None:
    for key, data in items:
        await publish_batch(bus, batch(data, key=key))


@pytest.mark.parametrize("subscription", ["risk", ""], ids=["named", "ephemeral"])
async def test_of_what_waits_only_the_latest_of_each_key_is_delivered(either: Stubs, subscription):
    stream = await conflating(either, subscription)
    await publish_keys(either, ("A", b"held"))
    held = await stream.delivery()
    await publish_keys(
        either, ("A", b"A1"), ("B", b"B1"), ("A", b"A2"), ("C", b"C1"), ("B", b"B2"), ("A", b"A3")
    )
    await stream.settle(held)
    assert await stream.data(3) == [b"C1", b"B2", b"A3"]
    assert await dropped(either, subscription) == {"conflated": 3}


async def test_conflation_looks_into_batches(either: Stubs):
    stream = await conflating(either)
    await publish_keys(either, ("A", b"held"))
    held = await stream.delivery()
    await publish_batch(
        either, made(*[new_message(data=b"%d" % n, key=key) for n, key in enumerate("ABAAB")])
    )
    await stream.settle(held)
    assert await stream.data(2) == [b"3", b"4"]
    assert await dropped(either) == {"conflated": 3}


async def test_messages_without_a_key_are_not_conflated(either: Stubs):
    stream = await conflating(either)
    await publish_keys(either, ("", b"held"), ("", b"0"), ("", b"1"), ("A", b"2"), ("A", b"3"))
    assert await stream.data(4) == [b"held", b"0", b"1", b"3"]


async def test_conflation_of_one_subscription_takes_nothing_from_another(either: Stubs):
    whole = await SubscribeStream(either).open("audit")
    stream = await conflating(either)
    await publish_keys(either, ("A", b"held"))
    held = await stream.delivery()
    await publish_keys(either, ("A", b"0"), ("A", b"1"))
    await stream.settle(held)
    assert await stream.data(1) == [b"1"]
    assert await whole.data(3) == [b"held", b"0", b"1"]
    assert not (await subscription_stats(either, "audit")).dropped_messages
    assert dict((await either.stats()).dropped_messages) == {"conflated": 1}


async def test_a_topics_own_policy_conflates_for_subscribers_that_name_none(bus: Stubs):
    await bus.create_topic(overflow_policy=OVERFLOW_POLICY_CONFLATE)
    await publish_keys(bus, ("A", b"0"), ("A", b"1"), ("B", b"2"))
    stream = await SubscribeStream(bus).open("risk")
    assert stream.started.overflow_policy == OVERFLOW_POLICY_CONFLATE
    assert await stream.data(2) == [b"1", b"2"]


async def test_a_conflating_subscription_holds_no_publisher_and_keeps_the_latest(bus: Stubs):
    await bus.create_topic(retention_messages=100)
    stream = await conflating(bus)
    await publish_keys(bus, ("A", b"held"))
    held = await stream.delivery()
    publisher = await PublishStream(bus).open()
    for n in range(500):
        await publisher.publish(batch(b"%d" % n, key="A"))
    await publisher.acknowledged(500)
    await stream.settle(held)
    assert await stream.data(1) == [b"499"]
    counted = await dropped(bus)
    assert set(counted) <= {"conflated", "overflow"}
    assert sum(counted.values()) == 499


async def test_a_released_message_is_conflated_by_a_later_one_of_its_key(either: Stubs):
    stream = await conflating(either)
    await publish_keys(either, ("A", b"old"))
    held = await stream.delivery()
    await publish_keys(either, ("A", b"new"))
    await stream.settle(held, RELEASE)
    assert await stream.data(1) == [b"new"]
    assert await dropped(either) == {"conflated": 1}


# ---------------------------------------------------------------- overflow


async def test_what_drop_oldest_drops_is_told_to_the_subscriber_and_counted(bus: Stubs):
    await bus.create_topic(retention_messages=4)
    stream = await SubscribeStream(bus).open(
        "risk",
        overflow_policy=OVERFLOW_POLICY_DROP_OLDEST,
        window=Window(messages=1, bytes=1 << 20),
    )
    await bus.publish(b"held")
    held = await stream.delivery()
    await publish_each(bus, *[b"%d" % n for n in range(20)])
    await stream.settle(held)
    delivery = await stream.delivery()
    lost = delivery.first_offset - 1
    assert lost > 0
    assert delivery.dropped_messages == lost
    assert await dropped(bus) == {"overflow": lost}


# ---------------------------------------------------------------- priority


async def test_topics_go_by_priority_class_within_one_subscription(bus: Stubs):
    classes = {
        "telemetry": topic_pb2.PRIORITY_CLASS_TELEMETRY,
        "signals": topic_pb2.PRIORITY_CLASS_SIGNAL,
        "orders": topic_pb2.PRIORITY_CLASS_ORDER,
        "cancels": topic_pb2.PRIORITY_CLASS_CANCEL,
        "killswitch": topic_pb2.PRIORITY_CLASS_KILL_SWITCH,
    }
    for name, priority in classes.items():
        await bus.create_topic(name, priority_class=priority)
    stream = await SubscribeStream(bus).open(
        "risk", topics=list(classes), window=Window(messages=1, bytes=1 << 20)
    )
    await bus.publish(b"held", topic="telemetry")
    held = await stream.delivery()
    for n in range(2):
        for name in classes:
            await bus.publish(b"%s %d" % (name.encode(), n), topic=name)
    await stream.settle(held)
    wanted = [b"%s %d" % (name.encode(), n) for name in reversed(classes) for n in range(2)]
    assert await stream.data(10) == wanted


async def test_a_kill_switch_overtakes_a_long_backlog(bus: Stubs):
    await bus.create_topic(
        "control.killswitch", priority_class=topic_pb2.PRIORITY_CLASS_KILL_SWITCH
    )
    await bus.create_topic("ticks", priority_class=topic_pb2.PRIORITY_CLASS_TELEMETRY)
    publisher = await PublishStream(bus).open()
    for _ in range(100):
        await publisher.publish(batch(*[b"tick"] * 10, topic="ticks"))
    await publisher.acknowledged(100)
    stream = await SubscribeStream(bus).open(
        "gateway",
        topics=["control.killswitch", "ticks"],
        window=Window(messages=10, bytes=1 << 20),
    )
    held = await stream.delivery()
    await bus.publish(b"stop", topic="control.killswitch")
    await stream.settle(held)
    assert payloads([await stream.delivery()]) == [b"stop"]


async def test_a_changed_priority_class_counts_at_once(bus: Stubs):
    for name in ("a", "b"):
        await bus.create_topic(name)
    stream = await SubscribeStream(bus).open(
        "risk", topics=["a", "b"], window=Window(messages=1, bytes=1 << 20)
    )
    await bus.publish(b"held", topic="a")
    held = await stream.delivery()
    change = topic_pb2.Topic(name="b", priority_class=topic_pb2.PRIORITY_CLASS_KILL_SWITCH)
    await within(bus.topics.UpdateTopic(topic_pb2.UpdateTopicRequest(topic=change)))
    for name in ("a", "a", "b", "b"):
        await bus.publish(name.encode(), topic=name)
    await stream.settle(held)
    assert await stream.data(4) == [b"b", b"b", b"a", b"a"]


# ---------------------------------------------------------------- leases of streams


async def test_a_delivery_not_settled_within_its_lease_comes_again_and_its_tags_are_void(
    either: Stubs,
):
    stream = await SubscribeStream(either).open("risk", lease_millis=LEASE_MILLIS)
    await publish_each(either, b"slow")
    began = time.monotonic()
    late = await stream.delivery()
    again = await stream.delivery()
    assert time.monotonic() - began >= LEASE_MILLIS / 1_000 - 0.05
    assert (payloads([again]), again.attempt) == ([b"slow"], 1)
    await stream.settle(late)
    failure = await stream.read_arm("settle_failure")
    assert isinstance(from_item_error(failure.error), LeaseExpiredError)
    await stream.settle(again)
    found = await eventually(
        lambda: subscription_stats(either), lambda found: not found.in_flight_messages
    )
    assert (found.redelivery_messages, found.backlog_messages) == (0, 0)


async def test_only_what_was_left_open_comes_again_when_a_lease_ends(either: Stubs):
    stream = await SubscribeStream(either).open("risk", lease_millis=LEASE_MILLIS)
    await either.publish(b"0", b"1", b"2")
    delivery = await stream.delivery()
    await stream.settle_tags(delivery.first_delivery_tag + 1, delivery.first_delivery_tag + 1)
    again = [await stream.delivery() for _ in range(2)]
    assert payloads(again) == [b"0", b"2"]


async def test_a_renewed_delivery_is_held_for_its_length_once_more(either: Stubs):
    stream = await SubscribeStream(either).open("risk", lease_millis=LEASE_MILLIS)
    await publish_each(either, b"renewed")
    delivery = await stream.delivery()
    began = time.monotonic()
    await eventually(either.stats, lambda _: time.monotonic() - began > 0.6)
    await stream.settle(delivery, DISPOSITION_RENEW)
    renewed = time.monotonic()
    again = await stream.delivery()
    assert time.monotonic() - renewed >= LEASE_MILLIS / 1_000 - 0.05
    assert again.attempt == 1


async def test_a_lease_that_ends_brings_the_message_to_another_member(either: Stubs):
    narrow = Window(messages=1, bytes=1 << 20)
    members = [
        await SubscribeStream(either).open(
            "risk", ordering=ORDERING_NONE, lease_millis=LEASE_MILLIS, window=narrow
        )
        for _ in range(2)
    ]
    await publish_each(either, b"0", b"1")
    read = [await member.delivery() for member in members]
    await members[0].send(pause={})  # Or it would be as good a taker as the other.
    await members[1].settle(read[1])
    again = await members[1].delivery()
    assert payloads([again]) == payloads([read[0]])
    assert again.attempt == 1


async def test_leases_that_end_count_as_attempts_until_the_message_is_given_up(bus: Stubs):
    stream = await SubscribeStream(bus).open("risk", lease_millis=LEASE_MILLIS, max_attempts=2)
    await bus.publish(b"poison")
    assert [(await stream.delivery()).attempt for _ in range(2)] == [0, 1]
    (letter,) = await eventually(lambda: letters(bus), lambda found: found)
    assert letter.attempts == 2


async def test_without_a_lease_a_delivery_is_held_as_long_as_the_stream_lives(either: Stubs):
    held = await SubscribeStream(either).open("risk")
    leased = await SubscribeStream(either).open("audit", lease_millis=LEASE_MILLIS)
    await publish_each(either, b"x")
    await held.delivery()
    assert [(await leased.delivery()).attempt for _ in range(2)] == [0, 1]
    # The other one's lease has ended; this one never does.
    assert (await subscription_stats(either)).in_flight_messages == 1


@pytest.mark.parametrize("millis", [1, 999, 600_001])
async def test_a_lease_outside_its_bounds_is_refused(bus: Stubs, millis: int):
    stream = SubscribeStream(bus)
    start = subscriber_pb2.SubscribeStart(
        subscription="risk", topics=[TOPIC], window=WIDE, lease_millis=millis
    )
    await stream.send(start=start)
    error = await stream.ended_with()
    assert isinstance(error, CallerError)
    assert f"lease_millis is {millis}" in error.message


# ---------------------------------------------------------------- pause


async def test_a_paused_stream_gets_nothing_and_all_of_it_when_it_resumes(either: Stubs):
    stream = await SubscribeStream(either).open("risk")
    await publish_each(either, b"0")
    held = await stream.delivery()
    await stream.send(pause={})
    await stream.send(heartbeat={})
    await stream.read_arm("heartbeat")  # It has been heard.
    await publish_each(either, b"1", b"2")
    await stream.settle(held)  # Settling goes on.
    found = await eventually(
        lambda: subscription_stats(either), lambda found: not found.in_flight_messages
    )
    assert found.backlog_messages == 2
    await stream.send(heartbeat={})
    await stream.read_arm("heartbeat")  # And no delivery before it.
    await stream.send(resume={})
    assert await stream.data(2) == [b"1", b"2"]


async def test_a_pause_does_not_stop_the_leases(either: Stubs):
    stream = await SubscribeStream(either).open("risk", lease_millis=LEASE_MILLIS)
    await publish_each(either, b"x")
    delivery = await stream.delivery()
    await stream.send(pause={})
    await eventually(
        lambda: subscription_stats(either), lambda found: found.redelivery_messages == 1
    )
    await stream.settle(delivery)
    failure = await stream.read_arm("settle_failure")
    assert isinstance(from_item_error(failure.error), LeaseExpiredError)
    await stream.send(resume={})
    assert (await stream.delivery()).attempt == 1


async def test_while_one_member_is_paused_another_reads(bus: Stubs):
    members = [await SubscribeStream(bus).open("risk", ordering=ORDERING_NONE) for _ in range(2)]
    await members[0].send(pause={})
    await members[0].send(heartbeat={})
    await members[0].read_arm("heartbeat")
    await publish_each(bus, b"0", b"1", b"2")
    assert await members[1].data(3) == [b"0", b"1", b"2"]


async def test_what_a_paused_member_rejects_is_given_up(bus: Stubs):
    stream = await SubscribeStream(bus).open("risk")
    await bus.publish(b"x")
    delivery = await stream.delivery()
    await stream.send(pause={})
    await stream.settle(delivery, REJECT)
    assert await eventually(lambda: letters(bus), lambda found: found)
