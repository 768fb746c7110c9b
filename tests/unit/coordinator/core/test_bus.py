"""bellwire.coordinator.core.bus: topics and subscriptions find each other, within bounds."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from tests.unit.coordinator.core.stage import TOPIC, Stage, all_offsets, offsets

from bellwire.bus.v1.message_pb2 import Position
from bellwire.bus.v1.subscriber_pb2 import (
    ORDERING_NONE,
    ORDERING_PARTITION,
    OVERFLOW_POLICY_BLOCK,
    OVERFLOW_POLICY_DISCONNECT,
    OVERFLOW_POLICY_DROP_OLDEST,
    OVERFLOW_POLICY_UNSPECIFIED,
    START_POLICY_EARLIEST,
    START_POLICY_LATEST,
    START_POLICY_POSITIONS,
    START_POLICY_TIME,
    StartPolicy,
    StartPosition,
)
from bellwire.coordinator.core.engine import Engine, EngineSettings
from bellwire.coordinator.core.positions import positions_of
from bellwire.coordinator.core.topic import LogKind, TopicSettings
from bellwire.wire.errors import (
    CallerError,
    CapacityError,
    InvalidTopicNameError,
    SubscriptionMismatchError,
    TopicExistsError,
    UnknownSubscriptionError,
    UnknownTopicError,
)

NO_START = StartPosition()


def starting(policy: Any, **fields: Any) -> StartPosition:
    return StartPosition(policy=policy, **fields)


def test_an_unknown_topic_is_made_where_that_is_allowed():
    stage = Stage(partitions=3)
    assert len(stage.bus.topic("signals.tactical", 5).partitions) == 3


def test_an_unknown_topic_is_refused_by_name_where_it_is_not_allowed():
    stage = Stage(auto_create=False)
    for ask in (
        lambda: stage.bus.topic("nowhere", 0),
        lambda: stage.subscribe("s", topics=["nowhere"]),
        lambda: stage.subscribe("", topics=["nowhere"]),
        lambda: stage.bus.existing_topic("nowhere"),
        lambda: stage.bus.delete_topic("nowhere"),
    ):
        with pytest.raises(UnknownTopicError, match="'nowhere' does not exist") as caught:
            ask()
        assert caught.value.metadata == {"topic": "nowhere"}
    assert list(stage.bus.topics) == [TOPIC]
    assert stage.bus.named == {}


def test_a_bad_name_is_refused_before_anything_is_made():
    stage = Stage()
    for ask in (
        lambda: stage.bus.topic("no good", 0),
        lambda: stage.bus.create_topic("no good", stage.bus.default_settings, 0),
        lambda: stage.subscribe("s", topics=["no good"]),
        lambda: stage.subscribe("no good"),
    ):
        with pytest.raises(InvalidTopicNameError):
            ask()
    assert list(stage.bus.topics) == [TOPIC]


def test_creating_the_same_topic_again_returns_it_and_with_other_settings_is_refused():
    bus = Stage().bus
    settings = TopicSettings(2, 10, 1 << 20)
    made = bus.create_topic("orders.paper", settings, 0)
    assert bus.create_topic("orders.paper", settings, 9) is made
    with pytest.raises(TopicExistsError, match=r"'orders.paper' exists with other settings"):
        bus.create_topic("orders.paper", dataclasses.replace(settings, partition_count=3), 0)


@pytest.mark.parametrize("count", [-1, 0, 1_025])
def test_a_topic_cannot_have_that_many_partitions(count):
    with pytest.raises(CallerError, match=f"cannot have {count} partitions, 1 to 1024"):
        TopicSettings(count, 10, 1 << 20)


def test_the_number_of_topics_and_subscriptions_is_bounded():
    settings = EngineSettings(topics_max=2, subscriptions_max=2)
    bus = Engine(settings, clock_ns=lambda: 0).bus
    bus.topic("a", 0)
    bus.topic("b", 0)
    with pytest.raises(CapacityError, match="there are 2 topics, limit is 2"):
        bus.topic("c", 0)
    options = (NO_START, ORDERING_PARTITION, OVERFLOW_POLICY_BLOCK, 0)
    bus.open_named("s", ["a"], *options)
    ephemeral = bus.open_ephemeral(["a"], NO_START, OVERFLOW_POLICY_BLOCK, 0, "")
    with pytest.raises(CapacityError, match="there are 2 subscriptions, limit is 2"):
        bus.open_named("t", ["a"], *options)
    member = Stage().join(ephemeral)
    bus.leave(member)
    bus.open_named("t", ["a"], *options)


def test_an_ephemeral_subscription_leaves_nothing_behind():
    stage = Stage()
    member = stage.join(stage.subscribe("", overflow=OVERFLOW_POLICY_BLOCK))
    stage.publish(1)
    stage.rooms.clear()
    stage.bus.leave(member)
    assert stage.bus.ephemeral == {}
    assert stage.topic.partitions[0].cursors == []
    assert stage.rooms, "publishers that waited for it must be told"


def test_a_pattern_meets_topics_made_before_and_after():
    stage = Stage()
    member = stage.join(stage.subscribe(topics=["bars.*"]))
    later = stage.bus.topic("bars.1d", 0)
    other = stage.bus.topic("signals.tactical", 0)
    stage.publish(1)
    stage.publish(1, topic=later)
    stage.publish(1, topic=other)
    topics = {handout.entry.batch.header.topic for handout in stage.take_all(member)}
    assert topics == {TOPIC, "bars.1d"}


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (starting(START_POLICY_EARLIEST), [0, 1, 2, 3, 4, 5]),
        (starting(START_POLICY_LATEST), []),
        (starting(START_POLICY_TIME, time_unix_nano=3), [2, 3, 4, 5]),
        (starting(START_POLICY_TIME, time_unix_nano=99), []),
        (starting(START_POLICY_POSITIONS, positions=[Position(topic=TOPIC, offset=3)]), [3, 4, 5]),
        (starting(START_POLICY_POSITIONS, positions=[Position(topic=TOPIC, offset=-9)]), [0, 1, 2, 3, 4, 5]),
        (starting(START_POLICY_POSITIONS, positions=[Position(topic=TOPIC, offset=99)]), []),
        (starting(START_POLICY_POSITIONS), []),
    ],
    ids=["EARLIEST", "LATEST", "TIME", "TIME ahead", "POSITIONS", "below", "above", "not listed"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["risk", ""], ids=["named", "ephemeral"])
def test_a_new_cursor_begins_where_it_is_asked_to(name, start, expected):
    stage = Stage()
    for _ in range(3):
        stage.publish(2)
    member = stage.join(stage.subscribe(name, start=start))
    assert all_offsets(stage.take_all(member)) == expected


def test_a_position_of_another_log_means_the_oldest_of_this_one():
    stage = Stage()
    for _ in range(3):
        stage.publish(2)
    log_id = stage.topic.partitions[0].log.log_id
    for found, expected in ((log_id, [4, 5]), (log_id + 1, [0, 1, 2, 3, 4, 5])):
        position = Position(topic=TOPIC, offset=4, log_id=found)
        start = starting(START_POLICY_POSITIONS, positions=[position])
        member = stage.join(stage.subscribe("", start=start))
        assert all_offsets(stage.take_all(member)) == expected


@pytest.mark.parametrize(("name", "expected"), [("risk", [0]), ("", [])])
def test_unasked_a_named_subscription_begins_at_the_oldest_and_an_ephemeral_one_now(name, expected):
    stage = Stage()
    stage.publish(1)
    member = stage.join(stage.subscribe(name, start=NO_START))
    assert offsets(stage.take(member)) == expected


def test_an_unknown_start_policy_is_refused_and_nothing_is_left_attached_or_recorded():
    stage = Stage(partitions=4)
    stage.commit()
    with pytest.raises(CallerError, match="start policy 9 is not known"):
        stage.subscribe(start=starting(9))
    assert [partition.cursors for partition in stage.topic.partitions] == [[]] * 4
    assert stage.bus.named == {}
    assert stage.commit() == []


@pytest.mark.parametrize(
    ("unlisted", "expected"),
    [("UNSPECIFIED", []), ("LATEST", []), ("EARLIEST", [0, 1]), ("TIME", [1])],
)
def test_what_a_list_of_positions_lacks_begins_where_it_says(unlisted, expected):
    stage = Stage(partitions=2)
    for partition in (0, 0, 1, 1):
        stage.publish(1, partition=partition)  # The time of each message is its offset.
    start = StartPosition(
        policy=START_POLICY_POSITIONS,
        positions=[Position(topic=TOPIC, partition=0, offset=2)],
        unlisted=StartPolicy.Value(f"START_POLICY_{unlisted}"),
        time_unix_nano=1,
    )
    member = stage.join(stage.subscribe("", start=start))
    assert all_offsets(stage.take_all(member)) == expected


def test_a_list_of_positions_cannot_be_the_rule_for_what_it_lacks():
    stage = Stage(partitions=2)
    start = StartPosition(policy=START_POLICY_POSITIONS, unlisted=START_POLICY_POSITIONS)
    with pytest.raises(CallerError, match="not for `unlisted`"):
        stage.subscribe("", start=start)


def test_a_named_subscription_goes_on_where_it_was_whatever_start_is_asked_for():
    stage = Stage()
    stage.publish(2)
    member = stage.join(stage.subscribe())
    handout = stage.take(member)
    assert handout is not None
    stage.accept(member, handout)
    stage.bus.leave(member)
    stage.publish(1)
    again = stage.join(stage.subscribe(start=starting(START_POLICY_EARLIEST)))
    assert offsets(stage.take(again)) == [2]


def test_positions_tell_the_next_offset_of_each_partition():
    stage = Stage(partitions=2)
    subscription = stage.subscribe()
    stage.publish(3, partition=1)
    stage.take(stage.join(subscription))
    found = {(p.topic, p.partition): p for p in positions_of(subscription)}
    assert {key: p.offset for key, p in found.items()} == {(TOPIC, 0): 0, (TOPIC, 1): 3}
    assert found[TOPIC, 0].log_id == stage.topic.partitions[0].log.log_id


def test_the_same_name_with_other_topics_or_ordering_is_refused():
    stage = Stage()
    stage.subscribe("risk", topics=["bars.*", "ticks.*"])
    assert stage.subscribe("risk", topics=["ticks.*", "bars.*"]) is stage.bus.named["risk"]
    with pytest.raises(SubscriptionMismatchError, match=r"reads \['bars.\*', 'ticks.\*'\]"):
        stage.subscribe("risk", topics=["bars.*"])
    with pytest.raises(SubscriptionMismatchError, match="has ordering ORDERING_PARTITION"):
        stage.subscribe("risk", topics=[], ordering=ORDERING_NONE)


def test_an_existing_subscription_can_be_joined_without_naming_its_topics():
    stage = Stage()
    made = stage.subscribe()
    assert stage.subscribe(topics=[]) is made


def test_a_subscription_nobody_made_needs_topics():
    with pytest.raises(UnknownSubscriptionError, match="'risk' does not exist; name its topics"):
        Stage().subscribe(topics=[])


@pytest.mark.parametrize("topics", [[], ["t"] * 65])
def test_one_to_64_patterns_are_allowed(topics):
    with pytest.raises(CallerError, match=f"{len(topics)} topics were given, 1 to 64"):
        Stage().subscribe("", topics=topics)


def test_an_unknown_ordering_is_refused():
    stage = Stage()
    with pytest.raises(CallerError, match="ordering 7 is not known"):
        stage.subscribe(ordering=7)
    assert stage.bus.named == {}


def test_policies_that_are_not_known_are_refused():
    stage = Stage()
    with pytest.raises(CallerError, match="overflow policy 9 is not known"):
        stage.subscribe(overflow=9)
    assert stage.bus.named == {}


def test_policy_and_ordering_have_defaults_by_kind_and_topic():
    stage = Stage()
    unasked = OVERFLOW_POLICY_UNSPECIFIED
    assert stage.subscribe("a", overflow=unasked).overflow_policy == OVERFLOW_POLICY_BLOCK
    assert stage.subscribe("", overflow=unasked).overflow_policy == OVERFLOW_POLICY_DROP_OLDEST
    assert stage.subscribe("b", ordering=0).ordering == ORDERING_PARTITION
    settings = TopicSettings(1, 10, 1 << 20, OVERFLOW_POLICY_DISCONNECT)
    stage.bus.create_topic("ticks", settings, 0)
    asked = stage.subscribe("c", overflow=unasked, topics=["ticks"])
    assert asked.overflow_policy == OVERFLOW_POLICY_DISCONNECT


def test_a_deleted_topic_is_delivered_no_more_and_can_be_made_again():
    stage = Stage()
    member = stage.join(stage.subscribe(topics=["bars.*"]))
    stage.publish(1)
    handout = stage.take(member)
    stage.publish(1)
    stage.bus.delete_topic(TOPIC)
    assert stage.take(member) is None
    assert handout is not None
    stage.accept(member, handout)
    again = stage.bus.create_topic(TOPIC, stage.bus.default_settings, 0)
    stage.publish(1, topic=again)
    assert offsets(stage.take(member)) == [0]


@pytest.mark.timeout(8)  # Work that grows with the square of the topics takes longer than that.
def test_eight_thousand_topics_are_joined_without_stopping_the_coordinator():
    stage = Stage()
    stage.bus.topics_max = 10_000
    for index in range(8_000):
        stage.bus.topic(f"t{index}", 0)
    subscription = stage.subscribe(topics=[">"])
    stage.join(subscription)
    assert len(subscription.cursors) == 8_001


def test_no_topic_in_kafka_is_named_as_what_holds_the_state() -> None:
    engine = Engine(
        EngineSettings(state_topic="desk"),
        has_store=True,
        durable_log=LogKind.KAFKA,
        clock_ns=lambda: 0,
    )
    bus = engine.bus
    in_kafka = dataclasses.replace(bus.default_settings, log=LogKind.KAFKA)
    for name in ("desk", "_bellwire_state", "_bellwire_state.orders", "__consumer_offsets"):
        with pytest.raises(InvalidTopicNameError):
            bus.create_topic(name, in_kafka, 0)
        bus.create_topic(name, bus.default_settings, 0)
    bus.create_topic("desk.bars", in_kafka, 0)
