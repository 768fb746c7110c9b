"""Runs py-spy, the sampler: what it is asked, and what its answers mean for the user."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

from bellwire.cli.faults import CommandError, UsageFault
from bellwire.cli.profile_format import ProfileFormat

__all__ = [
    "SamplePlan",
    "Sampled",
    "check_output",
    "failure_of",
    "sample",
]

# After its time is over py-spy only draws; native symbols take longest.
END_SECONDS_MAX: Final = 30.0
PTRACE_SCOPE: Final = Path("/proc/sys/kernel/yama/ptrace_scope")
_SAMPLING: Final = "Sampling process"
_SAMPLES: Final = re.compile(r"Samples: (\d+) Errors: (\d+)")
_REFUSED: Final = re.compile(
    r"permission denied|operation not permitted|os error 1\b", re.IGNORECASE
)
_NOT_PYTHON: Final = re.compile(
    r"find python version|python interpreter|not a python|find.* interpreter"
)
_NO_STACKS: Final = re.compile(r"no stack counts", re.IGNORECASE)
_GONE: Final = re.compile(r"no such (file|process)|os error [23]\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SamplePlan:
    """What to sample, and where to write it."""

    pid: int
    seconds: int
    rate_per_second: int
    format: ProfileFormat
    output: Path
    native: bool = False
    idle: bool = False

    def arguments(self, part: Path) -> list[str]:
        """Return the arguments of py-spy that write to `part`."""
        extra = [flag for flag, on in (("--native", self.native), ("--idle", self.idle)) if on]
        return [
            *("record", "--pid", str(self.pid), "--duration", str(self.seconds)),
            *("--rate", str(self.rate_per_second), "--format", self.format.value),
            *("--output", str(part), *extra),
        ]


@dataclass(frozen=True, slots=True)
class Sampled:
    """What came of it."""

    samples: int
    errors: int
    """Stacks that could not be read because they changed meanwhile."""
    interrupted: bool
    """Stopped by Ctrl-C or SIGTERM before its time."""
    process_ended: bool
    """The process ended before the time was over."""


def check_output(output: Path) -> None:
    """Find out before sampling whether the file can be there.

    Raises:
        UsageFault: Its folder does not exist, or it is a folder itself.
    """
    if output.is_dir():
        raise UsageFault(f"--output {output} is a folder; name a file")
    if not output.absolute().parent.is_dir():
        raise UsageFault(f"--output {output}: its folder does not exist")


def sample(plan: SamplePlan, on_sampling: Callable[[], None] = lambda: None) -> Sampled:
    """Sample until the time is over, the process ends, or this one is told to stop; then write.

    The file appears whole or not at all: a profile that fails leaves an older one as it was.

    Args:
        plan: What to sample.
        on_sampling: Called once the sampler has found its way into the process.

    Raises:
        CommandError: py-spy is absent, or the process cannot be sampled; the text says what to do.
    """
    program = _py_spy()
    part = plan.output.with_name(f".{plan.output.name}.{os.getpid()}.part")
    try:
        status, text, interrupted = _run(
            [program, *plan.arguments(part)], plan.seconds, on_sampling
        )
        counted = _SAMPLES.search(text)
        if interrupted and counted is None:
            raise CommandError("stopped before anything was sampled; nothing was written")
        if status != 0 or counted is None or not part.exists():
            raise failure_of(plan, text)
        part.replace(plan.output)
    except OSError as error:
        raise CommandError(f"{plan.output} cannot be written: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
    ended = "process exited" in text
    return Sampled(int(counted[1]), int(counted[2]), interrupted, ended)


def _py_spy() -> str:
    """Return the path of py-spy: beside this interpreter first, then anywhere on PATH."""
    beside = shutil.which("py-spy", path=str(Path(sys.executable).parent))
    found = beside or shutil.which("py-spy")
    if found is None:
        raise CommandError("this verb needs the sampler py-spy: pip install 'bellwire[profile]'")
    return found


def _run(
    command: list[str], seconds: int, on_sampling: Callable[[], None]
) -> tuple[int, str, bool]:
    """Run py-spy; return its status, all it said, and whether we were told to stop it.

    It gets a process group of its own, so that Ctrl-C reaches us alone and it exactly once.
    """
    said: list[str] = []
    with (
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0
        ) as process,
        _forwarding_stop(process) as told,
        _killing_after(process, seconds + END_SECONDS_MAX) as late,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if _SAMPLING in line:
                on_sampling()
        status = process.wait()
    if late.is_set():
        raise CommandError(
            f"the sampler wrote nothing within {END_SECONDS_MAX:g} s of its time; try fewer --seconds"
        )
    return status, "".join(said), bool(told)


@contextmanager
def _killing_after(process: subprocess.Popen[str], seconds: float) -> Iterator[threading.Event]:
    """Kill a sampler that hangs; the event says that it was."""
    late = threading.Event()

    def kill() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(seconds, kill)
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()


@contextmanager
def _forwarding_stop(process: subprocess.Popen[str]) -> Iterator[list[int]]:
    """Hand SIGINT and SIGTERM on as the SIGINT at which py-spy writes; gives the signals that came."""
    told: list[int] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        told.append(number)
        # Not `send_signal`: it polls, and `communicate` waits for the same process.
        if process.returncode is None:
            os.kill(process.pid, signal.SIGINT)

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def failure_of(plan: SamplePlan, text: str) -> CommandError:
    """Say what a failed run means, in the order in which one cause hides another."""
    who = f"process {plan.pid}"
    if _REFUSED.search(text):
        return CommandError(
            f"the kernel does not let this user look into {who}: {_ptrace_advice()}"
        )
    if _NOT_PYTHON.search(text):
        return CommandError(f"{who} is not a Python program; profile it with `perf`")
    if _NO_STACKS.search(text):
        return CommandError(
            f"{who} did nothing in {plan.seconds} s: profile it under load, or add --idle"
        )
    if _GONE.search(text):
        return CommandError(f"{who} ended before it could be sampled")
    return CommandError(f"{who} could not be sampled", details=_without_backtrace(text))


def _ptrace_advice() -> str:
    """Return what lets a user trace here: it depends on what this machine forbids."""
    try:
        scope = int(PTRACE_SCOPE.read_text())
    except (OSError, ValueError):
        scope = 0
    if scope == 0:
        return "run as root, or give the container the capability SYS_PTRACE (--cap-add SYS_PTRACE)"
    if scope >= 3:
        return "kernel.yama.ptrace_scope is 3, which forbids it to everybody until a restart"
    return (
        f"kernel.yama.ptrace_scope is {scope}: run it with sudo, or once "
        "`sudo sysctl kernel.yama.ptrace_scope=0`"
    )


def _without_backtrace(text: str) -> str:
    return text.partition("Stack backtrace:")[0].strip()
