"""How long a killed agent is away, with and without a warm spare: `python tests/benchmarks/restart.py`.

`make bench BENCH_ARGS="--only restart"` runs it several times and makes a table of it.

Each agent is killed by SIGKILL, again and again; the time runs from the signal to READY, which an agent says when it
is registered and its subscription runs. The supervisor's wait between the two is set to a millisecond: it is a setting
(0 to 0.1 s at random before the first restart), not a cost. Before each kill the spare, where there is one, is warm.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import uvloop

from bellwire.runtime import AgentSpec, ChildContext, Supervisor, SupervisorSettings
from bellwire.runtime.lifecycle import ProcessState
from bellwire.runtime.process import SupervisedProcess
from bellwire.runtime.standby import StandbyState
from bellwire.runtime.usage import usage_of
from bellwire.testing.server import running_coordinator

REPOSITORY = Path(__file__).resolve().parents[2]
KILLS = 15
WAIT_SECONDS = 0.001
PATIENCE_SECONDS = 30.0
AGENTS = {
    "rules (bundled)": "bellwire.agents.tactical.agent:RulesAgent",
    "numpy + ONNX Runtime": "tests.benchmarks.restart_agent:Loaded",
}
COLD = "cold"
WARM = "warm spare"


async def killed(process: SupervisedProcess) -> float:
    """Kill it; return the seconds until it is READY again."""
    if process.spec.standby:
        await process.standby.wait_for(StandbyState.WARM)
    assert process.pid is not None
    began = time.monotonic()
    os.kill(process.pid, signal.SIGKILL)
    await process.wait_for(ProcessState.BACKOFF)
    await process.wait_for(ProcessState.READY)
    return time.monotonic() - began


async def measure(kills: int) -> dict[str, Any]:
    """Return percentiles in seconds and the spare's memory, by agent and way."""
    found: dict[str, Any] = {}
    for agent, target in AGENTS.items():
        for way in (COLD, WARM):
            found.setdefault(agent, {})[way] = await _one(target, kills, way)
    return found


async def _one(target: str, kills: int, way: str) -> dict[str, float]:
    settings = SupervisorSettings(
        restarts_max=kills,
        restart_delay_first_seconds=WAIT_SECONDS,
        restart_delay_max_seconds=WAIT_SECONDS,
    )
    spec = AgentSpec(target, standby=int(way == WARM), environment={"PYTHONPATH": str(REPOSITORY)})
    async with running_coordinator() as running, Supervisor(settings) as supervisor:
        (process,) = await supervisor.start_agents([spec], ChildContext(running.unix))
        took = []
        for _ in range(kills):
            async with asyncio.timeout(PATIENCE_SECONDS):
                took.append(await killed(process))
        return {**_percentiles(took), "spare_rss_bytes": await _spare_bytes(process)}


async def _spare_bytes(process: SupervisedProcess) -> int:
    if not process.spec.standby:
        return 0
    await process.standby.wait_for(StandbyState.WARM)
    usage = usage_of(process.standby.pid or 0)
    return usage.rss_bytes if usage is not None else 0


def _percentiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        "min": ordered[0],
        "p50": ordered[len(ordered) // 2],
        "max": ordered[-1],
        "kills": len(ordered),
    }


def show(found: dict[str, Any]) -> None:
    """Print what was measured."""
    for agent, ways in found.items():
        print(agent)
        for way, took in ways.items():
            rss = took["spare_rss_bytes"]
            spare = f"  the spare holds {rss / 1e6:.0f} MB" if rss else ""
            millis = "  ".join(f"{key} {took[key] * 1e3:6.0f} ms" for key in ("min", "p50", "max"))
            print(f"  {way:<10}  {millis}  of {took['kills']} kills{spare}")


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=KILLS, help="of each agent, each way")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write it to a file")
    options = parser.parse_args(arguments)
    found = uvloop.run(measure(options.kills))
    show(found)
    if options.json:
        options.json.write_text(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
