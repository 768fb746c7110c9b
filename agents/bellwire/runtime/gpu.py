"""GPUs of this machine as the NVIDIA driver tells (NVML), and the share of one that torch may take.

`nvidia-ml-py` (extra `gpu`) is imported only when a GPU is asked for; without it, or without a
driver, there are no GPUs and no gauges, and the reason is said once.
"""

import importlib
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from bellwire.runtime.placement import DEVICE_VARIABLE, VISIBLE_VARIABLE

logger = logging.getLogger(__name__)

PERCENT: Final = 100


@dataclass(frozen=True, slots=True)
class GpuInventory:
    """Which GPUs there are."""

    uuids: tuple[str, ...]
    """In the order of their places on the bus."""
    absent_because: str = ""
    """Why none are known; empty when some are."""


@dataclass(frozen=True, slots=True)
class GpuUsage:
    """One GPU at one moment, all processes on it together."""

    used_bytes: int
    total_bytes: int
    utilisation: float | None
    """Share of the last sample period in which a kernel ran, 0..1; None where the driver does not tell."""


class GpuGauge:
    """Reads one GPU. Cheap enough for once a second: each reading asks the driver twice."""

    def __init__(self, uuid: str) -> None:
        """Find it; one that is not there reads None.

        Args:
            uuid: As in `CUDA_VISIBLE_DEVICES`.
        """
        self._nvml, reason = _open_nvml()
        self._handle: Any = None
        if self._nvml is not None:
            try:
                self._handle = self._nvml.nvmlDeviceGetHandleByUUID(uuid)
            except self._nvml.NVMLError as error:
                reason = f"the driver does not know GPU {uuid}: {error}"
        if self._handle is None:
            _say_once(f"no figures of the GPU: {reason}")

    def read(self) -> GpuUsage | None:
        """Return its memory and utilisation now; None when they cannot be read."""
        if self._handle is None:
            return None
        nvml = self._nvml
        try:
            memory = nvml.nvmlDeviceGetMemoryInfo(self._handle)
        except nvml.NVMLError as error:
            _say_once(f"no figures of the GPU: {error}")
            return None
        try:
            busy = nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu / PERCENT
        except nvml.NVMLError:
            busy = None  # A part of a GPU (MIG) has none of its own.
        return GpuUsage(int(memory.used), int(memory.total), busy)


def own_gauge(environment: Mapping[str, str]) -> GpuGauge | None:
    """Return the gauge of the GPU that the supervisor gave this process; None on CPUs.

    Args:
        environment: Ours.
    """
    if not environment.get(DEVICE_VARIABLE):
        return None
    return GpuGauge(environment.get(VISIBLE_VARIABLE, ""))


def read_gpus() -> GpuInventory:
    """Ask the driver for all GPUs, those that CUDA_VISIBLE_DEVICES hides included."""
    nvml, reason = _open_nvml()
    if nvml is None:
        return GpuInventory((), reason)
    try:
        handles = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
        uuids = tuple(_text(nvml.nvmlDeviceGetUUID(handle)) for handle in handles)
    except nvml.NVMLError as error:
        return GpuInventory((), f"the NVIDIA driver fails: {error}")
    return GpuInventory(uuids, "" if uuids else "the NVIDIA driver has no GPU")


def visible_gpus(uuids: tuple[str, ...], variable: str | None) -> tuple[str, ...]:
    """Return those that CUDA_VISIBLE_DEVICES leaves us, in its order; all when it is not set.

    As CUDA does, names end at the first that is unknown. Numbers are taken for places on the bus, which is what
    CUDA means by them under CUDA_DEVICE_ORDER=PCI_BUS_ID; without it CUDA counts the fastest first, so where GPUs
    differ from each other name them by their UUIDs.

    Args:
        uuids: All GPUs, by their places on the bus.
        variable: Indices or beginnings of UUIDs, with commas; None = not set.
    """
    if variable is None:
        return uuids
    visible: list[str] = []
    for name in (part.strip() for part in variable.split(",")):
        if name.isdecimal():
            found = uuids[int(name) : int(name) + 1]
        else:
            found = tuple(uuid for uuid in uuids if name and uuid.startswith(name))
        if len(found) != 1:
            break
        visible += found
    return tuple(visible)


def limit_gpu_memory(fraction: float) -> bool:
    """Bound what torch's caching allocator takes of the one GPU this process sees.

    It bounds neither CUDA contexts nor what other libraries take.

    Args:
        fraction: Of the GPU's whole memory, above 0 and at most 1.

    Returns:
        Whether it did; False when this process has not imported torch, or torch has no GPU.
    """
    torch: Any = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return False
    torch.cuda.set_per_process_memory_fraction(fraction, 0)
    return True


def _open_nvml() -> tuple[Any, str]:
    """Return NVML, or None and why it cannot be used."""
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return None, "nvidia-ml-py is not installed (extra `gpu`)"
    try:
        nvml.nvmlInit()  # Counted by the library: again and again is fine.
    except nvml.NVMLError as error:
        return None, f"the NVIDIA driver does not answer: {error}"
    return nvml, ""


@cache
def _say_once(notice: str) -> None:
    logger.warning(notice)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
