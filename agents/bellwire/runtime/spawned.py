"""One operating-system process, from its spawn to its end."""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bellwire.runtime.process_log import ProcessLog
from bellwire.runtime.ready import ReadyDetails, ReadySignal
from bellwire.runtime.spec import ProcessSpec

LAUNCHER: Final = str(Path(__file__).with_name("launch.py"))


class Spawned:
    """A program that runs, with the pipes on which it says how far it is."""

    def __init__(self, process: Process, signals: tuple[ReadySignal, ...]) -> None:
        """Own them.

        Args:
            process: Just spawned.
            signals: READY, then others; open until `close`, so that no late word breaks a pipe.
        """
        self._process = process
        self._signals = signals

    @property
    def pid(self) -> int:
        """Process id; another's once it was waited for."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended; negative = by that signal; None while it runs."""
        return self._process.returncode

    def give(self, data: bytes, *, is_last: bool) -> None:
        """Write to its standard input; a process that died meanwhile is seen by its end.

        Args:
            data: Kept here until the program has read it: a spec, not a stream.
            is_last: Close the input behind it.
        """
        stdin = self._process.stdin
        if stdin is None or stdin.is_closing():
            return
        stdin.write(data)
        if is_last:
            stdin.close()

    async def wait(self) -> int:
        """Wait until it is gone; return how it ended. What it started is killed."""
        returncode = await self._process.wait()
        sweep(self._process.pid)
        return returncode

    async def wait_ready(self, timeout_seconds: float) -> ReadyDetails | None:
        """Wait for READY; return what came with it, or None when it ended or stayed silent."""
        ended = asyncio.create_task(self._process.wait())
        said = asyncio.create_task(self._signals[0].wait())
        try:
            await asyncio.wait(
                {ended, said}, timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED
            )
            return said.result() if said.done() else None
        finally:
            for task in (said, ended):
                task.cancel()
            await asyncio.gather(said, ended, return_exceptions=True)

    def last_words(self) -> str:
        """Return why it gave up before it was ready, once it has ended; empty when it did not say."""
        return self._signals[0].last_words()

    def close(self) -> None:
        """Let go of the pipes; the process is not touched."""
        for each in self._signals:
            each.close()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""
        _signal(self._process, signal.SIGTERM)

    def kill(self) -> None:
        """Kill it and its process group: it may have children of its own."""
        sweep(self._process.pid)
        _signal(self._process, signal.SIGKILL)


async def spawn(
    spec: ProcessSpec, log: ProcessLog, ready: ReadySignal, *others: ReadySignal
) -> Spawned:
    """Start a program through the launcher, which pins it and ties its life to ours.

    Args:
        spec: What to start.
        log: Takes its output.
        ready: How it says READY; closed with the process's pipes, as the others are.
        others: What else it may say.

    Raises:
        OSError: It could not be started; the signals are closed.
    """
    signals = (ready, *others)
    environment = {**os.environ, **spec.environment}
    for each in signals:
        environment.update(each.environment)
    try:
        with log.opened() as file:
            process = await asyncio.create_subprocess_exec(
                *launched(spec.argv, spec.cpus),
                stdin=DEVNULL if spec.stdin_json is None else PIPE,
                stdout=file,
                stderr=file,
                env=environment,
                pass_fds=[fd for each in signals for fd in each.child_fds],
            )
    except OSError:
        for each in signals:
            each.close()
        raise
    for each in signals:
        each.spawned()
    return Spawned(process, signals)


def launched(argv: Sequence[str], cpus: Sequence[int] = ()) -> tuple[str, ...]:
    """Return what starts a program in a process group of its own that the kernel kills when we die.

    Args:
        argv: Program and arguments.
        cpus: CPUs it may run on; empty = all we may.
    """
    allowed = ",".join(str(cpu) for cpu in cpus)
    return (sys.executable, "-I", "-S", LAUNCHER, str(os.getpid()), allowed, *argv)


def described(returncode: int) -> str:
    """Say for people how a process ended."""
    if returncode >= 0:
        return f"ended with exit code {returncode}"
    try:
        return f"was ended by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"was ended by signal {-returncode}"


def _signal(process: Process, number: signal.Signals) -> None:
    """Send a signal unless the process is known to be gone.

    Not by `Process.send_signal`: that polls first, and so takes the exit status of a process that
    has just ended away from the event loop, which then reports 255.
    """
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


def sweep(group: int) -> None:
    """Kill what is left of a process group, once its leader is gone or shall go."""
    # Nobody may be left in it, or it was never made.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
