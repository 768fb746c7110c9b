"""One of a group serves, the others say who; and what becomes of it when Redis or the active one goes away."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.integration.cluster.conftest import Group, client_of, group_on
from tests.integration.coordinator.frames import Stubs, dial, refusal, within

from bellwire.admin.v1.server_pb2 import CLUSTER_ROLE_ACTIVE, CLUSTER_ROLE_STANDBY
from bellwire.bus.v1 import publisher_pb2 as pb
from bellwire.client import EARLIEST, Client, connect
from bellwire.coordinator.cluster.election import Role
from bellwire.coordinator.cluster.errors import (
    LeaseRefusedError,
    LeaseUnavailableError,
    StoreContestedError,
)
from bellwire.coordinator.cluster.server import ClusterCoordinator
from bellwire.coordinator.config import CoordinatorSettings
from bellwire.testing import ChaosProxy
from bellwire.testing.redis import RunningRedis, running_redis
from bellwire.wire.errors import BellwireError, NotOwnerError
from bellwire.wire.settings import SettingsError

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(90)]


async def read_all(client: Client, topic: str, count: int) -> list[bytes]:
    """Read a topic from its begin."""
    found = []
    async with client.subscribe(topic, subscription=f"s-{uuid4().hex}", start=EARLIEST) as messages:
        async for message in messages:
            found.append(message.data)
            if len(found) == count:
                break
    return found


async def health_of(stubs: Stubs, service: str) -> int:
    stub: Any = health_pb2_grpc.HealthStub(stubs.channel)
    answer = await within(stub.Check(health_pb2.HealthCheckRequest(service=service)))
    return int(answer.status)


async def test_a_standby_refuses_everything_and_names_the_active_one(group: Group) -> None:
    active = await group.join()
    await group.active(active)
    standby = await group.join()
    address = active.addresses[0]
    await group.until(lambda: standby.describe().owner == address)
    async with dial(standby.addresses[0]) as stubs:
        refused = await refusal(stubs.publish(b"x", topic=group.topic))
        assert isinstance(refused, NotOwnerError)
        assert refused.owner == address
        stream = stubs.publisher.PublishStream()
        await stream.write(pb.PublishStreamRequest(start=pb.PublishStart(client_id="c")))
        cut = await refusal(stream.read())
        assert isinstance(cut, NotOwnerError)
        assert cut.owner == address
        info = (await stubs.info()).cluster
        assert (info.role, info.owner) == (CLUSTER_ROLE_STANDBY, address)
        serving, closed = (
            health_pb2.HealthCheckResponse.SERVING,
            health_pb2.HealthCheckResponse.NOT_SERVING,
        )
        assert await health_of(stubs, "") == serving
        assert await health_of(stubs, "bellwire.bus.v1.PublisherService") == closed
    async with dial(address) as stubs:
        info = (await stubs.info()).cluster
        assert (info.role, info.owner) == (CLUSTER_ROLE_ACTIVE, address)
        assert await health_of(stubs, "bellwire.bus.v1.PublisherService") == 1


@pytest.mark.parametrize("socket_lane", [True, False])
async def test_a_client_of_a_standby_is_led_to_the_active_one(
    group: Group, socket_lane: bool
) -> None:
    active = await group.join()
    await group.active(active)
    standby = await group.join()
    from bellwire.client import ClientSettings
    from bellwire.client.settings import TransportSettings

    settings = ClientSettings(transport=TransportSettings(socket_lane=socket_lane))
    async with connect(standby.addresses[0], settings) as client:
        placed = await client.publisher("desk").publish(group.topic, b"1", key="EURUSD")
        assert placed.offset == 0
        assert str(client.address) == active.addresses[0]
        assert await within(read_all(client, group.topic, 1)) == [b"1"]


async def test_after_a_clean_stop_the_next_one_goes_on_where_it_ended(group: Group) -> None:
    first = await group.join()
    await group.active(first)
    second = await group.join()
    async with client_of(group) as client:
        publisher = client.publisher("desk")
        for number in range(5):
            await publisher.publish(group.topic, b"%d" % number, key="EURUSD")
        await first.drain()
        await group.active(second)
        for number in range(5, 10):
            placed = await publisher.publish(group.topic, b"%d" % number, key="EURUSD")
            assert placed.offset == number
        assert await within(read_all(client, group.topic, 10)) == [b"%d" % n for n in range(10)]
        assert second.describe().take_over_millis > 0


async def test_redis_away_ends_nothing_and_its_return_changes_nobody(
    kafka: str, own_redis: RunningRedis
) -> None:
    async with group_on(kafka, own_redis.url) as group:
        active = await group.join()
        await group.active(active)
        standby = await group.join()
        async with client_of(group) as client:
            publisher = client.publisher("desk")
            await publisher.publish(group.topic, b"0")
            await asyncio.to_thread(own_redis.kill)
            await group.until(lambda: not standby.describe().owner)
            # Twice the time to live has passed without an answer; each of these needs a proof of the store's.
            for number in range(1, 4):
                placed = await publisher.publish(group.topic, b"%d" % number)
                assert placed.offset == number
            assert active.describe().lease_service_away
            await asyncio.to_thread(own_redis.start)  # Empty.
            await group.until(lambda: bool(standby.describe().owner))
            assert standby.describe().owner == active.addresses[0]
            assert (active.role, standby.role) == (Role.ACTIVE, Role.STANDBY)
            assert (await publisher.publish(group.topic, b"4")).offset == 4


async def test_cut_off_from_redis_alone_it_is_succeeded_and_finds_out(
    kafka: str, own_redis: RunningRedis
) -> None:
    async with ChaosProxy(own_redis.address) as proxy, group_on(kafka, own_redis.url) as group:
        lonely = await group.join(redis=f"redis://{proxy.address}")
        await group.active(lonely)
        other = await group.join()
        async with client_of(group) as client:
            publisher = client.publisher("desk")
            assert (await publisher.publish(group.topic, b"0")).offset == 0
            proxy.accepts = False
            proxy.cut()
            await group.active(other)
            # Nobody writes: it is its own proof that tells it.
            await group.until(lambda: lonely.role is Role.STANDBY)
            assert (await publisher.publish(group.topic, b"1")).offset == 1
            assert str(client.address) == other.addresses[0]
            proxy.heal()
            await group.until(lambda: lonely.describe().owner == other.addresses[0])
            assert (lonely.role, other.role) == (Role.STANDBY, Role.ACTIVE)


async def test_two_groups_with_one_store_do_not_fight_for_ever(
    kafka: str, redis_noeviction: RunningRedis
) -> None:
    async with group_on(kafka, redis_noeviction.url) as group:
        one = await group.join(group="one")
        await group.active(one)
        other = await group.join(group="other", redis=f"{group.settings.redis}/1")
        await group.active(other)
        async with connect(one.addresses[0]) as first, connect(other.addresses[0]) as second:
            async with asyncio.timeout(60):
                while one.failure is None and other.failure is None:
                    for client in (first, second):
                        with suppress(BellwireError):
                            await client.publisher("desk").publish(group.topic, b"x", timeout=1.0)
        found = one.failure or other.failure
        assert isinstance(found, StoreContestedError)
        assert "`coordinator.group`" in found.message


async def started(settings: CoordinatorSettings) -> None:
    async with ClusterCoordinator(settings):
        pass


async def test_a_redis_that_evicts_is_refused(kafka: str, redis_lru: RunningRedis) -> None:
    settings = CoordinatorSettings(kafka=kafka, redis=redis_lru.url, listen=("127.0.0.1:0",))
    with pytest.raises(LeaseRefusedError, match=r"allkeys-lru.*noeviction"):
        await within(started(settings))


async def test_a_wrong_password_is_refused_and_not_shown(redis_installed: None, kafka: str) -> None:
    with running_redis(password="right") as server:
        url = server.url.replace("right", "wrong")
        settings = CoordinatorSettings(kafka=kafka, redis=url, listen=("127.0.0.1:0",))
        with pytest.raises(LeaseRefusedError, match="user and password") as refused:
            await within(started(settings))
        assert "wrong" not in refused.value.message.replace("WRONGPASS", "")


async def test_redis_away_at_the_start_is_waited_for_and_then_named(kafka: str) -> None:
    settings = CoordinatorSettings(
        kafka=kafka, redis="redis://127.0.0.1:1", listen=("127.0.0.1:0",)
    )
    coordinator = ClusterCoordinator(settings, start_seconds=0.3)
    with pytest.raises(LeaseUnavailableError, match=r"127\.0\.0\.1:1 does not answer.*waited"):
        await within(coordinator.start())


def test_an_address_that_is_everywhere_cannot_be_advertised() -> None:
    with pytest.raises(SettingsError, match="advertise"):
        ClusterCoordinator(
            CoordinatorSettings(kafka="k:1", redis="redis://r:1", listen=("0.0.0.0:7400",))
        )


def test_a_group_needs_a_store_that_it_shares() -> None:
    with pytest.raises(SettingsError, match="kafka"):
        CoordinatorSettings(redis="redis://r:1")
