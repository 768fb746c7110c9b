"""Starts processes in order, keeps them running, stops them in reverse order."""

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from bellwire.runtime.device import parse_device
from bellwire.runtime.errors import ProcessFailedError
from bellwire.runtime.lifecycle import ProcessState
from bellwire.runtime.machine import read_machine
from bellwire.runtime.process import SupervisedProcess
from bellwire.runtime.spec import (
    AgentSpec,
    ChildContext,
    ProcessSpec,
    SupervisorSettings,
    agent_processes,
)

logger = logging.getLogger(__name__)


class Supervisor:
    """Owns processes; leaving its `async with` block stops them all.

    Its children are killed by the kernel when the thread that runs its event loop ends: run it in
    the main thread.
    """

    def __init__(
        self,
        settings: SupervisorSettings | None = None,
        on_change: Callable[[SupervisedProcess], None] | None = None,
    ) -> None:
        """Own nothing yet.

        Args:
            settings: How processes are started, restarted and stopped.
            on_change: Called with a process each time it may be in another state; must not block or raise.
        """
        self.settings = settings or SupervisorSettings()
        self._on_change = on_change
        self.processes: list[SupervisedProcess] = []
        """All it ever started, in order."""
        self._groups: list[list[SupervisedProcess]] = []
        self._watchers: set[asyncio.Task[ProcessState]] = set()
        self._failed: asyncio.Queue[SupervisedProcess] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self, *specs: ProcessSpec) -> list[SupervisedProcess]:
        """Start processes side by side and wait until all are ready.

        Raises:
            ProcessStartError: One did not get ready; the others keep running until `stop`.
        """
        group = [SupervisedProcess(spec, self.settings, self._on_change) for spec in specs]
        self.processes += group
        self._groups.append(group)
        outcomes = await asyncio.gather(
            *(process.start() for process in group), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        for process in group:
            self._watch(process)
        return group

    async def start_agents(
        self, specs: Sequence[AgentSpec], shared: ChildContext
    ) -> list[SupervisedProcess]:
        """Start every replica of every agent side by side and wait until all are ready.

        Raises:
            MissingDeviceError: A device is not there, and its spec says to refuse.
            ProcessStartError: One did not get ready; the others keep running until `stop`.
        """
        with_gpus = any(parse_device(spec.device).gpu is not None for spec in specs)
        machine = await asyncio.to_thread(read_machine, with_gpus=with_gpus)
        processes: list[ProcessSpec] = []
        for spec in specs:
            before = len(self.processes) + len(processes)
            processes += agent_processes(spec, shared, machine, before=before)
        for process in processes:
            for notice in process.notices:
                logger.warning("process %s: %s", process.name, notice)
        return await self.start(*processes)

    async def wait_failed(self) -> SupervisedProcess:
        """Wait until a process is given up, or watched no more by a fault of our own; return it."""
        return await self._failed.get()

    async def wait_ended(self) -> None:
        """Wait until every process is over, as when all have finished by themselves."""
        await asyncio.gather(*(p.wait_for(ProcessState.STOPPED) for p in self.processes))

    async def stop(self) -> None:
        """Stop the groups in reverse order of their start, each group's processes together.

        Raises:
            ProcessFailedError: One was not watched any more; the first of them, once all are stopped.
        """
        faults: list[BaseException] = []
        while self._groups:
            group = self._groups.pop()
            outcomes = await asyncio.gather(
                *(process.stop() for process in group), return_exceptions=True
            )
            faults += [outcome for outcome in outcomes if outcome is not None]
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        if faults:
            raise faults[0]

    async def run(self, specs: Sequence[AgentSpec], shared: ChildContext) -> None:
        """Run agents until SIGTERM, SIGINT or the end of all of them; then stop what runs.

        Raises:
            ProcessStartError: One did not get ready.
            ProcessFailedError: One used its restart budget up, or was not watched any more.
        """
        loop = asyncio.get_running_loop()
        told = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, told.set)
        try:
            async with self:
                await self._run(specs, shared, told)
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    async def _run(
        self, specs: Sequence[AgentSpec], shared: ChildContext, told: asyncio.Event
    ) -> None:
        stopped = asyncio.create_task(told.wait())
        started = asyncio.create_task(self.start_agents(specs, shared))
        failed = asyncio.create_task(self.wait_failed())
        waits: set[asyncio.Task[object]] = {stopped, started}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if not started.done():
                return
            started.result()
            ended = asyncio.create_task(self.wait_ended())
            waits = {stopped, failed, ended}
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if failed.done():
                process = failed.result()
                await process.wait_for(ProcessState.FAILED)  # Raises where it is watched no more.
                raise ProcessFailedError(f"process {process.name!r} is given up: {process.reason}")
            if ended.done():
                ended.result()
        finally:
            for task in (*waits, started, failed):
                task.cancel()
            await asyncio.gather(*waits, started, failed, return_exceptions=True)

    def _watch(self, process: SupervisedProcess) -> None:
        watcher = asyncio.create_task(
            process.wait_for(ProcessState.FAILED), name=f"watch {process.name}"
        )
        self._watchers.add(watcher)

        def over(task: asyncio.Task[ProcessState]) -> None:
            if task.cancelled():
                return
            if task.exception() is not None or task.result() is ProcessState.FAILED:
                self._failed.put_nowait(process)

        watcher.add_done_callback(over)
