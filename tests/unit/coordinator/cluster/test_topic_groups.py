"""Which group a topic belongs to, and what is said to who asks another one."""

from __future__ import annotations

import pytest

from bellwire.coordinator.cluster.errors import GroupRecordError, TopicsTakenError
from bellwire.coordinator.cluster.holder import Holder
from bellwire.coordinator.cluster.topic_groups import GroupRecord, TopicGroups

ORDERS = GroupRecord(("orders.>", "fills.>"))
REST = GroupRecord(())
AT = Holder("10.0.0.1:7400", "a", 5)


def rest_beside_orders() -> TopicGroups:
    groups = TopicGroups("rest", ())
    groups.take({"rest": REST, "orders": ORDERS}, {"orders": AT})
    return groups


def test_alone_it_owns_what_it_is_to_have() -> None:
    assert TopicGroups("rest", ()).owns("anything")
    groups = TopicGroups("orders", ("orders.>",))
    assert groups.owns("orders.new")
    assert not groups.owns("bars.1h")
    assert groups.group_of("bars.1h") == ""


def test_a_group_without_topics_has_what_no_other_names() -> None:
    groups = rest_beside_orders()
    assert [groups.group_of(topic) for topic in ("orders.new", "fills.x", "orders", "bars")] == [
        "orders",
        "orders",
        "rest",
        "rest",
    ]
    orders = TopicGroups("orders", ORDERS.topics)
    orders.take({"rest": REST, "orders": ORDERS}, {})
    assert orders.group_of("bars") == "rest"


def test_the_refusal_names_owner_group_and_topic() -> None:
    groups = rest_beside_orders()
    missed: list[int] = []
    groups.on_miss = lambda: missed.append(1)
    refusal = groups.refusal("orders.new")
    assert refusal.metadata == {"owner": AT.address, "group": "orders", "topic": "orders.new"}
    assert refusal.owner == AT.address
    assert not missed


def test_an_owner_that_is_not_known_is_looked_for() -> None:
    groups = rest_beside_orders()
    missed: list[int] = []
    groups.on_miss = lambda: missed.append(1)
    groups.take({"orders": ORDERS}, {})
    refusal = groups.refusal("orders.new")
    assert refusal.metadata == {"group": "orders", "topic": "orders.new"}
    assert refusal.owner == ""
    assert missed
    assert refusal.retry_delay_seconds


def test_a_topic_of_nobody_is_refused_with_what_to_do() -> None:
    refusal = TopicGroups("orders", ("orders.>",)).refusal("bars.1h")
    assert refusal.metadata == {"topic": "bars.1h"}
    assert "--topics bars.1h" in refusal.message


def test_a_map_that_came_back_empty_gives_nobody_what_a_group_had() -> None:
    groups = rest_beside_orders()
    groups.note_owner(AT)
    assert not groups.take({}, {})
    assert groups.group_of("orders.new") == "orders"
    assert not groups.is_declared
    assert [row.owner for row in groups.rows()] == [AT, AT]
    groups.take({"rest": REST, "orders": ORDERS}, {})
    assert [row.owner for row in groups.rows()] == [None, AT]


def test_a_group_that_is_gone_for_good_is_forgotten() -> None:
    groups = rest_beside_orders()
    assert groups.group_of("orders.new") == "orders"
    assert groups.take({"rest": REST, "orders": None}, {})
    assert groups.owns("orders.new")
    assert not groups.take({"rest": REST, "orders": None}, {})


def test_a_change_is_told_once() -> None:
    groups = rest_beside_orders()
    more = GroupRecord(("orders.>", "bars.>"))
    assert groups.owns("bars.1h")
    assert groups.take({"rest": REST, "orders": more}, {})
    assert not groups.owns("bars.1h")
    assert groups.owns("fills.x")
    assert not groups.take({"rest": REST, "orders": more}, {"orders": AT})


def test_who_serves_what_nobody_names_is_known() -> None:
    orders = TopicGroups("orders", ORDERS.topics)
    orders.take({"rest": REST}, {})
    assert not orders.has_rest_elsewhere()
    orders.take({"rest": REST}, {"rest": AT})
    assert orders.has_rest_elsewhere()
    rest = rest_beside_orders()
    rest.note_owner(AT)
    assert not rest.has_rest_elsewhere()


def test_of_its_own_group_it_tells_what_is_declared_and_who_has_the_lease() -> None:
    groups = TopicGroups("orders", ("orders.>",))
    assert groups.rows() == [("orders", ("orders.>",), None)]
    groups.take({"orders": ORDERS, "bars": GroupRecord(("bars.>",))}, {"orders": AT, "bars": AT})
    assert groups.rows() == [("bars", ("bars.>",), AT), ("orders", ORDERS.topics, None)]
    groups.note_owner(AT)
    assert groups.rows()[1] == ("orders", ORDERS.topics, AT)
    assert groups.owns("orders.new")
    assert not groups.owns(
        "fills.x"
    )  # Declared by another one of the group; not what this one is to have.


@pytest.mark.parametrize(
    ("mine", "theirs", "words"),
    [
        (("orders.new", "bars.>"), ("*.1h",), ["'bars.>'", "'*.1h'"]),
        (("orders.new",), ("orders.*",), ["'orders.new'", "'orders.*'"]),
        ((), (), ["all topics that no group names"]),
    ],
)
def test_topics_of_another_group_are_refused_and_both_are_named(
    mine: tuple[str, ...], theirs: tuple[str, ...], words: list[str]
) -> None:
    groups = TopicGroups("mine", mine)
    groups.take({"theirs": GroupRecord(theirs)}, {})
    with pytest.raises(TopicsTakenError) as refused:
        groups.check()
    for word in ("'mine'", "'theirs'", *words):
        assert word in refused.value.message


def test_what_does_not_overlap_is_allowed() -> None:
    groups = TopicGroups("bars", ("bars.>",))
    groups.take({"rest": REST, "orders": ORDERS, "bars": GroupRecord(("orders.>",))}, {})
    groups.check()
    assert groups.owns("bars.1h")
    assert not groups.owns("orders.new")


def test_a_declaration_comes_back_as_it_was_written() -> None:
    assert GroupRecord.decode("orders", ORDERS.encode()) == ORDERS
    assert GroupRecord.decode("orders", b"removed") is None
    longest = GroupRecord(tuple(f"{n:03}" + "x" * 246 for n in range(64)))
    assert GroupRecord.decode("long", longest.encode()) == longest


@pytest.mark.parametrize(
    "value",
    [
        b"garbage",
        b"[]",
        b"{}",
        b'{"topics":"orders.>"}',
        b'{"topics":[1]}',
        b'{"topics":["orders.>.new"]}',
        b'{"topics":["' + b"x" * 40_000 + b'"]}',
        b'{"topics":[' + b'"a",' * 64 + b'"a"]}',
    ],
)
def test_something_else_is_refused_with_its_group(value: bytes) -> None:
    with pytest.raises(GroupRecordError, match="HDEL bellwire:groups orders"):
        GroupRecord.decode("orders", value)
