"""What it costs to call an agent through another coordinator: `python -m tests.benchmarks.forwarded_calls`.

Two groups of one coordinator each, as processes, on a Kafka and a Redis of their own; the agent, which answers at once,
and the caller are this process. Calls through the coordinator of the agent and through the other one take turns, one
after the other.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import uvloop
from tests.integration.cluster.processes import ServedGroup
from tests.integration.coordinator.frames import AgentStream, Stubs, dial, eventually

from bellwire.agent.v1 import agent_pb2, invocation_pb2
from bellwire.testing.kafka import running_kafka
from bellwire.testing.redis import running_redis

CALLS = 3_000
WARM_UP = 300
TOOL = "answer"
PERCENTILES = (50, 95, 99)


async def serve(agent: AgentStream) -> None:
    """Answer every call at once."""
    with suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
        while True:
            await agent.answer(await agent.next_call())


async def known(bus: Stubs) -> None:
    async def agents() -> int:
        await asyncio.sleep(0.01)  # The directory has no event; the deadline is `eventually`'s.
        return len((await bus.agents.ListAgents(agent_pb2.ListAgentsRequest())).agents)

    await eventually(agents, lambda count: count == 1)


async def timed(bus: Stubs) -> float:
    """Make one call; return its microseconds."""
    request = invocation_pb2.InvokeRequest(capability=TOOL, arguments=b'{"symbol":"EURUSD"}')
    began = time.perf_counter_ns()
    await bus.invocation.Invoke(request, timeout=10)
    return (time.perf_counter_ns() - began) / 1_000


def line(name: str, micros: list[float]) -> str:
    ordered = sorted(micros)
    figures = (ordered[min(len(ordered) - 1, len(ordered) * p // 100)] for p in PERCENTILES)
    return f"{name:<28}" + "  ".join(
        f"p{p} {figure:7.0f} µs" for p, figure in zip(PERCENTILES, figures, strict=True)
    )


async def measure(kafka: str, redis: str, folder: Path) -> None:
    """Print a line for each way."""
    directory = ("--set", f"coordinator.agent_directory=d-{uuid4().hex}")
    groups: list[ServedGroup] = []
    try:
        places: list[Any] = []
        for name in ("agent", "caller"):
            (folder / name).mkdir()
            group = ServedGroup(folder / name, kafka, redis, 1, "--topics", f"{name}.>", *directory)
            groups.append(group)
            places.append(await group.start())
        async with dial(places[0].address) as there, dial(places[1].address) as here:
            agent = await AgentStream(there).open("values-0", TOOL)
            serving = asyncio.create_task(serve(agent))
            await known(here)
            found: dict[str, list[float]] = {"its own coordinator": [], "another coordinator": []}
            for number in range(WARM_UP + CALLS):
                for bus, micros in zip((there, here), found.values(), strict=True):
                    took = await timed(bus)
                    if number >= WARM_UP:
                        micros.append(took)
            serving.cancel()
            await serving
        print(f"{CALLS:,} calls each, in turn, one after the other")
        for name, micros in found.items():
            print(line(name, micros))
    finally:
        await asyncio.gather(*(group.stop() for group in groups))


def main() -> None:
    with (
        running_kafka() as kafka,
        running_redis() as redis,
        tempfile.TemporaryDirectory() as folder,
    ):
        uvloop.run(measure(kafka.bootstrap, redis.url, Path(folder)))


if __name__ == "__main__":
    main()
