"""The life of `bellwire agents run`: look at the agents, start them, keep them, drain."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from bellwire.cli.agent_choice import AgentFlags, Chosen, choose
from bellwire.cli.agent_probing import agent_specs
from bellwire.cli.agent_sections import with_sections
from bellwire.cli.agent_states import StateLines
from bellwire.cli.faults import CommandError, ExitCode, UsageFault
from bellwire.cli.serving import SignalGate
from bellwire.cli.session import run_async
from bellwire.cli.settings import CommandSettings, Request, SettingsTree, load_settings
from bellwire.client import ClientSettings, connect
from bellwire.runtime import AgentSpec, ChildContext, RunSettings, Supervisor, SupervisorSettings
from bellwire.runtime.errors import MissingDeviceError, ProcessStartError
from bellwire.runtime.lifecycle import ProcessState
from bellwire.telemetry import TelemetrySettings

__all__ = ["SECTIONS", "run_agents"]

T = TypeVar("T")

SECTIONS: Final = ("command", "client", "telemetry", "runtime", "supervisor", "agents")


class _CalledOff(CommandError):
    """Told to stop before all agents were ready."""

    exit_code = ExitCode.INTERRUPTED


@dataclass(frozen=True, slots=True)
class _Plan:
    """What one command runs."""

    chosen: tuple[Chosen, ...]
    shared: ChildContext
    run: RunSettings
    supervisor: SupervisorSettings


def run_agents(
    names: Sequence[str], flags: AgentFlags, request: Request, *, log_level: str, as_json: bool
) -> None:
    """Run agents until told to stop, or until all have ended by themselves.

    Args:
        names: AGENT of the command line; empty = all of bellwire.toml.
        flags: Of the command line, for each of them.
        request: Which settings to read; `SECTIONS` are needed.
        log_level: From which level on the agents' processes log: a name of `logging`, in lower case.
        as_json: Print JSON lines on stdout, instead of words on stderr.

    Raises:
        ConfigError: A section of bellwire.toml holds what it cannot.
        UsageFault: An agent, a setting or a device cannot be used; nothing was started.
        UnreachableError: There is no coordinator.
        CommandError: An agent did not start, is given up (the others are stopped), or did not stop as it should.
    """
    tree = load_settings(request)
    chosen = with_sections(choose(names, flags, tree.agents), request)
    plan = _plan(chosen, tree, log_level)
    lines = StateLines(as_json=as_json)
    handler = lines.warnings()
    logger = logging.getLogger("bellwire.runtime")
    logger.addHandler(handler)
    try:
        run_async(lambda: _run(plan, lines))
    finally:
        logger.removeHandler(handler)


def _plan(chosen: tuple[Chosen, ...], tree: SettingsTree, log_level: str) -> _Plan:
    shared = ChildContext(
        address=tree.of(CommandSettings).address,
        client=tree.of(ClientSettings),
        telemetry=tree.of(TelemetrySettings),
        log_level=log_level.upper(),
        tracebacks=log_level == "debug",
    )
    return _Plan(chosen, shared, tree.of(RunSettings), tree.of(SupervisorSettings))


async def _run(plan: _Plan, lines: StateLines) -> None:
    gate = SignalGate()
    gate.install()
    told = asyncio.create_task(gate.wait())
    try:
        specs = await _unless(told, _examined(plan))
        async with Supervisor(plan.supervisor, lines.changed) as supervisor:
            await _unless(told, _started(supervisor, specs, plan.shared))
            lines.ready([process.name for process in supervisor.processes])
            await _until_over(supervisor, told)
            if told.done():
                lines.draining(gate.reason)
        lines.stopped()
        _demand_clean_stops(supervisor)
    finally:
        told.cancel()
        await asyncio.gather(told, return_exceptions=True)


def _demand_clean_stops(supervisor: Supervisor) -> None:
    """Fail where an agent lost what it had in hand, or could not close what it had open."""
    faults = [f"{each.name} {each.stop_fault}" for each in supervisor.processes if each.stop_fault]
    if faults:
        raise CommandError(f"not every agent stopped as it should: {'; '.join(faults)}")


async def _unless(told: asyncio.Task[None], work: Coroutine[Any, Any, T]) -> T:
    """Return what comes of the work; a signal calls it off."""
    task = asyncio.create_task(work)
    try:
        waits: set[asyncio.Task[Any]] = {told, task}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    raise _CalledOff("told to stop before all agents were ready")


async def _examined(plan: _Plan) -> list[AgentSpec]:
    """Look at the agents, then for the coordinator: what is wrong with either is told once."""
    timeout = plan.supervisor.start_timeout_seconds
    specs = await agent_specs(plan.chosen, plan.run, timeout)
    async with connect(plan.shared.address, settings=plan.shared.client):
        return specs


async def _started(
    supervisor: Supervisor, specs: Sequence[AgentSpec], shared: ChildContext
) -> None:
    try:
        await supervisor.start_agents(specs, shared)
    except MissingDeviceError as error:
        raise UsageFault(
            f"device {error.device!r} is not there: {error.found}; name another with --device, "
            "or run on what is there with --degrade"
        ) from error
    except ProcessStartError as error:
        raise CommandError(_start_fault(supervisor) or error.message) from error


def _start_fault(supervisor: Supervisor) -> str:
    """Say what the first that did not start said of it; empty when none of them is known."""
    failed = [each for each in supervisor.processes if each.state is ProcessState.FAILED]
    if not failed:
        return ""
    return f"agent {failed[0].name} did not start: {failed[0].last_words or failed[0].reason}"


async def _until_over(supervisor: Supervisor, told: asyncio.Task[None]) -> None:
    """Wait for a signal, or the end of all agents.

    Raises:
        CommandError: One is given up.
    """
    failed = asyncio.create_task(supervisor.wait_failed())
    ended = asyncio.create_task(supervisor.wait_ended())
    waits: set[asyncio.Task[Any]] = {told, failed, ended}
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if failed.done():
            process = failed.result()
            await process.wait_for(ProcessState.FAILED)  # Raises where it is watched no more.
            raise CommandError(f"agent {process.name} is given up: {process.reason}")
        if ended.done():
            ended.result()
    finally:
        for task in (failed, ended):
            task.cancel()
        await asyncio.gather(failed, ended, return_exceptions=True)
