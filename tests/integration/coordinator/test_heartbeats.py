"""Heartbeats of subscribers are answered, however rarely the server sends its own."""

from __future__ import annotations

from tests.integration.coordinator.frames import SubscribeStream, dial

from bellwire.bus.v1.subscriber_pb2 import SubscribeHeartbeat
from bellwire.testing.server import running_coordinator


async def test_a_subscriber_that_asks_hears_at_once_that_the_line_is_alive():
    async with running_coordinator(heartbeat_seconds=300.0) as server, dial(server.unix) as stubs:
        subscriber = await SubscribeStream(stubs).open()

        await subscriber.send(heartbeat=SubscribeHeartbeat())

        beat = await subscriber.read_arm("heartbeat")
        assert [position.offset for position in beat.positions] == [0]
