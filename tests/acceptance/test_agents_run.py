"""`bellwire agents run` as a user starts it: agents of ours and of users, supervised."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.conftest import Bellwire, Command

EXAMPLE = Path(__file__).parents[2] / "examples/breakout_agent.py"
BAD = """
import os
from bellwire.runtime import Agent

class Plain: ...

class Refuses(Agent):
    name = "refuses"
    async def on_start(self):
        raise ValueError("no prices\\nto begin with")

class Ends(Agent):
    name = "ends"
    async def on_start(self):
        os._exit(3)

class Spills(Agent):
    name = "spills"
    async def on_stop(self):
        raise OSError("disk full")

class Takes(Agent):
    name = "takes"
    default_settings = {"bars": 24, "rule": {"name": "vote"}}
    async def on_start(self):
        print("settings", self.settings, flush=True)
"""


@asynccontextmanager
async def running(
    bellwire: Bellwire, address: str, *arguments: str
) -> AsyncIterator[tuple[Command, dict[str, dict[str, Any]]]]:
    """Run agents until all are ready; gives the command and each agent's last state."""
    async with bellwire.started("agents", "run", *arguments, "-a", address, "--json") as command:
        states: dict[str, dict[str, Any]] = {}
        while (event := await command.event())["event"] != "ready":
            states[event["agent"]] = event
        assert event["agents"] == list(states)
        yield command, states


async def until(command: Command, state: str) -> dict[str, Any]:
    """Return the next event of a state."""
    while (event := await command.event()).get("state") != state:
        pass
    return event


async def test_agent_of_a_file_is_started_again_after_kill_9_and_drained(
    bellwire: Bellwire,
) -> None:
    async with bellwire.serving() as (_, address):
        target = f"{EXAMPLE}:Breakout"
        async with running(bellwire, address, target, "--replicas", "2") as (command, states):
            assert list(states) == ["breakout-0", "breakout-1"]
            victim = states["breakout-1"]
            assert victim["ready_ms"] > 0
            os.kill(victim["pid"], signal.SIGKILL)
            waiting = await until(command, "BACKOFF")
            assert (waiting["agent"], waiting["reason"]) == ("breakout-1", "was ended by SIGKILL")
            again = await until(command, "READY")
            assert (again["agent"], again["restarts"]) == ("breakout-1", 1)
            assert again["pid"] != victim["pid"]
            assert await live(bellwire, address) == {"breakout-0": 0, "breakout-1": 1}
            command.signal(signal.SIGTERM)
            status, out, err = await command.end()
            events = [json.loads(line) for line in out.splitlines()]
            assert (status, err) == (0, "")
            assert events[0] == {"event": "draining", "reason": "SIGTERM"}
            assert events[-1] == {"event": "stopped"}


async def live(bellwire: Bellwire, address: str) -> dict[str, int]:
    """Return the agents that are alive, with their restarts."""
    _, out, _ = await bellwire.run("agents", "list", "-a", address, "--json")
    listed = [json.loads(line) for line in out.splitlines()]
    return {
        each["agent_id"]: each["restarts"] for each in sorted(listed, key=lambda e: e["agent_id"])
    }


@pytest.mark.slow
async def test_agents_of_the_settings_file_run_together_each_under_its_name(
    bellwire: Bellwire,
) -> None:
    (bellwire.folder / "bellwire.toml").write_text(
        '[agents.tactical]\n[agents.fast]\nagent = "tactical"\nstandby = true\n'
        'settings.bars_topic = "bars.5m"\nsettings.aggregation.rule = "vote"\n'
    )
    async with bellwire.serving() as (_, address), running(bellwire, address) as (command, states):
        assert set(states) == {"tactical-0", "fast-0"}
        _, out, _ = await bellwire.run("agents", "list", "-a", address, "--json")
        reads = {each["name"]: each["subscribes"] for each in map(json.loads, out.splitlines())}
        assert reads == {"tactical": ["bars.1h"], "fast": ["bars.5m"]}
        command.signal(signal.SIGINT)
        assert (await command.end())[0] == 0


async def test_limits_of_the_settings_file_are_in_force_in_the_risk_agent(
    bellwire: Bellwire,
) -> None:
    (bellwire.folder / "bellwire.toml").write_text('[risk]\npolicy_version = "mine"\n')
    async with bellwire.serving() as (_, address), running(bellwire, address, "risk"):
        status, out, _ = await bellwire.run("call", "risk_status", "-a", address, "--json")
        assert status == 0
        assert '"mine"' in out


async def test_people_read_a_line_for_each_state_on_stderr(bellwire: Bellwire) -> None:
    (bellwire.folder / "mine.py").write_text(BAD)
    async with bellwire.serving() as (_, address):
        arguments = ("agents", "run", "mine.py:Takes", "-s", "rule.name=target", "-a", address)
        async with bellwire.started(*arguments) as command:
            assert command.process.stderr is not None
            lines = []
            while not (lines and lines[-1].startswith("pid ")):
                async with asyncio.timeout(30):
                    lines.append((await command.process.stderr.readline()).decode().strip())
            command.signal(signal.SIGINT)
            status, out, err = await command.end()
    assert (status, out) == (0, "")
    assert lines[0] == "takes-0  starting"
    assert lines[1] == "settings {'bars': 24, 'rule': {'name': 'target'}}"
    assert lines[2].startswith("takes-0  ready after ")
    assert err.splitlines() == [
        "SIGINT: draining; again to stop at once",
        "takes-0  stopping",
        "takes-0  stopped",
        "stopped",
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "name an AGENT: tactical, rules, "),
        (("nobody",), "there is no agent 'nobody'; ours are tactical, rules, "),
        (("nowhere:Agent",), "No module named 'nowhere'"),
        (
            ("mine.py:Ghost",),
            "mine.py has no 'Ghost'; its agents are: Ends, Refuses, Spills, Takes",
        ),
        (("mine.py:Plain",), "is no subclass of bellwire.runtime.Agent"),
        (("mine.py:Takes", "-s", "bar=1"), "did you mean 'bars'? It has bars, rule.name"),
        (("mine.py:Takes", "-s", "bars=x"), "expected a whole number"),
        (("mine.py:Takes", "-s", "bars"), "is no KEY=VALUE"),
        (("mine.py:Takes", "--device", "gpu"), "'gpu' is no kind of device"),
        (("rules", "rules"), "for two processes say --replicas 2"),
        (("rules", "risk", "-s", "a=1"), "--setting is for a single AGENT"),
    ],
)
async def test_what_cannot_be_run_is_told_in_one_sentence_before_anything_starts(
    bellwire: Bellwire, arguments: tuple[str, ...], says: str
) -> None:
    (bellwire.folder / "mine.py").write_text(BAD)
    status, out, err = await bellwire.run("agents", "run", *arguments, "-a", "unix:///nowhere.sock")
    assert (status, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


async def test_process_that_ends_while_it_imports_is_quoted(bellwire: Bellwire) -> None:
    (bellwire.folder / "mine.py").write_text("import sys\nsys.exit('first\\nno licence')\n")
    status, _, err = await bellwire.run("agents", "run", "mine.py:Mine", "-a", "unix:///n.sock")
    assert (status, err.count("\n")) == (2, 1)
    assert "cannot be imported: its process ended with exit code 1: no licence" in err


@pytest.mark.slow
async def test_file_called_as_a_module_of_the_standard_library_breaks_no_agent(
    bellwire: Bellwire,
) -> None:
    (bellwire.folder / "mine.py").write_text(BAD)
    (bellwire.folder / "signal.py").write_text("raise RuntimeError('not this one')\n")
    async with (
        bellwire.serving() as (_, address),
        running(bellwire, address, "mine:Takes") as (_, states),
    ):
        assert list(states) == ["takes-0"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_look_at_an_agent_ends_with_the_command_however_that_ends(
    bellwire: Bellwire, number: int
) -> None:
    (bellwire.folder / "mine.py").write_text(
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "with open('pids.part', 'w') as file:\n    file.write(f'{os.getpid()} {child.pid}')\n"
        "os.rename('pids.part', 'pids')\n"
        "time.sleep(600)\n"
    )
    pids = bellwire.folder / "pids"
    async with bellwire.started("agents", "run", "mine.py:Mine") as command:
        await eventually(pids.exists)
        probe, child = map(int, pids.read_text().split())
        command.signal(number)
        try:
            assert await command.process.wait() != 0
            await eventually(lambda: not alive(probe))
            if number == signal.SIGTERM:  # After kill -9 nobody is left who could.
                await eventually(lambda: not alive(child))
        finally:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something in another process holds, which nothing tells."""
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
async def test_agents_go_on_when_nobody_reads_their_states_any_more(bellwire: Bellwire) -> None:
    reader, writer = os.pipe()
    async with bellwire.serving() as (_, address):
        arguments = ("agents", "run", f"{EXAMPLE}:Breakout", "-a", address)
        async with bellwire.started(*arguments, stderr=writer) as command:
            os.close(writer)
            ready = await asyncio.to_thread(_line_with, reader, "ready after")
            os.kill(int(ready.split()[-1]), signal.SIGKILL)
            async with asyncio.timeout(30):
                while await live(bellwire, address) != {"breakout-0": 1}:
                    pass
            command.signal(signal.SIGTERM)
            async with asyncio.timeout(30):
                assert await command.process.wait() == 0


def _line_with(reader: int, word: str) -> str:
    """Return the first line that has a word; nobody reads those that follow."""
    with open(reader, encoding="utf-8") as lines:
        return next(line for line in lines if word in line)


@pytest.mark.slow
async def test_agent_that_fails_while_it_stops_is_told_and_ends_the_command_with_one(
    bellwire: Bellwire,
) -> None:
    (bellwire.folder / "mine.py").write_text(BAD)
    async with (
        bellwire.serving() as (_, address),
        running(bellwire, address, "mine.py:Spills") as (command, _),
    ):
        command.signal(signal.SIGTERM)
        status, out, err = await command.end()
    events = [json.loads(line) for line in out.splitlines()]
    (stopped,) = [each for each in events if each.get("state") == "STOPPED"]
    assert (stopped["returncode"], stopped["reason"]) == (70, "ended with exit code 70")
    assert events[-1] == {"event": "stopped"}
    told = "error: not every agent stopped as it should: spills-0 ended with exit code 70"
    assert (status, err.splitlines()[-1]) == (1, told)


@pytest.mark.slow
async def test_second_command_with_the_same_agent_says_that_it_runs_already(
    bellwire: Bellwire,
) -> None:
    (bellwire.folder / "mine.py").write_text(BAD)
    async with bellwire.serving() as (_, address), running(bellwire, address, "mine.py:Takes"):
        arguments = ("mine.py:Takes", "-a", address)
        short = ("--set", "client.transport.connect_timeout_seconds=0.5")
        status, _, err = await bellwire.run("agents", "run", *arguments, *short)
    assert status == 1
    assert "agent 'takes-0' runs already" in err
    assert "--replicas" in err


async def test_absent_coordinator_is_told_in_one_sentence(bellwire: Bellwire) -> None:
    address = f"unix://{bellwire.folder}/nobody.sock"
    arguments = ("rules", "-a", address, "--set", "client.transport.connect_timeout_seconds=0.5")
    status, out, err = await bellwire.run("agents", "run", *arguments)
    assert (status, out) == (1, "")
    assert err.startswith(f"error: no coordinator at {address} within 0.5 s")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "Refuses",
            "agent refuses-0 did not start: ValueError: no prices to begin with (mine.py:10)",
        ),
        ("Ends", "agent ends-0 did not start: ended with exit code 3 before it was ready"),
    ],
)
async def test_agent_that_fails_when_it_starts_ends_the_command_with_its_words(
    bellwire: Bellwire, name: str, says: str
) -> None:
    (bellwire.folder / "mine.py").write_text(BAD)
    async with bellwire.serving() as (_, address):
        status, out, err = await bellwire.run("agents", "run", f"mine.py:{name}", "-a", address)
    assert (status, out) == (1, "")
    assert err.splitlines()[1:] == [f"{name.lower()}-0  failed", f"error: {says}"]


@pytest.mark.slow
async def test_agent_that_crashes_too_often_is_given_up_and_the_others_are_stopped(
    bellwire: Bellwire,
) -> None:
    async with bellwire.serving() as (_, address):
        arguments = ("rules", f"{EXAMPLE}:Breakout", "--restarts", "0")
        async with running(bellwire, address, *arguments) as (command, states):
            os.kill(states["rules-0"]["pid"], signal.SIGKILL)
            status, out, err = await command.end()
    events = [json.loads(line) for line in out.splitlines()]
    assert status == 1
    assert [event["agent"] for event in events if event["state"] == "FAILED"] == ["rules-0"]
    assert [event["agent"] for event in events if event["state"] == "STOPPED"] == ["breakout-0"]
    assert "agent rules-0 is given up: was ended by SIGKILL; the budget of 0 restarts" in err


async def test_signal_before_all_are_ready_calls_the_start_off(bellwire: Bellwire) -> None:
    (bellwire.folder / "slow.py").write_text(
        "import asyncio\nfrom bellwire.runtime import Agent\n"
        "class Slow(Agent):\n    name = 'slow'\n"
        "    async def on_start(self):\n        await asyncio.Event().wait()\n"
    )
    async with bellwire.serving() as (_, address):
        arguments = ("agents", "run", "slow.py:Slow", "-a", address, "--json")
        async with bellwire.started(*arguments) as command:
            assert (await command.event())["state"] == "STARTING"
            command.signal(signal.SIGTERM)
            status, out, err = await command.end()
    assert status == 130
    assert [json.loads(line)["state"] for line in out.splitlines()] == ["STOPPING", "STOPPED"]
    assert err == "error: told to stop before all agents were ready\n"
