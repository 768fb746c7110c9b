"""A consumer: the real subscription of the client, on the simulated network, and somebody who uses it."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Final

from tests.simulation import events as ev
from tests.simulation.channel import Pool, end_link
from tests.simulation.network import Stream
from tests.simulation.plan import SubscriptionPlan
from tests.simulation.producer import POISON

from bellwire.bus.v1.subscriber_pb2 import StartPosition, SubscribeResponse
from bellwire.client._stream_subscription import StreamSubscription
from bellwire.client._subscribe_side import SubscribeOptions
from bellwire.client.received import ReceivedMessage
from bellwire.wire.errors import BellwireError, UnknownDeliveryTagError

if TYPE_CHECKING:
    from tests.simulation.world import World

REBORN_AFTER_SECONDS: Final = 0.2
WORK_SECONDS: Final = 0.004


class Consumer:
    """One member; when it is killed another instance takes its place.

    Attributes:
        name: As a client, for all instances.
        stalled_until: Virtual seconds until which it handles nothing.
        stream: The latest stream it opened.
    """

    def __init__(self, world: World, plan: SubscriptionPlan, name: str, random: Random) -> None:
        self._world = world
        self.plan = plan
        self.name = name
        self._random = random
        self._subscription: StreamSubscription | None = None
        self._task: asyncio.Task[None] | None = None
        self._streams: list[Stream] = []
        self._logs: dict[tuple[int, int], str] = {}
        self._pool: Pool | None = None
        self._instance = 0
        self._deferred = 0
        self._handling = False
        self.stalled_until = 0.0

    @property
    def stream(self) -> Stream | None:
        """The latest stream."""
        return self._streams[-1] if self._streams else None

    @property
    def key(self) -> str:
        """What histories of users call its subscription."""
        return self.plan.name or f"{self.name}.{self._instance}"

    @property
    def is_idle(self) -> bool:
        """Whether it is connected and has handled everything it got."""
        subscription = self._subscription
        stream = self.stream
        if subscription is None or stream is None or not stream.is_served:
            return False
        side = subscription._side
        waiting = side.inbox._messages + side.settler.messages_gathered
        return not (self._handling or self._deferred or waiting)

    def start(self) -> None:
        """Begin a new instance."""
        self._instance += 1
        if not self.plan.name:
            event = ev.Subscribed(self.key, self.plan.topics, ordered=True, once=True)
            self._world.observer.users.add(event)
        self._task = self._world.spawn(self._live(), f"{self.name}.{self._instance}")

    def kill(self) -> None:
        """End the process: its kernel closes the connection, and nothing else is said."""
        if self._task is None:
            return  # It is dead, and not born again yet.
        self._world.observer.note(f"{self.name} dies")
        self._drop()
        if not self.plan.name:
            self._world.unsubscribe(self.key)
        self._world.later(REBORN_AFTER_SECONDS, self.start)

    def stop(self) -> None:
        """End everything, when the run is over."""
        self._drop()

    def _drop(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            end_link(subscription._link)
        if self._task is not None:
            self._task.cancel()
        self._task = None
        streams, self._streams = self._streams, []
        for stream in streams:
            stream.cancel()
        self._abandon_pool()
        self._logs.clear()
        self._handling = False

    def _abandon_pool(self) -> None:
        if self._pool is not None:
            self._pool.abandon()
            self._pool = None

    # ------------------------------------------------------------ life

    async def _live(self) -> None:
        while True:
            subscription = self._subscription = self._open()
            try:
                await subscription.__aenter__()
                await self._consume(subscription)
            except BellwireError as error:
                self._world.observer.note(f"{self.name} lost its subscription: {error.reason}")
                if not self.plan.name:
                    self._world.unsubscribe(self.key)
            await asyncio.sleep(REBORN_AFTER_SECONDS)
            if not self.plan.name:
                self._world.loop.call_soon(self.start)
                return

    def _open(self) -> StreamSubscription:
        world, plan = self._world, self.plan
        self._logs.clear()
        self._deferred = 0
        options = SubscribeOptions(
            topics=plan.topics,
            subscription=plan.name,
            client_id=self.key if not plan.name else self.name,
            start=StartPosition(),
            window_messages=plan.window_messages,
            window_bytes=plan.window_bytes,
            max_batch_messages=0,
            ordering=plan.ordering,
            overflow_policy=plan.overflow_policy,
            control=False,
            max_attempts=plan.max_attempts if plan.name else 0,
            lease_millis=plan.lease_millis,
        )
        self._abandon_pool()
        self._pool = world.pool(self.name, self._on_stream)
        return StreamSubscription(self._pool, world.plan.client, options, auto=plan.auto)

    def pause(self) -> None:
        """Have nothing delivered until `resume`."""
        if self._subscription is not None:
            self._world.spawn(self._subscription.pause(), "pause")

    def resume(self) -> None:
        """End a pause."""
        if self._subscription is not None:
            self._world.spawn(self._subscription.resume(), "resume")

    def _on_stream(self, stream: Stream) -> None:
        self._streams.append(stream)
        stream.on_frame = self._on_frame

    def _on_frame(self, frame: SubscribeResponse) -> None:
        """Remember which log each tag belongs to: the client does not tell its users."""
        single = frame.HasField("delivery")
        deliveries = [frame.delivery] if single else list(frame.deliveries.deliveries)
        subscription = self._subscription
        if subscription is None:
            return
        lease = subscription._side.lease
        for delivery in deliveries:
            log = self._world.observer.log(delivery.log_id)
            for index in range(delivery.batch.header.message_count):
                self._logs[lease, delivery.first_delivery_tag + index] = log

    # ------------------------------------------------------------ handling

    async def _consume(self, subscription: StreamSubscription) -> None:
        instance, last = self._instance, None
        iterator = aiter(subscription)
        while True:
            if last is not None and self.plan.auto:
                self._settled(last, ev.ACCEPTED)
            self._handling = False
            message = last = await anext(iterator)
            self._handling = True
            await self._handle(subscription, message)
            if instance != self._instance:
                return

    async def _handle(self, subscription: StreamSubscription, message: ReceivedMessage) -> None:
        world, random, plan = self._world, self._random, self.plan
        self._delivered(message)
        wait = self.stalled_until - world.loop.time()
        if wait > 0 and not world.healing:
            await asyncio.sleep(wait)
        if random.random() < 0.3:
            await asyncio.sleep(random.random() * WORK_SECONDS)
        if message.data.startswith(POISON.encode()) and plan.name:
            world.observer.fault("poison", self.name)
            world.loop.call_soon(self.kill)
            await asyncio.Event().wait()
        if plan.auto:
            return
        draw = random.random()
        if world.healing:
            draw = 1.0
        if draw < plan.release:
            delay = random.choice((0.0, 0.0, 0.05, 0.5))
            self._settled(message, ev.RELEASED)
            await subscription.release(message, delay_seconds=delay)
        elif draw < plan.release + plan.reject:
            self._settled(message, ev.REJECTED)
            await subscription.reject(message, reason="not wanted")
        elif draw < plan.release + plan.reject + plan.defer:
            delay = random.choice((0.01, 0.2, 1.5))
            self._deferred += 1
            world.later(delay, self._accept_later, subscription, message)
        else:
            self._settled(message, ev.ACCEPTED)
            await subscription.accept(message)

    def _accept_later(self, subscription: StreamSubscription, message: ReceivedMessage) -> None:
        if subscription is not self._subscription:
            return
        self._deferred -= 1
        if message.settled:
            return
        self._settled(message, ev.ACCEPTED)
        self._world.spawn(_accept(subscription, message), "accept")

    def _log_of(self, message: ReceivedMessage) -> str:
        batch = message.batch
        return self._logs[batch.lease, batch.first_tag + message.index]

    def _delivered(self, message: ReceivedMessage) -> None:
        log = self._log_of(message)
        self._world.observer.note(f"{self.name} handles {message.id} {log}@{message.offset}")
        self._world.observer.users.add(
            ev.Delivered(
                self.key,
                self.name,
                message.id,
                message.topic,
                log,
                message.offset,
                message.attempt,
                message.data.decode(),
            )
        )

    def _settled(self, message: ReceivedMessage, how: str) -> None:
        log = self._log_of(message)
        self._world.observer.note(f"{self.name} {how} {log}@{message.offset}")
        event = ev.Settled(self.key, self.name, log, message.offset, how)
        self._world.observer.users.add(event)


async def _accept(subscription: StreamSubscription, message: ReceivedMessage) -> None:
    try:
        await subscription.accept(message)
    except UnknownDeliveryTagError:
        return  # It was settled meanwhile.
