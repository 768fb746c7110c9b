"""How topics are partitioned: asked once, kept until the stream is lost."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from random import randrange
from typing import TYPE_CHECKING

from bellwire.bus.v1.message_pb2 import Message
from bellwire.bus.v1.publisher_pb2 import GetTopicMetadataRequest
from bellwire.bus.v1.publisher_pb2_grpc import PublisherServiceStub
from bellwire.client._unary import read, request
from bellwire.transport.channel import ChannelPool
from bellwire.wire.partitioner import partition_for_key
from bellwire.wire.payload_run import PayloadRun
from bellwire.wire.topic import check_topic_name

if TYPE_CHECKING:
    from bellwire.bus.v1.publisher_pb2_grpc import PublisherServiceAsyncStub

__all__ = ["TopicDirectory", "TopicRoute"]


class TopicRoute:
    """Chooses the partition of each message of one topic.

    Messages without a key go to one random partition until `sticky_messages` of them went there:
    they fill batches, and still spread.
    """

    __slots__ = ("_sticky", "_sticky_left", "_sticky_messages", "partition_count", "topic")

    def __init__(self, topic: str, partition_count: int, sticky_messages: int) -> None:
        self.topic = topic
        self.partition_count = partition_count
        self._sticky_messages = sticky_messages
        self._sticky = 0
        self._sticky_left = 0

    def partition_of(self, message: Message, count: int = 1) -> int:
        """Return the partition of one message, or of `count` that share its key."""
        if self.partition_count == 1:
            return 0
        key = message.key
        return partition_for_key(key, self.partition_count) if key else self._next_sticky(count)

    def spread(
        self, messages: Sequence[Message], chunk_messages: int
    ) -> Iterator[tuple[int, Sequence[Message]]]:
        """Yield chunks of at most `chunk_messages` of one partition each; order holds within one."""
        if self.partition_count == 1:
            for start in range(0, len(messages), chunk_messages):
                yield 0, messages[start : start + chunk_messages]
            return
        if isinstance(messages, PayloadRun):
            for start in range(0, len(messages), chunk_messages):
                chunk = messages[start : start + chunk_messages]
                yield self.partition_of(messages.envelope, len(chunk)), chunk
            return
        groups: dict[int, list[Message]] = {}
        count = self.partition_count
        for message in messages:
            key = message.key
            partition = partition_for_key(key, count) if key else self._next_sticky()
            group = groups.get(partition)
            if group is None:
                group = groups[partition] = []
            group.append(message)
            if len(group) == chunk_messages:
                yield partition, groups.pop(partition)
        yield from groups.items()

    def _next_sticky(self, count: int = 1) -> int:
        if self._sticky_left <= 0:
            self._sticky = randrange(self.partition_count)
            self._sticky_left = self._sticky_messages
        self._sticky_left -= count
        return self._sticky


class TopicDirectory:
    """Routes by topic, filled by GetTopicMetadata."""

    def __init__(self, pool: ChannelPool, sticky_messages: int) -> None:
        self._pool = pool
        self._sticky_messages = sticky_messages
        self._routes: dict[str, TopicRoute] = {}

    def known(self, topic: str) -> TopicRoute | None:
        """Return the route, if it was asked for before."""
        return self._routes.get(topic)

    async def route(self, topic: str, seconds: float, *, patient: bool = True) -> TopicRoute:
        """Return the route of a topic; the coordinator creates it where auto-create is on.

        Args:
            topic: Its name.
            seconds: Deadline.
            patient: Within the deadline wait for a coordinator that cannot be reached.

        Raises:
            InvalidTopicNameError: No topic can be named so.
            UnknownTopicError: It does not exist, and auto-create is off.
            DeadlineExceededError: The coordinator did not answer in time.
        """
        return self._routes.get(topic) or await self.renew(topic, seconds, patient=patient)

    async def renew(self, topic: str, seconds: float, *, patient: bool) -> TopicRoute:
        """Ask for a route although one is known; raises what `route` does."""
        check_topic_name(topic)
        stub: PublisherServiceAsyncStub = PublisherServiceStub(self._pool.first())
        message = GetTopicMetadataRequest(topic=topic)
        where = f"metadata of topic {topic!r} from {self._pool.address}"
        if patient:
            metadata = await read(stub.GetTopicMetadata, message, seconds, where)
        else:
            metadata = await request(
                stub.GetTopicMetadata, message, seconds, where, wait_for_ready=False
            )
        route = TopicRoute(topic, metadata.partition_count, self._sticky_messages)
        self._routes[topic] = route
        return route

    def forget_others(self, renewed: Collection[str]) -> None:
        """Ask for all but these when they are next needed: the coordinator may be another one now."""
        self._routes = {topic: self._routes[topic] for topic in renewed if topic in self._routes}
