"""What a load test runs on: a coordinator, a topic, and processes that publish and subscribe."""

from __future__ import annotations

import contextlib
import logging
import secrets
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from bellwire.admin.v1.topic_pb2 import LOG_KIND_MEMORY, LOG_KIND_SQLITE, Topic
from bellwire.cli.faults import CommandError
from bellwire.cli.loadtest.plan import LoadPlan
from bellwire.cli.loadtest.protocol import Description
from bellwire.cli.loadtest.worker_process import WorkerProcess, started_worker
from bellwire.cli.output import Style, error_console
from bellwire.client import BellwireError, Client, UnknownTopicError, connect
from bellwire.runtime.errors import ProcessStartError
from bellwire.runtime.spec import ProcessSpec, SupervisorSettings
from bellwire.runtime.supervisor import Supervisor

__all__ = ["Rig", "open_rig"]

COORDINATOR: Final = "coordinator"
RUN_BITS: Final = 32
STOP_GRACE_SECONDS: Final = 5.0
# A coordinator that does not answer within it is most likely why the run ended.
CLEAN_UP_SECONDS_MAX: Final = 2.0
# A topic of its own keeps at least this much: a subscriber that stalls for less loses nothing.
RETENTION_SECONDS_MIN: Final = 2.0
RETENTION_MESSAGES_MIN: Final = 1_024  # One for each of the most partitions there can be.
RETENTION_MESSAGES_DEFAULT: Final = 100_000  # Of a coordinator that was not told otherwise.


@dataclass(slots=True)
class Rig:
    """Everything that runs, ready for load."""

    client: Client
    topic: str
    in_memory: bool
    """Whether the topic keeps its messages in memory."""
    publishers: list[WorkerProcess]
    subscribers: list[WorkerProcess]


@asynccontextmanager
async def open_rig(plan: LoadPlan) -> AsyncIterator[Rig]:
    """Start or find the coordinator, make the topic, start the workers; leave nothing behind.

    Raises:
        BellwireError: The coordinator cannot be reached, or refuses.
        CommandError: A process could not be started.
    """
    run = secrets.randbits(RUN_BITS)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bellwire-load-")))
        address = plan.server
        if address is None:
            address = await stack.enter_async_context(_coordinator(plan, folder))
        client = await stack.enter_async_context(connect(address, settings=plan.client))
        topic = await stack.enter_async_context(_topic(client, plan, run))
        about = _description(plan, address, topic.name, run)
        names = [f"loadtest-{run:08x}-{index}" for index in range(plan.subscribers)]
        if plan.is_durable:
            await stack.enter_async_context(_subscriptions(client, names))
        subscribers = await _start(
            stack,
            folder,
            "subscriber",
            plan.subscribers,
            [{**about, "subscription": name if plan.is_durable else ""} for name in names],
        )
        publishers = await _start(
            stack, folder, "publisher", plan.publishers, [about] * plan.publishers
        )
        yield Rig(client, topic.name, topic.log == LOG_KIND_MEMORY, publishers, subscribers)


def _description(plan: LoadPlan, address: str, topic: str, run: int) -> Description:
    """Return what all workers are told; what differs is filled in later."""
    recording = plan.recording
    return {
        "role": "",
        "index": 0,
        "subscription": "",
        "address": address,
        "client": asdict(plan.client),
        "topic": topic,
        "run": run,
        "publishers": plan.publishers,
        "payload_bytes": plan.payload_bytes,
        "ack_level": plan.ack_level,
        "overflow_policy": plan.overflow_policy,
        "recording": str(recording.path.absolute()) if recording else "",
        "messages": recording.messages if recording else 0,
        "messages_max": plan.settings.replay_messages_max,
    }


async def _start(
    stack: AsyncExitStack,
    folder: Path,
    role: str,
    count: int,
    descriptions: list[Description],
) -> list[WorkerProcess]:
    workers = []
    for index in range(count):
        description: Description = {**descriptions[index], "role": role, "index": index}
        started = started_worker(f"{role} {index}", folder, description)
        workers.append(await stack.enter_async_context(started))
    for worker in workers:
        await worker.ready()
    return workers


@asynccontextmanager
async def _coordinator(plan: LoadPlan, folder: Path) -> AsyncIterator[str]:
    """Run a coordinator as `bellwire serve` does, on a socket in the folder."""
    # What the supervisor logs of a process that dies is said by our own error, with its log.
    logging.getLogger("bellwire.runtime").addHandler(logging.NullHandler())
    address = f"unix://{folder}/bus.sock"
    data = plan.data or (folder / "data" if plan.is_durable else None)
    ready = folder / "coordinator.ready"
    arguments = ["--listen", address, "--ready-file", str(ready), "--json"]
    arguments += ["--data", str(data)] if data else []
    arguments += ["--config", str(plan.config)] if plan.config else []
    arguments += [part for text in plan.assignments for part in ("--set", text)]
    spec = ProcessSpec(
        name=COORDINATOR,
        argv=(sys.executable, "-m", "bellwire.cli", "serve", *arguments),
        ready_file=str(ready),
    )
    settings = SupervisorSettings(
        restarts_max=0, log_dir=str(folder), stop_grace_seconds=STOP_GRACE_SECONDS
    )
    async with Supervisor(settings) as supervisor:
        try:
            await supervisor.start(spec)
        except ProcessStartError as error:
            raise CommandError(f"the coordinator could not start: {error.message}") from error
        yield address


@asynccontextmanager
async def _topic(client: Client, plan: LoadPlan, run: int) -> AsyncIterator[Topic]:
    """Make a topic and delete it afterwards; one that is there already stays as it is."""
    name = plan.topic or f"loadtest.{run:08x}"
    try:
        topic = await client.admin.get_topic(name)
    except UnknownTopicError:
        log = LOG_KIND_SQLITE if plan.is_durable else LOG_KIND_MEMORY
        topic = await client.admin.create_topic(
            Topic(
                name=name,
                partition_count=plan.partitions,
                log=log,
                retention_messages=_retention_messages(plan),
            )
        )
    else:
        yield topic
        return
    try:
        yield topic
    finally:
        await _delete_topic(client, name)


async def _delete_topic(client: Client, name: str) -> None:
    """Delete the topic, or say that it is still there; what ended the run stays the error."""
    try:
        await client.admin.delete_topic(name, timeout=CLEAN_UP_SECONDS_MAX)
    except BellwireError as error:
        error_console().print(
            f"topic {name} may be left over, delete it by hand: {error.message}",
            style=Style.WARN,
            markup=False,
            soft_wrap=True,
        )


def _retention_messages(plan: LoadPlan) -> int:
    """Return what a topic of a soak keeps; 0 = the coordinator's way.

    Its retention shall be full before memory is looked at: half the warm-up fills it.
    """
    if not plan.is_soak or plan.is_durable:
        return 0
    (level,) = plan.levels
    seconds = level.seconds * plan.settings.soak_warm_up_share / 2
    messages = max(RETENTION_MESSAGES_MIN, round(level.tps * max(seconds, RETENTION_SECONDS_MIN)))
    return 0 if messages >= RETENTION_MESSAGES_DEFAULT else messages // plan.partitions


@asynccontextmanager
async def _subscriptions(client: Client, names: list[str]) -> AsyncIterator[None]:
    """Delete named subscriptions afterwards, once their members are gone."""
    try:
        yield
    finally:
        for name in names:
            with contextlib.suppress(BellwireError):
                await client.admin.delete_subscription(name, timeout=CLEAN_UP_SECONDS_MAX)
