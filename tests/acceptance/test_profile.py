"""`bellwire profile` on real processes; where the kernel forbids tracing, tests say so and skip."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import xml.etree.ElementTree
from asyncio.subprocess import PIPE
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bellwire.agent.v1.agent_pb2 import Agent
from bellwire.client import connect

pytestmark = pytest.mark.acceptance

SECONDS = "1"
TICKS = os.sysconf("SC_CLK_TCK") // 4  # A quarter of a second of work: some sixty samples.
PR_CAPBSET_DROP = 24  # linux/prctl.h
# linux/capability.h: the right to trace anybody, and one more (CAP_CHOWN) that the target then has beyond ours.
CAPABILITIES_DROPPED = (19, 0)
BUSY = "import sys; print('ready', flush=True)\ndef spin():\n    while True: pass\nspin()\n"
# Not dumpable: its own user, unless privileged, may not trace it (prctl(2), PR_SET_DUMPABLE is 4).
CLOSED = f"import ctypes; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)\n{BUSY}"
UNPRIVILEGED = (
    "import ctypes, os, sys\n"
    f"for capability in {CAPABILITIES_DROPPED}:\n"
    f"    ctypes.CDLL(None).prctl({PR_CAPBSET_DROP}, capability, 0, 0, 0)\n"
    "os.execv(sys.executable, [sys.executable, '-m', 'bellwire.cli', *sys.argv[1:]])\n"
)
# Modules first: a checkout need not be readable for everybody.
NOBODY = (
    "import os, sys\n"
    "from contextlib import redirect_stderr\n"
    "from io import StringIO\n"
    "from bellwire.cli.main import main, run\n"
    "with redirect_stderr(StringIO()): run(['profile', '999999999'])\n"
    "os.setuid(65534)\n"
    "main(sys.argv[1:])\n"
)
MODULE = ["-m", "bellwire.cli"]


async def run(bellwire, *arguments):
    """Run Python with these arguments as the user would the command; return status, stdout, stderr."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *arguments),
        cwd=bellwire.folder,
        env=bellwire.environment,
        stdout=PIPE,
        stderr=PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def program(source):
    """Run a Python program that prints one line when it is ready."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", source, stdout=PIPE)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            assert await process.stdout.readline() == b"ready\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def check_not_refused(err):
    """Skip when the kernel forbids tracing altogether, as in a container without SYS_PTRACE."""
    if "the kernel does not let this user look into" in err:
        pytest.skip(f"ptrace is forbidden here: {err.strip()}")


@pytest.fixture
async def sampled(bellwire):
    """Runs `profile` to its end."""

    async def run(*arguments):
        status, out, err = await bellwire.run("profile", *arguments)
        check_not_refused(err)
        return status, out, err

    return run


@asynccontextmanager
async def sampling(bellwire, target, *arguments):
    """Start `profile` and go on when it has been inside a busy process for some of its time."""
    async with bellwire.started("profile", str(target.pid), *arguments) as command:
        assert command.process.stderr is not None
        async with asyncio.timeout(30):
            line = (await command.process.stderr.readline()).decode()
            check_not_refused(line)
            assert line.startswith(f"sampling process {target.pid} for ")
            began = cpu_ticks(target.pid)
            while cpu_ticks(target.pid) < began + TICKS:  # noqa: ASYNC110  # the kernel has no event for it; the deadline is above
                await asyncio.sleep(0.01)
        yield command


def cpu_ticks(pid):
    """Return the CPU time of a process, user and system, in clock ticks."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    return sum(map(int, stat.rpartition(")")[2].split()[11:13]))


async def test_a_coordinator_is_found_by_its_socket_and_its_functions_are_in_the_flamegraph(
    bellwire, sampled
):
    async with bellwire.serving() as (server, address):
        status, out, err = await sampled(address, "--seconds", SECONDS, "--idle", "-o", "c.svg")
    assert status == 0, err
    assert out.startswith("written: c.svg")
    assert err == (
        f"sampling coordinator at {address}, pid {server.process.pid}, for 1 s; "
        "Ctrl-C writes what there is\n"
    )
    svg = (bellwire.folder / "c.svg").read_text()
    assert xml.etree.ElementTree.fromstring(svg).tag.endswith("svg")
    assert "run_coordinator (cli/serving.py" in svg
    assert [path.name for path in bellwire.folder.glob("*.part")] == []


@pytest.mark.slow
async def test_it_is_found_by_its_port_and_by_its_data_folder(bellwire, sampled):
    data = bellwire.folder / "data"
    async with bellwire.started(
        "serve", "--json", "--listen", "127.0.0.1:0", "--data", str(data)
    ) as server:
        address = (await server.event())["addresses"][0]
        found = []
        for name in (address, str(data)):
            status, out, err = await sampled(name, "-s", SECONDS, "--idle", "--json", "-f", "raw")
            assert status == 0, err
            found.append(json.loads(out))
    assert [each["pid"] for each in found] == [server.process.pid] * 2
    assert found[0]["process"] == f"coordinator at {address}"
    assert found[1]["process"] == f"coordinator of {data}"
    assert found[0]["samples"] > 100
    raw = (bellwire.folder / found[0]["output"]).read_text()
    assert all(line.rpartition(" ")[2].isdecimal() for line in raw.splitlines())


async def test_ctrl_c_writes_what_was_sampled(bellwire):
    arguments = ("-s", "60", "-f", "speedscope", "-o", "s.json")
    async with program(BUSY) as busy, sampling(bellwire, busy, *arguments) as command:
        command.signal(signal.SIGINT)
        status, out, _ = await command.end(20)
    assert status == 0
    assert "stopped after" in out
    profiles = json.loads((bellwire.folder / "s.json").read_text())["profiles"]
    assert sum(len(each["samples"]) for each in profiles) > 0


async def test_a_process_that_ends_meanwhile_leaves_its_profile(bellwire):
    arguments = ("-s", "60", "-o", "short.svg")
    async with program(BUSY) as busy, sampling(bellwire, busy, *arguments) as command:
        busy.kill()
        await busy.wait()
        status, out, _ = await command.end(20)
    assert status == 0
    assert "the process ended after" in out
    assert "spin" in (bellwire.folder / "short.svg").read_text()


async def test_who_may_not_trace_is_told_what_to_do(bellwire):
    is_root = os.geteuid() == 0
    async with program(BUSY if is_root else CLOSED) as target:
        # The target keeps capabilities that the command gives up: then the kernel refuses.
        starter = ["-c", UNPRIVILEGED] if is_root else MODULE
        arguments = ("profile", str(target.pid), "-s", SECONDS, "-o", "x.svg")
        status, out, err = await run(bellwire, *starter, *arguments)
    assert (status, out) == (1, "")
    assert f"the kernel does not let this user look into process {target.pid}: " in err
    assert not (bellwire.folder / "x.svg").exists()


async def test_a_process_of_another_user_is_refused(bellwire):
    async with program(BUSY) as target:
        # Root becomes somebody else; everybody else looks at the first process, which is root's.
        pid, starter = (target.pid, ["-c", NOBODY]) if os.geteuid() == 0 else (1, MODULE)
        status, out, err = await run(bellwire, *starter, "profile", str(pid))
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"error: process {pid} belongs to user ")
    assert err.endswith(": profile it as that user, or as root\n")


@pytest.mark.slow
async def test_what_does_not_run_or_is_no_python_is_refused_in_one_line(bellwire, sampled):
    sleeper = await asyncio.create_subprocess_exec("sleep", "60")
    try:
        status, _, err = await sampled(str(sleeper.pid), "-s", SECONDS)
        assert status == 1
        assert err.endswith(
            f"error: process {sleeper.pid} is not a Python program; profile it with `perf`\n"
        )
    finally:
        sleeper.kill()
        await sleeper.wait()
    status, _, err = await bellwire.run("profile", str(sleeper.pid))
    assert (status, err.count("\n")) == (1, 1)
    assert err.startswith(f"error: no process {sleeper.pid} runs on this machine")
    status, _, err = await bellwire.run("profile", str(bellwire.folder))
    assert (status, err.count("\n")) == (1, 1)
    assert err.startswith(f"error: no coordinator works in {bellwire.folder}; start one with ")
    status, _, err = await bellwire.run("profile", "127.0.0.1:1")
    assert (status, err.count("\n")) == (1, 1)
    assert err.startswith("error: nothing on this machine listens at 127.0.0.1:1")


async def test_an_idle_process_is_named_as_such(sampled):
    source = "import signal; print('ready', flush=True); signal.pause()"
    async with program(source) as idle:
        # Longer than others: a busy host may take a while to let it go idle.
        status, out, err = await sampled(str(idle.pid), "-s", "4")
    assert "under load, or add --idle" in (out if status == 0 else err)


@pytest.mark.slow
async def test_an_agent_is_found_by_its_name_and_only_on_its_own_machine(bellwire, sampled):
    here = socket.gethostname()
    async with (
        bellwire.serving() as (_, address),
        program(BUSY) as busy,
        connect(address) as client,
    ):
        near = Agent(agent_id="rules-0", name="rules", pid=busy.pid, host=here)
        far = Agent(agent_id="far-0", name="far", pid=busy.pid, host=f"not-{here}")
        async with client.agent_stream(near), client.agent_stream(far):
            (bellwire.folder / "rules").mkdir()  # A folder of that name is no data folder.
            asked = ("-a", address, "-s", SECONDS, "--json", "-f", "raw")
            status, out, err = await sampled("rules", *asked)
            assert status == 0, err
            found = json.loads(out)
            assert (found["process"], found["pid"]) == ("agent rules-0", busy.pid)
            assert "spin" in (bellwire.folder / found["output"]).read_text()
            status, _, err = await sampled("far", *asked)
            assert status == 1
            assert err.startswith(f"error: agent far-0 runs on not-{here}, this is {here}")
            twin = Agent(agent_id="rules-1", name="rules", pid=busy.pid, host=here)
            async with client.agent_stream(twin):
                status, _, err = await sampled("rules", *asked)
            assert status == 1
            assert err.startswith(
                "error: 2 replicas are called 'rules': name one of rules-0, rules-1"
            )


async def test_an_unknown_agent_is_answered_with_the_known_ones(bellwire):
    async with bellwire.serving() as (_, address):
        status, _, err = await bellwire.run("profile", "rules", "--address", address)
    assert status == 1
    assert err.startswith(f"error: no live agent 'rules' at {address}: found none")


async def test_without_py_spy_the_extra_is_named(bellwire, tmp_path):
    bellwire.environment["PATH"] = str(tmp_path)
    source = (
        "import sys; sys.executable = '/nowhere/python'; from bellwire.cli.main import main; main()"
    )
    async with program(BUSY) as target:
        status, out, err = await run(bellwire, "-c", source, "profile", str(target.pid))
    assert (status, out) == (1, "")
    assert err == "error: this verb needs the sampler py-spy: pip install 'bellwire[profile]'\n"
