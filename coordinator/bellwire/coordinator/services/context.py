"""What a servicer sees of an RPC that gRPC does not carry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import grpc

Metadata = tuple[tuple[str, str | bytes], ...]


class BareContext(grpc.aio.ServicerContext[Any, Any]):
    """Holds the trailers; the subclass reads, writes and aborts. What no servicer of ours uses raises.

    Attributes:
        process: The peer's, where the kernel tells; None = it does not.
    """

    process: int | None = None

    def __init__(self) -> None:
        self._trailers: Metadata = ()

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        """Keep what is sent with the status."""
        self._trailers = tuple(trailing_metadata)

    def trailing_metadata(self) -> Any:
        """Return what is sent with the status."""
        return self._trailers

    def time_remaining(self) -> Any:
        """Return the seconds to the deadline: there is none."""
        return None

    def invocation_metadata(self) -> Any:
        """Return the request's metadata: none is sent."""
        return ()

    def peer_identities(self) -> Iterable[bytes] | None:
        """Nobody is authenticated here."""
        return None

    def peer_identity_key(self) -> str | None:
        """Nobody is authenticated here."""
        return None

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """Nobody is authenticated here."""
        return {}

    async def abort_with_status(self, status: Any) -> NoReturn:
        """End the RPC."""
        await self.abort(status.code, status.details, status.trailing_metadata)

    async def send_initial_metadata(self, initial_metadata: Any) -> None:
        """There is nobody to read it."""

    def set_code(self, code: grpc.StatusCode) -> None:
        """Statuses end RPCs by `abort` only."""
        raise NotImplementedError("end the RPC with abort()")

    def set_details(self, details: str) -> None:
        """Statuses end RPCs by `abort` only."""
        raise NotImplementedError("end the RPC with abort()")

    def set_compression(self, compression: grpc.Compression) -> None:
        """Payloads are compressed already."""

    def disable_next_message_compression(self) -> None:
        """Payloads are compressed already."""


def local_process(context: object) -> int | None:
    """Return the process of a peer on this host over the socket lane; None = it is somewhere else."""
    return context.process if isinstance(context, BareContext) else None
