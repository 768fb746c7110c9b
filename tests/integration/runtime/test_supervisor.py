"""Real processes under supervision."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bellwire.runtime.errors import ProcessFailedError, ProcessStartError
from bellwire.runtime.lifecycle import ProcessState
from bellwire.runtime.process import SupervisedProcess
from bellwire.runtime.spec import ChildContext, ProcessSpec, SupervisorSettings
from bellwire.runtime.standby import Standby
from bellwire.runtime.supervisor import Supervisor

pytestmark = pytest.mark.integration

SETTINGS = SupervisorSettings(
    restart_delay_first_seconds=0.01,
    restart_delay_max_seconds=0.02,
    start_timeout_seconds=20.0,
    stop_grace_seconds=5.0,
)

READY = "import os; fd = int(os.environ['BELLWIRE_READY_FD']); os.write(fd, b'READY {}\\n'); os.close(fd)\n"
SLEEP = "import signal; signal.pause()\n"


def python(name: str, code: str, **fields: object) -> ProcessSpec:
    return ProcessSpec(name=name, argv=(sys.executable, "-c", code), **fields)  # type: ignore[arg-type]


@pytest.fixture
async def supervise() -> AsyncIterator[Callable[..., Supervisor]]:
    made: list[Supervisor] = []

    def make(settings: SupervisorSettings = SETTINGS) -> Supervisor:
        made.append(Supervisor(settings))
        return made[-1]

    yield make
    for supervisor in made:
        await supervisor.stop()


async def test_process_is_ready_with_its_details_and_the_time_it_took(supervise, running) -> None:
    code = READY.replace("{}", '{"address": "unix:///x"}') + SLEEP
    (process,) = await supervise().start(python("p", code))
    assert process.state is ProcessState.READY
    assert process.ready_details == {"address": "unix:///x"}
    assert process.ready_seconds is not None
    assert 0 < process.ready_seconds < 20
    assert process.pid is not None
    assert running(process.pid)
    usage = process.usage()
    assert usage is not None
    assert usage.rss_bytes > 1 << 20


async def test_crash_is_restarted_and_counted(supervise) -> None:
    (process,) = await supervise().start(python("p", READY + SLEEP))
    first = process.pid
    assert first is not None
    for restarts in (1, 2):
        pid = process.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await process.wait_for(ProcessState.BACKOFF)
        await process.wait_for(ProcessState.READY)
        assert process.restarts == restarts
    assert process.pid != first
    assert process.reason == "was ended by SIGKILL"
    assert process.returncode == -signal.SIGKILL


async def test_used_up_budget_ends_in_failed_and_wakes_who_waits(supervise) -> None:
    settings = SupervisorSettings(
        restarts_max=2, restart_delay_first_seconds=0.01, restart_delay_max_seconds=0.01
    )
    supervisor = supervise(settings)
    (process,) = await supervisor.start(python("p", READY + "raise SystemExit(70)"))
    async with asyncio.timeout(20):
        failed = await supervisor.wait_failed()
    assert failed is process
    assert (process.state, process.restarts) == (ProcessState.FAILED, 2)
    assert process.reason == (
        "ended with exit code 70; the budget of 2 restarts in 60 s is used up"
    )


async def test_exit_code_zero_is_the_end_and_no_failure(supervise) -> None:
    supervisor = supervise()
    (process,) = await supervisor.start(python("p", READY))
    async with asyncio.timeout(20):
        await supervisor.wait_ended()
    assert (process.state, process.restarts, process.returncode) == (ProcessState.STOPPED, 0, 0)


async def test_process_that_ends_before_ready_fails_the_start_with_its_log(
    supervise, tmp_path: Path
) -> None:
    supervisor = supervise(SupervisorSettings(log_dir=str(tmp_path / "logs")))
    code = "import sys; sys.exit('no model file')"
    with pytest.raises(ProcessStartError, match=r"(?s)'p'.*exit code 1 before.*no model file"):
        await supervisor.start(python("p", code))
    assert "no model file" in (tmp_path / "logs" / "p.log").read_text()


async def test_process_that_stays_silent_is_killed_at_the_start_timeout(supervise) -> None:
    supervisor = supervise(SupervisorSettings(start_timeout_seconds=0.3))
    with pytest.raises(ProcessStartError, match=r"not ready within 0\.3 s"):
        await supervisor.start(python("p", SLEEP))
    (process,) = supervisor.processes
    assert process.pid is None
    assert process.returncode == -signal.SIGKILL


async def test_program_that_does_not_exist_is_named(supervise, capfd) -> None:
    with pytest.raises(ProcessStartError, match="exit code 78"):
        await supervise().start(ProcessSpec("p", ("/nonexistent/program",)))
    assert "cannot start '/nonexistent/program': No such file" in capfd.readouterr().err


async def test_cpus_that_do_not_exist_are_named(supervise, capfd) -> None:
    with pytest.raises(ProcessStartError, match="exit code 78"):
        await supervise().start(python("p", READY, cpus=(4095,)))
    assert "cannot run on CPUs 4095" in capfd.readouterr().err


async def test_affinity_and_environment_are_in_force_before_the_program_starts(supervise) -> None:
    cpu = min(os.sched_getaffinity(0))
    code = (
        "import json, os\n"
        "details = json.dumps([sorted(os.sched_getaffinity(0)), os.environ['OMP_NUM_THREADS']])\n"
        + READY.replace("b'READY {}\\n'", """b'READY {"seen": ' + details.encode() + b'}\\n'""")
        + SLEEP
    )
    spec = python("p", code, cpus=(cpu,), environment={"OMP_NUM_THREADS": "1"})
    (process,) = await supervise().start(spec)
    assert process.ready_details == {"seen": [[cpu], "1"]}


async def test_input_is_given_as_json_with_the_restarts(supervise) -> None:
    code = (
        "import json, sys; spec = json.load(sys.stdin)\n"
        + READY.replace("b'READY {}\\n'", "b'READY ' + json.dumps(spec).encode() + b'\\n'")
        + SLEEP
    )
    (process,) = await supervise().start(python("p", code, stdin_json={"a": "ü"}))
    assert process.ready_details == {"a": "ü", "restarts": 0}
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    await process.wait_for(ProcessState.BACKOFF)
    await process.wait_for(ProcessState.READY)
    assert process.ready_details == {"a": "ü", "restarts": 1}


async def test_ready_file_is_waited_for(supervise, tmp_path: Path) -> None:
    path = tmp_path / "ready"
    code = f"open({str(path)!r}, 'w').close()\n" + SLEEP
    (process,) = await supervise().start(python("p", code, ready_file=str(path)))
    assert process.state is ProcessState.READY


async def test_stop_asks_first_and_the_process_can_clean_up(supervise, tmp_path: Path) -> None:
    trail = tmp_path / "trail"
    code = (
        "import signal, sys\n"
        "def stop(*_):\n"
        f"    open({str(trail)!r}, 'w').write('flushed'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\n" + READY + SLEEP
    )
    supervisor = supervise()
    (process,) = await supervisor.start(python("p", code))
    await supervisor.stop()
    assert trail.read_text() == "flushed"
    assert (process.state, process.returncode) == (ProcessState.STOPPED, 0)


async def test_process_that_ignores_sigterm_is_killed_with_its_children(
    supervise, running, gone
) -> None:
    settings = SupervisorSettings(stop_grace_seconds=0.2)
    supervisor = supervise(settings)
    code = (
        "import signal, subprocess, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
        + READY.replace("b'READY {}\\n'", """b'READY {"child": %d}\\n' % child.pid""")
        + SLEEP
    )
    (process,) = await supervisor.start(python("p", code))
    child = process.ready_details["child"]
    assert isinstance(child, int)
    assert running(child)
    await supervisor.stop()
    assert process.returncode == -signal.SIGKILL
    await gone(child)


async def test_groups_stop_in_reverse_order(supervise, tmp_path: Path) -> None:
    trail = tmp_path / "trail"
    code = (
        "import signal, sys\n"
        "def stop(*_):\n"
        f"    open({str(trail)!r}, 'a').write(sys.argv[1]); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\n" + READY + SLEEP
    )
    supervisor = supervise()
    for name in "abc":
        await supervisor.start(ProcessSpec(name, (sys.executable, "-c", code, name)))
    await supervisor.stop()
    assert trail.read_text() == "cba"


class FaultyStandby(Standby):
    """Meets a fault of our own after a restart."""

    def __init__(self, standby: Standby) -> None:
        super().__init__(standby._spec, standby._log, standby._timeout_seconds)

    async def prepare(self) -> None:
        raise OSError("a fault of our own")


async def test_process_that_nobody_watches_any_more_is_told_and_all_groups_are_stopped(
    running,
    gone,
) -> None:
    supervisor = Supervisor(SETTINGS)
    (first,) = await supervisor.start(python("first", READY + SLEEP))
    (second,) = await supervisor.start(python("second", READY + SLEEP))
    second.standby = FaultyStandby(second.standby)
    assert first.pid is not None
    assert second.pid is not None
    first_pid = first.pid
    os.kill(second.pid, signal.SIGKILL)
    async with asyncio.timeout(20):
        assert await supervisor.wait_failed() is second
        with pytest.raises(ProcessFailedError, match=r"'second' was ended, .*a fault of our own"):
            await supervisor.stop()
    assert first.state is ProcessState.STOPPED
    assert not running(first_pid)
    pid = supervisor.processes[1].pid
    if pid is not None:
        await gone(pid)


async def test_run_ends_with_the_fault_when_a_process_is_not_watched_any_more() -> None:
    class OfOne(Supervisor):
        async def start_agents(self, *_: object) -> list[SupervisedProcess]:
            (process,) = await self.start(python("p", READY + SLEEP))
            process.standby = FaultyStandby(process.standby)
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            return [process]

    async with asyncio.timeout(20):
        with pytest.raises(ProcessFailedError, match="a fault of our own"):
            await OfOne(SETTINGS).run([], ChildContext("unix:///nowhere"))


async def test_stop_while_starting_leaves_nothing(supervise) -> None:
    supervisor = supervise()
    starting = asyncio.create_task(supervisor.start(python("p", SLEEP)))
    await asyncio.sleep(0)
    (process,) = supervisor.processes
    await supervisor.stop()
    assert process.state is ProcessState.STOPPED
    assert process.pid is None
    with pytest.raises(ProcessStartError, match="told to stop before it was ready"):
        await starting


async def test_killed_supervisor_leaves_no_child(tmp_path: Path, running, gone) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import asyncio, sys\n"
        "from bellwire.runtime.spec import ProcessSpec\n"
        "from bellwire.runtime.supervisor import Supervisor\n"
        "async def main():\n"
        f"    code = {READY + SLEEP!r}\n"
        "    spec = ProcessSpec('p', (sys.executable, '-c', code))\n"
        "    (process,) = await Supervisor().start(spec)\n"
        "    print(process.pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, str(script), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    async with asyncio.timeout(20):
        child = int(await parent.stdout.readline())
    assert running(child)
    parent.kill()
    await parent.wait()
    await gone(child)


async def test_every_change_of_state_is_told_in_order() -> None:
    seen: list[ProcessState] = []

    def changed(process: SupervisedProcess) -> None:
        if seen[-1:] != [process.state]:
            seen.append(process.state)

    async with Supervisor(SETTINGS, changed) as supervisor:
        (process,) = await supervisor.start(python("p", READY + SLEEP))
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        await process.wait_for(ProcessState.BACKOFF)
        assert 0 < process.next_start_seconds <= SETTINGS.restart_delay_first_seconds
        await process.wait_for(ProcessState.READY)
    assert [state.name for state in seen] == [
        *("STARTING", "READY", "BACKOFF", "STARTING", "READY", "STOPPING", "STOPPED")
    ]


async def test_what_a_process_says_when_it_gives_up_is_the_reason(supervise) -> None:
    supervisor = supervise()
    failed = READY.replace("READY {}", 'FAILED "no prices"') + "raise SystemExit(7)"
    with pytest.raises(ProcessStartError, match=r"exit code 7 before it was ready: no prices$"):
        await supervisor.start(python("p", failed))
    assert supervisor.processes[0].last_words == "no prices"
