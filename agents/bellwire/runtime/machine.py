"""Reads what this machine has: CPUs, NUMA nodes, GPUs."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bellwire.runtime.device import parse_cpu_list
from bellwire.runtime.gpu import read_gpus, visible_gpus
from bellwire.runtime.placement import BLOCKING_VARIABLE, VISIBLE_VARIABLE, Machine

NODES: Final = Path("/sys/devices/system/node")
_NODE: Final = re.compile(r"node(\d+)")


def read_machine(*, with_gpus: bool, environment: Mapping[str, str] = os.environ) -> Machine:
    """Return what processes started from here may use.

    Args:
        with_gpus: Ask the driver; costs tens of milliseconds, and is needless for CPU agents.
        environment: Ours; CUDA_VISIBLE_DEVICES in it limits the GPUs that may be given away.
    """
    gpus: tuple[str, ...] = ()
    reason = ""
    if with_gpus:
        inventory = read_gpus()
        hidden = environment.get(VISIBLE_VARIABLE)
        gpus, reason = visible_gpus(inventory.uuids, hidden), inventory.absent_because
        if inventory.uuids and not gpus:
            reason = f"{VISIBLE_VARIABLE}={hidden!r} of our environment names none of the GPUs"
    return Machine(
        cpus=frozenset(os.sched_getaffinity(0)),
        nodes=read_nodes(NODES),
        gpus=gpus,
        no_gpus_because=reason,
        is_launch_blocking=environment.get(BLOCKING_VARIABLE) == "1",
    )


def read_nodes(folder: Path) -> dict[int, frozenset[int]]:
    """Return the CPUs of each NUMA node; none when the kernel does not tell.

    Args:
        folder: As /sys/devices/system/node.
    """
    nodes: dict[int, frozenset[int]] = {}
    for path in folder.glob("node*/cpulist"):
        number = _NODE.fullmatch(path.parent.name)
        text = path.read_text().strip()
        if number is not None and text:  # A node of memory alone has no CPUs.
            nodes[int(number[1])] = parse_cpu_list(text)
    return nodes
