"""Spelling agents out as processes, and reading that back in the child."""

import json
import sys

import pytest

from bellwire.client import ClientSettings
from bellwire.client.settings import PublishSettings
from bellwire.runtime import AgentSpec, ChildContext, ProcessSpec, RunSettings, SupervisorSettings
from bellwire.runtime.child import from_plain
from bellwire.runtime.spec import agent_processes, encode_stdin
from bellwire.telemetry import TelemetrySettings
from bellwire.wire.settings import SettingsError

SHARED = ChildContext("unix:///bus.sock", client=ClientSettings(timeout_seconds=3.0))


def test_each_replica_is_a_process_with_its_own_id() -> None:
    spec = AgentSpec("my.module:Rules", replicas=2, cpus=(1, 2), settings={"a": 1})
    first, second = agent_processes(spec, SHARED)
    assert (first.name, second.name) == ("rules-0", "rules-1")
    assert first.argv == (sys.executable, "-m", "bellwire.runtime.child")
    assert first.cpus == (1, 2)
    assert first.stdin_json is not None
    assert second.stdin_json is not None
    assert (first.stdin_json["agent_id"], second.stdin_json["agent_id"]) == ("rules-0", "rules-1")
    assert first.stdin_json["settings"] == {"a": 1}


def test_name_overrides_the_class_name() -> None:
    (process,) = agent_processes(AgentSpec("m:Rules", name="fast"), SHARED)
    assert process.name == "fast-0"


def test_blas_threads_and_gpus_are_limited_unless_the_spec_says_otherwise() -> None:
    (process,) = agent_processes(AgentSpec("m:A"), SHARED)
    assert process.environment == {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    spec = AgentSpec("m:A", cuda_visible_devices="GPU-1", environment={"OMP_NUM_THREADS": "4"})
    (process,) = agent_processes(spec, SHARED)
    assert process.environment["OMP_NUM_THREADS"] == "4"
    assert process.environment["CUDA_VISIBLE_DEVICES"] == "GPU-1"


def test_settings_survive_the_way_to_the_child() -> None:
    run = RunSettings(broadcast=True, attempts_max=7)
    telemetry = TelemetrySettings(sample_ratio=1.0, trace_dir="/t")
    client = ClientSettings(timeout_seconds=3.0, publish=PublishSettings(batch_messages_max=7))
    shared = ChildContext("127.0.0.1:7400", client=client, telemetry=telemetry)
    (process,) = agent_processes(AgentSpec("m:A", run=run), shared)
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
