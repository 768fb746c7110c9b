"""Where a link stands, and where it may go from there."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final


class LinkState(Enum):
    """Where a link stands; `NEXT` holds the legal transitions."""

    IDLE = auto()
    CONNECTING = auto()
    OPEN = auto()
    FAILED = auto()
    CLOSED = auto()


NEXT: Final = {
    LinkState.IDLE: {LinkState.CONNECTING, LinkState.CLOSED},
    LinkState.CONNECTING: {
        LinkState.OPEN,
        LinkState.CONNECTING,
        LinkState.FAILED,
        LinkState.CLOSED,
    },
    LinkState.OPEN: {LinkState.CONNECTING, LinkState.FAILED, LinkState.CLOSED},
    LinkState.FAILED: {LinkState.CLOSED},
    LinkState.CLOSED: {LinkState.CLOSED},
}
