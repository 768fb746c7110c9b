"""How partitions are spread over the members of a subscription: evenly, and moving as few as possible."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.unit.coordinator.core.stage import Stage

from bellwire.coordinator.core.member import Member
from bellwire.coordinator.core.subscription import Subscription


def holders(subscription: Subscription) -> list[Member | None]:
    return [cursor.holder for cursor in subscription.cursors]


def spread(subscription: Subscription) -> list[int]:
    counts = Counter(holders(subscription))
    return sorted(counts[member] for member in subscription.members)


@pytest.mark.parametrize(
    ("partitions", "members", "expected"),
    [(4, 1, [4]), (4, 2, [2, 2]), (4, 3, [1, 1, 2]), (2, 3, [0, 1, 1]), (7, 4, [1, 2, 2, 2])],
)
def test_partitions_are_spread_evenly_over_members_that_join_one_by_one(
    partitions, members, expected
):
    stage = Stage(partitions=partitions)
    subscription = stage.subscribe()
    for _ in range(members):
        stage.join(subscription)
    assert spread(subscription) == expected


def test_a_joining_member_takes_only_its_share():
    stage = Stage(partitions=6)
    subscription = stage.subscribe()
    for _ in range(2):
        stage.join(subscription)
    before = holders(subscription)
    stage.join(subscription)
    moved = [b for b, a in zip(before, holders(subscription), strict=True) if a is not b]
    assert len(moved) == 2


def test_a_leaving_member_s_partitions_are_spread_and_no_other_moves():
    stage = Stage(partitions=6)
    subscription = stage.subscribe()
    members = [stage.join(subscription) for _ in range(3)]
    before = holders(subscription)
    subscription.leave(members[1])
    after = holders(subscription)
    assert spread(subscription) == [3, 3]
    for old, new in zip(before, after, strict=True):
        assert new is old or old is members[1]


def test_without_members_nobody_holds_a_partition():
    stage = Stage(partitions=3)
    subscription = stage.subscribe()
    subscription.leave(stage.join(subscription))
    assert holders(subscription) == [None, None, None]


def test_a_new_topic_is_spread_over_the_members_there_are():
    stage = Stage(partitions=4)
    subscription = stage.subscribe(topics=[">"])
    for _ in range(2):
        stage.join(subscription)
    stage.bus.create_topic("bars.1d", stage.bus.default_settings, 0)
    assert spread(subscription) == [4, 4]
