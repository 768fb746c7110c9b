"""What a machine can give of the device that a spec asks for; sans I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from bellwire.runtime.device import Device, cpu_list, parse_device
from bellwire.runtime.errors import LaunchBlockingError, MissingDeviceError
from bellwire.wire.settings import check_settings, setting

DEGRADE: Final = "degrade"
REFUSE: Final = "refuse"
SPREAD: Final = "spread"
ANY: Final = "any"
DEVICE_VARIABLE: Final = "BELLWIRE_DEVICE"  # tells an agent on a GPU which one it was given
VISIBLE_VARIABLE: Final = "CUDA_VISIBLE_DEVICES"
BLOCKING_VARIABLE: Final = "CUDA_LAUNCH_BLOCKING"


@dataclass(frozen=True, slots=True)
class PlacementSettings:
    """What to do with a device, and without it.

    Raises:
        SettingsError: A value is of the wrong type or out of its range.
    """

    on_missing_device: str = field(
        default=REFUSE,
        metadata=setting(
            unit="",
            why="refuse: an agent that is slower than was measured should say so before it trades",
            choices=(REFUSE, DEGRADE),
        ),
    )
    numa: str = field(
        default=SPREAD,
        metadata=setting(
            unit="",
            why="spread: processes take one NUMA node after the other, each keeps to its own; "
            "any: the kernel moves them",
            choices=(SPREAD, ANY),
        ),
    )
    gpu_memory_fraction: float = field(
        default=0.7,
        metadata=setting(
            unit="of the GPU's memory",
            why="bounds torch's allocator alone; CUDA contexts and other libraries need the rest",
            gt=0,
            le=1,
        ),
    )

    def __post_init__(self) -> None:
        """Refuse values that cannot be used."""
        check_settings(self)


@dataclass(frozen=True, slots=True)
class Machine:
    """What processes started from here may use."""

    cpus: frozenset[int]
    nodes: Mapping[int, frozenset[int]] = field(default_factory=dict)
    """CPUs of each NUMA node; empty = the machine does not tell."""
    gpus: tuple[str, ...] = ()
    """UUIDs of GPUs; their places are the numbers of "cuda:0", "cuda:1", …."""
    no_gpus_because: str = ""
    """Why none are known."""
    is_launch_blocking: bool = False
    """Our own environment has CUDA_LAUNCH_BLOCKING=1."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a process is put."""

    device: Device
    """What it is given, which may be less than was asked for."""
    cpus: tuple[int, ...]
    """To pin it to, before it starts; empty = not pinned."""
    environment: Mapping[str, str]
    """Variables that go with the device."""
    notices: tuple[str, ...] = ()
    """What people should know."""


def place(asked: str, machine: Machine, settings: PlacementSettings, *, nth: int = 0) -> Placement:
    """Find the place for a process.

    On a machine with several NUMA nodes a CPU agent gets the CPUs of one. Memory needs no policy of
    its own: Linux takes a page from the node of the CPU that touches it first (set_mempolicy(2)).

    Args:
        asked: As in `parse_device`.
        machine: What there is.
        settings: What to do with it.
        nth: Number of the process, 0 …; processes are spread over NUMA nodes.

    Raises:
        InvalidDeviceError: No such kind of device.
        MissingDeviceError: It is not there, and the settings say to refuse.
    """
    device = parse_device(asked)
    if device.gpu is not None:
        return _on_gpu(device, device.gpu, machine, settings, nth)
    # An agent on CPUs sees no GPU, not even one that was given to us.
    environment = {VISIBLE_VARIABLE: "", DEVICE_VARIABLE: ""}
    if not device.cpus:
        cpus = _node_cpus(machine, nth) if settings.numa == SPREAD else ()
        return Placement(device, cpus, environment)
    usable = tuple(cpu for cpu in device.cpus if cpu in machine.cpus)
    if usable == device.cpus:
        return Placement(device, usable, environment, _across_nodes(usable, machine))
    missing = cpu_list(set(device.cpus) - machine.cpus)
    found = f"CPU {missing} may not be used, those that may are {cpu_list(machine.cpus)}"
    if settings.on_missing_device == REFUSE:
        raise MissingDeviceError(asked, found)
    got = Device(cpus=usable)
    return Placement(got, usable, environment, (_degraded(asked, found, got),))


def check_launch_blocking(device: Device, environment: Mapping[str, str]) -> None:
    """Refuse a GPU agent whose spec has each kernel waited for.

    Raises:
        LaunchBlockingError: CUDA_LAUNCH_BLOCKING is 1.
    """
    if device.gpu is not None and environment.get(BLOCKING_VARIABLE) == "1":
        raise LaunchBlockingError(
            f"device '{device}': the spec's environment has {BLOCKING_VARIABLE}=1, which makes "
            "the process wait for each GPU kernel; take it out"
        )


def _on_gpu(
    device: Device, index: int, machine: Machine, settings: PlacementSettings, nth: int
) -> Placement:
    if index < len(machine.gpus):
        notices = []
        if machine.is_launch_blocking:
            notices.append(
                f"{BLOCKING_VARIABLE}=1 of our environment is not passed on to {device}: "
                "the process would wait for each GPU kernel"
            )
        environment = {
            # By UUID: CUDA numbers GPUs by speed, the driver by their place on the bus.
            VISIBLE_VARIABLE: machine.gpus[index],
            BLOCKING_VARIABLE: "0",
            DEVICE_VARIABLE: str(device),
        }
        return Placement(device, (), environment, tuple(notices))
    found = machine.no_gpus_because or f"the machine has {len(machine.gpus)} GPUs, counted from 0"
    if settings.on_missing_device == REFUSE:
        raise MissingDeviceError(str(device), found)
    instead = place("cpu", machine, settings, nth=nth)
    notice = _degraded(str(device), found, instead.device)
    return Placement(instead.device, instead.cpus, instead.environment, (notice,))


def _degraded(asked: str, found: str, got: Device) -> str:
    return f"device {asked!r} is not there: {found}; the process runs on '{got}' and is slower"


def _node_cpus(machine: Machine, nth: int) -> tuple[int, ...]:
    """Return the usable CPUs of the process's node; empty when there is no choice."""
    shares = [
        sorted(cpus & machine.cpus)
        for _, cpus in sorted(machine.nodes.items())
        if cpus & machine.cpus
    ]
    return tuple(shares[nth % len(shares)]) if len(shares) > 1 else ()


def _across_nodes(cpus: tuple[int, ...], machine: Machine) -> tuple[str, ...]:
    nodes = [str(node) for node, own in sorted(machine.nodes.items()) if own & set(cpus)]
    if len(nodes) < 2:
        return ()
    return (
        f"CPUs {cpu_list(cpus)} lie on NUMA nodes {', '.join(nodes)}: "
        "memory touched on one is slower from the other",
    )
