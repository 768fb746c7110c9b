"""How supervised agents fare, a line for each change: for people on stderr, as JSON on stdout."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from bellwire.cli.output import Style, encodable, error_console, harmless, print_json
from bellwire.runtime.lifecycle import ProcessState
from bellwire.runtime.process import SupervisedProcess

__all__ = ["StateLines", "state_json", "state_words"]

STYLES: Final = {
    ProcessState.READY: Style.GOOD,
    ProcessState.BACKOFF: Style.WARN,
    ProcessState.FAILED: Style.BAD,
}
ENDED: Final = (ProcessState.BACKOFF, ProcessState.FAILED, ProcessState.STOPPED)
TOLD_BY_STATES: Final = "bellwire.runtime.process"  # Its warnings are our lines.


class StateLines:
    """Tells each change of state once."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._last: dict[str, tuple[ProcessState, int]] = {}

    def changed(self, process: SupervisedProcess) -> None:
        """Tell where a process stands, if that is news."""
        now = (process.state, process.restarts)
        if process.state is ProcessState.NEW or self._last.get(process.name) == now:
            return
        self._last[process.name] = now
        if self._as_json:
            _print_json(state_json(process))
        else:
            _say(f"{process.name}  {state_words(process)}", STYLES.get(process.state, Style.FAINT))

    def ready(self, names: Sequence[str]) -> None:
        """Tell that all agents are ready."""
        if self._as_json:
            _print_json({"event": "ready", "agents": list(names), "pid": os.getpid()})
        else:
            _say(f"pid {os.getpid()}; Ctrl-C drains and stops", Style.FAINT)

    def draining(self, reason: str) -> None:
        """Tell that a signal came."""
        if self._as_json:
            _print_json({"event": "draining", "reason": reason})
        else:
            _say(f"{reason}: draining; again to stop at once", Style.FAINT)

    def stopped(self) -> None:
        """Tell that no process is left."""
        if self._as_json:
            _print_json({"event": "stopped"})
        else:
            _say("stopped", Style.FAINT)

    def warn(self, text: str) -> None:
        """Tell what people should know besides: a device that is not there, a spare that ended."""
        if self._as_json:
            _print_json({"event": "warning", "message": text})
        else:
            _say(f"warning: {text}", Style.WARN)

    def warnings(self) -> logging.Handler:
        """Return a handler that brings the supervisor's own warnings here."""
        return _Warnings(self)


def state_words(process: SupervisedProcess) -> str:
    """Return where a process stands, for people."""
    match process.state:
        case ProcessState.STARTING:
            return f"starting again, restart {process.restarts}" if process.restarts else "starting"
        case ProcessState.READY:
            return f"ready after {_ready_ms(process):,.0f} ms, pid {process.pid}"
        case ProcessState.BACKOFF:
            return f"{process.reason}; starting again in {process.next_start_seconds:.2f} s"
        case ProcessState.STOPPED if process.stop_fault:
            return f"stopped; it {process.stop_fault}"
        case _:
            return process.state.name.lower()


def state_json(process: SupervisedProcess) -> dict[str, object]:
    """Return where a process stands, for machines."""
    is_ready = process.state is ProcessState.READY
    is_waiting = process.state is ProcessState.BACKOFF
    return {
        "event": "state",
        "agent": process.name,
        "state": process.state.name,
        "pid": process.pid,
        "restarts": process.restarts,
        "ready_ms": round(_ready_ms(process), 1) if is_ready else None,
        "next_start_seconds": round(process.next_start_seconds, 3) if is_waiting else None,
        "returncode": process.returncode if process.state in ENDED else None,
        "reason": _reason(process),
    }


def _reason(process: SupervisedProcess) -> str:
    """Return why it is where it is; empty where that is as it should be."""
    if process.state is ProcessState.STOPPED:
        return process.stop_fault
    return process.reason if process.state in (ProcessState.BACKOFF, ProcessState.FAILED) else ""


def _ready_ms(process: SupervisedProcess) -> float:
    return (process.ready_seconds or 0.0) * 1e3


def _say(text: str, style: str) -> None:
    # Whoever read the lines may be gone; the agents go on.
    with suppress(BrokenPipeError):
        line = encodable(harmless(" ".join(text.split("\n"))))
        error_console().print(line, style=style, markup=False, soft_wrap=True)


def _print_json(value: dict[str, object]) -> None:
    with suppress(BrokenPipeError):
        print_json(value)
        sys.stdout.flush()


class _Warnings(logging.Handler):
    def __init__(self, lines: StateLines) -> None:
        super().__init__(logging.WARNING)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != TOLD_BY_STATES:
            self._lines.warn(record.getMessage())
