"""What all routes of a bridge share: the way to Kafka, how long to wait for it, and whom to tell."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError

from bellwire.bridge.errors import KafkaUnreachableError
from bellwire.bridge.report import Counters, Report
from bellwire.bridge.settings import BridgeSettings
from bellwire.policy.backoff import Backoff
from bellwire.transport.kafka import (
    CONSUMER_GROUPS,
    CREATE_TOPICS,
    IDEMPOTENT_PRODUCER,
    READ_COMMITTED,
    Capability,
    check_kafka,
    client_options,
)
from bellwire.wire.errors import KafkaVersionError

__all__ = ["Connection", "check", "close_quietly", "persevere", "words"]

T = TypeVar("T")

REQUEST_SECONDS: Final = 5.0  # Of those that nobody waits for longer.
CLOSE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Connection:
    """The way to Kafka.

    Attributes:
        cluster: Kafka's own id of the cluster.
        options: What every client of Kafka is given, the password among it.
    """

    settings: BridgeSettings
    report: Report
    counters: Counters
    admin: AIOKafkaAdminClient
    cluster: str
    options: dict[str, Any] = field(repr=False)

    @classmethod
    async def open(cls, settings: BridgeSettings, report: Report, counters: Counters) -> Connection:
        """Connect, and try again for `connect_seconds`.

        Raises:
            KafkaUnreachableError: Nobody answered in time.
            KafkaRefusedError: It does not let us in.
            KafkaVersionError: It is too old or too new.
            SettingsError: A file of `kafka_security` cannot be used.
        """
        options = client_options(settings.kafka_security)
        admin, cluster = await persevere(settings, lambda: _admin(settings, options))
        return cls(settings, report, counters, admin, cluster, options)

    @property
    def patience_seconds(self) -> float:
        """How long to wait for an answer: longer than `watch`, which knows whether Kafka is away, waits for it."""
        return self.settings.outage_seconds_max + 3 * (self.settings.probe_seconds + 1.0)

    async def producer(self) -> AIOKafkaProducer:
        """Return a started producer, after tries for `connect_seconds`.

        Raises:
            KafkaUnreachableError: Nobody answered in time.
            KafkaRefusedError: It does not let us in any more.
            KafkaVersionError: It is too old or too new by now.
        """
        return await persevere(self.settings, lambda: _producer(self.settings, self.options))

    async def close(self) -> None:
        """Close the way."""
        await close_quietly(self.admin.close())


async def persevere(settings: BridgeSettings, attempt: Callable[[], Awaitable[T]]) -> T:
    """Try until it works, with backoff, for `connect_seconds`.

    Raises:
        KafkaUnreachableError: It did not; says what the last try met.
        KafkaVersionError: The broker is too old.
    """
    seconds = settings.connect_seconds
    backoff = Backoff(settings.retry_first_seconds, settings.retry_max_seconds)
    trouble = "it does not answer"
    try:
        async with asyncio.timeout(seconds):
            while True:
                try:
                    return await attempt()
                except IncompatibleBrokerVersion as error:
                    raise KafkaVersionError(
                        f"the broker at {settings.kafka} is too old: {words(error)}"
                    ) from None
                except (KafkaError, OSError) as error:
                    trouble = words(error)
                await asyncio.sleep(backoff.next_delay())
    except TimeoutError:
        raise KafkaUnreachableError(
            f"no Kafka at {settings.kafka} within {seconds:g} s: {trouble}; is it running, and is this its address?",
            metadata={"kafka": settings.kafka},
        ) from None


def words(error: BaseException) -> str:
    """Return what an error of the Kafka client says, for people, on one line."""
    text = " ".join(str(error).split())
    name = type(error).__name__
    return text if name in text else f"{name}: {text}" if text else name


async def close_quietly(closing: Awaitable[Any]) -> None:
    """Await the end of something that is not needed any more, for a bounded time."""
    with suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await closing


async def check(settings: BridgeSettings, options: dict[str, Any]) -> None:
    """See that Kafka lets us in and can do what the routes need; see `check_kafka`."""
    await check_kafka(settings.kafka, options, _needed(settings), timeout_seconds=REQUEST_SECONDS)


def _needed(settings: BridgeSettings) -> list[Capability]:
    needed = [IDEMPOTENT_PRODUCER]
    if settings.in_topics:
        needed += [READ_COMMITTED, CONSUMER_GROUPS]
    if settings.create_topics:
        needed.append(CREATE_TOPICS)
    return needed


async def _admin(
    settings: BridgeSettings, options: dict[str, Any]
) -> tuple[AIOKafkaAdminClient, str]:
    await check(settings, options)
    admin = AIOKafkaAdminClient(
        bootstrap_servers=settings.kafka,
        client_id=f"bellwire-{settings.name}",
        request_timeout_ms=round(REQUEST_SECONDS * 1_000),
        **options,
    )
    try:
        await admin.start()
        return admin, str((await admin.describe_cluster())["cluster_id"])
    except BaseException:
        await close_quietly(admin.close())
        raise


async def _producer(settings: BridgeSettings, options: dict[str, Any]) -> AIOKafkaProducer:
    await check(settings, options)  # It may be another one by now: a producer is also made anew.
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka,
        client_id=f"bellwire-{settings.name}",
        acks="all",
        enable_idempotence=True,
        compression_type="lz4",
        max_batch_size=settings.record_bytes_max,
        max_request_size=2 * settings.record_bytes_max,
        **options,
    )
    try:
        await producer.start()
    except BaseException:
        await close_quietly(producer.stop())
        raise
    return producer
