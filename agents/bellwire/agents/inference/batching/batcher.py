"""One engine that answers many: requests wait in a queue, are computed together, and are told apart again."""

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from math import ceil
from typing import Final

from bellwire.agents.inference.batching.answers import answer_all
from bellwire.agents.inference.batching.engine_thread import EngineThread
from bellwire.agents.inference.batching.errors import InferenceQueueFullError
from bellwire.agents.inference.batching.job import Asked, Job
from bellwire.agents.inference.batching.queue import NEVER, BatchQueue
from bellwire.agents.inference.batching.rows import RowShape
from bellwire.agents.inference.batching.settings import BatchSettings
from bellwire.agents.inference.batching.statistics import BatchStatistics
from bellwire.agents.inference.endpoint import CloseReason, InferenceRequest, InferenceResult
from bellwire.agents.inference.engine import Engine
from bellwire.agents.inference.errors import EngineTimeoutError, InvalidTensorError
from bellwire.agents.inference.model import ModelManifest
from bellwire.wire.errors import ClosedError, DeadlineExceededError

RETRY_SECONDS_MIN: Final = 0.001  # Nobody's timer is finer.
TIMER_SECONDS_MIN: Final = 0.001  # Shorter ones ring at once on some loops, and late on others.
SMOOTHING: Final = 8  # Of the time a batch takes: an average over about so many.


class Batcher:
    """An `Endpoint` over one engine.

    An idle engine takes whatever waits at the end of the loop's turn (`call_soon`; timers have a grain of 1 ms),
    so requests that arrive in one turn, or while a batch is computed, are computed together, and a lonely one
    waits for nobody. When a batch fails, its requests are computed once more, each by itself and before all
    others: a poisoned row fails its own request only. On the loop the engine blocks everything else for as long as
    it computes; on a thread it may hang: after `compute_seconds_max` everybody who waits is told, and new requests
    are refused until it comes back; what it brings then is thrown away.

    Outputs are views into the batch's: whoever keeps one keeps the batch's memory, and may copy it.

    Attributes:
        statistics: Counters.
    """

    def __init__(self, engine: Engine, settings: BatchSettings | None = None) -> None:
        """Begin idle, in a running loop.

        Args:
            engine: Warm; only this batcher asks it, and whoever made it closes it, after `close`.
            settings: Bounds; no more rows are computed together than the model takes.
        """
        self._engine = engine
        settings, manifest = settings or BatchSettings(), engine.manifest
        rows_max = min(settings.batch_rows_max, manifest.batch_max)
        self._settings = settings = replace(settings, batch_rows_max=rows_max)
        self._manifest = manifest
        self._key = manifest.key
        rows_max = min(manifest.batch_max, settings.queue_rows_max)
        self._shape = RowShape(manifest, rows_max, settings.queue_bytes_max)
        self._loop = asyncio.get_running_loop()
        self._queue: BatchQueue[Asked] = BatchQueue(settings)
        self._alone: deque[Asked] = deque()  # What failed batches were made of; at most one batch.
        self._job: Job | None = None  # On the thread.
        self._is_looking = False
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = NEVER
        self._hang_timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._drained = asyncio.Event()
        self._batch_seconds = 0.0
        self._thread: EngineThread[Job] | None = None
        if settings.run_on == "thread":
            self._thread = EngineThread(self._on_back, f"engine {self._key}")
        self.statistics = BatchStatistics()

    @property
    def waiting_rows(self) -> int:
        """Rows that wait and are not computed yet."""
        return self._queue.rows + sum(each.rows for each in self._alone)

    def manifests(self) -> tuple[ModelManifest, ...]:
        """The one model; none once it is closed."""
        return () if self._is_closed else (self._manifest,)

    async def infer(self, request: InferenceRequest) -> InferenceResult:
        """Answer one request; a caller who is cancelled takes its rows with it.

        Raises:
            InvalidTensorError: An input does not fit the model.
            UnknownModelError: Another model or version.
            PayloadTooLargeError, CallerError: More bytes than may wait in all; no such priority.
            DeadlineExceededError: Its deadline passed before it was computed.
            InferenceQueueFullError: No room.
            EngineFailedError: It failed, by itself.
            EngineTimeoutError: The engine has not come back.
            ClosedError: The batcher is closed.
        """
        asked = self._admit(request, time.monotonic())
        if self._job is not None:
            self._arm()
        elif not self._is_looking:
            self._look_soon()
        try:
            return await asked.answer
        except asyncio.CancelledError:
            if self._queue.remove(asked):
                self.statistics.cancelled += 1
            if asked.answer.done() and not asked.answer.cancelled():
                asked.answer.exception()  # Told in the same turn: now nobody complains that it was not heard.
            raise

    async def close(self) -> None:
        """Take no more requests, answer those that are here, and let the thread go.

        Returns within `compute_seconds_max` of a batch that does not come back.
        """
        self._is_closed = True
        if self._has_work():
            await self._drained.wait()
        if self._timer is not None:
            self._timer.cancel()
        if self._thread is not None:
            self._thread.close()

    # ------------------------------------------------------------ in

    def _admit(self, request: InferenceRequest, now: float) -> Asked:
        if self._is_closed:
            raise ClosedError(f"model {self._key!r} is being unloaded and takes no more requests")
        measure = self._shape.measure(request)
        statistics = self.statistics
        statistics.requests += 1
        if 0 < request.deadline_seconds <= now:
            statistics.deadline_drops += 1
            raise self._too_late(now - request.deadline_seconds)
        if self._job is not None and self._job.given_up:
            statistics.timeouts += 1
            raise EngineTimeoutError(self._key, self._settings.compute_seconds_max)
        asked = Asked(request, measure, now, self._loop.create_future())
        if not self._queue.push(asked):
            statistics.refused += 1
            raise InferenceQueueFullError(
                self._key, self._queue.rows, self._queue.size_bytes, self._retry_seconds()
            )
        return asked

    def _retry_seconds(self) -> float:
        """Return how long what waits may take to be computed."""
        batches = ceil(self.waiting_rows / self._settings.batch_rows_max)
        return max(RETRY_SECONDS_MIN, batches * self._batch_seconds)

    def _too_late(self, seconds: float) -> DeadlineExceededError:
        return DeadlineExceededError(
            f"the deadline of a request for {self._key!r} passed {seconds * 1e3:.1f} ms ago: it was not computed"
        )

    # ------------------------------------------------------------ through

    def _look_soon(self) -> None:
        self._is_looking = True
        self._loop.call_soon(self._look)

    def _look(self) -> None:
        """Give an idle engine the next batch; tell those who are too late."""
        self._is_looking = False
        now = time.monotonic()
        try:
            if self._job is not None:
                self._drop(self._queue.expire(now), now)
            else:
                asked, reason = self._next(now)
                if asked and reason is not None:
                    self._compute(asked, reason)
        finally:  # The process may be told to end while the engine computes.
            if not self._is_looking:
                self._arm()
            if self._is_closed and not self._has_work():
                self._drained.set()

    def _next(self, now: float) -> tuple[Sequence[Asked], CloseReason | None]:
        """Return what to compute together and why now; nothing = not yet."""
        while self._alone:
            asked = self._alone.popleft()
            if asked.deadline_seconds <= now:
                self._drop((asked,), now)
            elif not asked.answer.done():
                return (asked,), asked.retries
        closed = self._queue.close(now)
        self._drop(closed.dropped, now)
        return closed.batch, closed.reason

    def _compute(self, asked: Sequence[Asked], reason: CloseReason) -> None:
        inputs = self._shape.join([each.inputs for each in asked])
        if not self._shape.are_finite(inputs):
            asked = self._only_finite(asked)
            if not asked:
                self._go_on()
                return
            inputs = self._shape.join([each.inputs for each in asked])
        job = Job(asked, inputs, reason)
        if self._thread is None:
            self._settle(job.run(self._engine, self._shape))
            self._go_on()
            if job.stopped_by is not None:
                raise job.stopped_by
            return
        self._job = job
        self._hang_timer = self._loop.call_later(
            self._settings.compute_seconds_max, self._on_hung, job
        )
        self._thread.submit(partial(job.run, self._engine, self._shape))

    def _only_finite(self, asked: Iterable[Asked]) -> list[Asked]:
        fit = []
        for each in asked:
            try:
                self._shape.check_finite(each.inputs)
            except InvalidTensorError as error:
                each.fail(error)
            else:
                fit.append(each)
        return fit

    def _on_back(self, job: Job) -> None:
        """The thread has done its job, maybe long after it was given up."""
        self._job = None
        if self._hang_timer is not None:
            self._hang_timer.cancel()
        if not job.given_up:
            self._settle(job)
        self._look()

    def _on_hung(self, job: Job) -> None:
        if self._job is not job:
            return
        job.given_up = True
        waiting = [*job.asked, *self._alone, *self._queue.clear()]
        self._alone.clear()
        for asked in waiting:
            asked.fail(EngineTimeoutError(self._key, self._settings.compute_seconds_max))
        self.statistics.timeouts += len(waiting)
        if self._is_closed:  # Else a later close would wait for nobody.
            self._drained.set()

    # ------------------------------------------------------------ out

    def _settle(self, job: Job) -> None:
        self.statistics.computed(job.rows, job.seconds, job.reason)
        self._batch_seconds += (job.seconds - self._batch_seconds) / SMOOTHING
        if job.error is None:
            answer_all(job, self._manifest, self.statistics)
        elif len(job.asked) == 1:
            self.statistics.failures += 1
            job.asked[0].fail(job.error)
        else:
            self.statistics.retried += len(job.asked)
            for asked in job.asked:
                asked.retries = job.reason
            self._alone.extend(job.asked)

    def _drop(self, late: Iterable[Asked], now: float) -> None:
        for asked in late:
            self.statistics.deadline_drops += 1
            asked.fail(self._too_late(now - asked.deadline_seconds))

    # ------------------------------------------------------------ when to look again

    def _go_on(self) -> None:
        """Look again in the next turn: those who were answered, and all else on the loop, come first."""
        if (self._queue.rows or self._alone) and not self._is_looking:
            self._look_soon()

    def _arm(self) -> None:
        """Set the timer, unless it rings early enough as it is."""
        wake_at = self._queue.wake_at(is_idle=self._job is None)
        if wake_at >= self._rings_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        seconds = max(TIMER_SECONDS_MIN, wake_at - time.monotonic())
        self._timer = self._loop.call_later(seconds, self._on_timer)
        self._rings_at = wake_at

    def _on_timer(self) -> None:
        self._timer, self._rings_at = None, NEVER
        if not self._is_looking:
            self._look()

    def _has_work(self) -> bool:
        if self._job is not None and not self._job.given_up:
            return True
        return bool(self._queue.rows or self._alone)
