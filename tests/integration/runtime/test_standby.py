"""A spare that takes a crashed process's place."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from bellwire.client import connect
from bellwire.runtime import AgentSpec, ChildContext, ProcessSpec, Supervisor, SupervisorSettings
from bellwire.runtime.lifecycle import ProcessState
from bellwire.runtime.process import SupervisedProcess
from bellwire.runtime.standby import StandbyState
from bellwire.testing import running_coordinator

pytestmark = pytest.mark.integration

SETTINGS = SupervisorSettings(restart_delay_first_seconds=0.01, restart_delay_max_seconds=0.02)
PATIENCE_SECONDS = 20.0
PROGRAM = """
import json, os, signal, sys
def say(variable, details):
    fd = int(os.environ[variable]); os.write(fd, b"READY " + json.dumps(details).encode() + b"\\n"); os.close(fd)
spec = json.loads(sys.stdin.readline())
was_spare = spec.pop("is_spare", False)
if was_spare:
    LOAD
    say("BELLWIRE_WARM_FD", {})
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    spec.update(json.loads(line))
say("BELLWIRE_READY_FD", {**spec, "was_spare": was_spare, "pid": os.getpid()})
signal.pause()
"""
AGENT = '''
import os
from pathlib import Path

from bellwire.runtime import Agent, tool


class Slow(Agent):
    """Writes down what it did in which process."""

    name = "slow"
    default_settings = {"trail": ""}

    def __init__(self, settings=None, *, agent_id=""):
        super().__init__(settings, agent_id=agent_id)
        self.note("made")

    async def on_start(self):
        self.note("started")

    def note(self, word):
        with Path(self.settings["trail"]).open("a") as trail:
            trail.write(f"{word} {os.getpid()}\\n")

    @tool()
    async def pid(self) -> int:
        """Return the process id."""
        return os.getpid()
'''

Start = Callable[..., Awaitable[SupervisedProcess]]


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    async with Supervisor(SETTINGS) as made:
        yield made


@pytest.fixture
def start(supervisor: Supervisor) -> Start:
    """Start the program with a spare that loads by running a line."""

    async def begin(load: str = "pass") -> SupervisedProcess:
        code = PROGRAM.replace("LOAD", load)
        argv = (sys.executable, "-c", code)
        (process,) = await supervisor.start(ProcessSpec("p", argv, stdin_json={"a": 1}, standby=1))
        return process

    return begin


async def warm(process: SupervisedProcess) -> int:
    """Wait until the spare is warm; return its process id."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        await process.standby.wait_for(StandbyState.WARM)
    assert process.standby.pid is not None
    return process.standby.pid


async def given_up(process: SupervisedProcess) -> None:
    """Wait until a spare was there and is no more."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        await process.standby.wait_for(StandbyState.WARMING)
        await process.standby.wait_for(StandbyState.NONE)


async def crash(process: SupervisedProcess) -> None:
    """Kill it as a fault would, and wait until it is READY again."""
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await process.wait_for(ProcessState.BACKOFF)
        await process.wait_for(ProcessState.READY)


async def test_spare_takes_the_place_of_a_killed_process_and_gets_a_spare_itself(start) -> None:
    process = await start()
    assert process.ready_details == {
        "a": 1, "restarts": 0, "was_spare": False, "pid": process.pid
    }  # fmt: skip
    for restarts in (1, 2):
        spare = await warm(process)
        assert spare != process.pid
        await crash(process)
        assert process.pid == spare
        assert process.ready_details == {
            "a": 1, "restarts": restarts, "was_spare": True, "pid": spare
        }  # fmt: skip
        assert process.restart_times.count == restarts


async def test_spare_that_still_loads_takes_the_place_too(start, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    process = await start(f"open({str(gate)!r}).read()")  # loads until somebody writes
    async with asyncio.timeout(PATIENCE_SECONDS):
        await process.standby.wait_for(StandbyState.WARMING)
    spare = process.standby.pid
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await process.wait_for(ProcessState.BACKOFF)
        await process.wait_for(ProcessState.STARTING)
        await asyncio.to_thread(gate.write_text, "go")
        await process.wait_for(ProcessState.READY)
    assert process.pid == spare
    assert process.ready_details["restarts"] == 1
    # The next spare waits at the gate, and nobody opens it any more.


async def test_process_and_spare_killed_at_once_are_replaced_and_away_once(start) -> None:
    process = await start()
    os.kill(await warm(process), signal.SIGKILL)
    await crash(process)
    assert process.ready_details["was_spare"] is False
    assert process.restart_times.count == 1


async def test_killed_spare_costs_nothing_but_a_cold_start(start, caplog) -> None:
    process = await start()
    first = process.pid
    os.kill(await warm(process), signal.SIGKILL)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await process.standby.wait_for(StandbyState.NONE)
    assert (process.state, process.pid, process.restarts) == (ProcessState.READY, first, 0)
    assert "the spare of process p was ended by SIGKILL" in caplog.text
    await crash(process)
    assert process.ready_details["was_spare"] is False
    await warm(process)


async def test_spare_that_cannot_load_is_not_tried_again_and_again(start, tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    process = await start(f"open({str(tries)!r}, 'a').write('x'); sys.exit(78)")
    await given_up(process)
    assert process.state is ProcessState.READY
    assert tries.read_text() == "x"


async def test_spare_that_never_gets_warm_is_killed(caplog) -> None:
    settings = SupervisorSettings(start_timeout_seconds=2.0)
    async with Supervisor(settings) as supervisor:
        argv = (sys.executable, "-c", PROGRAM.replace("LOAD", "signal.pause()"))
        (process,) = await supervisor.start(ProcessSpec("p", argv, stdin_json={}, standby=1))
        await given_up(process)
        assert process.state is ProcessState.READY
    assert "the spare of process p was ended by SIGKILL" in caplog.text


async def test_stop_leaves_no_spare(start, supervisor, gone) -> None:
    process = await start()
    spare = await warm(process)
    await supervisor.stop()
    await gone(spare)
    assert process.standby.state is StandbyState.NONE


async def test_without_standby_there_is_no_spare(supervisor) -> None:
    argv = (sys.executable, "-c", PROGRAM)
    (process,) = await supervisor.start(ProcessSpec("p", argv, stdin_json={}))
    assert (process.standby.state, process.standby.pid) == (StandbyState.NONE, None)


async def test_killed_agent_is_replaced_by_one_that_was_made_before_and_starts_only_then(
    supervisor, tmp_path: Path
) -> None:
    (tmp_path / "slow_agent.py").write_text(AGENT)
    trail = tmp_path / "trail"
    spec = AgentSpec(
        "slow_agent:Slow",
        settings={"trail": str(trail)},
        environment={"PYTHONPATH": str(tmp_path)},
        standby=1,
    )
    async with running_coordinator() as server, connect(server.unix) as client:
        (process,) = await supervisor.start_agents([spec], ChildContext(server.unix))
        first, spare = process.pid, await warm(process)
        await crash(process)
        assert process.pid == spare
        assert [line for line in trail.read_text().splitlines() if not line.startswith("made")] == [
            f"started {first}",
            f"started {spare}",
        ]
        made = [line for line in trail.read_text().splitlines() if line.startswith("made")]
        assert made[:2] == [f"made {first}", f"made {spare}"]
        assert (await client.call("pid", {})).json() == spare
    print(f"kill -9 to READY: {process.restart_times.last_seconds} s")
