"""The topics in Kafka that a bridge uses: made where they are missing, refused where they do not serve."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from aiokafka import errors as kafka_errors
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError

from bellwire.bridge.connection import Connection, persevere, words
from bellwire.bridge.errors import KafkaTopicError
from bellwire.wire.topic import TOPIC_NAME_BYTES_MAX

__all__ = ["DEAD_LETTERS", "Topics"]

DEAD_LETTERS: Final = ".dlq"
_UNKNOWN: Final = kafka_errors.UnknownTopicOrPartitionError.errno
_NO_LEADER: Final = kafka_errors.LeaderNotAvailableError.errno


class Topics:
    """Knows how many partitions each topic has."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._settings = connection.settings
        self._counts: dict[str, int] = {}

    async def partition_count(self, topic: str, *, wanted: int) -> int:
        """Return a topic's partitions, after it was made where that is allowed.

        Args:
            topic: Its name in Kafka.
            wanted: At least so many; 0 = any number, and one when it is made.

        Raises:
            KafkaTopicError: It is missing, has too few partitions, or cannot be made.
            KafkaUnreachableError: Nobody answers.
        """
        if topic not in self._counts:
            _check_length(topic)
            self._counts[topic] = await persevere(
                self._settings, lambda: self._found(topic, wanted)
            )
        count = self._counts[topic]
        _check_count(topic, count, wanted)
        return count

    async def check(self, wanted: Mapping[str, int]) -> None:
        """See that topics serve as they are, or may be made; nothing is made.

        Args:
            wanted: At least so many partitions of each; 0 = any number.

        Raises:
            KafkaTopicError: One is missing and may not be made, or has too few partitions.
            KafkaUnreachableError: Nobody answers.
        """
        if not wanted:
            return
        counts = await persevere(self._settings, lambda: self._count(wanted))
        for topic, least in wanted.items():
            _check_length(topic)
            if counts[topic]:
                _check_count(topic, counts[topic], least)
            elif not self._settings.create_topics:
                raise _missing(topic)

    async def dead_letters_of(self, topic: str) -> tuple[str, int]:
        """Return the topic for what cannot be mirrored from a topic, and its partitions."""
        name = topic + DEAD_LETTERS
        return name, await self.partition_count(name, wanted=0)

    async def _found(self, topic: str, wanted: int) -> int:
        count = (await self._count([topic]))[topic]
        if count:
            return count
        if not self._settings.create_topics:
            raise _missing(topic)
        await self._create(topic, max(1, wanted))
        count = (await self._count([topic]))[topic]
        if not count:  # The answer to CreateTopics comes before the metadata shows it.
            raise kafka_errors.LeaderNotAvailableError(topic)
        return count

    async def _count(self, topics: Collection[str]) -> dict[str, int]:
        """Return the partitions of each, 0 = there is no such topic.

        All topics are asked for: to ask for one makes it, where brokers make topics by themselves.
        """
        counts = dict.fromkeys(topics, 0)
        for found in await self._connection.admin.describe_topics():
            topic, code = found["topic"], found["error_code"]
            if topic not in counts or code in (_UNKNOWN, _NO_LEADER):
                continue
            if code:
                raise self._refused(topic, kafka_errors.for_code(code)())
            counts[topic] = len(found["partitions"])
        return counts

    async def _create(self, topic: str, partitions: int) -> None:
        copies = self._settings.replication_factor
        new = NewTopic(topic, partitions, copies, {} if copies < 0 else None)
        response: Any = await self._connection.admin.create_topics([new])
        for _, code, *text in response.topic_errors:
            error = kafka_errors.for_code(code)
            if code and error is not TopicAlreadyExistsError:
                raise self._refused(topic, error(*filter(None, text)))

    def _refused(self, topic: str, error: KafkaError) -> KafkaError | KafkaTopicError:
        if error.retriable:
            return error
        return KafkaTopicError(
            f"Kafka topic {topic!r} cannot be used: {words(error)}", metadata={"topic": topic}
        )


def _check_length(topic: str) -> None:
    if len(topic) > TOPIC_NAME_BYTES_MAX:
        raise KafkaTopicError(
            f"Kafka topic {topic[:40]!r}… has {len(topic)} characters, limit is "
            f"{TOPIC_NAME_BYTES_MAX}: choose a shorter name"
        )


def _check_count(topic: str, count: int, wanted: int) -> None:
    if count < wanted:
        raise KafkaTopicError(
            f"Kafka topic {topic!r} has {count} partitions, the bridge needs {wanted}: give it more, or "
            f"set bridge.partitions to {count}",
            metadata={"topic": topic, "partitions": str(count), "wanted": str(wanted)},
        )


def _missing(topic: str) -> KafkaTopicError:
    return KafkaTopicError(
        f"Kafka topic {topic!r} does not exist: make it, or set bridge.create_topics to true",
        metadata={"topic": topic},
    )
