"""The coordinator's shell in the simulation: the real engine and sessions, a modelled store, crashes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from random import Random
from typing import Any, Final

from tests.simulation.clock import VirtualLoop
from tests.simulation.network import ServerEnd, Stream
from tests.simulation.observer import Observer
from tests.simulation.server_stream import PublishEnd, ServerStream, SubscribeEnd
from tests.simulation.store import BrokenRecord, ModelStore
from tests.simulation.violation import Kind

from bellwire.bus.v1.publisher_pb2 import GetTopicMetadataRequest, GetTopicMetadataResponse
from bellwire.coordinator.core.engine import Engine, EngineSettings
from bellwire.coordinator.core.journal import Group
from bellwire.coordinator.core.topic import TopicSettings
from bellwire.coordinator.log.durable import DurableLog
from bellwire.wire.errors import StoreFullError, StoreReadOnlyError

TICK_SECONDS: Final = 0.1
READ_BYTES: Final = 600  # A few small batches: what is behind is loaded in several steps.
READ_SECONDS: Final = 0.002
COMMIT_SECONDS: Final = 0.003
SLOW_FACTOR: Final = 60.0
RESTART_AFTER_FAULT_SECONDS: Final = 1.0  # Somebody notices that the store is in doubt.


class Fate(Enum):
    """What becomes of a transaction."""

    WRITTEN = auto()
    FULL = auto()
    IN_DOUBT_WRITTEN = auto()
    IN_DOUBT_LOST = auto()


@dataclass(slots=True)
class StoreWeather:
    """What the disk is like.

    Attributes:
        full_until: Virtual seconds until which every commit fails.
        doubts: Commits until one whose fsync fails; 0 = none does.
        crash_in: Commits until one in whose middle the coordinator dies; 0 = none.
        slow_until: Virtual seconds until which commits take long.
    """

    full_until: float = 0.0
    doubts: int = 0
    crash_in: int = 0
    slow_until: float = 0.0


class Coordinator:
    """Runs an engine until it crashes, and the next one after it.

    Attributes:
        engine: The running one; None while the coordinator is down.
        weather: What the store does with the next transactions.
        wall_skew_ns: How far the wall clock is off.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        random: Random,
        observer: Observer,
        settings: EngineSettings,
        topics: dict[str, TopicSettings],
    ) -> None:
        self._loop = loop
        self._random = random
        self._observer = observer
        self._settings = settings
        self._topics = topics
        self.store = ModelStore()
        observer.is_named = self.store.named_ids.__contains__
        self.weather = StoreWeather()
        self.wall_skew_ns = 0
        self.engine: Engine | None = None
        self._life = 0
        self._writing: Group | None = None
        self._look_pending = False
        self._due: asyncio.TimerHandle | None = None
        self._streams: dict[ServerStream, None] = {}
        self._watchers: list[Callable[[bool], None]] = []

    def watch(self, watcher: Callable[[bool], None]) -> None:
        """Have a callback for every start and end."""
        self._watchers.append(watcher)

    @property
    def is_up(self) -> bool:
        """Whether it listens."""
        return self.engine is not None

    def wall_ns(self) -> int:
        """Return its wall clock."""
        return self._loop.time_ns() + self.wall_skew_ns

    # ------------------------------------------------------------ life and death

    def start(self) -> None:
        """Open the store and listen."""
        if self.engine is not None:
            return
        self._observer.note("coordinator starts")
        snapshot = self.store.load()
        for record in snapshot.topics:
            for index, log_id in enumerate(record.log_ids):
                self._observer.know_log(log_id, record.name, index, durable=True)
        self.engine = engine = Engine(
            self._settings,
            snapshot,
            has_store=True,
            clock_ns=self.wall_ns,
            random=Random(self._random.getrandbits(64)),
        )
        engine.journal.on_work = self._on_work
        engine.logs.on_wanted = self._on_wanted
        engine.workers.on_roomy = lambda: self.soon(engine.workers.pump)
        for name, settings in self._topics.items():
            if name not in engine.bus.topics:
                engine.bus.create_topic(name, settings, self.wall_ns())
        self._name_logs(engine)
        self._tick()
        self._on_work()
        for watcher in self._watchers:
            watcher(True)

    def _name_logs(self, engine: Engine) -> None:
        for topic in engine.bus.topics.values():
            for partition in topic.partitions:
                log = partition.log
                name = self._observer.know_log(
                    log.log_id, topic.name, partition.index, durable=log.durable
                )
                held = self.store.end_of(log.log_id)
                if log.durable and log.end_offset != held:
                    text = f"{name} goes on at {log.end_offset}, the store holds it up to {held}"
                    self._observer.report(Kind.GAP, text)

    def crash(self) -> None:
        """Lose everything that is not committed; a transaction under way is written, or is not."""
        if self.engine is None:
            return
        self._life += 1
        self.engine = None
        self._look_pending = False
        self._due = None
        group, self._writing = self._writing, None
        if group is not None and self._random.random() < 0.5:
            self._write(group)
        streams, self._streams = self._streams, {}
        for stream in streams:
            stream.stream.crash()
        self._observer.restarted()
        for watcher in self._watchers:
            watcher(False)

    def drain(self, seconds: float) -> None:
        """Announce the end to everybody, commit all there is and stop."""
        engine = self.engine
        if engine is None:
            return
        engine.draining = True
        for stream in tuple(self._streams):
            stream.drain()
        self.later(seconds, self._stop)

    def _stop(self) -> None:
        engine = self.engine
        if engine is not None:
            if self._writing is not None:
                group, self._writing = self._writing, None
                self._commit_now(engine, group)
            while (waiting := engine.journal.take()) is not None:
                self._commit_now(engine, waiting)
        self.crash()

    def _commit_now(self, engine: Engine, group: Group) -> None:
        self._write(group)
        engine.journal.committed(group)

    # ------------------------------------------------------------ time

    def soon(self, action: Callable[..., None], *args: Any) -> None:
        """Call after this turn of the loop, unless this life of the coordinator has ended."""
        self._loop.call_soon(self._if_alive, self._life, action, *args)

    def later(self, seconds: float, action: Callable[..., None], *args: Any) -> asyncio.TimerHandle:
        """Call after a time, unless this life of the coordinator has ended."""
        return self._loop.call_later(seconds, self._if_alive, self._life, action, *args)

    def _if_alive(self, life: int, action: Callable[..., None], *args: Any) -> None:
        if life == self._life and self.engine is not None:
            action(*args)

    def _tick(self) -> None:
        assert self.engine is not None
        self.engine.tick(self._loop.time(), self.wall_ns())
        self.later(TICK_SECONDS, self._tick)

    # ------------------------------------------------------------ the store

    def _on_work(self) -> None:
        if not self._look_pending:
            self._look_pending = True
            self.soon(self._look)

    def _look(self) -> None:
        self._look_pending = False
        assert self.engine is not None
        if self._due is not None:
            self._due.cancel()
            self._due = None
        now = self._loop.time()
        due = self.engine.journal.due_at(now)
        if due is None:
            return
        if due > now:
            self._due = self.later(due - now, self._look)
            return
        group = self.engine.journal.take()
        if group is None:
            return
        self._writing = group
        self._observer.taken()
        slow = SLOW_FACTOR if self.weather.slow_until > now else 1.0
        seconds = COMMIT_SECONDS * slow * (0.5 + self._random.random())
        self.later(seconds, self._finish, group, self._fate(now))

    def _fate(self, now: float) -> Fate:
        if self.weather.full_until > now:
            return Fate.FULL
        if self.weather.doubts:
            self.weather.doubts -= 1
            if not self.weather.doubts:
                lost = self._random.random() < 0.5
                return Fate.IN_DOUBT_LOST if lost else Fate.IN_DOUBT_WRITTEN
        return Fate.WRITTEN

    def _finish(self, group: Group, fate: Fate) -> None:
        assert self.engine is not None
        journal = self.engine.journal
        if self.weather.crash_in:
            self.weather.crash_in -= 1
            if not self.weather.crash_in:
                self._observer.note("coordinator dies while it commits")
                self.crash()
                self._loop.call_later(RESTART_AFTER_FAULT_SECONDS, self.start)
                return
        self._writing = None
        if fate in (Fate.WRITTEN, Fate.IN_DOUBT_WRITTEN):
            self._write(group, in_doubt=fate is not Fate.WRITTEN)
        if fate is Fate.WRITTEN:
            journal.committed(group)
            self._check_watermarks(group)
        elif fate is Fate.FULL:
            self._observer.note("commit failed: disk full")
            journal.failed(group, StoreFullError("the disk is full"))
        else:
            self._observer.note(f"commit failed: {fate.name}")
            journal.failed(group, StoreReadOnlyError("fsync failed"))
            self.later(RESTART_AFTER_FAULT_SECONDS, self._restart_now)
        self._look()

    def _check_watermarks(self, group: Group) -> None:
        for log in group.ends:
            held = self.store.end_of(log.log_id)
            if log.high_watermark > held:
                text = f"watermark of {self._observer.log(log.log_id)} is {log.high_watermark}"
                self._observer.report(Kind.UNCOMMITTED, f"{text}, the store ends at {held}")

    def _restart_now(self) -> None:
        self.crash()
        self.start()

    def _write(self, group: Group, *, in_doubt: bool = False) -> None:
        try:
            self.store.write(group.records)
        except BrokenRecord as broken:
            self._observer.report(Kind.GAP, str(broken))
            return
        self._observer.note(f"committed {len(group.records)} records")
        self._observer.committed(group.records, in_doubt=in_doubt)

    def _on_wanted(self) -> None:
        assert self.engine is not None
        wanted = self.engine.logs.wanted
        while wanted:
            log, offset = wanted.popleft()
            self.later(READ_SECONDS * self._random.random(), self._load, log, offset)

    def _load(self, log: DurableLog, offset: int) -> None:
        assert self.engine is not None
        self.engine.loaded(log, offset, self.store.read(log.log_id, offset, READ_BYTES))

    # ------------------------------------------------------------ streams

    def accept(self, stream: Stream) -> ServerEnd | None:
        """Serve a stream; None = nobody listens."""
        if self.engine is None:
            return None
        kind: type[ServerStream] = (
            PublishEnd if stream.method.endswith("/PublishStream") else SubscribeEnd
        )
        end = kind(self, self._loop, self._observer, self.engine, stream)
        self._streams[end] = None
        return end

    def gone(self, end: ServerStream) -> None:
        """Forget a stream that has ended."""
        self._streams.pop(end, None)

    def describe(self, request: GetTopicMetadataRequest) -> GetTopicMetadataResponse | None:
        """Answer a request for a topic's layout; None = nobody listens."""
        if self.engine is None:
            return None
        topic = self.engine.bus.existing_topic(request.topic)
        return GetTopicMetadataResponse(topic=topic.name, partition_count=len(topic.partitions))
