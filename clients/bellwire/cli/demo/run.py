"""Run the demo: start the processes, play the bars, stop everything, report."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bellwire.admin.v1.topic_pb2 import GetTopicStatsResponse
from bellwire.cli.demo.assemble import RunFacts, assemble_report
from bellwire.cli.demo.log_tail import log_tail
from bellwire.cli.demo.market_data import choose_market_data
from bellwire.cli.demo.model_folder import model_folder
from bellwire.cli.demo.plan import TACTICAL, DemoOptions, DemoPlan
from bellwire.cli.demo.processes import ProcessCost, costs_of
from bellwire.cli.demo.progress import PlayProgress
from bellwire.cli.demo.recorder import Recorder
from bellwire.cli.demo.report import report_json
from bellwire.cli.demo.report_view import print_report
from bellwire.cli.demo.run_directory import new_run
from bellwire.cli.faults import CommandError
from bellwire.cli.output import console, print_json
from bellwire.cli.settings import Request, load_settings
from bellwire.client import connect
from bellwire.runtime.errors import ProcessStartError
from bellwire.runtime.supervisor import Supervisor

if TYPE_CHECKING:
    from bellwire.client import Client

__all__ = ["DemoArguments", "run_demo"]


@dataclass(frozen=True, slots=True)
class DemoArguments:
    """What the command line said."""

    bars: int | None
    data: Path | None
    symbol: str | None
    run_dir: Path | None
    options: DemoOptions
    as_json: bool


def run_demo(arguments: DemoArguments) -> None:
    """Play, then print the report.

    Raises:
        UsageFault, ConfigError: What was asked for cannot be played.
        CommandError: A process failed; the end of its log is shown.
    """
    # What the supervisor logs of a process that dies is said by our own error, with its log.
    logging.getLogger("bellwire.runtime").addHandler(logging.NullHandler())
    options = arguments.options
    if options.policy == TACTICAL:
        options = dataclasses.replace(options, model=model_folder(options.model))
    settings = load_settings(Request(config=options.config, assignments=options.assignments))
    data = choose_market_data(arguments.data, arguments.symbol, arguments.bars)
    plan = DemoPlan(data, new_run(arguments.run_dir), options, settings)
    with PlayProgress(data.bars) as progress:
        facts = asyncio.run(_play(plan, progress))
        progress.stage("reading traces")
        report = assemble_report(plan, facts)
    if arguments.as_json:
        print_json(report_json(report))
    else:
        print_report(report, console())


async def _play(plan: DemoPlan, progress: PlayProgress) -> RunFacts:
    """Run all processes from the first bar to the last watermark; all are gone on return."""
    began = time.monotonic()
    async with Supervisor(plan.supervisor()) as supervisor:
        try:
            progress.stage("starting the coordinator")
            await supervisor.start(plan.coordinator())
            client_settings = plan.shared().client
            async with connect(plan.run.address, settings=client_settings) as client:
                return await _play_on(plan, progress, supervisor, client, began)
        except ProcessStartError as error:
            raise CommandError(f"the demo could not start: {error.message}") from error


async def _play_on(
    plan: DemoPlan,
    progress: PlayProgress,
    supervisor: Supervisor,
    client: Client,
    began: float,
) -> RunFacts:
    names = [(await client.admin.create_topic(topic)).name for topic in plan.topics()]
    recorder = Recorder(client, names, progress.bar)
    recording = asyncio.create_task(recorder.run(), name="record the run")
    try:
        await _first(recorder.wait_subscribed(), recording)
        progress.stage("starting the agents")
        await supervisor.start_agents(plan.traders(), plan.shared())
        await supervisor.start_agents([plan.feed()], plan.shared())
        ready = time.monotonic()
        progress.stage("playing")
        await _until_ended(plan, supervisor, recorder, recording)
        stats = [await client.admin.topic_stats(name) for name in names]
        await recorder.catch_up(_messages(stats))
    finally:
        recording.cancel()
        await asyncio.gather(recording, return_exceptions=True)
    return RunFacts(
        recording=recorder.recording,
        stats=stats,
        costs=_costs(supervisor),
        startup_seconds=ready - began,
        run_seconds=recorder.last_monotonic - recorder.first_monotonic,
    )


async def _until_ended(
    plan: DemoPlan, supervisor: Supervisor, recorder: Recorder, recording: asyncio.Task[None]
) -> None:
    """Wait for the last watermark, or for the first process that fails.

    Raises:
        CommandError: A process failed.
    """
    failed = asyncio.create_task(supervisor.wait_failed())
    try:
        await _first(recorder.wait_ended(), recording, failed)
        if failed.done():
            process = failed.result()
            log = plan.run.logs / f"{process.name}.log"
            raise CommandError(
                f"process {process.name} failed: {process.reason}; its log {log} ends so:",
                details=log_tail(log),
            )
    finally:
        failed.cancel()


async def _first(wanted: Coroutine[Any, Any, None], *others: asyncio.Task[Any]) -> None:
    """Wait for what is wanted, or until one of the others ends; raise what ended badly."""
    task = asyncio.create_task(wanted)
    try:
        done, _ = await asyncio.wait({task, *others}, return_when=asyncio.FIRST_COMPLETED)
        for finished in done:
            finished.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _messages(stats: list[GetTopicStatsResponse]) -> int:
    return sum(topic.published_messages for topic in stats)


def _costs(supervisor: Supervisor) -> list[ProcessCost]:
    own = ("bellwire demo", os.getpid())
    children = [(p.name, p.pid) for p in supervisor.processes if p.pid is not None]
    return costs_of([*children, own])
