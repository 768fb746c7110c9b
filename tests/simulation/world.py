"""One run: everything that takes part, from the first message to the last check."""

from __future__ import annotations

import asyncio
import logging
import random as global_random
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from tests.simulation import events as ev
from tests.simulation.channel import Channel, Pool
from tests.simulation.clock import VirtualLoop
from tests.simulation.consumer import Consumer
from tests.simulation.coordinator import Coordinator, StoreWeather
from tests.simulation.faults import Faults
from tests.simulation.network import Network, Stream
from tests.simulation.observer import Observer
from tests.simulation.plan import Plan, draw_plan
from tests.simulation.probes import watching
from tests.simulation.producer import Producer
from tests.simulation.violation import Kind, Violation

from bellwire.bus.v1.message_pb2 import Window
from bellwire.bus.v1.subscriber_pb2 import ORDERING_NONE, OVERFLOW_POLICY_BLOCK, SubscribeRequest
from bellwire.coordinator.core.cursor import Cursor

QUIET_SECONDS_MAX: Final = 60.0  # Retries of a client take up to 10 tries of up to 5 s.
LOOK_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Result:
    """What a run came to.

    Attributes:
        digest: Of its trace; the same seed gives the same.
        messages: Published.
        deliveries: Messages handed to users, again included.
        faults: By kind.
        seconds: Virtual time it took.
    """

    seed: int
    digest: str
    messages: int
    deliveries: int
    faults: dict[str, int]
    violations: list[Violation]
    seconds: float


class World:
    """Everything that takes part in a run.

    Attributes:
        healing: Whether the faults are over and everything is to come to rest.
    """

    def __init__(self, loop: VirtualLoop, seed: int, *, verbose: bool) -> None:
        self.loop = loop
        self.plan: Plan = draw_plan(Random(f"{seed}/plan"))
        self.observer = Observer(loop, verbose=verbose)
        self.coordinator = Coordinator(
            loop,
            Random(f"{seed}/coordinator"),
            self.observer,
            self.plan.engine,
            self.plan.topics,
        )
        self.network = Network(loop, Random(f"{seed}/network"), self.coordinator)
        self.healing = False
        self._random = Random(f"{seed}/world")
        self._faults = Faults(self, Random(f"{seed}/faults"))
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self.producers = [
            Producer(self, plan, Random(f"{seed}/{plan.name}")) for plan in self.plan.producers
        ]
        self.consumers = [
            Consumer(self, plan, name, Random(f"{seed}/{name}"))
            for plan in self.plan.subscriptions
            for name in (f"{plan.name or 'tail'}-m{i}" for i in range(plan.members))
        ]
        loop.set_exception_handler(self._on_exception)

    # ------------------------------------------------------------ for those who take part

    def pool(self, client: str, on_stream: Callable[[Stream], None]) -> Pool:
        """Return what a client takes for its channels."""
        return Pool(Channel(self.network, self.coordinator, client, on_stream))

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run a task until the end of the run."""
        task = self.loop.create_task(work, name=name)
        self._tasks[task] = None
        task.add_done_callback(self._ended)
        return task

    def later(self, seconds: float, action: Callable[..., Any], *args: Any) -> None:
        """Call after a virtual time."""
        self.loop.call_later(seconds, action, *args)

    def is_durable(self, topic: str) -> bool:
        """Tell whether a topic survives the coordinator."""
        return (topic, 0) in self.observer.durable_logs

    def log_name(self, topic: str, partition: int) -> str:
        """Return the name of a durable log."""
        return self.observer.durable_logs[topic, partition]

    def unsubscribe(self, key: str) -> None:
        """Note that an ephemeral subscription is gone with its client."""
        self.observer.users.add(ev.Unsubscribed(key))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            self._broken(f"task {task.get_name()}", task.exception())

    def _on_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._broken(context["message"], context.get("exception"))

    def _broken(self, where: str, error: BaseException | None) -> None:
        if self.observer.verbose and error is not None:
            logging.getLogger(__name__).error("%s", where, exc_info=error)
        self.observer.report(Kind.BROKEN, f"{where}: {error!r}")

    # ------------------------------------------------------------ the run

    async def run(self) -> None:
        """Live through all of it."""
        self._subscribe()
        self.coordinator.start()
        actors: list[Consumer | Producer] = [*self.consumers, *self.producers]
        for actor in actors:
            self.later(self._random.random() * 0.2, actor.start)
        end = self.loop.time() + self.plan.seconds
        while self.loop.time() < end and not self.observer.violations():
            await asyncio.sleep(self._random.expovariate(1 / self.plan.faults_every))
            self._faults.strike()
        self._heal()
        await self._come_to_rest()
        if self.plan.final_restart and not self.observer.violations():
            self.observer.note("one more restart")
            self.coordinator.crash()
            self.coordinator.start()
            await self._come_to_rest()
        if not self.observer.violations():
            self.observer.users.finish()
            self.observer.wire.finish()

    def _subscribe(self) -> None:
        for plan in self.plan.subscriptions:
            if plan.name:
                # With a lease, what waited too long in the client comes again behind what did not.
                ordered = plan.ordering != ORDERING_NONE and not plan.lease_millis
                event = ev.Subscribed(plan.name, plan.topics, ordered=ordered)
                self.observer.users.add(event)

    def _heal(self) -> None:
        """End all faults; who is down starts again."""
        self.observer.note("everything heals")
        self.healing = True
        self.coordinator.weather = StoreWeather()
        self.coordinator.wall_skew_ns = 0
        self.network.heal()
        engine = self.coordinator.engine
        if engine is not None and (engine.journal.broken is not None or engine.draining):
            self.coordinator.crash()
        self.coordinator.start()
        for consumer in self.consumers:
            stream, plan = consumer.stream, consumer.plan
            if stream is not None:
                window = Window(messages=plan.window_messages, bytes=plan.window_bytes)
                stream.inject(SubscribeRequest(window=window))
            consumer.resume()

    async def _come_to_rest(self) -> None:
        deadline = self.loop.time() + QUIET_SECONDS_MAX
        await asyncio.sleep(LOOK_SECONDS)
        quiet = 0
        while quiet < 2 and not self.observer.violations():
            unrest = self._unrest()
            quiet = 0 if unrest else quiet + 1
            if self.loop.time() > deadline:
                self.observer.report(Kind.STUCK, unrest)
                return
            await asyncio.sleep(LOOK_SECONDS)

    def _unrest(self) -> str:
        """Say what is not done yet; empty = nothing."""
        engine = self.coordinator.engine
        if engine is None:
            return "the coordinator is down"
        if engine.journal.broken is not None:
            return "the store is in doubt"
        for producer in self.producers:
            if not producer.is_done:
                return f"{producer.name} waits for acknowledgements"
        for subscription in engine.bus.subscriptions():
            for cursor in subscription.cursors:
                if cursor.has_work() or cursor.in_flight:
                    label = self.observer.label(subscription)
                    log = self.observer.log(cursor.partition.log.log_id)
                    return f"{label} has not finished {log}"
        if engine.journal.barrier() is not None or engine.journal.due_at(0.0) is not None:
            return "the journal holds something"
        for consumer in self.consumers:
            if not consumer.is_idle:
                return f"{consumer.name} is busy"
        return ""

    def judge(self, cursor: Cursor, offset: int, reason: str) -> None:
        """Check that a drop is one that a policy allows."""
        subscription = cursor.subscription
        if reason == "overflow" and subscription.overflow_policy == OVERFLOW_POLICY_BLOCK:
            log = self.observer.log(cursor.partition.log.log_id)
            text = (
                f"{log}@{offset} was evicted, {self.observer.label(subscription)} has policy BLOCK"
            )
            self.observer.report(Kind.LOST, text)

    async def close(self) -> None:
        """End every task."""
        for consumer in self.consumers:
            consumer.stop()
        for producer in self.producers:
            producer.stop()
        tasks = [
            task for task in asyncio.all_tasks(self.loop) if task is not asyncio.current_task()
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def run_seed(
    seed: int, *, verbose: bool = False, bug: AbstractContextManager[None] | None = None
) -> Result:
    """Run one seed from beginning to end.

    Args:
        seed: Decides everything.
        verbose: Print the trace.
        bug: Planted for the length of the run.
    """
    loop = VirtualLoop()
    world = World(loop, seed, verbose=verbose)
    observer = world.observer
    state = global_random.getstate()
    global_random.seed(seed)  # The client draws its backoff and sticky partitions from there.
    try:
        with bug or nullcontext(), watching(observer, world.judge), _listening(observer):
            loop.run_until_complete(_run(world))
    finally:
        loop.close()
        global_random.setstate(state)
    return Result(
        seed,
        observer.digest(),
        observer.users.counts["Published"],
        observer.users.counts["Delivered"],
        dict(observer.faults),
        observer.violations(),
        loop.time(),
    )


async def _run(world: World) -> None:
    try:
        await world.run()
    finally:
        await world.close()


class _FaultsOfOurOwn(logging.Handler):
    """What the client logs as an error is a fault of its own."""

    def __init__(self, observer: Observer) -> None:
        super().__init__(logging.ERROR)
        self._observer = observer

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self._observer.report(Kind.BROKEN, f"{record.getMessage()}: {error!r}")


@contextmanager
def _listening(observer: Observer) -> Iterator[None]:
    logger = logging.getLogger("bellwire.client")
    before = logger.level, logger.propagate
    handler = _FaultsOfOurOwn(observer)
    logger.addHandler(handler)
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]
