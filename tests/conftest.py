"""What all tests share: Hypothesis without wall-clock verdicts, and tools that may be absent."""

import gc
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings

from bellwire.testing.kafka import (
    BOOTSTRAP_VARIABLE,
    KafkaMissingError,
    kafka_classpath,
    running_kafka,
)
from bellwire.testing.redis import (
    RedisMissingError,
    RunningRedis,
    redis_binary,
    running_redis,
    running_redis_cluster,
)

# A busy machine must not fail a property; each test has a timeout of its own (pyproject.toml).
settings.register_profile(
    "bellwire",
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("bellwire")

# What a shell without job control starts in the background ignores Ctrl-C, and so would all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

TOOLS_ARE_REQUIRED = bool(os.environ.get("BELLWIRE_REQUIRE_TOOLS"))


def pytest_collection_finish() -> None:
    """Take the thousands of collected tests out of sight of the collector: they stay until the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def find_tool() -> Callable[[str], Path]:
    """A finder of commands such as grpcurl: absent ones skip the test, in CI they fail it."""

    def find(name: str) -> Path:
        found = shutil.which(name)
        if found is not None:
            return Path(found)
        missing(f"{name} is not on PATH; .ci/run installs it")

    return find


def missing(reason: str) -> NoReturn:
    """Skip the test for want of a tool; in CI fail it."""
    if TOOLS_ARE_REQUIRED:
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def kafka_jars() -> None:
    """What a broker needs to run is here."""
    try:
        kafka_classpath(fetch=False)
    except KafkaMissingError as error:
        missing(str(error))


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> Iterator[str]:
    """HOST:PORT of a broker that all tests share: topics need names of their own."""
    running = os.environ.get(BOOTSTRAP_VARIABLE)
    if running:
        yield running
        return
    request.getfixturevalue("kafka_jars")
    with running_kafka() as broker:
        yield broker.bootstrap


@pytest.fixture(scope="session")
def redis_installed() -> None:
    """Redis can be started here: for tests that start servers of their own (`bellwire.testing.redis`)."""
    try:
        redis_binary()
    except RedisMissingError as error:
        missing(str(error))


@pytest.fixture(scope="session")
def redis_noeviction(redis_installed: None) -> Iterator[RunningRedis]:
    """A server that forgets nothing, as leases need it; all tests share it: keys need names of their own."""
    with running_redis(policy="noeviction") as server:
        yield server


@pytest.fixture(scope="session")
def redis_lru(redis_installed: None) -> Iterator[RunningRedis]:
    """A server that evicts what was used least, as the cache has it; all tests share it."""
    with running_redis(policy="allkeys-lru") as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster(redis_installed: None) -> Iterator[list[RunningRedis]]:
    """A cluster of three nodes; all tests share it."""
    with running_redis_cluster() as nodes:
        yield nodes
