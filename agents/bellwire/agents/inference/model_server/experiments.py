"""The A/B experiments of all models, made and ended as their rollouts say, and kept on the disk."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeVar

from bellwire.agents.inference.rollout import Rollout, Side
from bellwire.agents.inference.rollout.errors import InvalidOutcomeError, NoExperimentError
from bellwire.agents.inference.rollout.experiment import ExperimentReport, ExperimentSums
from bellwire.agents.inference.rollout.experiment_file import ExperimentKey
from bellwire.agents.inference.rollout.kept_experiment import KeptExperiment

logger = logging.getLogger(__name__)
_R = TypeVar("_R")


class Experiments:
    """One experiment for each model whose rollout is in stage AB; another share or candidate begins another one.

    What is recorded is in memory at once, and on the disk after `save_seconds` at most, and at the end: that much a
    process that is killed may cost. To be used on one loop.
    """

    def __init__(self, root: Path, save_seconds: float) -> None:
        """Begin with none.

        Args:
            root: Folder of models.
            save_seconds: Between two writes, which are also looks at what other servers have seen.
        """
        self._root = root
        self._save_seconds = save_seconds
        self._running: dict[str, KeptExperiment] = {}
        self._disk = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._saver: asyncio.Task[None] | None = None

    async def follow(self, rollouts: Iterable[Rollout]) -> None:
        """End those that are not wanted any more, and begin those that are, with what was seen before."""
        keys = [key for rollout in rollouts if (key := ExperimentKey.of(rollout)) is not None]
        wanted = {key.model: key for key in keys}
        for model in [name for name, each in self._running.items() if wanted.get(name) != each.key]:
            await self._end(model)
        for model, key in wanted.items():
            if model not in self._running:
                self._running[model] = KeptExperiment(self._root, key)
                await self._sync(self._running[model])
        if self._running and self._saver is None:
            self._saver = asyncio.create_task(self._save_often(), name="experiments save")

    def record(self, model: str, key: str, returned: float | None, agrees: bool | None) -> Side:
        """Count what came of a decision; return the side that had answered for its key.

        Raises:
            NoExperimentError: The model's rollout is not in stage AB.
            InvalidOutcomeError: There is neither a return nor a comparison, or the return is not finite.
        """
        kept = self._running.get(model)
        if kept is None:
            raise NoExperimentError(model, tuple(self._running))
        if returned is None and agrees is None:
            raise InvalidOutcomeError(model, "neither a return nor a comparison")
        experiment = kept.experiment
        side = experiment.side_of(key)
        if returned is not None:
            try:
                experiment.record_return(side, returned)
            except ValueError as error:
                raise InvalidOutcomeError(model, str(error)) from error
        if agrees is not None:
            experiment.record_agreement(side, agrees=agrees)
        return side

    def report(self, model: str) -> ExperimentReport | None:
        """Return what all servers have seen, the others as of the last look; None = there is no experiment."""
        kept = self._running.get(model)
        return None if kept is None else kept.report()

    def problems(self) -> dict[str, str]:
        """Return what is wrong with keeping them, by what it is about."""
        return {
            f"experiment of {model}": kept.problem
            for model, kept in self._running.items()
            if kept.problem
        }

    async def close(self) -> None:
        """Write what was seen, and end all of them; safe to call twice."""
        self._stopping.set()
        saver, self._saver = self._saver, None
        async with AsyncExitStack() as stack:  # Each of them, whatever the saver or another raises.
            for model in self._running:
                stack.push_async_callback(self._end, model)
            if saver is not None:
                await saver

    async def _save_often(self) -> None:
        while not await self._is_stopped_within(self._save_seconds):
            for kept in tuple(self._running.values()):
                try:
                    await self._sync(kept)
                except Exception:
                    # Whatever it is, the next write may go well; without this task nothing would be kept.
                    logger.exception("experiment of %s could not be kept", kept.key.model)

    async def _is_stopped_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._stopping.wait()
        except TimeoutError:
            return False

    async def _sync(self, kept: KeptExperiment) -> None:
        async with self._disk:
            if (
                self._running.get(kept.key.model) is kept
            ):  # It may have ended while the disk was busy.
                kept.see(await _to_the_end(kept.sync, kept.experiment.sums))

    async def _end(self, model: str) -> None:
        async with self._disk:
            kept = self._running.pop(model, None)
            if kept is not None:
                await _to_the_end(kept.close, kept.experiment.sums)


async def _to_the_end(call: Callable[[ExperimentSums], _R], sums: ExperimentSums) -> _R:
    """Run a call on a thread, and do not come back before it, though cancelled: nothing is to run beside it."""
    work = asyncio.get_running_loop().run_in_executor(None, call, sums)
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        work.exception()  # Has it asked for: it is not what ends this.
        raise cancelled
    return work.result()
