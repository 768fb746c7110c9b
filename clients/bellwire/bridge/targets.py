"""Where the topics of one route from the bus go in Kafka, and with how many partitions."""

from __future__ import annotations

from contextlib import suppress

from bellwire.bridge.insistence import insist
from bellwire.bridge.kept_topics import KeptTopics
from bellwire.bridge.route import Route
from bellwire.bridge.settings import BridgeSettings
from bellwire.bridge.topics import Topics
from bellwire.client import Client
from bellwire.wire.errors import PeerError, UnknownTopicError
from bellwire.wire.topic import TopicPattern

__all__ = ["Targets"]


class Targets:
    """Knows the Kafka topic of each topic of the bus that a route means.

    Args:
        client: Of the bus.
        topics: Those in Kafka.
        kept: Those that must not be sent to.
        route: From the bus.
        settings: How many partitions Kafka topics need, and how long to wait for the bus.
    """

    def __init__(
        self,
        client: Client,
        topics: Topics,
        kept: KeptTopics,
        route: Route,
        settings: BridgeSettings,
    ) -> None:
        self._client = client
        self._topics = topics
        self._kept = kept
        self._settings = settings
        self._partitions = settings.partitions
        self._found: dict[str, tuple[str, int]] = {}
        self.route = route

    async def check(self) -> None:
        """See before anything is sent that what is there serves; a named topic's target is made where it is missing.

        A pattern's are made with their first message: nobody knows which of its topics will have any.

        Raises:
            KafkaTopicError: A topic in Kafka has too few partitions, is missing and may not be made, cannot be made,
                or is kept by the coordinator.
            KafkaUnreachableError: Kafka does not answer.
            BellwireError: The bus does not.
        """
        source = self.route.source
        if not TopicPattern(source).literal:
            await self._check_pattern(source)
            return
        try:
            await self._find(source)
        except (
            UnknownTopicError,
            PeerError,
        ):  # Its first message tells how many partitions it has.
            target = self.route.target_of(source)
            with suppress(PeerError):
                await self._kept.refuse_target(target, source)
            await self._topics.check({target: self._partitions})

    async def of(self, topic: str) -> tuple[str, int]:
        """Return the name and the partitions of a topic's target, which is made where it is missing.

        Asks again for `outage_seconds_max` where a group of the bus does not answer.

        Raises:
            UnknownTopicError: The bus has no such topic.
            KafkaTopicError, KafkaUnreachableError, BellwireError: See `check`.
        """
        return await insist(lambda: self._find(topic), self._settings, (PeerError,))

    async def _find(self, topic: str) -> tuple[str, int]:
        if topic not in self._found:
            there = await self._client.admin.get_topic(topic)
            target = self.route.target_of(topic)
            await self._kept.refuse_target(target, topic)
            wanted = self._partitions or there.partition_count
            self._found[topic] = target, await self._topics.partition_count(target, wanted=wanted)
        return self._found[topic]

    async def _check_pattern(self, pattern: str) -> None:
        """Check what is known by now; groups that do not answer are left to their first message."""
        wanted = {}
        for topic in (await self._client.admin.reachable_topics(pattern)).topics:
            target = self.route.target_of(topic.name)
            if target != topic.name or self._kept.holds(topic):  # Else the list has told.
                with suppress(PeerError):  # Not known yet: its first message asks again.
                    await self._kept.refuse_target(target, topic.name)
            wanted[target] = self._partitions or topic.partition_count
        await self._topics.check(wanted)
