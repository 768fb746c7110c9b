"""One supervised process: spawned, watched, started again, stopped."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path
from typing import IO, Final

from bellwire.policy.backoff import Backoff
from bellwire.runtime.errors import ProcessStartError
from bellwire.runtime.lifecycle import Lifecycle, ProcessState, RestartBudget
from bellwire.runtime.ready import ReadyDetails, ReadyFile, ReadyPipe, ReadySignal
from bellwire.runtime.spec import ProcessSpec, SupervisorSettings, encode_stdin
from bellwire.runtime.usage import ProcessUsage, usage_of

logger = logging.getLogger(__name__)

LAUNCHER: Final = str(Path(__file__).with_name("launch.py"))
STDERR_FD: Final = 2
LOG_TAIL_BYTES: Final = 2048  # of a child's log, repeated in the error when it does not start


class SupervisedProcess:
    """Keeps one program running within its restart budget."""

    def __init__(self, spec: ProcessSpec, settings: SupervisorSettings) -> None:
        """Prepare; nothing is spawned before `start`."""
        self.spec = spec
        self.returncode: int | None = None
        """How the last one ended; negative = by that signal; None while the first one runs."""
        self.ready_seconds: float | None = None
        """From the last spawn to READY; None before."""
        self.ready_details: ReadyDetails = {}
        """What it said with READY."""
        self._settings = settings
        self._lifecycle = Lifecycle(
            RestartBudget(settings.restarts_max, settings.restart_window_seconds),
            Backoff(settings.restart_delay_first_seconds, settings.restart_delay_max_seconds),
        )
        self._process: Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._stop = asyncio.Event()

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
        """Wait until it is in one of the states, or over; return its state."""
        while self.state not in states and not self._lifecycle.is_over:
            if self._task is not None and self._task.done():
                await self._task  # raises why nobody watches the process any more
            await self._changed.wait()
        return self.state

    async def stop(self) -> None:
        """Send SIGTERM, after the grace SIGKILL, and wait until it is gone."""
        self._stop.set()
        if self._lifecycle.stop():
            self._notify()
            await self._terminate()
        if self._task is not None:
            await self._task
        self._notify()

    async def _run(self) -> None:
        """Spawn, watch, and spawn again until it is over."""
        while True:
            if self._stop.is_set():
                return
            description, is_clean = await self._run_once()
            now = asyncio.get_running_loop().time()
            delay = self._lifecycle.ended(now, description, is_clean=is_clean)
            self._notify()
            if delay is None:
                if self.state is ProcessState.FAILED:
                    logger.error("process %s is given up: %s", self.name, self.reason)
                return
            logger.warning(
                "process %s %s; starting it again in %.2f s", self.name, description, delay
            )
            if await self._told_to_stop_within(delay):
                return

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
        ready: ReadySignal = (
            ReadyFile(self.spec.ready_file) if self.spec.ready_file else ReadyPipe()
        )
        try:
            spawned = time.monotonic()
            process = await self._spawn(ready)
            if self._stop.is_set():
                await self._terminate()
            in_time = await self._watch_start(process, ready, spawned)
        except OSError as error:
            return f"could not be spawned: {error}", False
        finally:
            ready.close()
        self.returncode = await process.wait()
        _sweep(process.pid)
        if not in_time:
            timeout = self._settings.start_timeout_seconds
            return f"was not ready within {timeout:g} s{self._log_tail()}", False
        was_ready = self.state is ProcessState.READY
        description = _described(self.returncode)
        if not was_ready:
            description += f" before it was ready{self._log_tail()}"
        return description, was_ready and self.returncode == 0

    async def _watch_start(self, process: Process, ready: ReadySignal, spawned: float) -> bool:
        """Wait for READY, the end or the timeout; False after killing it for the timeout."""
        ended = asyncio.create_task(process.wait())
        said = asyncio.create_task(ready.wait())
        try:
            await asyncio.wait(
                {ended, said},
                timeout=self._settings.start_timeout_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if said.done():
                self._note_ready(said.result(), time.monotonic() - spawned)
            elif not ended.done():
                self._kill(process)
                return False
            return True
        finally:
            for task in (said, ended):
                task.cancel()
            await asyncio.gather(said, ended, return_exceptions=True)

    def _note_ready(self, details: ReadyDetails, seconds: float) -> None:
        self.ready_seconds = seconds
        self.ready_details = details
        if self.state is ProcessState.STARTING:  # else it is being stopped
            self._lifecycle.ready()
            self._notify()

    async def _spawn(self, ready: ReadySignal) -> Process:
        environment = {**os.environ, **self.spec.environment, **ready.environment}
        cpus = ",".join(str(cpu) for cpu in self.spec.cpus)
        stdin = encode_stdin(self.spec, self.restarts)
        log = self._open_log()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-I", "-S", LAUNCHER, str(os.getpid()), cpus, *self.spec.argv),
                stdin=PIPE if stdin else DEVNULL,
                stdout=log or STDERR_FD,
                stderr=log or STDERR_FD,
                env=environment,
                pass_fds=ready.child_fds,
            )
        finally:
            if log is not None:
                log.close()
        self._process = process
        ready.spawned()
        if process.stdin is not None:
            await _feed(process, stdin)
        return process

    async def _terminate(self) -> None:
        """Ask the process to stop; kill it, and what it started, when it does not."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        _signal(process, signal.SIGTERM)
        try:
            async with asyncio.timeout(self._settings.stop_grace_seconds):
                await process.wait()
        except TimeoutError:
            grace = self._settings.stop_grace_seconds
            logger.warning("process %s ignored SIGTERM for %g s; killing it", self.name, grace)
            self._kill(process)

    def _kill(self, process: Process) -> None:
        """Kill it and its process group: it may have children of its own."""
        _sweep(process.pid)
        _signal(process, signal.SIGKILL)

    def _open_log(self) -> IO[bytes] | None:
        path = self._log_path()
        if path is None:
            return None
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab")

    def _log_path(self) -> Path | None:
        directory = self._settings.log_dir
        return Path(directory) / f"{self.name}.log" if directory else None

    def _log_tail(self) -> str:
        path = self._log_path()
        if path is None or not path.exists():
            return ""
        text = path.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()
        return f"; its log {path} ends:\n{text}"

    def _notify(self) -> None:
        """Wake everybody who waits for a state."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


async def _feed(process: Process, data: bytes) -> None:
    """Write its input; a process that died meanwhile is seen by its end."""
    stdin = process.stdin
    if stdin is None:
        return
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            stdin.write(data)
            await stdin.drain()
    finally:
        stdin.close()


def _signal(process: Process, number: signal.Signals) -> None:
    """Send a signal unless the process is known to be gone.

    Not by `Process.send_signal`: that polls first, and so takes the exit status of a process that
    has just ended away from the event loop, which then reports 255.
    """
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


def _sweep(group: int) -> None:
    """Kill what is left of a process group, once its leader is gone or shall go."""
    # Nobody may be left in it, or it was never made.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _described(returncode: int) -> str:
    if returncode >= 0:
        return f"ended with exit code {returncode}"
    try:
        return f"was ended by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"was ended by signal {-returncode}"
