"""Why a coordinator does not acknowledge: what keeps its durable topics may be away."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from bellwire.cli.faults import CommandError
from bellwire.cli.units import span_text
from bellwire.client.errors import BufferFullError
from bellwire.wire.errors import (
    BellwireError,
    DeadlineExceededError,
    StoreBusyError,
)

if TYPE_CHECKING:
    from bellwire.client import Client

__all__ = ["store_named"]

ASK_SECONDS: Final = 1.0  # It has waited long enough by then.
NANOS_PER_SECOND: Final = 1_000_000_000
_LATE: Final = (BufferFullError, DeadlineExceededError, StoreBusyError)


@asynccontextmanager
async def store_named(client: Client) -> AsyncIterator[None]:
    """Name what keeps the topics where it is why a publish came to nothing in time.

    Raises:
        CommandError: In place of such an error: since when it does not answer, and what to do.
    """
    try:
        yield
    except _LATE as error:
        cause = await _cause(client)
        if not cause:
            raise
        raise CommandError(
            f"{cause}; what was not acknowledged may still be stored when it answers again: "
            "a --request-id would make a repetition harmless"
        ) from error


async def _cause(client: Client) -> str:
    """Return what the coordinator says of its store; empty = nothing is wrong with it, or nobody knows."""
    try:
        store = (await client.admin.server_info(timeout=ASK_SECONDS)).store
    except BellwireError:
        return ""
    since = store.unanswered_since_unix_nano
    if not since:
        return ""
    return (
        f"{store.unanswered_reason}, for {span_text((time.time_ns() - since) / NANOS_PER_SECOND)}"
    )
