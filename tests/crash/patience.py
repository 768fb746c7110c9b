"""How long the processes of the test wait for a coordinator that is being killed and started again."""

from __future__ import annotations

from typing import Final

from bellwire.client import ClientSettings
from bellwire.transport.channel import TransportSettings

OUTAGE_SECONDS: Final = 60.0
"""Longer than any outage of a test: who waited so long has found something."""

PATIENT: Final = ClientSettings(
    timeout_seconds=OUTAGE_SECONDS,
    transport=TransportSettings(connect_timeout_seconds=OUTAGE_SECONDS),
)
"""The defaults, except that a process may be started while there is no coordinator."""
