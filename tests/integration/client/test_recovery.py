"""How soon publishers and subscribers are back once a restarted coordinator listens."""

from __future__ import annotations

import asyncio
import random
import signal
import socket
import statistics
import sys
import time
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from bellwire.client import EARLIEST, Client, ClientSettings, Subscription, connect
from bellwire.transport.channel import TransportSettings

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

REPOSITORY: Final = Path(__file__).resolve().parents[3]
ROUNDS: Final = 12
DOWN_SECONDS: Final = (0.2, 3.0)  # Short restarts, and outages that let every backoff grow.
RECOVERED_SECONDS: Final = 0.5  # What the project promises for the median.
ROUND_SECONDS: Final = 30.0

# The clock is the machine's: it says the same in this process and in that one.
SERVER: Final = """
import asyncio, sys, time
from bellwire.coordinator.config import CoordinatorSettings
from bellwire.coordinator.server import Coordinator

async def main(address, data):
    async with Coordinator(CoordinatorSettings(listen=(address,), data=data, default_log="sqlite")):
        print(time.monotonic(), flush=True)
        await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


class Restartable:
    """A coordinator in a process of its own that can be killed and started again."""

    def __init__(self, address: str, data: Path) -> None:
        self.address = address
        self._data = data
        self._process: Process | None = None

    async def start(self) -> float:
        """Start it; return the monotonic second at which it listened."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", SERVER, self.address, str(self._data), stdout=PIPE, cwd=REPOSITORY
        )
        assert self._process.stdout is not None
        return float(await self._process.stdout.readline())

    async def kill(self) -> None:
        """Kill it as the kernel would for memory, and wait for its end."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.communicate()
            self._process = None


@dataclass
class Measured:
    """Seconds from "listens" to the first acknowledgement, and to the first delivery."""

    acks: list[float] = field(default_factory=list)
    deliveries: list[float] = field(default_factory=list)

    def report(self, transport: str) -> str:
        def line(values: list[float]) -> str:
            millis = sorted(value * 1_000 for value in values)
            return f"p50 {statistics.median(millis):.0f} ms, max {millis[-1]:.0f} ms"

        return (
            f"recovery over {transport}, {len(self.acks)} restarts: first ack {line(self.acks)}; "
            f"first delivery {line(self.deliveries)}"
        )


async def until_delivered(subscription: Subscription, number: int) -> float:
    """Read on to a message; return when it came."""
    async for received in subscription:
        if int(received.data) == number:
            return time.monotonic()
    raise AssertionError("the subscription ended")


async def one_restart(
    server: Restartable, client: Client, subscription: Subscription, number: int, down: float
) -> tuple[float, float]:
    await server.kill()
    publishing = asyncio.create_task(
        client.publisher().publish("orders", str(number).encode(), timeout=ROUND_SECONDS)
    )
    delivered = asyncio.create_task(until_delivered(subscription, number))
    await asyncio.sleep(down)
    listening_at = await server.start()
    await publishing
    acknowledged_at = time.monotonic()
    return acknowledged_at - listening_at, await delivered - listening_at


async def measure(server: Restartable, seed: int, *, socket_lane: bool) -> Measured:
    settings = ClientSettings(
        timeout_seconds=ROUND_SECONDS, transport=TransportSettings(socket_lane=socket_lane)
    )
    chance = random.Random(seed)
    found = Measured()
    await server.start()
    try:
        async with (
            connect(server.address, settings) as client,
            client.subscribe("orders", subscription="risk", start=EARLIEST) as subscription,
        ):
            await client.publisher().publish("orders", b"0")
            await until_delivered(subscription, 0)
            for number in range(1, ROUNDS + 1):
                async with asyncio.timeout(ROUND_SECONDS):
                    ack, delivery = await one_restart(
                        server, client, subscription, number, chance.uniform(*DOWN_SECONDS)
                    )
                found.acks.append(ack)
                found.deliveries.append(delivery)
    finally:
        await server.kill()
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize("transport", ["tcp", "unix", "lane"])
async def test_after_a_restart_clients_are_back_within_half_a_second_of_its_listening(
    transport: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address = f"127.0.0.1:{free_port()}" if transport == "tcp" else f"unix://{tmp_path}/bus.sock"
    found = await measure(
        Restartable(address, tmp_path / "data"), seed=5, socket_lane=transport == "lane"
    )
    with capsys.disabled():
        print(f"\n{found.report(transport)}")
    assert statistics.median(found.acks) < RECOVERED_SECONDS
    assert statistics.median(found.deliveries) < RECOVERED_SECONDS
