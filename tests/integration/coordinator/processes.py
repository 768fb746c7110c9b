"""Coordinators and peers in processes of their own, for what only a real process can show."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tests.integration.coordinator.frames import within

REPOSITORY: Final = Path(__file__).resolve().parents[3]

SERVER: Final = """
import asyncio, json, sys
from bellwire.coordinator.config import CoordinatorSettings
from bellwire.coordinator.server import Coordinator

async def main(address, settings):
    async with Coordinator(CoordinatorSettings(listen=(address,), **settings)) as coordinator:
        print("READY", flush=True)
        await coordinator.wait_closed()

asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
"""

PEER: Final = """
import asyncio, sys
from tests.integration.coordinator.frames import *

async def subscriber(bus):
    stream = await SubscribeStream(bus).open("risk")
    delivery = await stream.delivery()
    first = delivery.first_delivery_tag
    await stream.settle_tags(first, first)
    await stream.settle_tags(2**40, 2**40)  # Its refusal tells that the one before was applied.
    await stream.read_arm("settle_failure")

async def publisher(bus):
    stream = await PublishStream(bus).open()
    for index in range(3):
        await stream.publish(batch(str(index).encode()))
    await stream.acknowledged(3)
    asyncio.get_running_loop().create_task(flood(stream))
    await stream.acknowledged(50)

async def flood(stream):
    while True:
        await stream.publish(batch(b"flood"))

async def agent(bus):
    stream = await AgentStream(bus).open("doomed", "explain")
    print("REGISTERED", flush=True)
    await stream.next_call()

async def main(role, address):
    async with dial(address) as bus:
        await globals()[role](bus)
        print("READY", flush=True)
        await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


class Child:
    """A process of ours, killed when its block ends if it has not ended before."""

    def __init__(self, process: Process) -> None:
        self.process = process

    async def says(self, word: str) -> None:
        """Wait until it has written the word."""
        assert self.process.stdout is not None
        line = await within(self.process.stdout.readline())
        assert line.decode() == f"{word}\n"

    async def kill(self) -> None:
        """Kill it as the kernel would for memory, and wait for its end and that of its pipe.

        A pipe left open would be complained of whenever it is collected, in any later test.
        """
        self.process.send_signal(signal.SIGKILL)
        await within(self.process.communicate())


@asynccontextmanager
async def running(code: str, *arguments: str) -> AsyncIterator[Child]:
    """Run Python code in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, *arguments, stdout=PIPE, cwd=REPOSITORY
    )
    child = Child(process)
    try:
        yield child
    finally:
        if process.returncode is None:
            await child.kill()
