"""Where a result comes from: the machine, the versions, the commit and the command."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

REPOSITORY: Final = Path(__file__).parents[2]
PACKAGES: Final = ("bellwire", "grpcio", "protobuf", "lz4", "uvloop")


def describe_machine() -> dict[str, Any]:
    """Give what a reader needs to judge the figures; nothing that identifies the host."""
    pages, page_bytes = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": round(pages * page_bytes / 2**30, 1),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load_average_at_start": round(os.getloadavg()[0], 2),
    }


def describe_versions() -> dict[str, str]:
    """Give the versions of the interpreter and the packages every measurement uses."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return {"python": python} | {name: importlib.metadata.version(name) for name in PACKAGES}


def describe_commit() -> str:
    """Give the commit measured, with `-dirty` when the tree differs from it."""
    commit = _git("rev-parse", "--short=12", "HEAD")
    if not commit:
        return "unknown"
    # Results of earlier runs and their page do not change what is measured.
    measured = (".", ":!benchmarks/results", ":!docs")
    return f"{commit}-dirty" if _git("status", "--porcelain", "--", *measured) else commit


def describe_command(script: str = "run.py") -> str:
    """Give the command as one would type it in the repository."""
    return " ".join(("python", f"tests/benchmarks/{script}", *sys.argv[1:]))


def _git(*arguments: str) -> str:
    git = subprocess.run(
        ["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    return git.stdout.strip() if git.returncode == 0 else ""


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
