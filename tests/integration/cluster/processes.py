"""A group of `bellwire serve` processes, to be killed and stopped."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.crash.processes import CoordinatorProcess

EVENT_SECONDS = 30.0


def free_ports(count: int) -> int:
    """Return the first of so many free ports in a row, below those that the kernel gives out by itself.

    Of those one could be taken while a killed coordinator is started again.
    """
    for first in random.sample(range(10_000, 30_000), 100):
        with ExitStack() as stack, suppress(OSError):
            for port in range(first, first + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
    raise AssertionError(f"no {count} ports in a row are free among 100 places tried")


class Served:
    """One place of a group, and the process that serves it at the moment."""

    def __init__(self, group: ServedGroup, name: str) -> None:
        self.name = name
        self.address = f"127.0.0.1:{free_ports(1)}"
        self.role = ""
        self._group = group
        self._folder = group.folder / name
        self._folder.mkdir()
        self._process: CoordinatorProcess | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it and wait until it listens."""
        self._process = await CoordinatorProcess.serve(
            self.address, self._folder, *self._group.arguments
        )
        await self._process.ready()
        self._reading = asyncio.create_task(self._read(self._process))

    async def _read(self, process: CoordinatorProcess) -> None:
        """Take note of its roles until it ends."""
        assert process.process.stdout is not None
        while line := await process.process.stdout.readline():
            event: dict[str, Any] = json.loads(line)
            if event["event"] == "role":
                self.role = event["role"]
                self._group.changed.set()
        self.role = ""
        self._group.changed.set()

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self._process is not None
        self._process.process.send_signal(number)

    async def kill(self) -> None:
        """End it without a warning."""
        assert self._process is not None
        self._process.kill()
        await self._process.process.wait()
        await self._ended()

    async def stop(self) -> None:
        """Have it end in order."""
        if self._process is None:
            return
        if self._process.running:
            self.send(signal.SIGCONT)
            self._process.terminate()
        await self._process.process.wait()
        await self._ended()

    async def _ended(self) -> None:
        if self._reading is not None:
            await self._reading
        self._process = self._reading = None

    def said(self) -> str:
        """What it wrote to stderr."""
        return (self._folder / "coordinator.log").read_text()


class ServedGroup:
    """Some places of one group."""

    def __init__(self, folder: Path, kafka: str, redis: str, count: int, *more: str) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.changed = asyncio.Event()
        self.arguments: tuple[str, ...] = (
            *("--kafka", kafka, "--default-log", "kafka", "--redis", redis),
            *("--set", f"coordinator.kafka_state_topic=_state-{uuid4().hex}"),
            *("--set", "coordinator.heartbeat_seconds=0.5"),
            *more,
        )
        self.places = [Served(self, f"c{number}") for number in range(count)]

    @property
    def addresses(self) -> str:
        """All of them, as clients take them."""
        return ",".join(place.address for place in self.places)

    async def start(self) -> Served:
        """Start all; return the active one."""
        for place in self.places:
            await place.start()
        return await self.active()

    async def active(self, but: Served | None = None) -> Served:
        """Wait for an active one, another than that."""
        await self.until(lambda: any(p.role == "active" and p is not but for p in self.places))
        return next(p for p in self.places if p.role == "active" and p is not but)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until roles are as wanted."""
        async with asyncio.timeout(EVENT_SECONDS):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def stop(self) -> None:
        """End all in order."""
        await asyncio.gather(*(place.stop() for place in self.places))
