"""The levels one behind the other: memory, Redis, a store, and whoever makes the value."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Final, Generic, TypeAlias, TypeVar

from bellwire.coordinator.cache.faults import stopping, too_late
from bellwire.coordinator.cache.key import CacheKey
from bellwire.coordinator.cache.outdating import SPACES_MAX, Outdating
from bellwire.coordinator.cache.question import Codec, Level, Question
from bellwire.coordinator.cache.redis_level import NANOS, Found, RedisLevel
from bellwire.coordinator.cache.settings import ENTRY_BYTES, CacheSettings
from bellwire.coordinator.cache.source import KeptAnswer
from bellwire.coordinator.cache.source_level import SourceLevel
from bellwire.coordinator.cache.telling import Teller
from bellwire.coordinator.cache.write_behind import WriteBehind
from bellwire.policy.bounded_cache import BoundedCache
from bellwire.policy.generations import Generations, Stamp
from bellwire.policy.single_flight import SingleFlight
from bellwire.wire.errors import (
    BellwireError,
    CallerError,
    CapacityError,
    InternalError,
)

V = TypeVar("V")
WRITES_MAX: Final = (
    1_000  # Values on their way to Redis; beyond, they are not written (DROP_NEWEST, counted).
)


_Flight: TypeAlias = tuple[CacheKey, Stamp]
_Answer: TypeAlias = "asyncio.Future[tuple[V, Level]]"


class CacheLevels(Generic[V]):
    """Answers questions from the first level that can, and makes one answer for all who ask at once.

    Making an answer is a task of its own: it goes on while anybody waits for it, whoever asked first, and is
    called off when nobody does. Values found below are kept above.

    Attributes:
        memory: The first level.
        redis: The second, if there is one.
        store: The third, if there is one.
        write_behind: Brings answers there.
        flights: Answers being looked for or made.
        made: Answers made.
        failed: Answers whose making failed.
        writes_dropped: Values not written to Redis because too many were on their way.
    """

    def __init__(
        self,
        settings: CacheSettings,
        codec: Codec[V],
        *,
        waiting_max: int,
        redis: RedisLevel | None = None,
        store: SourceLevel | None = None,
    ) -> None:
        """Begin with nothing.

        Args:
            settings: Bounds.
            codec: Of the values.
            waiting_max: Questions under way at once; policy REFUSE.
            redis: Opened by the caller, closed by `close`.
            store: Asked when Redis does not know.
        """
        self._codec = codec
        self._value_bytes_max = settings.value_bytes_max
        self._store_ttl_seconds = settings.store_ttl_seconds
        self._waiting_max = waiting_max
        self._generations = Generations(SPACES_MAX)
        self._tasks: dict[_Flight, asyncio.Task[None]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._closed = False
        self._writes = 0
        self.outdating = Outdating(self._generations, settings.settle_seconds)
        self.memory: BoundedCache[CacheKey, V] = BoundedCache(settings.bounds, self._generations)
        self.redis = redis
        self._teller = Teller(redis, self.outdating) if redis is not None else None
        self.store = store
        self.write_behind = WriteBehind(store) if store is not None else None
        self.flights: SingleFlight[_Flight, _Answer[V]] = SingleFlight()
        self.made = 0
        self.failed = 0
        self.writes_dropped = 0

    async def answer(self, question: Question[V], timeout_seconds: float) -> tuple[V, Level]:
        """Return the answer and where it came from.

        Who only joined and hears that the making failed has it made once more: the failure may have been that of
        whoever asked first. An error of kind `CallerError` is everybody's.

        Raises:
            DeadlineExceededError: There is none in time.
            CapacityError: Too many questions are under way.
            BellwireError: Whatever `make` raised.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        tries_left = 1
        while True:
            value = self.memory.get(question.key, loop.time())
            if value is not None:
                return value, Level.MEMORY
            flight = (question.key, self._generations.stamp((question.key.space,)))
            future: _Answer[V] = loop.create_future()
            begins = self._join(flight, future, question)
            try:
                async with asyncio.timeout_at(deadline):
                    value, level = await future
            except TimeoutError:
                raise too_late(question.key.space, timeout_seconds) from None
            except BellwireError as error:
                if begins or not tries_left or isinstance(error, CallerError):
                    raise
                tries_left -= 1
                continue
            finally:
                if self.flights.leave(flight, future):
                    self._tasks.pop(flight).cancel()
            return value, Level.SHARED if level is Level.MADE and not begins else level

    def outdate_by(self, topic: str) -> None:
        """Outdate what a message of a topic outdates."""
        if self.outdating.on_message(topic, asyncio.get_running_loop().time()):
            self.tell_redis()

    def heard(self, space: str) -> None:
        """Outdate what another coordinator has outdated."""
        self.outdating.heard(space, asyncio.get_running_loop().time())

    def heard_nothing(self) -> None:
        """Outdate whatever others may have outdated while nothing was heard of them; what Redis has proves itself."""
        self.outdating.heard_nothing(asyncio.get_running_loop().time())

    def tell_redis(self) -> None:
        """Have Redis told what is outdated; until it is, it is not asked about that."""
        if self._teller is None:
            self.outdating.untold.clear()
        else:
            self._teller.tell()

    async def close(self) -> None:
        """Call off what is under way; who waits for it hears that the coordinator is stopping."""
        self._closed = True
        tasks = tuple(self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._teller is not None:
            await self._teller.close()
        for flight in tuple(self._tasks):  # Those that had not begun to run.
            self._tell_waiters(flight, error=stopping())
        if self.redis is not None:
            await self.redis.close()
        if self.store is not None and self.write_behind is not None:
            await self.write_behind.close()
            await self.store.close()

    # ------------------------------------------------------------ flights

    def _join(self, flight: _Flight, future: _Answer[V], question: Question[V]) -> bool:
        if self._closed:
            raise stopping()
        if self.flights.waiting >= self._waiting_max:
            raise CapacityError(
                f"{self.flights.waiting} cacheable calls are waiting, that is the limit: slow down"
            )
        begins = self.flights.join(flight, future)
        if begins:
            task = asyncio.create_task(self._fly(flight, question), name="cache flight")
            self._tasks[flight] = task
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return begins

    async def _fly(self, flight: _Flight, question: Question[V]) -> None:
        began = asyncio.get_running_loop().time()
        space = question.key.space
        asked_ns = time.time_ns()
        validity = question.validity() if self.store is not None else None
        asks_redis = self.redis is not None and space not in self.outdating.untold
        try:
            found = await self.redis.get(question.key) if self.redis and asks_redis else Found()
            value, level, left = await self._found_or_made(question, found, validity)
            data = self._codec.encode(value)
        except asyncio.CancelledError:
            self._land(flight, error=stopping())
            raise
        except BellwireError as error:
            self.failed += 1
            self._land(flight, error=error)
            return
        except Exception as error:  # noqa: BLE001 - those who wait must hear of it, whatever it is.
            self.failed += 1
            self._land(flight, error=InternalError(f"the answer could not be made: {error!r}"))
            return
        negative = self._codec.is_negative(value)
        keeps = self.outdating.is_settled(space, began)
        if keeps:
            self.memory.put(
                question.key,
                value,
                len(data) + ENTRY_BYTES,
                asyncio.get_running_loop().time(),
                ttl_seconds=left,
                stamp=flight[1],
                negative=negative,
            )
        self._land(flight, answer=(value, level))
        if keeps and validity is not None and level is Level.MADE and not negative:
            self._keep(question, data, validity, asked_ns)
        if keeps and found.asked and level is not Level.REDIS and not negative:
            await self._write(question, data, left, found.token, flight[1])

    async def _found_or_made(
        self, question: Question[V], found: Found, validity: str | None
    ) -> tuple[V, Level, float]:
        """Return a value, its level and how long it is valid from now on, in seconds."""
        if found.payload is not None and self.redis is not None:
            with suppress(ValueError):
                return self._codec.decode(found.payload), Level.REDIS, found.seconds_left
            self.redis.garbage += 1
        if self.store is not None and validity is not None:
            stored = await self.store.find(question.key, validity)
            if stored is not None:
                left = (stored.expire_unix_nano - time.time_ns()) / NANOS
                with suppress(ValueError):
                    return self._codec.decode(stored.payload), Level.STORE, left
                self.store.garbage += 1
        value = await question.make(question.make_seconds)
        self.made += 1
        return value, Level.MADE, question.ttl_seconds

    def _land(
        self,
        flight: _Flight,
        *,
        answer: tuple[V, Level] | None = None,
        error: BellwireError | None = None,
    ) -> None:
        # One that was called off may have a successor under the same key.
        if self._tasks.get(flight) is asyncio.current_task():
            self._tell_waiters(flight, answer=answer, error=error)

    def _tell_waiters(
        self,
        flight: _Flight,
        *,
        answer: tuple[V, Level] | None = None,
        error: BellwireError | None = None,
    ) -> None:
        self._tasks.pop(flight, None)
        for future in self.flights.land(flight):
            if future.done():
                continue
            if answer is not None:
                future.set_result(answer)
            elif error is not None:
                future.set_exception(error)
                future.exception()  # Whoever waits may be cancelled before it looks.

    # ------------------------------------------------------------ store and Redis

    def _keep(self, question: Question[V], data: bytes, validity: str, asked_ns: int) -> None:
        """Have an answer written to the store, if nothing outdated it while it was made."""
        if self.write_behind is None or len(data) > self._value_bytes_max:
            return
        if question.validity() == validity:
            expire_ns = asked_ns + int(min(question.ttl_seconds, self._store_ttl_seconds) * NANOS)
            self.write_behind.put(
                KeptAnswer(question.key, validity, question.outdated_by, asked_ns, expire_ns, data)
            )

    async def _write(
        self, question: Question[V], data: bytes, seconds: float, token: bytes, stamp: Stamp
    ) -> None:
        if self.redis is None or len(data) > self._value_bytes_max:
            return
        if self._writes >= WRITES_MAX:
            self.writes_dropped += 1
            return
        if not self._generations.is_current(stamp):
            return
        self._writes += 1
        try:
            await self.redis.put(question.key, data, seconds, token)
        finally:
            self._writes -= 1
