"""A server of models that is killed in the middle of an experiment, and one that goes on in its place."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest
from tests.unit.agents.inference.model_server.conftest import Publish, publish, settings_of

from bellwire.agents.inference.model_server import ModelServer
from bellwire.agents.inference.rollout import Author, RolloutFile, Stage

__all__ = ["publish"]

pytestmark = pytest.mark.integration

SECONDS = 30
FOR_EVER = """
import asyncio, sys
from itertools import count
from pathlib import Path
from bellwire.agents.inference.model_server import ModelServer, ModelServerSettings

async def main():
    async with ModelServer(Path(sys.argv[1]), ModelServerSettings(experiment_seconds=0.05)) as server:
        for number in count(1):
            server.record_outcome("actor", f"symbol-{number}", returned=1.0, agrees=True)
            print(number, flush=True)
            await asyncio.sleep(0)

asyncio.run(main())
"""


async def test_a_kill_costs_what_was_seen_since_the_last_write_and_no_more(
    tmp_path: Path, publish: Publish
) -> None:
    publish(1)
    publish(2)
    RolloutFile(tmp_path, "actor").take(
        lambda before: before.start(2, Stage.AB, 0.5, Author("ada", "why"), 1), serving=1
    )
    sums = tmp_path / "actor" / "experiment" / "0.json"
    seen = 0
    for _ in range(3):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", FOR_EVER, str(tmp_path)), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        async with asyncio.timeout(SECONDS):
            while not sums.exists() or _written(sums) <= seen:
                assert await process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        await process.communicate()
        assert process.returncode == -signal.SIGKILL
        seen, before = _written(sums), seen
        assert seen > before, "the one before was forgotten"
    async with ModelServer(tmp_path, settings_of()) as server:
        (rollout,) = server.statistics().rollouts
    assert rollout.experiment is not None
    returns = rollout.experiment.returns
    assert returns.serving_count + returns.candidate_count == seen
    assert server.problems == {}


def _written(sums: Path) -> int:
    """Return how many outcomes are on the disk; the file is replaced whole, so it can be read at any time."""
    sides = json.loads(sums.read_text())["sums"].values()
    return sum(side["compared"] for side in sides)
