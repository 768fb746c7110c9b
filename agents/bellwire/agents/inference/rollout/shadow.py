"""A copy of the requests for a candidate, after the answer was given."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Final

import numpy as np

from bellwire.agents.inference.endpoint import (
    PRIORITIES,
    Endpoint,
    InferenceRequest,
    InferenceResult,
)
from bellwire.agents.inference.rollout.comparison import Comparison, ShadowReport
from bellwire.agents.inference.tensor import Array, Tensors
from bellwire.wire.settings import check_settings, setting

Clock = Callable[[], float]
_LAST: Final = PRIORITIES - 1


@dataclass(frozen=True, slots=True)
class ShadowSettings:
    """Bounds of a shadow.

    Raises:
        SettingsError: A value is of the wrong type or out of its range.
    """

    action_output: str = field(
        default="",
        metadata=setting(unit="", why="empty: the first output; its last dimension is the actions"),
    )
    waiting_max: int = field(
        default=64,
        metadata=setting(
            unit="requests",
            why="DROP_NEWEST: a shadow that is slower than the traffic sees a part, and costs it nothing",
            ge=1,
            le=10_000,
        ),
    )
    timeout_seconds: float = field(
        default=5.0,
        metadata=setting(
            unit="s", why="a candidate that hangs must not keep the report empty", gt=0, le=600
        ),
    )

    def __post_init__(self) -> None:
        check_settings(self)


class Shadow:
    """Asks the candidate one request after the other, on a task of its own; an async context manager."""

    def __init__(
        self,
        candidate: Endpoint,
        version: int,
        settings: ShadowSettings | None = None,
        clock: Clock = monotonic,
    ) -> None:
        """Ask nothing before it is entered.

        Args:
            candidate: Who can be asked for that version.
            version: The candidate's.
            settings: Bounds.
            clock: Seconds.
        """
        self._candidate = candidate
        self._version = version
        self._settings = settings or ShadowSettings()
        self._clock = clock
        self._comparison = Comparison()
        self._waiting: asyncio.Queue[tuple[InferenceRequest, InferenceResult]]
        self._waiting = asyncio.Queue(self._settings.waiting_max)
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def version(self) -> int:
        """The candidate's."""
        return self._version

    def offer(self, request: InferenceRequest, result: InferenceResult, seconds: float) -> None:
        """Have a request asked again, some time later; returns at once.

        Args:
            request: As it was answered; its tensors are copied if there is room, as the caller may write the next
                observation into the same memory.
            result: What the version in service answered; copied too.
            seconds: How long that took.
        """
        if self._is_closed or self._waiting.full():
            self._comparison.dropped += 1
            return
        copied = replace(request, inputs=_copied(request.inputs))
        self._waiting.put_nowait((copied, replace(result, outputs=_copied(result.outputs))))
        if not result.is_cached:
            self._comparison.serving_latency.add(seconds)

    def report(self) -> ShadowReport:
        """Return what was seen so far."""
        return self._comparison.report()

    async def drain(self) -> None:
        """Wait until everything that was offered has been asked and compared, or dropped by `close`."""
        await self._waiting.join()

    async def close(self) -> None:
        """Stop; what waits is not asked any more and counts as dropped, as does what is offered from now on."""
        self._is_closed = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        while not self._waiting.empty():
            self._waiting.get_nowait()
            self._waiting.task_done()
            self._comparison.dropped += 1

    async def __aenter__(self) -> "Shadow":
        self._is_closed = False
        self._task = asyncio.create_task(self._run(), name=f"shadow of version {self._version}")
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.close()

    async def _run(self) -> None:
        while True:
            request, given = await self._waiting.get()
            try:
                await self._ask(request, given)
            except asyncio.CancelledError:
                if _is_cancelled():
                    raise
                self._comparison.failed += (
                    1  # A future of the candidate's was cancelled, and not this task.
                )
            except Exception:  # noqa: BLE001 - a fault of the candidate's must not end the shadow
                self._comparison.failed += 1
            finally:
                self._waiting.task_done()

    async def _ask(self, request: InferenceRequest, given: InferenceResult) -> None:
        # The deadline was the caller's, and a cached answer would say nothing of the candidate.
        asked = replace(
            request, version=self._version, cache_key="", priority=_LAST, deadline_seconds=0.0
        )
        started = self._clock()
        async with asyncio.timeout(self._settings.timeout_seconds):
            shadow = await self._candidate.infer(asked)
        if shadow.answered_by != f"{request.model}:{self._version}":
            self._comparison.failed += 1  # Somebody stood in: two who both say HOLD do not agree.
            return
        self._comparison.candidate_latency.add(self._clock() - started)
        name = self._settings.action_output or next(iter(given.outputs))
        self._comparison.add(given.outputs[name], shadow.outputs[name])


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _copied(tensors: Tensors) -> dict[str, Array]:
    return {name: np.array(array) for name, array in tensors.items()}
