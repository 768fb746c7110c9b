"""What goes wrong in a run, and what operators do meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Final

from tests.simulation.clock import NANOS
from tests.simulation.consumer import Consumer
from tests.simulation.network import Stream

from bellwire.bus.v1.message_pb2 import Position, Window
from bellwire.bus.v1.subscriber_pb2 import (
    START_POLICY_EARLIEST,
    START_POLICY_LATEST,
    START_POLICY_POSITIONS,
    START_POLICY_TIME,
    StartPosition,
    SubscribeRequest,
)
from bellwire.coordinator.core.dead_letters import redriven_batches
from bellwire.coordinator.core.engine import Engine
from bellwire.coordinator.log.store import DeadLetterQuery
from bellwire.wire.errors import BellwireError

if TYPE_CHECKING:
    from tests.simulation.world import World

REDRIVEN_AT_ONCE: Final = 5


class Faults:
    """Draws the next fault and carries it out."""

    def __init__(self, world: World, random: Random) -> None:
        self._world = world
        self._random = random
        self._kinds: dict[Callable[[], None], int] = {
            self.cut: 8,
            self.half_open: 3,
            self.partition: 3,
            self.crash: 3,
            self.crash_in_commit: 3,
            self.drain: 1,
            self.disk_full: 2,
            self.failed_fsync: 2,
            self.slow_disk: 2,
            self.kill_consumer: 3,
            self.kill_producer: 1,
            self.supplant: 2,
            self.stall: 3,
            self.seek: 2,
            self.pause: 2,
            self.shrink_window: 2,
            self.jump_clock: 1,
            self.redrive: 2,
        }

    def strike(self) -> None:
        """Make one thing go wrong."""
        kinds, weights = list(self._kinds), list(self._kinds.values())
        self._random.choices(kinds, weights)[0]()

    # ------------------------------------------------------------ the network

    def _stream(self) -> Stream | None:
        streams = list(self._world.network.streams)
        return self._random.choice(streams) if streams else None

    def cut(self) -> None:
        """Break one connection."""
        stream = self._stream()
        if stream is not None:
            self._world.observer.fault("cut", stream.client)
            stream.cut()

    def half_open(self) -> None:
        """Let the frames of one connection vanish."""
        stream = self._stream()
        if stream is not None:
            up, down = self._random.choice(((True, True), (True, False), (False, True)))
            self._world.observer.fault("half-open", f"{stream.client} up={up} down={down}")
            stream.vanish(up=up, down=down)

    def partition(self) -> None:
        """Separate one client from the coordinator."""
        stream = self._stream()
        if stream is not None:
            seconds = self._random.choice((0.1, 0.5, 1.5, 4.5))
            self._world.observer.fault("partition", f"{stream.client} {seconds} s")
            self._world.network.partition(stream.client, seconds)

    # ------------------------------------------------------------ the coordinator

    def _start_again(self) -> None:
        self._world.later(self._random.choice((0.02, 0.2, 1.0)), self._world.coordinator.start)

    def crash(self) -> None:
        """Kill the coordinator."""
        self._world.observer.fault("crash")
        self._world.coordinator.crash()
        self._start_again()

    def crash_in_commit(self) -> None:
        """Kill the coordinator while it commits."""
        commits = self._random.randint(1, 4)
        self._world.observer.fault("crash in commit", str(commits))
        self._world.coordinator.weather.crash_in = commits

    def drain(self) -> None:
        """Restart the coordinator in good order."""
        self._world.observer.fault("drain")
        self._world.coordinator.drain(0.3)
        self._world.later(0.5, self._world.coordinator.start)

    def disk_full(self) -> None:
        """Let commits fail for a while."""
        seconds = self._random.choice((0.02, 0.3, 1.0))
        self._world.observer.fault("disk full", f"{seconds} s")
        self._world.coordinator.weather.full_until = self._world.loop.time() + seconds

    def failed_fsync(self) -> None:
        """Let one of the next commits end in doubt."""
        commits = self._random.randint(1, 4)
        self._world.observer.fault("failed fsync", str(commits))
        self._world.coordinator.weather.doubts = commits

    def slow_disk(self) -> None:
        """Let commits take long."""
        self._world.observer.fault("slow disk")
        self._world.coordinator.weather.slow_until = self._world.loop.time() + 0.6

    def jump_clock(self) -> None:
        """Set the coordinator's wall clock."""
        seconds = self._random.choice((-3.0, -0.2, 0.0, 1.0))
        self._world.observer.fault("clock", f"{seconds} s off")
        self._world.coordinator.wall_skew_ns = int(seconds * NANOS)

    # ------------------------------------------------------------ clients

    def _consumer(self) -> Consumer:
        return self._random.choice(self._world.consumers)

    def kill_consumer(self) -> None:
        """End a consumer's process."""
        consumer = self._consumer()
        self._world.observer.fault("kill consumer", consumer.name)
        consumer.kill()

    def kill_producer(self) -> None:
        """End a producer's process."""
        self._random.choice(self._world.producers).kill()

    def supplant(self) -> None:
        """Start a named producer once more."""
        self._random.choice(self._world.producers).supplant()

    def stall(self) -> None:
        """Let a consumer handle nothing for a while."""
        consumer = self._consumer()
        seconds = self._random.choice((0.2, 1.0, 2.5))
        self._world.observer.fault("stall", f"{consumer.name} {seconds} s")
        consumer.stalled_until = self._world.loop.time() + seconds

    def pause(self) -> None:
        """Pause a subscription, and resume it later."""
        consumer = self._consumer()
        self._world.observer.fault("pause", consumer.name)
        consumer.pause()
        self._world.later(self._random.choice((0.05, 1.0)), consumer.resume)

    def shrink_window(self) -> None:
        """Make a window smaller, and as large as it was later."""
        consumer = self._consumer()
        stream, plan = consumer.stream, consumer.plan
        if stream is None:
            return
        whole = Window(messages=plan.window_messages, bytes=plan.window_bytes)
        small = Window(
            messages=self._random.randint(1, plan.window_messages), bytes=plan.window_bytes
        )
        self._world.observer.fault("window", f"{stream.client} {small.messages}")
        stream.inject(SubscribeRequest(window=small))
        seconds = self._random.choice((0.05, 1.0))
        self._world.later(seconds, stream.inject, SubscribeRequest(window=whole))

    # ------------------------------------------------------------ operators

    def seek(self) -> None:
        """Move a subscription's cursors."""
        engine = self._world.coordinator.engine
        if engine is None or not engine.bus.named:
            return
        name = self._random.choice(list(engine.bus.named))
        subscription = engine.bus.named[name]
        policy = self._random.choice(
            (START_POLICY_EARLIEST, START_POLICY_LATEST, START_POLICY_TIME, START_POLICY_POSITIONS)
        )
        start = StartPosition(policy=policy)
        if policy == START_POLICY_TIME:
            start.time_unix_nano = self._world.loop.time_ns() - self._random.randint(0, 3 * NANOS)
        elif policy == START_POLICY_POSITIONS:
            cursor = self._random.choice(subscription.cursors)
            log = cursor.partition.log
            offset = self._random.randint(max(0, log.low_offset - 1), log.high_watermark)
            start.positions.append(
                Position(
                    topic=cursor.partition.topic.name,
                    partition=cursor.partition.index,
                    offset=offset,
                )
            )
        self._world.observer.fault("seek", f"{name} {policy}")
        try:
            engine.bus.seek(name, start)
        except BellwireError as error:
            self._world.observer.note(f"seek was refused: {error.reason}")

    def redrive(self) -> None:
        """Append dead letters again, once what is staged is committed."""
        engine = self._world.coordinator.engine
        if engine is None:
            return
        ticket = engine.journal.barrier()
        if ticket is not None:
            ticket.then(lambda error: self._redrive(engine) if error is None else None)
        else:
            self._redrive(engine)

    def _redrive(self, engine: Engine) -> None:
        """Do what the dead letter service does."""
        if engine is not self._world.coordinator.engine or engine.journal.broken is not None:
            return
        name = self._random.choice(list(engine.bus.topics))
        topic = engine.bus.topics[name]
        query = DeadLetterQuery(topic=name, limit=REDRIVEN_AT_ONCE)
        letters = self._world.coordinator.store.dead_letters(query)
        if letters:
            self._world.observer.fault("redrive", f"{name} {len(letters)}")
        for redriven in redriven_batches(letters, len(topic.partitions)):
            partition = topic.partition(redriven.batch.header.partition)
            if engine.workers.owner(partition).append_now(partition, redriven.batch, ()) is None:
                return
            engine.dead_letters.remove(redriven.letters)
