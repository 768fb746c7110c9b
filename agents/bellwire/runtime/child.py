"""The program of an agent process: `python -m bellwire.runtime.child`, its spec a line on stdin."""

import asyncio
import dataclasses
import json
import logging
import os
import sys
import typing
from collections.abc import Coroutine, Mapping
from typing import Any, Final, TypeVar

from bellwire.client import ClientSettings
from bellwire.runtime.agent import Agent
from bellwire.runtime.gpu import limit_gpu_memory
from bellwire.runtime.ready import WARM_FD_VARIABLE, announce_failed, announce_ready
from bellwire.runtime.run import run_agent
from bellwire.runtime.settings import RunSettings
from bellwire.runtime.target import load_class, renamed, told
from bellwire.telemetry import TelemetrySettings, configure_from
from bellwire.wire.errors import BellwireError, CallerError

logger = logging.getLogger(__name__)

EXIT_SOFTWARE: Final = 70  # sysexits.h: the agent failed; the supervisor starts it again
EXIT_CONFIG: Final = 78  # sysexits.h: the spec is wrong; starting it again cannot help
LOG_FORMAT: Final = "%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s"

T = TypeVar("T")


def main() -> int:
    """Run the agent described on standard input; return the exit code."""
    spec = json.loads(sys.stdin.readline())
    logging.basicConfig(level=spec["log_level"], format=LOG_FORMAT)
    try:
        agent = load_agent(spec["target"], spec["settings"], spec["agent_id"], alias=spec["alias"])
        _limit_gpu(spec)
        tracing = configure_from(from_plain(TelemetrySettings, spec["telemetry"]), agent.agent_id)
    except CallerError as error:
        if not announce_failed(error.message) or spec["tracebacks"]:
            logger.error("agent %s cannot be run: %s", spec["agent_id"], error)
        return EXIT_CONFIG
    try:
        if spec.get("is_spare"):
            turn = _wait_turn()
            if turn is None:
                return 0
            spec.update(turn)
        _loop_run(_run(agent, spec))
    except asyncio.CancelledError:
        return 0  # told to stop before it was ready
    except Exception as error:
        # Ours say all there is to say in one line; of others the place is named.
        said = error.message if isinstance(error, BellwireError) else told(error)
        if not announce_failed(said) or spec["tracebacks"]:
            logger.exception("agent %s crashed", agent.agent_id)
        return EXIT_SOFTWARE
    finally:
        tracing.shutdown()
    return 0


def _wait_turn() -> dict[str, Any] | None:
    """Say that this spare is loaded, and wait for its turn; None when it is not needed any more."""
    announce_ready(variable=WARM_FD_VARIABLE)
    line = sys.stdin.readline()
    return json.loads(line) if line else None


def load_agent(
    target: str, settings: Mapping[str, object], agent_id: str, *, alias: str = ""
) -> Agent:
    """Import "module:Class" or "file.py:Class" and make the agent, by another name if there is an alias.

    Raises:
        AgentDefinitionError: It cannot be imported, is no Agent, or cannot be called so.
        AgentSettingsError: A setting the agent does not have.
    """
    cls = load_class(target)
    return (renamed(cls, alias) if alias else cls)(settings, agent_id=agent_id)


def from_plain(cls: type[T], values: Mapping[str, Any]) -> T:
    """Rebuild a settings dataclass, nested ones included, from what JSON left of it."""
    hints = typing.get_type_hints(cls)
    rebuilt: dict[str, Any] = {}
    for name, value in values.items():
        hint = hints[name]
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            value = from_plain(hint, value)
        elif typing.get_origin(hint) is tuple:
            value = tuple(value)
        rebuilt[name] = value
    return cls(**rebuilt)


async def _run(agent: Agent, spec: Mapping[str, Any]) -> None:
    def ready() -> None:
        _limit_gpu(spec)  # again: `on_start` may have been the first to import torch
        announce_ready({"agent_id": agent.agent_id, "pid": os.getpid()})

    await run_agent(
        agent,
        spec["address"],
        settings=from_plain(RunSettings, spec["run"]),
        client_settings=from_plain(ClientSettings, spec["client"]),
        restarts=spec["restarts"],
        on_ready=ready,
    )


def _limit_gpu(spec: Mapping[str, Any]) -> None:
    if spec["gpu_memory_fraction"]:
        limit_gpu_memory(spec["gpu_memory_fraction"])


def _loop_run(main: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop where it is installed (extra `server`), else on asyncio's own loop."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


if __name__ == "__main__":
    sys.exit(main())
