"""Agents as real processes: spawned, crashing, started again, stopped, traced."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bellwire.agent.v1.agent_pb2 import AgentStatus
from bellwire.bus.v1.message_pb2 import Message
from bellwire.client import Client, connect
from bellwire.runtime import (
    AgentSpec,
    ChildContext,
    PlacementSettings,
    RunSettings,
    Supervisor,
    SupervisorSettings,
)
from bellwire.runtime.errors import MissingDeviceError, ProcessStartError
from bellwire.runtime.lifecycle import ProcessState
from bellwire.runtime.process import SupervisedProcess
from bellwire.telemetry import (
    TelemetrySettings,
    configure_tracing,
    end_span,
    inject,
    publish_span,
    read_trace_dir,
    traces,
)
from bellwire.testing import RunningCoordinator, running_coordinator
from bellwire.trading.v1.market_data_pb2 import Bar

pytestmark = pytest.mark.integration

IN, OUT = "bars.1h", "echoes"
MODULE = '''
import os
import signal
from pathlib import Path

from bellwire.runtime import Agent, MessageContext, subscribe
from bellwire.trading.v1.market_data_pb2 import Bar


class Echo(Agent):
    """Echoes bars; breaks on bar 13 as its settings say."""

    name = "echo"
    publishes = ("echoes",)
    default_settings = {"marker": "", "fault": ""}

    @subscribe("bars.1h", Bar)
    async def on_bar(self, bar: Bar, context: MessageContext) -> Bar:
        if bar.sequence == 13:
            self.break_down()
        environment = os.environ
        threads = [environ_name + "=" + environment[environ_name] for environ_name in (
            "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES"
        )]
        cpus = ",".join(map(str, sorted(os.sched_getaffinity(0))))
        return Bar(sequence=bar.sequence, symbol=" ".join(threads), interval=cpus)

    def break_down(self) -> None:
        fault, marker = self.settings["fault"], Path(self.settings["marker"])
        if fault == "always":
            raise RuntimeError("cannot take bar 13")
        if fault == "once" and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
'''
SUPERVISION = SupervisorSettings(
    restarts_max=2, restart_delay_first_seconds=0.01, restart_delay_max_seconds=0.02
)


@pytest.fixture
async def server() -> AsyncIterator[RunningCoordinator]:
    async with running_coordinator() as running:
        yield running


@pytest.fixture
async def client(server: RunningCoordinator) -> AsyncIterator[Client]:
    async with connect(server.unix) as connected:
        yield connected


@pytest.fixture
async def supervisor(tmp_path: Path) -> AsyncIterator[Supervisor]:
    (tmp_path / "echo_agent.py").write_text(MODULE)
    async with Supervisor(SUPERVISION) as made:
        yield made


Start = Callable[..., "asyncio.Future[list[SupervisedProcess]]"]


@pytest.fixture
def start(supervisor: Supervisor, server: RunningCoordinator, tmp_path: Path) -> Start:
    """Start the module's agent with settings, run settings and other fields of the spec."""

    def begin(
        fault: str = "", telemetry: TelemetrySettings | None = None, **fields: object
    ) -> "asyncio.Future[list[SupervisedProcess]]":
        spec = AgentSpec(
            **{
                "target": "echo_agent:Echo",
                "settings": {"fault": fault, "marker": str(tmp_path / "marker")},
                "environment": {"PYTHONPATH": str(tmp_path)},
                **fields,
            }  # type: ignore[arg-type]  # the spec checks
        )
        shared = ChildContext(server.unix, telemetry=telemetry or TelemetrySettings())
        return asyncio.ensure_future(supervisor.start_agents([spec], shared))

    return begin


async def publish(client: Client, *sequences: int, traceparent: str = "") -> None:
    for sequence in sequences:
        await client.publisher("test").publish(
            IN, Bar(sequence=sequence), key="EURUSD", traceparent=traceparent
        )


async def take(client: Client, count: int) -> list[Bar]:
    """Read the output topic from its beginning until so many different messages are there."""
    taken: dict[str, Message] = {}
    async with asyncio.timeout(30), client.subscribe(OUT, subscription="reader") as subscription:
        async for received in subscription:
            taken[received.id] = received.message
            if len(taken) == count:
                break
    return [Bar.FromString(message.data) for message in taken.values()]


async def listed(
    client: Client, condition: Callable[[list[AgentStatus]], bool]
) -> list[AgentStatus]:
    async with asyncio.timeout(20):
        while True:
            agents = await client.admin.list_agents()
            if condition(agents):
                return agents
            await asyncio.sleep(0.02)  # the directory has no event for it


async def test_replicas_are_registered_when_they_are_ready_and_share_the_work(client, start):
    processes = await start(replicas=2, name="echo")
    agents = await client.admin.list_agents()
    assert [status.agent.agent_id for status in agents] == ["echo-0", "echo-1"]
    assert [status.agent.pid for status in agents] == [process.pid for process in processes]
    await publish(client, 1, 2, 3)
    assert {bar.sequence for bar in await take(client, 3)} == {1, 2, 3}


async def test_child_is_pinned_and_has_one_blas_thread_and_no_gpu(client, start):
    cpu = min(os.sched_getaffinity(0))
    await start(device=f"cpu:{cpu}")
    await publish(client, 1)
    (bar,) = await take(client, 1)
    assert bar.interval == str(cpu)
    (status,) = await client.admin.list_agents()
    assert status.agent.device == f"cpu:{cpu}"
    assert bar.symbol == (
        "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 CUDA_VISIBLE_DEVICES="
    )


async def test_agent_for_a_gpu_that_is_not_there_is_refused_or_runs_on_cpus(client, start):
    with pytest.raises(MissingDeviceError, match="'cuda:99' is not there"):
        await start(device="cuda:99")
    degrade = PlacementSettings(on_missing_device="degrade")
    await start(device="cuda:99", placement=degrade)
    (status,) = await client.admin.list_agents()
    assert status.agent.device.startswith("cpu")


async def test_agent_killed_in_a_handler_is_started_again_and_nothing_is_lost(client, start):
    (process,) = await start("once")
    await publish(client, 12, 13, 14)
    assert [bar.sequence for bar in await take(client, 3)] == [12, 13, 14]
    assert process.restarts == 1
    assert process.reason == "was ended by SIGKILL"
    (status,) = await listed(client, lambda found: bool(found) and found[0].load.restarts == 1)
    assert status.agent.pid == process.pid


async def test_agent_that_crashes_on_the_same_message_is_given_up_with_the_reason(
    client, supervisor, start
):
    (process,) = await start("always", run=RunSettings(crash_on_error=True))
    await publish(client, 12, 13)
    async with asyncio.timeout(30):
        assert await supervisor.wait_failed() is process
    assert (process.state, process.restarts) == (ProcessState.FAILED, 2)
    assert process.reason.startswith("ended with exit code 70; the budget of 2 restarts")
    assert [bar.sequence for bar in await take(client, 1)] == [12]


async def test_handler_error_costs_the_message_and_not_the_process(client, start):
    run = RunSettings(attempts_max=2, retry_delay_first_seconds=0.001, load_every_seconds=0.05)
    (process,) = await start("always", run=run)
    await publish(client, 12, 13, 14)
    assert [bar.sequence for bar in await take(client, 2)] == [12, 14]
    await listed(client, lambda found: found[0].load.handler_errors == 2)
    assert process.restarts == 0


async def test_sigterm_lets_an_agent_deregister_and_end_cleanly(client, supervisor, start):
    (process,) = await start()
    await publish(client, 1)
    await take(client, 1)
    await supervisor.stop()
    assert (process.state, process.returncode) == (ProcessState.STOPPED, 0)
    assert await client.admin.list_agents() == []


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"target": "nowhere:Echo"}, "agent 'nowhere:Echo' cannot be imported"),
        ({"target": "echo_agent:Ghost"}, "echo_agent has no 'Ghost'; its agents are: Echo"),
        ({"target": "echo_agent:Bar"}, "is no subclass of bellwire.runtime.Agent"),
        ({"settings": {"colour": "red"}}, "has no setting 'colour'"),
    ],
)
async def test_wrong_spec_fails_the_start_and_says_why(start, capfd, fields, says):
    with pytest.raises(ProcessStartError, match="exit code 78 before it was ready") as caught:
        await start(**fields)
    assert says in caught.value.message
    assert says in capfd.readouterr().err


async def test_sampled_message_is_traced_into_the_agents_process_and_out_again(
    client, supervisor, start, tmp_path: Path
):
    folder = tmp_path / "traces"
    own = configure_tracing("feed", sample_ratio=1.0, otlp_json_path=folder)
    (process,) = await start(telemetry=TelemetrySettings(trace_dir=str(folder)))
    pid = process.pid
    span = publish_span(IN)
    assert span is not None
    await publish(client, 1, traceparent=inject(span)[0])
    end_span(span)
    await publish(client, 2)  # untraced
    await take(client, 2)
    await supervisor.stop()
    own.shutdown()
    (trace,) = traces(read_trace_dir(folder)).values()
    by_name = {record.name: record for record in trace}
    sent, processed, echoed = (
        by_name[name] for name in (f"send {IN}", f"process {IN}", f"send {OUT}")
    )
    assert processed.parent_span_id == sent.span_id
    assert echoed.parent_span_id == processed.span_id
    assert (sent.process_pid, processed.process_pid) == (os.getpid(), pid)
    assert processed.service_name == "echo-0"
    assert processed.attributes["messaging.consumer.group.name"] == "echo"


async def test_failed_message_gets_a_span_though_its_trace_is_not_sampled(
    client, supervisor, start, tmp_path: Path
):
    folder = tmp_path / "traces"
    run = RunSettings(attempts_max=1)
    telemetry = TelemetrySettings(sample_ratio=0.0, trace_dir=str(folder))
    await start("always", telemetry=telemetry, run=run)
    await publish(client, 12, 13, 14)
    await take(client, 2)
    await supervisor.stop()
    (span,) = read_trace_dir(folder)
    assert (span.name, span.is_error) == (f"process {IN}", True)
    assert span.status_message == "cannot take bar 13"
    assert span.attributes["error.type"] == "RuntimeError"


@pytest.fixture
async def parent(server, tmp_path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of its own that runs a supervisor with one agent."""
    (tmp_path / "echo_agent.py").write_text(MODULE)
    script = tmp_path / "parent.py"
    script.write_text(
        "import asyncio\n"
        "from bellwire.runtime import AgentSpec, ChildContext, Supervisor\n"
        f"spec = AgentSpec('echo_agent:Echo', environment={{'PYTHONPATH': {str(tmp_path)!r}}})\n"
        f"asyncio.run(Supervisor().run([spec], ChildContext({server.unix!r})))\n"
    )
    spawned = await asyncio.create_subprocess_exec(sys.executable, str(script))
    yield spawned
    if spawned.returncode is None:
        spawned.kill()
        await spawned.wait()


async def test_killed_supervisor_leaves_no_agent_behind(client, parent, gone):
    (status,) = await listed(client, lambda found: len(found) == 1)
    parent.kill()
    await parent.wait()
    await gone(status.agent.pid)
    await listed(client, lambda found: not found)
    assert await client.admin.list_agents() == []


async def test_supervisor_passes_sigterm_on_and_ends_cleanly(client, parent):
    await listed(client, lambda found: len(found) == 1)
    parent.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(parent.wait(), 20) == 0
    assert await client.admin.list_agents() == []
