"""The processes of studies: a coordinator, many publishers, many subscribers."""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.peers.peer import DATA_FOLDER
from tests.benchmarks.roles import BrokerRole, Reply, Role, Wired
from tests.benchmarks.studies.aimed import open_aimed_publisher, open_aimed_subscriber
from tests.benchmarks.studies.http_json import open_http_client, open_http_server
from tests.benchmarks.studies.many_publishers import open_publishers
from tests.benchmarks.studies.many_subscribers import open_subscribers
from tests.benchmarks.studies.recorded import open_counting_subscriber, open_recorded_publisher
from tests.benchmarks.studies.slow_reader import open_slow_subscriber

from bellwire.coordinator.config import CoordinatorSettings
from bellwire.coordinator.server import Coordinator

ClientOpener = Callable[..., AbstractAsyncContextManager[Role]]
Opener = Callable[
    [Path, Mapping[str, Any]], AbstractAsyncContextManager[tuple[Role, Reply]]
]

LISTEN: Final = {"tcp": "127.0.0.1:0", "unix": "unix://{directory}/bench.sock"}
TOPICS_MAX: Final = 20_000  # Twice what the longest curve needs.


@asynccontextmanager
async def open_study_role(
    role: str, peer_name: str, *, directory: str, **options: Any
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
    directory: Path, options: Mapping[str, Any]
) -> AsyncIterator[tuple[Role, Reply]]:
    settings = CoordinatorSettings(
        listen=(LISTEN[str(options["transport"])].format(directory=directory),),
        data=str(directory / DATA_FOLDER) if options.get("durable") else "",
        topics_max=TOPICS_MAX,
    )
    async with Coordinator(settings) as coordinator:
        yield Wired(BrokerRole()), {"address": coordinator.addresses[0], "pid": os.getpid()}


@asynccontextmanager
async def _open_http_server(
    directory: Path, options: Mapping[str, Any]
) -> AsyncIterator[tuple[Role, Reply]]:
    del directory, options
    async with open_http_server() as (role, about):
        yield Wired(role), about


def _client_side(open_role: ClientOpener) -> Opener:
    @asynccontextmanager
    async def opened(
        directory: Path, options: Mapping[str, Any]
    ) -> AsyncIterator[tuple[Role, Reply]]:
        del directory
        async with open_role(**options) as role:
            yield Wired(role), {}

    return opened


OPENERS: Final[dict[str, Opener]] = {
    "study-broker": _open_broker,
    "study-publishers": _client_side(open_publishers),
    "study-subscribers": _client_side(open_subscribers),
    "study-aimed-publisher": _client_side(open_aimed_publisher),
    "study-aimed-subscriber": _client_side(open_aimed_subscriber),
    "study-slow-subscriber": _client_side(open_slow_subscriber),
    "study-recorded-publisher": _client_side(open_recorded_publisher),
    "study-counting-subscriber": _client_side(open_counting_subscriber),
    "study-http-server": _open_http_server,
    "study-http-client": _client_side(open_http_client),
}
