"""Spelling agents out as processes, and reading that back in the child."""

import json
import sys

import pytest

from bellwire.client import ClientSettings
from bellwire.client.settings import PublishSettings
from bellwire.runtime import AgentSpec, ChildContext, ProcessSpec, RunSettings, SupervisorSettings
from bellwire.runtime.child import from_plain
from bellwire.runtime.errors import InvalidDeviceError, LaunchBlockingError
from bellwire.runtime.placement import Machine, PlacementSettings
from bellwire.runtime.spec import agent_processes, encode_spare, encode_stdin, encode_turn
from bellwire.telemetry import TelemetrySettings
from bellwire.wire.settings import SettingsError

MACHINE = Machine(frozenset({0, 1, 2}), gpus=("GPU-a", "GPU-b"))
SHARED = ChildContext("unix:///bus.sock", client=ClientSettings(timeout_seconds=3.0))


def test_each_replica_is_a_process_with_its_own_id() -> None:
    spec = AgentSpec("my.module:Rules", replicas=2, device="cpu:1,2", settings={"a": 1})
    first, second = agent_processes(spec, SHARED, MACHINE)
    assert (first.name, second.name) == ("rules-0", "rules-1")
    assert first.argv == (sys.executable, "-P", "-m", "bellwire.runtime.child")
    assert first.cpus == (1, 2)
    assert first.stdin_json is not None
    assert second.stdin_json is not None
    assert (first.stdin_json["agent_id"], second.stdin_json["agent_id"]) == ("rules-0", "rules-1")
    assert first.stdin_json["settings"] == {"a": 1}


def test_name_overrides_the_class_name() -> None:
    (process,) = agent_processes(AgentSpec("m:Rules", name="fast"), SHARED, MACHINE)
    assert process.name == "fast-0"


def test_blas_threads_and_gpus_are_limited_unless_the_spec_says_otherwise() -> None:
    (process,) = agent_processes(AgentSpec("m:A"), SHARED, MACHINE)
    assert process.environment == {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "BELLWIRE_DEVICE": "",
    }
    spec = AgentSpec("m:A", device="cuda:1", environment={"OMP_NUM_THREADS": "4"})
    (process,) = agent_processes(spec, SHARED, MACHINE)
    assert process.environment["OMP_NUM_THREADS"] == "4"
    assert process.environment["CUDA_VISIBLE_DEVICES"] == "GPU-b"


def test_child_is_told_its_share_of_the_gpu_and_nothing_when_it_is_on_cpus() -> None:
    placement = PlacementSettings(gpu_memory_fraction=0.5, on_missing_device="degrade")
    for device, share in (("cuda:0", 0.5), ("cpu", 0.0), ("cuda:9", 0.0)):
        spec = AgentSpec("m:A", device=device, placement=placement)
        (process,) = agent_processes(spec, SHARED, MACHINE)
        assert json.loads(encode_stdin(process, restarts=0))["gpu_memory_fraction"] == share


def test_processes_are_spread_over_numa_nodes_across_agents() -> None:
    machine = Machine(frozenset(range(4)), nodes={0: frozenset({0, 1}), 1: frozenset({2, 3})})
    spec = AgentSpec("m:A", replicas=2)
    cpus = [p.cpus for p in agent_processes(spec, SHARED, machine, before=1)]
    assert cpus == [(2, 3), (0, 1)]


def test_what_was_degraded_is_said_with_the_process() -> None:
    degrade = PlacementSettings(on_missing_device="degrade")
    spec = AgentSpec("m:A", device="cuda:2", placement=degrade)
    (process,) = agent_processes(spec, SHARED, MACHINE)
    assert "the machine has 2 GPUs" in process.notices[0]


@pytest.mark.parametrize("standby", [-1, 2])
def test_more_than_one_spare_is_refused(standby: int) -> None:
    with pytest.raises(SettingsError, match="standby"):
        AgentSpec("m:A", standby=standby)


def test_spare_of_a_gpu_agent_is_refused() -> None:
    with pytest.raises(SettingsError, match="a second time"):
        AgentSpec("m:A", device="cuda:0", standby=1)


@pytest.mark.parametrize("fields", [{}, {"stdin_json": {}, "ready_file": "/ready"}])
def test_spare_of_a_program_that_cannot_be_told_its_turn_is_refused(fields) -> None:
    with pytest.raises(SettingsError, match="standby"):
        ProcessSpec("p", ("true",), standby=1, **fields)


def test_wrongly_written_device_is_refused_with_the_spec() -> None:
    with pytest.raises(InvalidDeviceError, match="'gpu0'"):
        AgentSpec("m:A", device="gpu0")


def test_gpu_agent_that_would_wait_for_each_kernel_is_refused() -> None:
    with pytest.raises(LaunchBlockingError, match="take it out"):
        AgentSpec("m:A", device="cuda:0", environment={"CUDA_LAUNCH_BLOCKING": "1"})
    AgentSpec("m:A", environment={"CUDA_LAUNCH_BLOCKING": "1"})


def test_spare_is_told_that_it_is_one_and_then_what_became_of_the_process() -> None:
    (process,) = agent_processes(AgentSpec("m:A", standby=1), SHARED, MACHINE)
    assert process.standby == 1
    first, turn = encode_spare(process), encode_turn(3)
    assert json.loads(first)["is_spare"] is True
    assert json.loads(turn) == {"restarts": 3}
    assert (first.count(b"\n"), turn.count(b"\n")) == (1, 1)


def test_settings_survive_the_way_to_the_child() -> None:
    run = RunSettings(broadcast=True, attempts_max=7)
    telemetry = TelemetrySettings(sample_ratio=1.0, trace_dir="/t")
    client = ClientSettings(timeout_seconds=3.0, publish=PublishSettings(batch_messages_max=7))
    shared = ChildContext("127.0.0.1:7400", client=client, telemetry=telemetry)
    (process,) = agent_processes(AgentSpec("m:A", run=run), shared, MACHINE)
    spec = json.loads(encode_stdin(process, restarts=3))
    assert from_plain(RunSettings, spec["run"]) == run
    assert from_plain(ClientSettings, spec["client"]) == client
    assert from_plain(TelemetrySettings, spec["telemetry"]) == telemetry
    assert (spec["restarts"], spec["address"]) == (3, "127.0.0.1:7400")


def test_process_without_input_gets_none() -> None:
    assert encode_stdin(ProcessSpec("p", ("true",)), restarts=1) == b""


@pytest.mark.parametrize("field", ["start_timeout_seconds", "restart_window_seconds"])
def test_time_of_zero_is_refused(field: str) -> None:
    with pytest.raises(SettingsError, match=field):
        SupervisorSettings(**{field: 0.0})  # type: ignore[arg-type]  # mypy sees all fields
