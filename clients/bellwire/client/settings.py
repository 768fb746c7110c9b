"""What a client may be told, with the reason of each default."""

from __future__ import annotations

from dataclasses import dataclass, field

from bellwire.transport.channel import TransportSettings
from bellwire.wire.settings import check_settings, setting

__all__ = ["ClientSettings", "PublishSettings", "SubscribeSettings", "TransportSettings"]


@dataclass(frozen=True, slots=True)
class PublishSettings:
    """How messages gather into batches and frames. Overflow policy of the buffer: BLOCK."""

    batch_messages_max: int = field(
        default=100,
        metadata=setting(
            unit="messages",
            why="A batch of 100 costs one acknowledgement and keeps the wait for it short",
            ge=1,
            le=1_000,
        ),
    )
    batch_bytes_max: int = field(
        default=1 << 20,
        metadata=setting(
            unit="bytes",
            why="The server's limit for one batch before compression",
            ge=1 << 10,
            le=4 << 20,
        ),
    )
    frame_batches_max: int = field(
        default=16,
        metadata=setting(
            unit="batches",
            why="Few enough that encoding a frame holds the event loop for about 3 ms; 64 is the limit",
            ge=1,
            le=64,
        ),
    )
    frame_bytes_max: int = field(
        default=3 << 20,
        metadata=setting(
            unit="bytes",
            why="The contract's limit for the batches of one frame",
            ge=1 << 20,
            le=3 << 20,
        ),
    )
    frames_in_flight_max: int = field(
        default=4,
        metadata=setting(
            unit="frames",
            why="Below it a message leaves at once; at it messages gather into fuller batches",
            ge=1,
            le=1_024,
        ),
    )
    buffer_messages_max: int = field(
        default=20_000,
        metadata=setting(
            unit="messages",
            why="Three times what 4 full frames hold, so that encoding never waits for the caller",
            ge=1,
            le=10_000_000,
        ),
    )
    buffer_bytes_max: int = field(
        default=32 << 20,
        metadata=setting(
            unit="bytes",
            why="What an agent process can spare for an outage",
            ge=1 << 20,
            le=4 << 30,
        ),
    )
    compress_above_bytes: int = field(
        default=512,
        metadata=setting(unit="bytes", why="Below, LZ4 saves less than it costs", ge=0, le=4 << 20),
    )
    tries_max: int = field(
        default=10,
        metadata=setting(
            unit="tries",
            why="A batch refused so often with a retryable error is refused for good",
            ge=1,
            le=1_000,
        ),
    )

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, slots=True)
class SubscribeSettings:
    """What a subscription may hold. Its local queue is bounded by the window itself."""

    window_messages: int = field(
        default=10_000,
        metadata=setting(
            unit="messages",
            why="100 full batches: 20 ms of the fastest stream, many round trips of a slow one",
            ge=1,
            le=1_000_000,
        ),
    )
    window_bytes: int = field(
        default=16 << 20,
        metadata=setting(
            unit="bytes",
            why="10,000 messages of 1.6 kB; 16 of the largest batches",
            ge=1,
            le=1 << 30,
        ),
    )
    settle_linger_seconds: float = field(
        default=0.02,
        metadata=setting(
            unit="s",
            why="Dispositions of 20 ms share a frame, where each frame costs both sides about 0.1 ms of "
            "CPU; an eighth of the window goes at once; a crash delivers 20 ms of work again",
            ge=0,
            le=1,
        ),
    )

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Everything a client may be told."""

    client_id: str = field(
        default="",
        metadata=setting(
            unit="",
            why="Shown in the coordinator's logs; empty stands for host name and process id",
        ),
    )
    timeout_seconds: float = field(
        default=5.0,
        metadata=setting(
            unit="s", why="No await of the client is longer unless it says so", gt=0, le=3600
        ),
    )
    heartbeat_seconds: float = field(
        default=10.0,
        metadata=setting(
            unit="s",
            why="A peer silent for three of these is gone; the coordinator's own interval, below which "
            "an idle subscription would look silent",
            ge=0.05,
            le=300,
        ),
    )
    reconnect_first_seconds: float = field(
        default=0.05,
        metadata=setting(unit="s", why="Upper bound of the first, jittered delay", gt=0, le=60),
    )
    reconnect_max_seconds: float = field(
        default=2.0,
        metadata=setting(
            unit="s",
            why="Upper bound between two streams that a coordinator refuses; after an outage the "
            "next one follows at once",
            gt=0,
            le=300,
        ),
    )
    publish: PublishSettings = field(default_factory=PublishSettings)
    subscribe: SubscribeSettings = field(default_factory=SubscribeSettings)
    transport: TransportSettings = field(default_factory=TransportSettings)

    def __post_init__(self) -> None:
        check_settings(self)
