"""Samples a process and says what was written."""

from __future__ import annotations

import time
from typing import Final

from rich.markup import escape

from bellwire.cli.output import Style, console, error_console, print_json
from bellwire.cli.process_search import FoundProcess
from bellwire.cli.profile_format import ProfileFormat
from bellwire.cli.sampler import Sampled, SamplePlan, check_output, sample
from bellwire.cli.units import counted_text, duration_text

__all__ = ["run_profile"]

# Share of the samples of one busy thread; what is drawn from fewer says little.
MOSTLY_IDLE: Final = (
    0.2  # Sampling stops a process each time, after which it looks busy for a moment.
)


def run_profile(found: FoundProcess, plan: SamplePlan, *, as_json: bool) -> None:
    """Sample and report.

    Raises:
        UsageFault: The file cannot be there.
        CommandError: The process cannot be sampled.
    """
    check_output(plan.output)
    began = time.monotonic()
    sampled = sample(plan, lambda: None if as_json else _announce(found, plan))
    seconds = time.monotonic() - began
    if as_json:
        print_json(_json(found, plan, sampled, seconds))
    else:
        _print(plan, sampled, seconds)


def _announce(found: FoundProcess, plan: SamplePlan) -> None:
    error_console().print(
        f"sampling {escape(_named(found))} for {plan.seconds} s; Ctrl-C writes what there is",
        style=Style.FAINT,
        soft_wrap=True,
    )


def _named(found: FoundProcess) -> str:
    return f"process {found.pid}" if found.what == "process" else f"{found.what}, pid {found.pid},"


def _print(plan: SamplePlan, sampled: Sampled, seconds: float) -> None:
    out = console()
    name = escape(str(plan.output))
    out.print(f"written: [{Style.NAME}]{name}[/]  {_samples(sampled)}", soft_wrap=True)
    if sampled.process_ended:
        out.print(f"the process ended after {duration_text(seconds)}", style=Style.WARN)
    elif sampled.interrupted:
        out.print(f"stopped after {duration_text(seconds)} of {plan.seconds} s", style=Style.FAINT)
    if sampled.samples < MOSTLY_IDLE * plan.rate_per_second * min(seconds, plan.seconds):
        out.print(
            "it waited most of the time: profile it under load, or add --idle", style=Style.WARN
        )
    if plan.format is ProfileFormat.FLAMEGRAPH:
        out.print(
            "open it in a browser; the width of a frame is its share of time", style=Style.FAINT
        )


def _samples(sampled: Sampled) -> str:
    text = counted_text(sampled.samples, "sample")
    return f"{text}, {counted_text(sampled.errors, 'error')}" if sampled.errors else text


def _json(
    found: FoundProcess, plan: SamplePlan, sampled: Sampled, seconds: float
) -> dict[str, object]:
    return {
        "pid": plan.pid,
        "process": found.what,
        "output": str(plan.output),
        "format": plan.format.value,
        "rate_per_second": plan.rate_per_second,
        "seconds": round(seconds, 3),
        "samples": sampled.samples,
        "errors": sampled.errors,
        "interrupted": sampled.interrupted,
        "process_ended": sampled.process_ended,
    }
