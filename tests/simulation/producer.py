"""A producer: the real outbox of the client, on the simulated network."""

from __future__ import annotations

import asyncio
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Final

from tests.simulation import events as ev
from tests.simulation.channel import Pool, end_link
from tests.simulation.clock import MILLISECOND, NANOS
from tests.simulation.network import Stream
from tests.simulation.plan import MESSAGE_BYTES_MAX, ProducerPlan

from bellwire.bus.v1.message_pb2 import Message
from bellwire.bus.v1.publisher_pb2 import AckLevel
from bellwire.client._outbox import Outbox
from bellwire.client._topics import TopicDirectory
from bellwire.client.results import PublishResult
from bellwire.wire.errors import BellwireError

if TYPE_CHECKING:
    from tests.simulation.world import World

PATIENCE_SECONDS: Final = 3.0  # How long a message may wait for room in the client's buffer.
REBORN_AFTER_SECONDS: Final = 0.3
INSTANCES_MAX: Final = 4
POISON: Final = "poison"


class Producer:
    """Publishes what its plan says; when it is killed another instance goes on with new messages.

    Attributes:
        name: As a client; each instance has its own.
    """

    def __init__(self, world: World, plan: ProducerPlan, random: Random) -> None:
        self._world = world
        self._plan = plan
        self._random = random
        self._left = plan.messages
        self._reborn = False
        self._instance = 0
        self._sequence = 0
        self._outbox: Outbox | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._streams: list[Stream] = []
        self._pools: dict[Outbox, Pool] = {}
        self.name = plan.name

    @property
    def is_done(self) -> bool:
        """Whether everything is published, and its fate known."""
        outbox = self._outbox
        return all(task.done() for task in self._tasks) and (
            outbox is None or not outbox._batcher.is_awaited()
        )

    def start(self) -> None:
        """Begin a new instance."""
        self._instance += 1
        self._reborn = False
        self.name = f"{self._plan.name}#{self._instance}"
        self._outbox = self._open()
        work = self._publish_all(self._outbox, self.name)
        self._tasks.append(self._world.spawn(work, self.name))

    def _start_again(self) -> None:
        if self._instance < INSTANCES_MAX and not self._reborn:
            self._reborn = True
            self._world.later(REBORN_AFTER_SECONDS, self.start)

    def kill(self) -> None:
        """End the process; what was not acknowledged has an unknown fate."""
        if self._outbox is None:
            return  # It is dead already.
        self._world.observer.fault("kill producer", self.name)
        self.stop()
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        self._outbox = None
        streams, self._streams = self._streams, []
        for stream in streams:
            stream.cancel()
        self._start_again()

    def supplant(self) -> None:
        """Start another instance while the old one lives on, as when a machine only seemed dead."""
        if self._plan.is_named and self._outbox is not None and not self._reborn:
            self._world.observer.fault("second instance", self.name)
            self._start_again()

    def stop(self) -> None:
        """End everything, when the run is over."""
        for outbox in tuple(self._pools):
            self._end(outbox)

    def _end(self, outbox: Outbox) -> None:
        self._pools.pop(outbox).abandon()
        end_link(outbox._link)

    def _open(self) -> Outbox:
        world, plan = self._world, self._plan
        pool = world.pool(self.name, self._streams.append)
        settings = world.plan.client
        outbox = Outbox(
            pool,
            TopicDirectory(pool, settings.publish.batch_messages_max),
            settings,
            client_id=self.name,
            ack_level=plan.ack_level,
            producer_name=plan.name if plan.is_named else "",
        )
        self._pools[outbox] = pool
        return outbox

    # ------------------------------------------------------------ publishing

    async def _publish_all(self, outbox: Outbox, name: str) -> None:
        random, plan = self._random, self._plan
        pause = self._world.plan.seconds * plan.burst / max(1, plan.messages)
        while self._left and not self._world.healing:
            await asyncio.sleep(random.random() * 1.4 * pause)
            for _ in range(min(self._left, random.randint(1, 2 * plan.burst - 1))):
                self._left -= 1
                try:
                    await self._publish(outbox, name)
                except BellwireError as error:
                    self._world.observer.note(f"{name} could not publish: {error.reason}")
                    if self._is_over(outbox):
                        return

    def _is_over(self, outbox: Outbox) -> bool:
        """Tell whether the link has failed for good; then another instance takes over."""
        try:
            outbox._link.check_usable()
        except BellwireError:
            if outbox is self._outbox:
                self._start_again()
            return True
        return False

    async def _publish(self, outbox: Outbox, name: str) -> None:
        random, plan = self._random, self._plan
        topic = random.choice(plan.topics)
        message = self._message(name)
        content = message.data.decode()
        self._sequence += 1
        self._world.observer.note(f"{name} publishes {message.id} on {topic}")
        self._world.observer.both(ev.Published(message.id, topic, name, self._sequence, content))
        future = await outbox.enqueue(topic, message, PATIENCE_SECONDS)
        future.add_done_callback(partial(self._resolved, message.id, topic))
        if random.random() < plan.abandoned:
            self._world.later(random.random() * 0.3, future.cancel)

    def _resolved(self, message_id: str, topic: str, future: asyncio.Future[PublishResult]) -> None:
        if future.cancelled():
            return
        error = future.exception()
        if error is not None:
            self._world.observer.note(f"{message_id} was refused: {error}")
            return
        result = future.result()
        level = AckLevel.Name(result.ack_level).removeprefix("ACK_LEVEL_")
        log = self._world.log_name(topic, result.partition) if level == ev.PERSISTED else ""
        self._world.observer.note(f"{message_id} is acknowledged at {log}@{result.offset}")
        self._world.observer.users.add(
            ev.Acknowledged(message_id, topic, log, result.offset, level)
        )

    def _message(self, name: str) -> Message:
        random, plan, now_ns = self._random, self._plan, self._world.loop.time_ns()
        message_id = f"{name}/{self._sequence + 1}"
        text = message_id
        if random.random() < plan.poisonous:
            text = f"{POISON} {text}"
        text += "x" * random.choice((0, 10, 60, MESSAGE_BYTES_MAX - 120))
        message = Message(id=message_id, data=text.encode(), time_unix_nano=now_ns)
        if plan.keys:
            message.key = f"k{random.randrange(plan.keys)}"
        if random.random() < plan.expiring:
            message.expire_time_unix_nano = now_ns + int(random.uniform(0.01, 2.0) * NANOS)
        if random.random() < plan.delayed:
            delay = random.choice((50 * MILLISECOND, 1.0))
            message.not_before_time_unix_nano = now_ns + int(delay * NANOS)
        return message
