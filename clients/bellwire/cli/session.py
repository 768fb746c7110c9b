"""What verbs that talk to a coordinator share: settings, one connection, one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from bellwire.cli.settings import CommandSettings, Request, load_settings

if TYPE_CHECKING:
    from bellwire.client import Client, ClientSettings

__all__ = ["Target", "connected", "read_target", "run_async"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect, and how."""

    address: str
    client: ClientSettings
    command: CommandSettings


def read_target(
    address: str | None, config: Path | None, assignments: Sequence[str] | None
) -> Target:
    """Read the settings of a client verb.

    Raises:
        ConfigError: When the configuration is wrong.
    """
    from bellwire.client import ClientSettings

    tree = load_settings(
        Request(
            config=config,
            assignments=assignments or (),
            flags={"command.address": address},
            sections=("command", "client"),
        )
    )
    command = tree.of(CommandSettings)
    return Target(command.address, tree.of(ClientSettings), command)


@asynccontextmanager
async def connected(target: Target) -> AsyncIterator[Client]:
    """Connect for the length of a verb."""
    from bellwire.client import connect

    async with connect(target.address, settings=target.client) as client:
        yield client


def run_async(work: Callable[[], Awaitable[T]]) -> T:
    """Run one verb on its own event loop; Ctrl-C cancels it and lets it clean up."""
    return asyncio.run(_awaited(work))


async def _awaited(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
