"""Look at the agents that were chosen, each in a process of its own, before any is started."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from bellwire.cli.agent_choice import Chosen
from bellwire.cli.faults import UsageFault
from bellwire.cli.output import harmless
from bellwire.cli.probe_process import ProbeAnswer, ask_probe
from bellwire.runtime import AgentSpec, PlacementSettings, RunSettings
from bellwire.runtime.spawned import described
from bellwire.wire.errors import CallerError

__all__ = ["agent_specs"]

AT_ONCE_MAX: Final = 4  # Each imports a program; more at once would only take turns on the cores.


async def agent_specs(
    chosen: Sequence[Chosen], run: RunSettings, timeout_seconds: float
) -> list[AgentSpec]:
    """Return the agents as the supervisor takes them, their settings read and tried out.

    Args:
        chosen: What to start.
        run: Bounds and policies of all.
        timeout_seconds: For a look at one.

    Raises:
        UsageFault: One cannot be imported, is no agent, or cannot be made with its settings; or two
            would carry one name.
    """
    turns = asyncio.Semaphore(AT_ONCE_MAX)

    async def spec(each: Chosen) -> AgentSpec:
        async with turns:
            return await _spec(each, run, timeout_seconds)

    tasks = [asyncio.create_task(spec(each)) for each in chosen]
    try:
        specs = [await task for task in tasks]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    names = [each.name for each in specs]
    for name in names:
        if names.count(name) > 1:
            raise UsageFault(
                f"two agents are called {name!r}; give one another name by a table [agents.NAME]"
            )
    return specs


async def _spec(chosen: Chosen, run: RunSettings, timeout_seconds: float) -> AgentSpec:
    table = chosen.table
    try:
        placement = PlacementSettings(on_missing_device=table.on_missing_device)
        spec = AgentSpec(
            chosen.target,
            name=chosen.name,
            replicas=table.replicas,
            device=table.device,
            placement=placement,
            run=run,
            standby=int(table.standby),
        )
    except CallerError as error:
        raise UsageFault(error.message) from error
    name, settings = await _probed(chosen, timeout_seconds)
    return AgentSpec(
        spec.target,
        settings=settings,
        replicas=spec.replicas,
        device=spec.device,
        placement=placement,
        run=run,
        name=chosen.name or name,
        alias=chosen.name,
        standby=spec.standby,
    )


async def _probed(chosen: Chosen, timeout_seconds: float) -> tuple[str, dict[str, object]]:
    """Return the name of the class, and the settings to give it."""
    try:
        async with asyncio.timeout(timeout_seconds):
            answer = await ask_probe(_question(chosen))
    except TimeoutError:
        raise UsageFault(
            f"agent {chosen.target!r} was not imported within {timeout_seconds:g} s; "
            "load what takes long in on_start, or raise supervisor.start_timeout_seconds"
        ) from None
    return _answered(chosen, answer)


def _question(chosen: Chosen) -> bytes:
    values = {
        "target": chosen.target,
        "agent_id": f"{chosen.name}-0" if chosen.name else "",
        "assignments": [asdict(each) for each in chosen.settings],
    }
    try:
        return json.dumps(values).encode() + b"\n"
    except TypeError as error:  # TOML has dates.
        raise UsageFault(
            f"a setting of agent {chosen.name or chosen.target!r} is no JSON value: {error}"
        ) from error


def _answered(chosen: Chosen, answer: ProbeAnswer) -> tuple[str, dict[str, object]]:
    try:
        found = json.loads(answer.line)
    except ValueError:
        why = harmless(answer.last_words) or "a module must not end the process that imports it"
        raise UsageFault(
            f"agent {chosen.target!r} cannot be imported: its process {described(answer.returncode)}: {why}"
        ) from None
    if "error" in found:
        raise UsageFault(found["error"])
    return found["name"], found["settings"]
