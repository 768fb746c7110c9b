"""Runs a load test from the first level to the last, or to Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from bellwire.cli.faults import CommandError, ExitCode
from bellwire.cli.loadtest.accounting import evidence_of
from bellwire.cli.loadtest.bottleneck import find_bottleneck
from bellwire.cli.loadtest.level_run import Interval, LevelRun
from bellwire.cli.loadtest.limits import missed_limits
from bellwire.cli.loadtest.plan import Level, LoadPlan
from bellwire.cli.loadtest.progress import LoadProgress
from bellwire.cli.loadtest.report import JudgedLevel, Report
from bellwire.cli.loadtest.report_view import (
    interval_json,
    interval_text,
    print_report,
    start_json,
    start_text,
)
from bellwire.cli.loadtest.result import LevelResult
from bellwire.cli.loadtest.rig import Rig, open_rig
from bellwire.cli.loadtest.soak import judge_growth
from bellwire.cli.loadtest.usage import CoordinatorSample
from bellwire.cli.output import Style, console, error_console, print_json
from bellwire.wire.errors import BellwireError

__all__ = ["run_loadtest"]

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def run_loadtest(plan: LoadPlan, *, as_json: bool) -> int:
    """Run every level, print what came of it, and return the exit code.

    Raises:
        BellwireError, CommandError: The coordinator or a worker failed before the first level was
            over; later, the levels measured so far are printed first.
    """
    report = Report()
    failure: Exception | None = None
    try:
        asyncio.run(_run(plan, report, as_json))
    except (BellwireError, CommandError) as error:
        failure = error
    except asyncio.CancelledError:
        report.interrupted = True
    if as_json:
        print_json({**report.to_json(), "error": _text(failure)})
    elif report.levels or failure is None:
        print_report(report, console())
    if failure is not None:
        raise failure
    if report.interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode.OK if report.is_met else ExitCode.FAILURE


def _text(failure: Exception | None) -> str:
    return "" if failure is None else getattr(failure, "message", str(failure))


async def _run(plan: LoadPlan, report: Report, as_json: bool) -> None:
    with LoadProgress(len(plan.levels)) as progress:
        async with _stop_event() as stop, open_rig(plan) as rig:
            on_interval = _Intervals(plan, progress, as_json)
            if as_json:
                print_json(start_json(plan, rig.topic))
            else:
                console().print(start_text(plan), style=Style.FAINT, soft_wrap=True)
            for level in plan.levels:
                if stop.is_set():
                    break
                progress.level(level)
                judged = await _level(plan, rig, level, stop, on_interval)
                if judged.result.interrupted and not judged.result.latency.count:
                    break  # Cut off in its warm-up: there is nothing to say of it.
                report.levels.append(judged)
                if as_json:
                    print_json(judged.to_json())
            report.interrupted = stop.is_set()


async def _level(
    plan: LoadPlan,
    rig: Rig,
    level: Level,
    stop: asyncio.Event,
    on_interval: Callable[[Interval], None],
) -> JudgedLevel:
    run = LevelRun(rig, plan, level, stop, on_interval)
    try:
        result = await run.run()
    except BellwireError as error:
        raise CommandError(
            f"the coordinator was lost at {level.tps:,.0f} TPS: {error.message}"
        ) from error
    return judge(plan, result, run.samples, in_memory=rig.in_memory)


def judge(
    plan: LoadPlan, result: LevelResult, samples: list[CoordinatorSample], *, in_memory: bool
) -> JudgedLevel:
    """Hold a level against its limits, and say what stopped it."""
    missed = missed_limits(plan.limits, result)
    evidence = evidence_of(result, is_met=not missed, cores=os.cpu_count() or 1)
    bottleneck = find_bottleneck(evidence, plan.settings.saturated_share)
    growth = None
    if plan.is_soak:
        growth = judge_growth(samples, plan.settings, in_memory=in_memory)
    return JudgedLevel(result, missed, bottleneck, growth)


class _Intervals:
    """Passes intervals on: to the progress line, and as lines of a soak."""

    def __init__(self, plan: LoadPlan, progress: LoadProgress, as_json: bool) -> None:
        self._progress = progress
        self._as_json = as_json
        self._is_soak = plan.is_soak
        self._seconds = plan.settings.soak_interval_seconds
        self._next_at = self._seconds
        self._gathered: Interval | None = None

    def __call__(self, interval: Interval) -> None:
        self._progress.interval(interval)
        if not self._is_soak:
            return
        self._gathered = interval if self._gathered is None else self._gathered.then(interval)
        if interval.elapsed_seconds < self._next_at:
            return
        self._next_at = interval.elapsed_seconds + self._seconds
        gathered, self._gathered = self._gathered, None
        if self._as_json:
            print_json(interval_json(gathered))
        else:
            sys.stdout.write(interval_text(gathered) + "\n")
            sys.stdout.flush()


@asynccontextmanager
async def _stop_event() -> AsyncIterator[asyncio.Event]:
    """Give an event that the first Ctrl-C sets; the second one cancels what is under way."""
    stop = asyncio.Event()
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            task.cancel()
            return
        stop.set()
        error_console().print("stopping; again to stop at once", style=Style.FAINT)

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, on_signal)
    try:
        yield stop
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
