"""What GetServerInfo tells of the directory of agents."""

from __future__ import annotations

import asyncio

import pytest
from tests.integration.coordinator.frames import eventually
from tests.integration.federation.conftest import sites_on

from bellwire.admin.v1.server_pb2 import ClusterInfo
from bellwire.client import connect
from bellwire.testing.redis import RunningRedis

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(90)]


async def test_faults_of_the_directory_and_its_silence_are_in_the_server_info(
    kafka: str, own_redis: RunningRedis
) -> None:
    async with sites_on(kafka, own_redis.url) as sites:
        site = await sites.open()
        state = site.coordinator._state
        assert state is not None
        assert state.federation is not None
        async with connect(site.address) as client:

            async def told() -> ClusterInfo:
                return (await client.admin.server_info()).cluster

            before = await told()
            assert (before.agent_directory_faults, before.agent_directory_away) == (0, False)
            state.federation.faults += 2
            await asyncio.to_thread(own_redis.kill)
            after = await eventually(told, lambda cluster: cluster.agent_directory_away)
            assert after.agent_directory_faults == 2
