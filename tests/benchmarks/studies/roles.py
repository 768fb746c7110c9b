"""The processes of studies: a coordinator, many publishers, many subscribers."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tests.benchmarks.peers.peer import DATA_FOLDER
from tests.benchmarks.roles import BrokerRole, Reply, Role, Wired
from tests.benchmarks.studies.many_publishers import open_publishers
from tests.benchmarks.studies.many_subscribers import open_subscribers

from bellwire.coordinator.config import CoordinatorSettings
from bellwire.coordinator.server import Coordinator

LISTEN: Final = {"tcp": "127.0.0.1:0", "unix": "unix://{directory}/bench.sock"}
TOPICS_MAX: Final = 20_000  # Twice what the longest curve needs.


@asynccontextmanager
async def open_study_role(
    role: str, peer_name: str, *, directory: str, **options: object
) -> AsyncIterator[tuple[Role, Reply]]:
    """Start one role of a study; give it and what it has to say of itself.

    Args:
        role: One of ROLES.
        peer_name: Not used: there is only Bellwire here.
        directory: Private to this run.
        **options: What the role takes.
    """
    async with OPENERS[role](Path(directory), options) as opened:
        yield opened


@asynccontextmanager
async def _open_broker(
    directory: Path, options: Mapping[str, object]
) -> AsyncIterator[tuple[Role, Reply]]:
    settings = CoordinatorSettings(
        listen=(LISTEN[str(options["transport"])].format(directory=directory),),
        data=str(directory / DATA_FOLDER) if options.get("durable") else "",
        topics_max=TOPICS_MAX,
    )
    async with Coordinator(settings) as coordinator:
        yield Wired(BrokerRole()), {"address": coordinator.addresses[0], "pid": os.getpid()}


@asynccontextmanager
async def _open_publishers(
    _directory: Path, options: Mapping[str, object]
) -> AsyncIterator[tuple[Role, Reply]]:
    async with open_publishers(**options) as role:  # type: ignore[arg-type]  # From JSON.
        yield Wired(role), {}


@asynccontextmanager
async def _open_subscribers(
    _directory: Path, options: Mapping[str, object]
) -> AsyncIterator[tuple[Role, Reply]]:
    async with open_subscribers(**options) as role:  # type: ignore[arg-type]  # From JSON.
        yield Wired(role), {}


OPENERS: Final = {
    "study-broker": _open_broker,
    "study-publishers": _open_publishers,
    "study-subscribers": _open_subscribers,
}
