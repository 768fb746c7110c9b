"""Publishes by single requests: slower than the stream, and idempotent by request_id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bellwire.bus.v1.message_pb2 import Message
from bellwire.bus.v1.publisher_pb2 import AckLevel, PublishRequest
from bellwire.bus.v1.publisher_pb2_grpc import PublisherServiceStub
from bellwire.client._groups import Groups
from bellwire.client._unary import request
from bellwire.client.results import PublishedRange
from bellwire.transport.channel import ChannelPool

if TYPE_CHECKING:
    from bellwire.bus.v1.publisher_pb2_grpc import PublisherServiceAsyncStub


class UnaryPublisher:
    """Sends Publish requests at one acknowledgement level."""

    def __init__(self, pool: ChannelPool, ack_level: AckLevel.ValueType) -> None:
        self._pool = pool
        self._ack_level = ack_level

    async def publish(
        self,
        topic: str,
        messages: Sequence[Message],
        request_id: str,
        seconds: float,
        *,
        atomic: bool,
    ) -> list[PublishedRange]:
        """Publish plain messages; return one range per partition touched."""
        stub: PublisherServiceAsyncStub = PublisherServiceStub(self._pool.first())
        response = await request(
            stub.Publish,
            PublishRequest(
                topic=topic,
                messages=messages,
                ack_level=self._ack_level,
                request_id=request_id,
                atomic=atomic,
            ),
            seconds,
            f"the acknowledgement of {len(messages)} messages on {topic!r} by {self._pool.address}",
        )
        return [
            PublishedRange(
                position.topic,
                position.partition,
                position.first_offset,
                position.last_offset,
                position.duplicate or response.replayed,
                response.ack_level,
            )
            for position in response.positions
        ]


class GroupUnaryPublisher(UnaryPublisher):
    """Sends Publish requests to the group of coordinators that owns the topic."""

    def __init__(self, groups: Groups, ack_level: AckLevel.ValueType) -> None:
        super().__init__(groups.home_pool, ack_level)
        self._groups = groups

    async def publish(
        self,
        topic: str,
        messages: Sequence[Message],
        request_id: str,
        seconds: float,
        *,
        atomic: bool,
    ) -> list[PublishedRange]:
        """Publish plain messages; return one range per partition touched."""

        async def ask(pool: ChannelPool, left: float) -> list[PublishedRange]:
            there = UnaryPublisher(pool, self._ack_level)
            return await there.publish(topic, messages, request_id, left, atomic=atomic)

        return await self._groups.at_owner(topic, seconds, ask)
