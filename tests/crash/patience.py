"""How long the processes of the test wait for a coordinator that is being killed and started again."""

from __future__ import annotations

from dataclasses import replace
from typing import Final
from zlib import crc32

from bellwire.client import ClientSettings
from bellwire.transport.channel import TransportSettings

OUTAGE_SECONDS: Final = 60.0
"""Longer than any outage of a test: who waited so long has found something."""

PATIENT: Final = ClientSettings(
    timeout_seconds=OUTAGE_SECONDS,
    transport=TransportSettings(connect_timeout_seconds=OUTAGE_SECONDS),
)
"""The defaults, except that a process may be started while there is no coordinator."""


def patient(name: str) -> ClientSettings:
    """Return the settings of one process: some speak gRPC, the others the socket lane."""
    lane = crc32(name.encode()) % 2 == 0
    return replace(PATIENT, transport=replace(PATIENT.transport, socket_lane=lane))
