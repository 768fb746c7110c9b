"""An engine of one group: topics of others are refused by their names, and what is there of them stays."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.unit.coordinator.core.stage import TOPIC, Shared, Stage, all_offsets

from bellwire.coordinator.core.binding import PATTERNS_MAX
from bellwire.coordinator.log.records import SubscriptionRecord
from bellwire.wire.batch import encode_batch
from bellwire.wire.errors import (
    BellwireError,
    CallerError,
    NotOwnerError,
    SubscriptionMismatchError,
)
from bellwire.wire.message import new_message

OTHERS = "orders.new"


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


def test_a_name_is_bound_to_its_topics_elsewhere_and_reads_them_once_they_are_here() -> None:
    stage = Stage()
    shared = Shared(OTHERS)
    stage.engine.share(shared)
    subscription = stage.subscribe("s", elsewhere=[OTHERS])
    member = stage.join(subscription)
    assert set(stage.bus.topics) == {TOPIC}
    shared.others.clear()
    stage.engine.share(shared)
    assert stage.subscribe("s", topics=[TOPIC, OTHERS]) is subscription
    stage.publish(2, topic=stage.bus.topic(OTHERS, 0))
    assert all_offsets(stage.take_all(member)) == [0, 1]


def test_what_a_name_reads_elsewhere_may_be_told_later_and_is_recorded() -> None:
    stage = Stage(durable=True)
    shared = Shared(OTHERS)
    stage.engine.share(shared)
    subscription = stage.subscribe("s")
    stage.commit()
    for _ in range(2):  # The second time there is nothing new.
        stage.subscribe("s", elsewhere=[OTHERS])
    recorded = [each for each in stage.commit() if isinstance(each, SubscriptionRecord)]
    assert [record.patterns for record in recorded] == [(TOPIC, OTHERS)]
    shared.others.clear()
    stage.engine.share(shared)
    assert stage.subscribe("s", topics=[TOPIC, OTHERS]) is subscription


def test_a_topic_that_the_client_believes_elsewhere_is_read_though_it_is_here() -> None:
    stage = Stage()
    other = stage.bus.create_topic(OTHERS, stage.bus.default_settings, 0)
    stage.subscribe("s")
    member = stage.join(stage.subscribe("s", elsewhere=[OTHERS]))
    stage.publish(1, topic=other)
    assert all_offsets(stage.take_all(member)) == [0]
    assert stage.subscribe("s", elsewhere=[OTHERS]) is stage.bus.named["s"]


def test_a_name_that_reads_other_topics_here_is_still_refused() -> None:
    stage = Stage()
    stage.engine.share(Shared(OTHERS))
    stage.subscribe("s", topics=[TOPIC, "ticks"], elsewhere=[OTHERS])
    for topics in ([TOPIC], [TOPIC, "ticks", "signals"]):
        with pytest.raises(SubscriptionMismatchError):
            stage.subscribe("s", topics=topics, elsewhere=[OTHERS])


def test_topics_elsewhere_are_names_and_not_too_many() -> None:
    stage = Stage()
    stage.engine.share(Shared(OTHERS))
    with pytest.raises(CallerError, match="is a pattern"):
        stage.subscribe("s", elsewhere=["orders.*"])
    with pytest.raises(CallerError, match="65 topics were given"):
        stage.subscribe("s", elsewhere=[f"t{number}" for number in range(PATTERNS_MAX)])
    assert stage.bus.named == {}


def test_who_joins_a_name_without_topics_is_refused_only_for_what_was_read_here() -> None:
    stage = Stage()
    stage.engine.share(Shared(OTHERS))
    stage.subscribe("s", elsewhere=[OTHERS])
    assert stage.subscribe("s", topics=[]) is stage.bus.named["s"]
    stage.engine.share(Shared(OTHERS, TOPIC))
    assert refused(lambda: stage.subscribe("s", topics=[])) == TOPIC


def test_who_was_told_of_a_topic_elsewhere_is_not_disturbed_when_another_one_moves() -> None:
    stage = Stage()
    stage.engine.share(Shared(OTHERS))
    here = stage.join(stage.subscribe("s", elsewhere=[OTHERS]))
    moves = stage.join(stage.subscribe("t", topics=["ticks"], elsewhere=[OTHERS]))
    stage.engine.share(Shared(OTHERS, "ticks"))
    assert here.failed is None
    assert isinstance(moves.failed, NotOwnerError)


def test_who_changes_a_name_in_one_group_has_not_changed_it_where_it_would_be_refused() -> None:
    stage = Stage()
    shared = Shared("t2", "t3")
    stage.engine.share(shared)
    name = stage.subscribe("s", elsewhere=["t2"])
    for elsewhere in (
        ["t3"],
        ["t2", "t3"],
    ):  # Another list, or a longer one: t2's group refuses both.
        with pytest.raises(SubscriptionMismatchError, match="'t3'"):
            stage.subscribe("s", elsewhere=elsewhere)
    assert [pattern.text for pattern in name.patterns] == [TOPIC, "t2"]
    shared.others = {"t2"}
    stage.engine.share(shared)
    assert stage.subscribe("s", elsewhere=["t2"]) is name


def test_a_name_that_exists_is_bound_to_as_many_topics_elsewhere_as_fit() -> None:
    stage = Stage()
    here, there = [f"a{n}" for n in range(40)], [f"b{n}" for n in range(30)]
    stage.engine.share(Shared(*there))
    name = stage.subscribe("s", topics=here)
    for _ in range(2):
        assert stage.subscribe("s", topics=here, elsewhere=there) is name
    assert [pattern.text for pattern in name.patterns] == [*here, *there][:PATTERNS_MAX]
    with pytest.raises(CallerError, match="70 topics were given"):
        stage.subscribe("t", topics=here, elsewhere=there)
