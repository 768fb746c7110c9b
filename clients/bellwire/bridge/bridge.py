"""A bridge: all its routes, from start to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

from bellwire.bridge.arrival import Arrival
from bellwire.bridge.connection import Connection
from bellwire.bridge.dead_letters import DeadLetters
from bellwire.bridge.kept_topics import KeptTopics
from bellwire.bridge.mirror_in import MirrorIn
from bellwire.bridge.mirror_out import MirrorOut
from bellwire.bridge.report import Counters, Report, silent
from bellwire.bridge.route import Route
from bellwire.bridge.sender import Sender
from bellwire.bridge.settings import BridgeSettings
from bellwire.bridge.stopping import unless_stopped
from bellwire.bridge.targets import Targets
from bellwire.bridge.topics import Topics
from bellwire.bridge.watch import watch
from bellwire.client import BellwireError, Client, PeerError

__all__ = ["run_bridge"]


async def run_bridge(
    client: Client,
    settings: BridgeSettings,
    stop: asyncio.Event,
    report: Report = silent,
    counters: Counters | None = None,
) -> Counters:
    """Mirror all topics of the settings until told to stop; return what was done.

    Args:
        client: Connected; stays open.
        settings: What to mirror.
        stop: Ends it in order: what is under way is finished within `stop_seconds`.
        report: Told what happens meanwhile.
        counters: To be looked at while it runs; None = only returned.

    Raises:
        KafkaUnreachableError: Kafka was not there in time, or away for too long.
        KafkaRefusedError: It does not let us in.
        KafkaVersionError: It is too old or too new.
        KafkaTopicError: A topic in Kafka cannot be used.
        BellwireError: What else ended a route; nothing is lost, a later start goes on from here.
    """
    counters = Counters() if counters is None else counters
    connection = await unless_stopped(Connection.open(settings, report, counters), stop)
    if connection is None:
        return counters
    try:
        producer = await unless_stopped(connection.producer(), stop)
        if producer is not None:
            sender = Sender(connection, producer)
            try:
                await _run(client, connection, sender, stop)
            finally:
                await sender.close()
    finally:
        await connection.close()
    return counters


async def _run(client: Client, connection: Connection, sender: Sender, stop: asyncio.Event) -> None:
    settings = connection.settings
    topics = Topics(connection)
    kept = KeptTopics(client, connection.cluster)
    outwards = [Targets(client, topics, kept, route, settings) for route in settings.out_routes]
    if (
        await unless_stopped(
            _checked(outwards, settings.in_routes, topics, kept, settings.partitions), stop
        )
        is None
    ):
        return
    works: list[Coroutine[Any, Any, None]] = [watch(connection, stop)]
    works += [MirrorOut(client, connection, sender, targets).run(stop) for targets in outwards]
    letters = DeadLetters(connection, sender, topics)
    for route in settings.in_routes:
        target, group = route.target_of(route.source), route.cursor(settings.name)
        publisher = client.publisher(f"bridges/{settings.name}")
        clear = partial(kept.refuse_route, route)
        arrival = Arrival(connection, publisher, letters, target, group, clear)
        works.append(MirrorIn(connection, topics, route, arrival).run(stop))
    connection.report("ready", kafka=settings.kafka, cluster=connection.cluster)
    try:
        await _until_stopped(works, stop, settings.stop_seconds)
    except BaseExceptionGroup as group:
        raise _first(group) from None


async def _checked(
    outwards: Iterable[Targets],
    inwards: Iterable[Route],
    topics: Topics,
    kept: KeptTopics,
    partitions: int,
) -> bool:
    """See before anything is mirrored that all topics in Kafka can be used; True = they can.

    Raises:
        KafkaTopicError, KafkaUnreachableError, BellwireError: See `Targets.check`.
    """
    for targets in outwards:
        await targets.check()
    for route in inwards:
        with suppress(PeerError):  # Not known yet: it is asked for again before each publish.
            await kept.refuse_route(route)
        await topics.partition_count(route.source, wanted=partitions)
    return True


async def _until_stopped(
    works: list[Coroutine[Any, Any, None]], stop: asyncio.Event, seconds: float
) -> None:
    """Run all until told to stop, and then so long at most; the first that fails ends the others."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        await stop.wait()
        _, late = await asyncio.wait(tasks, timeout=seconds)
        for task in late:
            task.cancel()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that says most: one of ours where there is one."""
    leaves: list[BaseException] = []
    stack: list[BaseException] = [group]
    while stack:
        error = stack.pop()
        if isinstance(error, BaseExceptionGroup):
            stack += reversed(error.exceptions)
        else:
            leaves.append(error)
    return next((error for error in leaves if isinstance(error, BellwireError)), leaves[0])
