"""What a durable broker does to the disk, and what that disk is."""

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import psutil
from tests.benchmarks.histogram import LatencyHistogram

BLOCK_BYTES: Final = 512  # The unit of st_blocks, whatever the file system.
PROBE_WRITES: Final = 200  # About a tenth of a second on a disk that keeps its word.
PROBE_BYTES: Final = 4_096
IN_MEMORY: Final = ("tmpfs", "ramfs")  # They forget everything, so that syncing costs nothing.


def kept_bytes(folder: Path) -> int:
    """Give what the files below a folder occupy; 0 when there is none."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_blocks * BLOCK_BYTES
        except FileNotFoundError:
            continue  # Logs are rotated while we look.
    return total


def written_bytes(processes: Sequence[psutil.Process]) -> int | None:
    """Give what processes have caused to be written so far; None where it may not be known."""
    try:
        written: int = sum(process.io_counters().write_bytes for process in processes)
    except (AttributeError, psutil.AccessDenied):
        return None
    return written


def describe_disk(folder: Path) -> dict[str, Any]:
    """Give the file system of a folder and what stands below it, as far as the system tells."""
    told = subprocess.run(
        ["findmnt", "-n", "-o", "FSTYPE,SOURCE", "-T", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    kind, source = (told[0], Path(told[1]).name) if len(told) >= 2 else ("unknown", "unknown")
    block = Path("/sys/class/block") / source
    return {
        "file_system": kind,
        "device": source,
        "model": _read(block / "device" / "model"),
        "write_cache": _read(block / "queue" / "write_cache"),
    }


def probe_sync(folder: Path) -> dict[str, int]:
    """Time small writes with fdatasync, the least that every durable commit costs here and now.

    The file has its size beforehand, as a log that is used again; making it longer costs more.
    """
    path = folder / "sync-probe"
    block = b"\x01" * PROBE_BYTES
    times_ns = []
    with path.open("w+b", buffering=0) as file:
        file.write(bytes(PROBE_WRITES * PROBE_BYTES))
        os.fsync(file.fileno())
        file.seek(0)
        for _ in range(PROBE_WRITES):
            began_ns = time.monotonic_ns()
            file.write(block)
            os.fdatasync(file.fileno())
            times_ns.append(time.monotonic_ns() - began_ns)
    path.unlink()
    histogram = LatencyHistogram.of(times_ns)
    return {
        "p50_us": histogram.percentile(50) // 1_000,
        "p99_us": histogram.percentile(99) // 1_000,
    }


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip() or None
    except OSError:
        return None
