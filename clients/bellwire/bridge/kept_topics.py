"""Topics that the coordinator itself keeps in the Kafka of the bridge: what is there is on the bus already."""

from __future__ import annotations

from bellwire.admin.v1.topic_pb2 import Topic
from bellwire.bridge.errors import KafkaTopicError
from bellwire.bridge.route import Route
from bellwire.client import Client
from bellwire.wire.errors import CallerError, NotOwnerError, UnknownTopicError

__all__ = ["KeptTopics"]

_KAFKA = "kafka://"  # Before the path of a store that is in Kafka.


class KeptTopics:
    """Refuses to mirror what is on both sides already: readers of either would see each message twice.

    A durable topic is kept in the Kafka topic of its own name.

    Args:
        client: Of the bus.
        cluster: Kafka's own id of the bridge's cluster.
    """

    def __init__(self, client: Client, cluster: str) -> None:
        self._client = client
        self._cluster = cluster
        self._cleared: set[str] = set()

    async def refuse_target(self, name: str, topic: str) -> None:
        """Refuse a Kafka topic to send a topic of the bus to.

        Raises:
            KafkaTopicError: The coordinator keeps a topic there.
            PeerError: Its group does not answer.
        """
        if await self._is_kept(name):
            raise KafkaTopicError(
                f"Kafka topic {name!r} is where the coordinator keeps its own topic of that name, in the same "
                f"cluster ({self._cluster}): readers beside the bus would get the messages of {topic!r} there "
                "beside its records; set a prefix (bridge.out_prefix, --out-prefix 'mirror.'), or name another "
                f"target: --out '{topic}=mirror.{topic}'",
                metadata={"topic": name, "kafka_cluster": self._cluster},
            )

    async def refuse_source(self, name: str) -> None:
        """Refuse a Kafka topic to bring messages from.

        Raises:
            KafkaTopicError: The coordinator keeps a topic there.
            PeerError: Its group does not answer.
        """
        if await self._is_kept(name):
            raise KafkaTopicError(
                f"Kafka topic {name!r} is where the coordinator keeps its own topic of that name, in the same "
                f"cluster ({self._cluster}): what is in it is on the bus already, and would come again; leave "
                "this --in out, and subscribe to it on the bus",
                metadata={"topic": name, "kafka_cluster": self._cluster},
            )

    def holds(self, topic: Topic) -> bool:
        """Tell whether a topic of the bus is kept in this cluster."""
        return bool(self._cluster) and topic.kafka_cluster == self._cluster

    async def refuse_route(self, route: Route) -> None:
        """Refuse a route from Kafka that brings what is on the bus already, or brings it again and again.

        Raises:
            KafkaTopicError, PeerError: See `refuse_source` and `refuse_circle`.
        """
        if route.target_of(route.source) == route.source:
            await self.refuse_circle(route.source)
        else:
            await self.refuse_source(route.source)

    async def refuse_circle(self, name: str) -> None:
        """Refuse to bring a Kafka topic to the bus topic of its own name where the bus may make that of it.

        Raises:
            KafkaTopicError: The coordinator keeps a topic there, or would with its first message.
            PeerError: Its group does not answer.
        """
        await self.refuse_source(name)
        if name not in self._cleared and await self._may_keep():
            raise KafkaTopicError(
                f"the bus has no topic {name!r} yet, and would keep the one it makes in the Kafka topic that its "
                f"messages come from ({self._cluster}), from where they came again for ever; create the topic "
                f"with another log first, or name another target: --in '{name}=copy.{name}'",
                metadata={"topic": name, "kafka_cluster": self._cluster},
            )

    async def _may_keep(self) -> bool:
        """Tell whether the bus keeps any topics in Kafka; who may not ask has to expect it."""
        try:
            return (await self._client.admin.server_info()).store.path.startswith(_KAFKA)
        except CallerError:
            return True

    async def _is_kept(self, name: str) -> bool:
        """Ask the bus; what exists and is not kept there is not asked for again."""
        if name in self._cleared:
            return False
        try:
            if self.holds(await self._client.admin.get_topic(name)):
                return True
        except (UnknownTopicError, NotOwnerError):
            return False  # Nobody keeps it yet.
        self._cleared.add(name)
        return False
