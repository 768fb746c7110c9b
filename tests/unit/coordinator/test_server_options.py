"""gRPC takes a channel argument it does not know in silence; a misspelt one is no argument at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from grpc._cython import cygrpc  # type: ignore[attr-defined]  # untyped C extension

from bellwire.coordinator.server import SERVER_OPTIONS
from bellwire.transport.channel import TransportSettings, channel_options

NAMES = sorted({name for name, _ in (*SERVER_OPTIONS, *channel_options(TransportSettings()))})


@pytest.fixture(scope="module")
def core() -> bytes:
    """The C core, in whose text every argument it reads stands."""
    return Path(cygrpc.__file__).read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_the_core_of_grpc_knows_the_argument(core, name):
    assert name.encode() + b"\0" in core
