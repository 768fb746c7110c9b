"""The publishers and subscribers of a load test, as processes that are told what to do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypedDict

from bellwire.cli.demo.log_tail import log_tail
from bellwire.cli.faults import CommandError
from bellwire.cli.loadtest.protocol import Description, Json
from bellwire.cli.loadtest.worker import LINE_BYTES_MAX
from bellwire.runtime.spawned import LAUNCHER

__all__ = ["WorkerProcess", "ask_all", "started_worker"]

MODULE: Final = "bellwire.cli.loadtest.worker"
READY_SECONDS_MAX: Final = 60.0  # 64 of them on two cores are ready after half of that.
ANSWER_SECONDS_MAX: Final = 30.0  # Of a process that is starved by the load it makes.
STOP_SECONDS_MAX: Final = 10.0


class _Answer(TypedDict, total=False):
    id: int
    result: Json
    failure: str


class WorkerProcess:
    """One started process; commands run side by side, each is answered by its id."""

    def __init__(self, name: str, process: Process, log: Path) -> None:
        self.name = name
        self._process = process
        self._log = log
        self._next_id = 1
        self._ready: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._answers: dict[int, asyncio.Future[Json]] = {0: self._ready}
        self._reading = asyncio.create_task(self._read(), name=f"answers of {name}")

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    async def ready(self) -> None:
        """Wait until it is connected.

        Raises:
            CommandError: It could not, or ended.
        """
        try:
            async with asyncio.timeout(READY_SECONDS_MAX):
                await self._ready
        except TimeoutError:
            raise self._failed(f"was not ready within {READY_SECONDS_MAX:g} s") from None

    async def ask(
        self, command: str, arguments: Mapping[str, object] | None = None, *, takes: float = 0.0
    ) -> Json:
        """Send a command and wait for its answer.

        Args:
            command: What to do.
            arguments: Of the command.
            takes: Seconds that the work itself may take; the answer may take some more.

        Raises:
            CommandError: It failed, gave no answer in time, or the process ended.
        """
        if self._reading.done():
            raise self._failed("has ended")
        number, self._next_id = self._next_id, self._next_id + 1
        answer: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            self.write({"id": number, "do": command, **(arguments or {})})
            async with asyncio.timeout(takes + ANSWER_SECONDS_MAX):
                return await answer
        except TimeoutError:
            waited = takes + ANSWER_SECONDS_MAX
            raise self._failed(f"no answer to {command!r} within {waited:g} s") from None
        finally:
            self._answers.pop(number, None)

    def write(self, line: Json) -> None:
        """Send one line."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(line).encode() + b"\n")

    async def stop(self) -> None:
        """Close its input, which ends it; kill it when it does not."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(STOP_SECONDS_MAX):
                await self._process.wait()
        except TimeoutError:
            await self.kill()
        finally:
            await self._forget()

    async def kill(self) -> None:
        """End it at once, whatever it is waiting for."""
        try:
            # Not `Process.kill`: it polls first, and so takes the exit status of a process that has
            # just ended away from the event loop, which then complains on stderr and reports 255.
            if self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._process.pid, signal.SIGKILL)
            await self._process.wait()
        finally:
            await self._forget()

    async def _forget(self) -> None:
        if not self._reading.done():
            self._reading.cancel()
            await asyncio.wait([self._reading])

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            reply: _Answer = json.loads(line)
            answer = self._answers.get(reply["id"])
            if answer is None or answer.done():
                continue
            if "failure" in reply:
                answer.set_exception(self._failed(reply["failure"], with_log=True))
            else:
                answer.set_result(reply["result"])
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(self._failed("ended unasked", with_log=True))

    def _failed(self, what: str, *, with_log: bool = False) -> CommandError:
        return CommandError(f"{self.name}: {what}", details=log_tail(self._log) if with_log else "")


async def ask_all(
    workers: Sequence[WorkerProcess],
    command: str,
    arguments: Mapping[str, object] | None = None,
    *,
    takes: float = 0.0,
) -> list[Json]:
    """Ask several processes side by side; raises what `WorkerProcess.ask` does."""
    asking = (worker.ask(command, arguments, takes=takes) for worker in workers)
    return list(await asyncio.gather(*asking))


@asynccontextmanager
async def started_worker(
    name: str, folder: Path, description: Description
) -> AsyncIterator[WorkerProcess]:
    """Start a process; await its `ready`, so that several start side by side. It is gone afterwards."""
    log = folder / f"{name.replace(' ', '-')}.log"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-S", LAUNCHER, str(os.getpid()), ""),
            *(sys.executable, "-m", MODULE),
            stdin=PIPE,
            stdout=PIPE,
            stderr=errors,
            limit=LINE_BYTES_MAX,
        )
    worker = WorkerProcess(name, process, log)
    try:
        worker.write({**description})
        yield worker
    except BaseException:
        # The run has failed or is cut off: what the worker still waits for is of no use.
        await worker.kill()
        raise
    else:
        await worker.stop()
