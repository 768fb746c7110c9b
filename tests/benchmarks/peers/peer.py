"""What a system must offer to be measured. Every part of it runs in its own process."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final, NamedTuple, Protocol, runtime_checkable

DATA_FOLDER: Final = "data"  # Below the directory of a run: where a durable broker keeps messages.


class Receiver(Protocol):
    """Where a subscriber puts what it has decoded, in the form its system delivers it."""

    def take(self, payload: bytes) -> None:
        """Take one payload."""

    def take_all(self, payloads: Sequence[bytes]) -> None:
        """Take the payloads of one delivery."""


class Broker(NamedTuple):
    """A broker that accepts clients."""

    address: str
    pid: int


class PeerPublisher(Protocol):
    """The publishing side, as a user of that system would write it."""

    async def send(self, payload: bytes) -> None:
        """Hand over one message at once (latency runs); suspends only for room."""

    async def send_many(self, payloads: Sequence[bytes]) -> None:
        """Hand over messages as fast as the system takes them (throughput runs)."""

    async def flush(self) -> None:
        """Return when everything handed over has left, or is acknowledged where acks exist.

        Raises the first failure of a message handed over earlier.
        """


class CommitTimes(NamedTuple):
    """What a broker says of its own latest commits, fsync included."""

    p50_us: int
    p99_us: int


@runtime_checkable
class AcknowledgingPublisher(PeerPublisher, Protocol):
    """The publishing side of a system that acknowledges what it has stored."""

    async def publish_acknowledged(self, payload: bytes) -> None:
        """Publish one message and return when it is acknowledged as stored."""

    async def commit_times(self) -> CommitTimes | None:
        """Ask the broker; None when it keeps no such figures."""


class Server(Protocol):
    """One system under test, or the part of it that serves."""

    def missing(self) -> str | None:
        """Tell why it cannot be measured here and how to install it; None when it can."""

    def versions(self) -> dict[str, str]:
        """Give the versions of its own parts."""

    def serve(self, directory: Path) -> AbstractAsyncContextManager[Broker]:
        """Run a broker; `directory` is private to this run and short enough for a socket path."""


class Peer(Server, Protocol):
    """One system that carries messages."""

    def publisher(
        self, address: str, *, batch_messages_max: int | None
    ) -> AbstractAsyncContextManager[PeerPublisher]:
        """Connect a publisher; a system without batches ignores the limit."""

    def subscriber(self, address: str, receiver: Receiver) -> AbstractAsyncContextManager[None]:
        """Subscribe, and pass on each decoded payload until left; entered = subscribed."""
