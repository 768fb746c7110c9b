"""Channels that a map of groups leads: when they follow it, and when not. Nobody listens anywhere."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bellwire.transport.address import Address, parse_address
from bellwire.transport.channel import TransportSettings
from bellwire.transport.group_pool import GroupPool
from bellwire.wire.errors import NotOwnerError

A, B, C = (parse_address(f"127.0.0.1:{port}") for port in (1, 2, 3))


class Led:
    """A pool of group "orders" that began at A, and how often it had the map asked."""

    def __init__(self, *places: Address) -> None:
        self.asked = 0
        self.is_alone = False
        self.pool = GroupPool(places or (A,), TransportSettings())
        self.pool.guide("orders", 10, self._ask, lambda: self.is_alone)

    def _ask(self) -> None:
        self.asked += 1

    def refused(self, **metadata: str) -> bool:
        return self.pool.refused(self.pool.address, NotOwnerError("no", metadata=metadata))


@pytest.fixture
async def led() -> AsyncIterator[Led]:
    made = Led()
    yield made
    await made.pool.close()


async def test_it_goes_to_a_newer_owner_and_to_no_older_one(led: Led) -> None:
    assert led.pool.follow(B, 11)
    assert led.pool.address == B
    assert not led.pool.follow(A, 10)
    assert led.pool.address == B


async def test_who_is_no_newer_is_gone_to_only_in_trouble(led: Led) -> None:
    assert not led.pool.follow(B, 10)
    assert not led.pool.lost(A)
    assert led.asked == 1
    assert led.pool.follow(B, 10)
    assert led.pool.address == B


async def test_an_outdated_answer_leads_nobody_back_to_who_was_just_lost(led: Led) -> None:
    led.pool.lost(A)
    assert led.pool.follow(B, 11)
    led.pool.lost(B)
    assert not led.pool.follow(A, 10)
    assert not led.pool.follow(B, 11)
    assert led.pool.address == B


async def test_a_standby_of_the_group_names_the_one_to_go_to(led: Led) -> None:
    assert led.refused(group="orders", owner=str(B))
    assert (led.pool.address, led.asked) == (B, 1)


async def test_what_is_another_groups_moves_nothing_and_has_the_map_asked(led: Led) -> None:
    assert not led.refused(group="rest", owner=str(B), topic="bars")
    assert not led.refused(group="rest", owner=str(B))
    assert not led.refused(topic="bars")
    assert (led.pool.address, led.asked) == (A, 3)


async def test_a_topic_of_another_group_is_foreign_and_nothing_else_is(led: Led) -> None:
    for metadata, foreign in (
        ({"group": "rest", "topic": "bars"}, True),
        ({"topic": "bars"}, True),
        ({"group": "orders", "topic": "orders.new"}, False),
        ({"group": "orders", "owner": str(B)}, False),
        ({}, False),
    ):
        assert led.pool.is_foreign(NotOwnerError("no", metadata=metadata)) is foreign, metadata


async def test_as_the_only_group_it_goes_round_its_addresses_as_ever() -> None:
    led = Led(A, B)
    led.is_alone = True
    assert led.pool.lost(A)
    assert led.pool.address == B
    led.is_alone = False  # Another group is there: the other addresses may be of that one.
    assert not led.pool.lost(B)
    assert led.pool.address == B
    await led.pool.close()


async def test_before_it_is_told_its_group_it_is_like_any_other() -> None:
    pool = GroupPool((A,), TransportSettings())
    assert not pool.is_led
    assert not pool.has_choice
    error = NotOwnerError("no", metadata={"owner": str(C)})
    assert not pool.is_foreign(NotOwnerError("no", metadata={"topic": "bars"}))
    assert pool.refused(A, error)
    assert pool.address == C
    await pool.close()
