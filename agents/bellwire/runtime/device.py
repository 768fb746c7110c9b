"""The device that a spec asks for: "cpu", "cpu:2,3" or "cuda:0"; sans I/O."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from bellwire.runtime.errors import InvalidDeviceError

CPU: Final = "cpu"
CPU_NUMBER_MAX: Final = 8191  # NR_CPUS of the largest kernels is 8,192
_RANGE: Final = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?")
_CUDA: Final = re.compile(r"cuda:(\d{1,2})")


@dataclass(frozen=True, slots=True)
class Device:
    """CPUs, or one GPU."""

    cpus: tuple[int, ...] = ()
    """In order, each once; empty = any."""
    gpu: int | None = None
    """Its index among the GPUs that the supervisor may use; None = it computes on CPUs."""

    def __str__(self) -> str:
        if self.gpu is not None:
            return f"cuda:{self.gpu}"
        return f"{CPU}:{cpu_list(self.cpus)}" if self.cpus else CPU


def parse_device(text: str) -> Device:
    """Read a device as people write it.

    Raises:
        InvalidDeviceError: It is written in no such way.
    """
    if text == CPU:
        return Device()
    cuda = _CUDA.fullmatch(text)
    if cuda is not None:
        return Device(gpu=int(cuda[1]))
    kind, colon, numbers = text.partition(":")
    if kind != CPU or not colon:
        raise InvalidDeviceError(text, f"{kind!r} is no kind of device with a number")
    try:
        cpus = parse_cpu_list(numbers)
    except ValueError as error:
        raise InvalidDeviceError(text, str(error)) from None
    return Device(cpus=tuple(sorted(cpus)))


def parse_cpu_list(text: str) -> frozenset[int]:
    """Read "0-3,8", the list format of Linux (cpuset(7)), numbers 0..8,191.

    Raises:
        ValueError: It is not such a list, or an empty one.
    """
    found: set[int] = set()
    for part in text.strip().split(","):
        match = _RANGE.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is no CPU number and no range of them")
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last <= CPU_NUMBER_MAX:
            raise ValueError(f"{part!r} is not an ascending range within 0..{CPU_NUMBER_MAX}")
        found.update(range(first, last + 1))
    return frozenset(found)


def cpu_list(cpus: Iterable[int]) -> str:
    """Write CPU numbers in order; three or more in a row as a range: "0-3,8"."""
    ordered = sorted(set(cpus))
    breaks = [i for i, (a, b) in enumerate(pairwise(ordered), start=1) if b != a + 1]
    runs = [
        ordered[begin:end]
        for begin, end in zip([0, *breaks], [*breaks, len(ordered)], strict=True)
        if begin < end
    ]
    return ",".join(
        f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run)) for run in runs
    )
