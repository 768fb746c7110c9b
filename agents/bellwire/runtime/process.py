"""One supervised process: spawned, watched, started again, stopped."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from typing import Final

from bellwire.policy.backoff import Backoff
from bellwire.runtime.errors import ProcessFailedError, ProcessStartError
from bellwire.runtime.lifecycle import Lifecycle, ProcessState, RestartBudget
from bellwire.runtime.process_log import ProcessLog
from bellwire.runtime.ready import ReadyDetails, ReadyFile, ReadyPipe, ReadySignal
from bellwire.runtime.restart_times import RestartTimes
from bellwire.runtime.spawned import Spawned, described, spawn
from bellwire.runtime.spec import ProcessSpec, SupervisorSettings, encode_stdin
from bellwire.runtime.standby import Standby
from bellwire.runtime.usage import ProcessUsage, usage_of

logger = logging.getLogger(__name__)

STOPPED_AS_TOLD: Final = (0, -signal.SIGTERM)  # The latter before it listens to the signal.


class SupervisedProcess:
    """Keeps one program running within its restart budget."""

    def __init__(
        self,
        spec: ProcessSpec,
        settings: SupervisorSettings,
        on_change: Callable[[SupervisedProcess], None] | None = None,
    ) -> None:
        """Prepare; nothing is spawned before `start`.

        Args:
            spec: What to run.
            settings: How to start, restart and stop it.
            on_change: Called with it each time it may be in another state; must not block or raise.
        """
        self.spec = spec
        self._on_change = on_change
        self.returncode: int | None = None
        """How the last one ended; negative = by that signal; None while the first one runs."""
        self.ready_seconds: float | None = None
        """From the last spawn to READY; of a spare, from its turn to READY. None before."""
        self.ready_details: ReadyDetails = {}
        """What it said with READY."""
        self.stop_fault = ""
        """How it ended when it was told to stop, if not as it should; empty when it did, or was not told."""
        self.last_words = ""
        """Why the last one that did not get ready gave up; empty when it did not say."""
        self.restart_times = RestartTimes()
        """How long it was away after crashes."""
        self._settings = settings
        self.next_start_seconds = 0.0
        """How long it waits before the next start, while it is in BACKOFF."""
        self._lifecycle = Lifecycle(
            RestartBudget(settings.restarts_max, settings.restart_window_seconds),
            Backoff(settings.restart_delay_first_seconds, settings.restart_delay_max_seconds),
        )
        self._log = ProcessLog(settings.log_dir, spec.name)
        self.standby = Standby(spec, self._log, settings.start_timeout_seconds)
        """Its spare, where the spec asks for one."""
        self._process: Spawned | None = None
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._stop = asyncio.Event()
        self._outlived_grace = False

    @property
    def name(self) -> str:
        """Name given in the spec."""
        return self.spec.name

    @property
    def state(self) -> ProcessState:
        """Where it stands."""
        return self._lifecycle.state

    @property
    def restarts(self) -> int:
        """Times it was started again."""
        return self._lifecycle.restarts

    @property
    def reason(self) -> str:
        """Why it is FAILED, or why it was started again last; empty when neither."""
        return self._lifecycle.reason

    @property
    def pid(self) -> int | None:
        """Process id while one is there."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    def usage(self) -> ProcessUsage | None:
        """Return CPU seconds and resident bytes; None when no process is there."""
        return usage_of(self.pid) if self.pid is not None else None

    async def start(self) -> None:
        """Spawn it and wait until it is ready.

        Raises:
            ProcessStartError: It ended, or was not ready within the start timeout.
        """
        self._task = asyncio.create_task(self._run(), name=f"supervise {self.name}")
        self._task.add_done_callback(lambda _: self._notify())
        state = await self.wait_for(ProcessState.READY)
        if state is not ProcessState.READY and self.ready_seconds is None:
            reason = self.reason or "it was told to stop before it was ready"
            raise ProcessStartError(f"process {self.name!r} did not start: {reason}")

    async def wait_for(self, *states: ProcessState) -> ProcessState:
        """Wait until it is in one of the states, or over; return its state.

        Raises:
            ProcessFailedError: Nobody watches it any more, by a fault of our own.
        """
        while self.state not in states and not self._lifecycle.is_over:
            if self._task is not None and self._task.done():
                await self._watched()
            await self._changed.wait()
        return self.state

    async def stop(self) -> None:
        """Send SIGTERM, after the grace SIGKILL, and wait until it is gone.

        Raises:
            ProcessFailedError: Nobody watched it any more, by a fault of our own; it is gone all the same.
        """
        self._stop.set()
        if self._lifecycle.stop():
            self._notify()
            await self._terminate()
        await self._watched()
        self._notify()

    async def _watched(self) -> None:
        """Wait until nobody watches the process any more; raise when that is by a fault of our own."""
        if self._task is None:
            return
        try:
            await self._task
        except Exception as error:
            raise ProcessFailedError(
                f"process {self.name!r} was ended, for nobody watches it any more: {error!r}"
            ) from error

    async def _run(self) -> None:
        """Spawn, watch, and spawn again until it is over."""
        try:
            while not self._stop.is_set():
                description, is_clean = await self._run_once()
                if not await self._goes_on(description, is_clean):
                    return
        finally:
            await self.standby.close()

    async def _goes_on(self, description: str, is_clean: bool) -> bool:
        """Decide after an end what follows, and wait until it is time; False when it is over."""
        now = time.monotonic()
        if self.state is ProcessState.STOPPING:
            self.stop_fault = self._fault_of_stop()
        delay = self._lifecycle.ended(now, description, is_clean=is_clean)
        self.next_start_seconds = delay or 0.0
        self._notify()
        if delay is None:
            if self.state is ProcessState.FAILED:
                logger.error("process %s is given up: %s", self.name, self.reason)
            return False
        self.restart_times.ended(now)
        logger.warning("process %s %s; starting it again in %.2f s", self.name, description, delay)
        return not await self._told_to_stop_within(delay)

    def _fault_of_stop(self) -> str:
        if self.returncode in STOPPED_AS_TOLD or self.returncode is None:
            return ""
        late = ", for it did not end when told to" if self._outlived_grace else ""
        return described(self.returncode) + late

    async def _told_to_stop_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return False
        return True

    async def _run_once(self) -> tuple[str, bool]:
        """Run it from spawn to end; return how it ended and whether that was clean."""
        self._lifecycle.started()
        self._notify()
        began = time.monotonic()
        try:
            process = await self.standby.take(self.restarts) or await self._spawn()
        except OSError as error:
            return f"could not be spawned: {error}", False
        self._process = process
        try:
            return await self._follow(process, began)
        except BaseException:
            if process.returncode is None:
                process.kill()  # Nobody would watch it, nor start it again.
            raise
        finally:
            process.close()

    async def _follow(self, process: Spawned, began: float) -> tuple[str, bool]:
        """Wait for its READY and its end."""
        if self._stop.is_set():
            await self._terminate()
        timeout = self._settings.start_timeout_seconds
        details = await process.wait_ready(timeout)
        in_time = details is not None or process.returncode is not None
        if details is not None:
            self._note_ready(details, began)
            await self.standby.prepare()
        elif not in_time:
            process.kill()
        self.returncode = await process.wait()
        if not in_time:
            return f"was not ready within {timeout:g} s{self._log.tail()}", False
        was_ready = self.state is ProcessState.READY
        description = described(self.returncode)
        if not was_ready:
            description += f" before it was ready{self._told(process)}"
        return description, was_ready and self.returncode == 0

    def _told(self, process: Spawned) -> str:
        """Return what is known of why it did not get ready, as a part of a sentence."""
        self.last_words = process.last_words()
        return f": {self.last_words}" if self.last_words else self._log.tail()

    def _note_ready(self, details: ReadyDetails, began: float) -> None:
        now = time.monotonic()
        self.ready_seconds = now - began
        self.ready_details = details
        if self.state is ProcessState.STARTING:  # else it is being stopped
            self.restart_times.ready(now)
            self._lifecycle.ready()
            if self.restarts:
                away = self.restart_times.last_seconds
                logger.info("process %s is READY again, %.3f s after its end", self.name, away)
            self._notify()

    async def _spawn(self) -> Spawned:
        ready: ReadySignal = (
            ReadyFile(self.spec.ready_file) if self.spec.ready_file else ReadyPipe()
        )
        process = await spawn(self.spec, self._log, ready)
        process.give(encode_stdin(self.spec, self.restarts), is_last=True)
        return process

    async def _terminate(self) -> None:
        """Ask the process to stop; kill it, and what it started, when it does not."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.ask_to_stop()
        try:
            async with asyncio.timeout(self._settings.stop_grace_seconds):
                await process.wait()
        except TimeoutError:
            self._outlived_grace = True
            grace = self._settings.stop_grace_seconds
            logger.warning("process %s ignored SIGTERM for %g s; killing it", self.name, grace)
            process.kill()

    def _notify(self) -> None:
        """Wake everybody who waits for a state."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        if self._on_change is not None:
            self._on_change(self)
