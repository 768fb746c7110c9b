"""Looks whether Kafka is there, says when it goes and comes back, and ends the bridge when it stays away."""

from __future__ import annotations

import asyncio
from typing import Final

from aiokafka.errors import KafkaError

from bellwire.bridge.connection import Connection, check, words
from bellwire.bridge.errors import KafkaUnreachableError
from bellwire.bridge.stopping import wait_for_event
from bellwire.wire.errors import BellwireError

__all__ = ["watch"]

# The last one is raised by aiokafka where it speaks none of the versions of a request that the broker speaks.
_AWAY: Final = (KafkaError, OSError, NotImplementedError)


async def watch(connection: Connection, stop: asyncio.Event) -> None:
    """Ask for the cluster's metadata every `probe_seconds` until told to stop.

    Raises:
        KafkaUnreachableError: It has not answered for `outage_seconds_max`.
    """
    settings = connection.settings
    clock = asyncio.get_running_loop().time
    away_since: float | None = None
    while not stop.is_set():
        trouble = await _probe(connection)
        if trouble and away_since is None:
            away_since = clock()
            connection.report("kafka_away", kafka=settings.kafka, reason=trouble)
        elif not trouble and away_since is not None:
            connection.report(
                "kafka_back", kafka=settings.kafka, away_seconds=round(clock() - away_since, 3)
            )
            away_since = None
        if away_since is not None and clock() - away_since > settings.outage_seconds_max:
            raise KafkaUnreachableError(
                f"Kafka at {settings.kafka} has been away for {settings.outage_seconds_max:g} s: {trouble}; "
                "nothing is lost, the bridge goes on where it was when it is started again",
                metadata={"kafka": settings.kafka},
            )
        await wait_for_event(stop, settings.probe_seconds)


async def _probe(connection: Connection) -> str:
    """Return what is wrong; empty = Kafka answers."""
    try:
        async with asyncio.timeout(connection.settings.probe_seconds + 1.0):
            try:
                await connection.admin.describe_cluster()
            except _AWAY as error:
                return await _why(connection) or words(error)
    except TimeoutError:
        return "it does not answer"
    return ""


async def _why(connection: Connection) -> str:
    """Return what the client leaves out: that a password is no longer right, say; empty = nothing of that kind."""
    try:
        await check(connection.settings, connection.options)
    except BellwireError as refusal:
        return refusal.message
    except (KafkaError, OSError):
        pass
    return ""
