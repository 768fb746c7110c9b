"""An engine of one group: topics of others are refused by their names, and what is there of them stays."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.unit.coordinator.core.stage import TOPIC, Stage, all_offsets

from bellwire.wire.batch import encode_batch
from bellwire.wire.errors import BellwireError, NotOwnerError
from bellwire.wire.message import new_message

OTHERS = "orders.new"


class Shared:
    """Whoever else there is has some topics."""

    def __init__(self, *others: str) -> None:
        self.others = set(others)

    def owns(self, topic: str) -> bool:
        return topic not in self.others

    def refusal(self, topic: str) -> NotOwnerError:
        return NotOwnerError("elsewhere", metadata={"topic": topic})


def refused(ask: Callable[[], object]) -> str:
    with pytest.raises(NotOwnerError) as caught:
        ask()
    return caught.value.metadata["topic"]


def test_alone_it_serves_all_there_are_without_a_second_table() -> None:
    bus = Stage().bus
    assert bus.served is bus.topics


def test_a_topic_of_another_group_is_refused_by_every_name() -> None:
    stage = Stage()
    bus = stage.bus
    bus.create_topic(OTHERS, bus.default_settings, 0)
    stage.engine.share(Shared(OTHERS, "orders.old"))
    for topic in (OTHERS, "orders.old"):  # One that is here, and one that is not.
        for ask in (
            lambda topic=topic: bus.topic(topic, 0),
            lambda topic=topic: bus.existing_topic(topic),
            lambda topic=topic: bus.create_topic(topic, bus.default_settings, 0),
            lambda topic=topic: bus.update_topic(topic, bus.default_settings),
            lambda topic=topic: bus.delete_topic(topic),
            lambda topic=topic: stage.subscribe("s", topics=[topic]),
            lambda topic=topic: stage.subscribe("", topics=[TOPIC, topic]),
            lambda topic=topic: bus.check_ours(topic),
        ):
            assert refused(ask) == topic
    assert set(bus.served) == {TOPIC}
    assert set(bus.topics) == {TOPIC, OTHERS}
    assert bus.named == {}


def test_its_own_go_on_and_new_ones_are_made() -> None:
    stage = Stage()
    stage.engine.share(Shared(OTHERS))
    made = stage.bus.topic("signals", 0)
    assert stage.bus.topic("signals", 0) is made
    stage.bus.delete_topic("signals")
    assert set(stage.bus.served) == set(stage.bus.topics) == {TOPIC}


def test_a_pattern_reads_the_topics_of_its_own_group() -> None:
    stage = Stage()
    stage.bus.create_topic(OTHERS, stage.bus.default_settings, 0)
    stage.engine.share(Shared(OTHERS))
    subscription = stage.subscribe("", topics=[">"])
    assert {cursor.partition.topic.name for cursor in subscription.cursors} == {TOPIC}


def test_topics_that_come_back_are_served_again() -> None:
    stage = Stage()
    stage.bus.create_topic(OTHERS, stage.bus.default_settings, 0)
    shared = Shared(OTHERS)
    stage.engine.share(shared)
    shared.others.clear()
    stage.engine.share(shared)
    assert stage.bus.existing_topic(OTHERS).name == OTHERS


def test_who_reads_a_topic_by_its_name_that_goes_to_another_group_is_told_so() -> None:
    stage = Stage()
    other = stage.bus.create_topic(OTHERS, stage.bus.default_settings, 0)
    by_name = stage.join(stage.subscribe("by-name", topics=[OTHERS]))
    by_pattern = stage.join(stage.subscribe("by-pattern", topics=[">"]))
    own = stage.join(stage.subscribe("own", topics=[TOPIC]))
    stage.publish(3, topic=other)
    assert stage.engine.share(Shared(OTHERS)) == [OTHERS]
    assert isinstance(by_name.failed, NotOwnerError)
    assert (by_pattern.failed, own.failed) == (None, None)
    # What is there was acknowledged: it is still delivered.
    assert all_offsets(stage.take_all(by_pattern)) == [0, 1, 2]
    assert refused(lambda: stage.subscribe("by-name", topics=[OTHERS])) == OTHERS


def test_a_topic_without_messages_is_nothing_to_warn_of() -> None:
    stage = Stage()
    stage.bus.create_topic(OTHERS, stage.bus.default_settings, 0)
    assert stage.engine.share(Shared(OTHERS)) == []


def test_what_waits_for_room_in_a_topic_of_another_group_is_refused() -> None:
    stage = Stage()
    other = stage.bus.create_topic(OTHERS, stage.bus.default_settings, 0)
    partition = other.partitions[0]
    heard: list[BellwireError | None] = []
    batch = encode_batch(OTHERS, 0, [new_message(data=b"x")])
    worker = stage.engine.workers.owner(partition)
    worker.wait(partition, batch, (), stage.now + 30, lambda _, error: heard.append(error))
    stage.engine.share(Shared(OTHERS))
    assert [type(error) for error in heard] == [NotOwnerError]


def test_who_began_to_read_while_a_topic_was_elsewhere_reads_it_when_it_comes_back() -> None:
    stage = Stage()
    other = stage.bus.create_topic(OTHERS, stage.bus.default_settings, 0)
    before = stage.join(stage.subscribe("before", topics=[">"]))
    shared = Shared(OTHERS)
    stage.engine.share(shared)
    since = stage.join(stage.subscribe("", topics=[">"]))
    shared.others.clear()
    stage.engine.share(shared)
    stage.publish(2, topic=other)
    assert all_offsets(stage.take_all(before)) == [0, 1]
    assert all_offsets(stage.take_all(since)) == [0, 1]


def test_a_named_subscription_goes_on_with_the_topics_that_are_left() -> None:
    stage = Stage()
    stage.bus.create_topic(OTHERS, stage.bus.default_settings, 0)
    stage.subscribe("s", topics=[TOPIC, OTHERS])
    stage.engine.share(Shared(OTHERS))
    assert refused(lambda: stage.subscribe("s", topics=[TOPIC, OTHERS])) == OTHERS
    assert stage.subscribe("s", topics=[TOPIC]) is stage.bus.named["s"]
