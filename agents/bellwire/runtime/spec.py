"""What a supervisor is told to run; plain values."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from bellwire.client.settings import ClientSettings
from bellwire.runtime.device import parse_device
from bellwire.runtime.placement import (
    Machine,
    Placement,
    PlacementSettings,
    check_launch_blocking,
    place,
)
from bellwire.runtime.settings import RunSettings
from bellwire.telemetry import TelemetrySettings
from bellwire.wire.settings import SettingsError, check_settings, setting

CHILD_MODULE = "bellwire.runtime.child"
ONE_THREAD: Mapping[str, str] = {
    # Each agent process has one core's worth of work; pools of BLAS threads would fight over it.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


@dataclass(frozen=True, slots=True)
class SupervisorSettings:
    """How processes are started, restarted and stopped.

    Raises:
        SettingsError: A value is of the wrong type or out of its range.
    """

    restarts_max: int = field(
        default=5,
        metadata=setting(
            unit="restarts", why="within the window; a fault that returns so often stays", ge=0
        ),
    )
    restart_window_seconds: float = field(
        default=60.0,
        metadata=setting(unit="s", why="a crash an hour is bearable, five a minute are not", gt=0),
    )
    restart_delay_first_seconds: float = field(
        default=0.1,
        metadata=setting(unit="s", why="upper bound of the first wait; doubles", gt=0, le=60),
    )
    restart_delay_max_seconds: float = field(
        default=5.0,
        metadata=setting(unit="s", why="upper bound of every wait", gt=0, le=600),
    )
    start_timeout_seconds: float = field(
        default=30.0,
        metadata=setting(unit="s", why="from spawn to READY, models included", gt=0, le=3600),
    )
    stop_grace_seconds: float = field(
        default=10.0,
        metadata=setting(
            unit="s", why="from SIGTERM to SIGKILL; twice an agent's own grace", gt=0, le=3600
        ),
    )
    log_dir: str = field(
        default="",
        metadata=setting(unit="", why="empty: children write to our standard error"),
    )

    def __post_init__(self) -> None:
        """Refuse values that cannot be used."""
        check_settings(self)


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """Any program: the coordinator, or an agent once it is spelled out.

    Raises:
        SettingsError: It cannot have a spare.
    """

    name: str
    """Unique within the supervisor; names the log file."""
    argv: tuple[str, ...]
    """Program and arguments."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to ours."""
    cpus: tuple[int, ...] = ()
    """CPUs it may run on; empty = all we may."""
    ready_file: str = ""
    """It is ready when this file appears; empty = when it says so on the pipe of `ready`."""
    stdin_json: Mapping[str, object] | None = None
    """Written to its standard input as one line, with `restarts` added; None = no input."""
    standby: int = 0
    """Spares kept warm, 0 or 1; the program must know what `encode_spare` says."""
    notices: tuple[str, ...] = ()
    """What people should know of it; logged when it is started."""

    def __post_init__(self) -> None:
        """Refuse a spare that could not be told its turn, or would not be heard."""
        if self.standby and (self.stdin_json is None or self.ready_file):
            expected = "0 for a program without input, or one that says READY by a file"
            raise SettingsError("ProcessSpec", "standby", self.standby, expected)


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """One agent class, in as many processes as there are replicas.

    Raises:
        SettingsError: A value is of the wrong type or out of its range.
        InvalidDeviceError: The device is written wrongly.
        LaunchBlockingError: A GPU agent would wait for each kernel.
    """

    target: str
    """"module:Class", importable in the child, or "path/to/file.py:Class"."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """Overrides of the agent's `default_settings`; JSON values."""
    replicas: int = 1
    """Processes; they compete for messages unless `run.broadcast`."""
    device: str = "cpu"
    """"cpu", "cpu:2,3", "cpu:0-3" or "cuda:0"; the same for each replica."""
    placement: PlacementSettings = field(default_factory=PlacementSettings)
    """What to do with the device, and when it is not there."""
    run: RunSettings = field(default_factory=RunSettings)
    """Bounds and policies of the running agent."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to ours."""
    name: str = ""
    """Prefix of the replicas' ids; empty = the class name in lower case."""
    alias: str = ""
    """Stands in for the class's `name`, that of its subscription: two agents of one class that read
    different topics need two. Empty = none does."""
    standby: int = field(
        default=0,
        metadata=setting(
            unit="processes per replica",
            why="a spare that has made its agent takes a crashed one's place at once, for its memory",
            ge=0,
            le=1,
        ),
    )
    """The spare runs the agent's constructor, and `on_start` only in its turn: open there what only
    one process may have."""

    def __post_init__(self) -> None:
        """Refuse values that cannot be used."""
        check_settings(self)
        device = parse_device(self.device)
        check_launch_blocking(device, self.environment)
        if self.standby and device.gpu is not None:
            expected = "0: a spare would hold the model on the GPU a second time"
            raise SettingsError("AgentSpec", "standby", self.standby, expected)


@dataclass(frozen=True, slots=True)
class ChildContext:
    """What all agents of one supervisor share."""

    address: str
    """Of the coordinator: "unix:///path" or "host:port"."""
    client: ClientSettings = field(default_factory=ClientSettings)
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
    log_level: str = "WARNING"
    """Name of a level of `logging`."""
    tracebacks: bool = True
    """Log the stack of an error that ends an agent before READY, though the error itself is told."""


def module_argv(module: str) -> tuple[str, ...]:
    """Return what runs a module of ours; what lies in the working folder replaces no module."""
    return (sys.executable, "-P", "-m", module)


def agent_processes(
    spec: AgentSpec, shared: ChildContext, machine: Machine, *, before: int = 0
) -> list[ProcessSpec]:
    """Spell an agent out as processes, one per replica.

    Args:
        spec: The agent.
        shared: What it shares with others.
        machine: Where it is to run.
        before: Processes that were spelled out before; they are spread over NUMA nodes in turn.

    Raises:
        MissingDeviceError: The machine does not have the device, and the spec says to refuse.
    """
    prefix = spec.name or spec.target.rpartition(":")[2].lower()
    return [
        _replica(spec, shared, f"{prefix}-{replica}", _place(spec, machine, before + replica))
        for replica in range(spec.replicas)
    ]


def _place(spec: AgentSpec, machine: Machine, nth: int) -> Placement:
    return place(spec.device, machine, spec.placement, nth=nth)


def _replica(
    spec: AgentSpec, shared: ChildContext, agent_id: str, placement: Placement
) -> ProcessSpec:
    is_on_gpu = placement.device.gpu is not None
    return ProcessSpec(
        name=agent_id,
        argv=module_argv(CHILD_MODULE),
        environment={**ONE_THREAD, **placement.environment, **spec.environment},
        cpus=placement.cpus,
        standby=spec.standby,
        notices=placement.notices,
        stdin_json={
            "target": spec.target,
            "agent_id": agent_id,
            "alias": spec.alias,
            "settings": dict(spec.settings),
            "run": asdict(spec.run),
            "address": shared.address,
            "client": asdict(shared.client),
            "telemetry": asdict(shared.telemetry),
            "log_level": shared.log_level,
            "tracebacks": shared.tracebacks,
            "gpu_memory_fraction": spec.placement.gpu_memory_fraction if is_on_gpu else 0.0,
        },
    )


def encode_stdin(spec: ProcessSpec, restarts: int) -> bytes:
    """Return what is written to the standard input of a process; empty when it gets none."""
    if spec.stdin_json is None:
        return b""
    return _line({**spec.stdin_json, "restarts": restarts})


def encode_spare(spec: ProcessSpec) -> bytes:
    """Return the first line for a spare: to load, say WARM on `BELLWIRE_WARM_FD`, and wait."""
    return _line({**(spec.stdin_json or {}), "restarts": 0, "is_spare": True})


def encode_turn(restarts: int) -> bytes:
    """Return the second line for a spare: to do what it was started for."""
    return _line({"restarts": restarts})


def _line(values: Mapping[str, object]) -> bytes:
    return json.dumps(values).encode() + b"\n"
