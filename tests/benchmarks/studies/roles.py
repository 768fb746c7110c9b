"""The processes of studies. Each imports only what it is: what it carries is measured as its RSS."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.benchmarks.roles import Reply, Role, Wired
from tests.benchmarks.studies.traces import Traced


class Opener(NamedTuple):
    """Where a role is found: an async context manager that gives (role, what it says of itself)."""

    module: str
    function: str


ROLES: Final = {
    "study-broker": Opener("coordinator", "open_coordinator"),
    "study-publishers": Opener("many_publishers", "open_publishers"),
    "study-subscribers": Opener("many_subscribers", "open_subscribers"),
    "study-aimed-publisher": Opener("aimed", "open_aimed_publisher"),
    "study-aimed-subscriber": Opener("aimed", "open_aimed_subscriber"),
    "study-slow-subscriber": Opener("slow_reader", "open_slow_subscriber"),
    "study-recorded-publisher": Opener("recorded", "open_recorded_publisher"),
    "study-counting-subscriber": Opener("recorded", "open_counting_subscriber"),
    "study-http-server": Opener("http_json", "open_http_server"),
    "study-http-client": Opener("http_json", "open_http_client"),
    "study-traced-publisher": Opener("traced", "open_traced_publisher"),
    "study-relay": Opener("relay", "open_relay"),
    "study-traced-subscriber": Opener("traced", "open_traced_subscriber"),
    "study-inference-caller": Opener("inference_caller", "open_inference_caller"),
    "study-litserve-caller": Opener("litserve_caller", "open_litserve_caller"),
}
TAKES_DIRECTORY: Final = ("study-broker",)


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
    del peer_name
    found = ROLES[role]
    open_role = getattr(import_module(f"{__package__}.{found.module}"), found.function)
    if role in TAKES_DIRECTORY:
        options["directory"] = Path(directory)
    async with open_role(**options) as (opened, about):
        with closing(Traced(Wired(opened), role, Path(directory))) as traced:
            yield traced, about
