"""The coordinator of a study."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tests.benchmarks.peers.peer import DATA_FOLDER
from tests.benchmarks.roles import BrokerRole, Reply

from bellwire.coordinator.config import CoordinatorSettings
from bellwire.coordinator.server import Coordinator

LISTEN: Final = {"tcp": "127.0.0.1:0", "unix": "unix://{directory}/bench.sock"}
TOPICS_MAX: Final = 20_000  # Twice what the longest curve needs.


@asynccontextmanager
async def open_coordinator(
    *, directory: Path, transport: str, durable: bool = False
) -> AsyncIterator[tuple[BrokerRole, Reply]]:
    """Run a coordinator.

    Args:
        directory: Private to this run.
        transport: "tcp" or "unix".
        durable: Whether it has a data folder, so that topics may be durable.
    """
    settings = CoordinatorSettings(
        listen=(LISTEN[transport].format(directory=directory),),
        data=str(directory / DATA_FOLDER) if durable else "",
        topics_max=TOPICS_MAX,
    )
    async with Coordinator(settings) as coordinator:
        yield BrokerRole(), {"address": coordinator.addresses[0], "pid": os.getpid()}
