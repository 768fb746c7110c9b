"""A closed client leaves nothing behind: no task, no thread, no object, no complaint."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref

import pytest

from bellwire.agent.v1.agent_pb2 import Agent
from bellwire.client import Client, connect, new_message
from bellwire.client._stream_subscription import StreamSubscription
from bellwire.coordinator.config import CoordinatorSettings
from bellwire.coordinator.server import Coordinator
from bellwire.testing import InMemoryBus, running_coordinator
from bellwire.wire.errors import ClosedError

pytestmark = pytest.mark.integration

# gRPC's own for each stream: its core tells it from another thread that the call it has cancelled is over, and a busy
# machine takes its time. Nobody else can wait for it.
GRPCS_OWN = "_AioCall._handle_status_once_received"
GRPC_SECONDS = 10.0


async def use(client: Client) -> list[weakref.ref[object]]:
    """Use everything a client has; return weak references to what it made."""
    publisher = client.publisher("agents/feed-0")
    await publisher.publish_many("bars", [new_message(data=b"1") for _ in range(300)])
    await (await publisher.enqueue("control.killswitch", new_message(data=b"1")))
    made: list[weakref.ref[object]] = [weakref.ref(client)]
    for name in ("", "risk"):
        async with client.subscribe("bars", subscription=name, settle="manual") as subscription:
            made.append(weakref.ref(subscription))
            if name:
                batch = await anext(aiter(subscription.batches()))
                await batch.accept()
                assert isinstance(subscription, StreamSubscription)
                made.append(weakref.ref(subscription._side))
    async with client.agent_stream(Agent(agent_id="rules-0")) as stream:
        made.append(weakref.ref(stream))
    # Left open on purpose: closing the client must find them.
    forgotten = client.subscribe("bars", subscription="forgotten")
    await forgotten.__aenter__()
    made.append(weakref.ref(forgotten))
    return made


async def nothing_is_left(made: list[weakref.ref[object]]) -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    grpcs = {task for task in tasks if getattr(task.get_coro(), "__qualname__", "") == GRPCS_OWN}
    assert not tasks - grpcs
    if grpcs:
        await asyncio.wait(grpcs, timeout=GRPC_SECONDS)
    assert all(task.done() for task in grpcs)
    del grpcs, tasks
    gc.collect()
    assert [ref() for ref in made if ref() is not None] == []


async def test_a_client_in_memory_leaves_nothing(caplog: pytest.LogCaptureFixture) -> None:
    threads = threading.active_count()
    bus = InMemoryBus()
    async with bus.client() as client:
        made = await use(client)
    del client
    bus._channels.clear()
    await nothing_is_left(made)
    assert threading.active_count() <= threads
    assert [r.message for r in caplog.records if r.levelno >= logging.WARNING] == []


async def test_a_real_client_leaves_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with running_coordinator() as running:
        async with connect(running.unix):
            threads = threading.active_count()  # gRPC's own poller included, one per process
        for address in (running.tcp, running.unix):
            async with connect(address) as client:
                made = await use(client)
            del client
    await nothing_is_left(made)
    assert threading.active_count() <= threads
    assert [r.message for r in caplog.records if r.levelno >= logging.WARNING] == []


async def test_a_client_of_a_dead_coordinator_leaves_nothing(
    tmp_path, caplog: pytest.LogCaptureFixture
) -> None:
    address = f"unix://{tmp_path}/bus.sock"
    coordinator = Coordinator(CoordinatorSettings(listen=(address,)))
    await coordinator.start()
    # Time enough to be used on a busy machine: the end of a client whose messages are acknowledged waits for nobody.
    async with connect(address) as client:
        made = await use(client)
        await coordinator.close()
    del client
    await nothing_is_left(made)
    assert [r.message for r in caplog.records if r.levelno >= logging.WARNING] == []


async def test_closing_twice_and_closing_unopened_are_harmless() -> None:
    before = asyncio.all_tasks()
    client = connect("127.0.0.1:1")
    client.subscribe("bars")
    publisher = client.publisher()
    await client.close()
    await client.close()
    with pytest.raises(ClosedError, match="closed"):
        await publisher.publish("bars", b"1")
    assert asyncio.all_tasks() == before


async def test_cancelling_whoever_waits_leaves_the_client_usable() -> None:
    bus = InMemoryBus()
    async with bus.client() as client, client.subscribe("bars") as subscription:
        events = aiter(subscription)
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        publishing = asyncio.create_task(client.publisher().publish("bars", b"1"))
        await asyncio.sleep(0)
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
        await client.publisher().publish("bars", b"2")
        assert (await anext(events)).data in (b"1", b"2")
