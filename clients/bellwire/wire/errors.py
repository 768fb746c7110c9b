"""Errors of the bus: who is at fault, the gRPC status they travel as, and whether a retry can help.

The table is the class hierarchy itself: each class names its `reason` (the word on the wire), its gRPC status `code`
and whether it is `retryable`; `error_for` rebuilds the class from what a peer sent.
"""

from __future__ import annotations

from enum import IntEnum
from itertools import islice
from typing import ClassVar, Final

from bellwire.bus.v1.error_pb2 import ItemError

ERROR_DOMAIN: Final = "bellwire.dev"  # ErrorInfo.domain: a label, not an address.
# What quotes a caller must not grow with it: gRPC drops trailers above 8 KiB, and the reason with them.
MESSAGE_BYTES_MAX: Final = 1_024
METADATA_BYTES_MAX: Final = 256
METADATA_ENTRIES_MAX: Final = 8  # Ours have up to four; an agent's may have any number.
REASON_BYTES_MAX: Final = 63  # google.rpc.ErrorInfo's own bound, of its metadata keys too.
_ELLIPSIS: Final = "…".encode()


class StatusCode(IntEnum):
    """The canonical gRPC status codes, by number, so that this layer needs no gRPC."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class BellwireError(Exception):
    """Something on the bus went wrong.

    Attributes:
        reason: Stable word for the kind of error; of one instance the peer's own word, when no class has it.
        code: gRPC status it travels as.
        message: What was wrong, what was found, what to do.
        metadata: The dynamic parts of the message, by name.
        retry_delay_seconds: How long to wait before a retry; None when the peer did not say.
    """

    reason: str = "UNKNOWN"
    code: StatusCode = StatusCode.UNKNOWN
    retryable: ClassVar[bool] = False
    _by_reason: ClassVar[dict[str, type[BellwireError]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "reason" in cls.__dict__:
            BellwireError._by_reason[cls.reason] = cls

    def __init__(
        self,
        message: str = "",
        *,
        metadata: dict[str, str] | None = None,
        retry_delay_seconds: float | None = None,
    ) -> None:
        self.message = message or (self.__doc__ or "").split("\n", 1)[0]
        self.metadata = metadata or {}
        self.retry_delay_seconds = retry_delay_seconds
        super().__init__(self.message)


class CallerError(BellwireError):
    """The request is wrong; sending it again unchanged cannot help."""

    reason = "INVALID_ARGUMENT"
    code = StatusCode.INVALID_ARGUMENT


class PeerError(BellwireError):
    """The other side went away or did not answer in time."""

    reason = "UNAVAILABLE"
    code = StatusCode.UNAVAILABLE
    retryable = True


class CapacityError(BellwireError):
    """A bound was reached; slow down and try again."""

    reason = "RESOURCE_EXHAUSTED"
    code = StatusCode.RESOURCE_EXHAUSTED
    retryable = True


class InternalError(BellwireError):
    """A fault in Bellwire itself; please report it."""

    reason = "INTERNAL"
    code = StatusCode.INTERNAL


# ---------------------------------------------------------------- the caller is at fault


class InvalidTopicNameError(CallerError):
    """The topic name is not `[a-zA-Z0-9._-]{1,249}`."""

    reason = "INVALID_TOPIC_NAME"


class UnknownTopicError(CallerError):
    """The topic does not exist and auto-create is off."""

    reason = "UNKNOWN_TOPIC"
    code = StatusCode.NOT_FOUND


class TopicExistsError(CallerError):
    """The topic exists with other settings."""

    reason = "TOPIC_EXISTS"
    code = StatusCode.ALREADY_EXISTS


class InvalidBatchError(CallerError):
    """The batch's header and its block do not agree."""

    reason = "INVALID_BATCH"


class BatchCountError(InvalidBatchError):
    """The block holds another number of messages than its header says."""

    reason = "BATCH_COUNT_MISMATCH"


class BatchSizeError(InvalidBatchError):
    """The block opens to another size than its header says."""

    reason = "BATCH_SIZE_MISMATCH"


class BatchChecksumError(InvalidBatchError):
    """The crc32 of the block is not the one in its header."""

    reason = "BATCH_CHECKSUM_MISMATCH"


class BatchCorruptError(InvalidBatchError):
    """The block cannot be decompressed or parsed."""

    reason = "BATCH_CORRUPT"


class UnknownCodecError(InvalidBatchError):
    """The codec is not one this server opens."""

    reason = "UNKNOWN_CODEC"


class WrongPartitionError(CallerError):
    """A message's key belongs to another partition than the batch says."""

    reason = "WRONG_PARTITION"


class PayloadTooLargeError(CallerError):
    """A message, batch or frame is larger than its limit."""

    reason = "PAYLOAD_TOO_LARGE"


class SourceMismatchError(CallerError):
    """The source of a message contradicts the authenticated principal."""

    reason = "SOURCE_MISMATCH"
    code = StatusCode.PERMISSION_DENIED


class AckLevelUnsupportedError(CallerError):
    """The topic's log cannot give the acknowledgement asked for."""

    reason = "ACK_LEVEL_UNSUPPORTED"
    code = StatusCode.FAILED_PRECONDITION


class SequenceGapError(CallerError):
    """The batch does not follow the producer's last one; send the missing ones first."""

    reason = "OUT_OF_ORDER_SEQUENCE"
    code = StatusCode.FAILED_PRECONDITION


class ProducerFencedError(CallerError):
    """A newer epoch of this producer has taken over."""

    reason = "PRODUCER_FENCED"
    code = StatusCode.FAILED_PRECONDITION


class InvalidWindowError(CallerError):
    """The window is zero, too large, or below the topic's largest message."""

    reason = "INVALID_WINDOW"


class UnknownDeliveryTagError(CallerError):
    """The tag was never delivered under this lease, or is settled already."""

    reason = "UNKNOWN_DELIVERY_TAG"
    code = StatusCode.NOT_FOUND


class LeaseExpiredError(CallerError):
    """The lease is unknown or has ended; its messages are delivered again."""

    reason = "LEASE_EXPIRED"
    code = StatusCode.FAILED_PRECONDITION


class SubscriptionMismatchError(CallerError):
    """The subscription exists with other topics or another ordering."""

    reason = "SUBSCRIPTION_MISMATCH"
    code = StatusCode.FAILED_PRECONDITION


class UnknownSubscriptionError(CallerError):
    """No subscription of that name exists."""

    reason = "UNKNOWN_SUBSCRIPTION"
    code = StatusCode.NOT_FOUND


class UnknownAgentError(CallerError):
    """No live agent has that id."""

    reason = "UNKNOWN_AGENT"
    code = StatusCode.NOT_FOUND


class AgentExistsError(CallerError):
    """A live agent holds that id already."""

    reason = "AGENT_EXISTS"
    code = StatusCode.ALREADY_EXISTS


class UnknownToolError(CallerError):
    """No live agent has a tool of that name."""

    reason = "UNKNOWN_TOOL"


class UnknownFrameError(CallerError):
    """The frame carries no arm this server knows."""

    reason = "UNKNOWN_FRAME"
    code = StatusCode.UNIMPLEMENTED


class NotImplementedYetError(CallerError):
    """The contract has this, this server does not yet."""

    reason = "NOT_IMPLEMENTED"
    code = StatusCode.UNIMPLEMENTED


class OffsetOutOfRangeError(CallerError):
    """The offset is not in the log: older than what is kept, or beyond its end."""

    reason = "OFFSET_OUT_OF_RANGE"
    code = StatusCode.OUT_OF_RANGE


class IdempotencyKeyReusedError(CallerError):
    """The request_id was used before, for another request."""

    reason = "IDEMPOTENCY_KEY_REUSED"
    code = StatusCode.ALREADY_EXISTS


class DataLockedError(CallerError):
    """Another coordinator works in that data folder."""

    reason = "DATA_LOCKED"
    code = StatusCode.FAILED_PRECONDITION


class DataFolderError(CallerError):
    """The data folder cannot be used: it is read-only, or no folder."""

    reason = "DATA_FOLDER_UNUSABLE"
    code = StatusCode.FAILED_PRECONDITION


class SchemaVersionError(CallerError):
    """The data was written by a newer version of Bellwire."""

    reason = "SCHEMA_TOO_NEW"
    code = StatusCode.FAILED_PRECONDITION


class RedisRefusedError(CallerError):
    """Redis does not let us in: user or password is wrong."""

    reason = "REDIS_REFUSED"
    code = StatusCode.FAILED_PRECONDITION


class RedisEvictsError(CallerError):
    """This Redis forgets keys when its memory is full; leases need one that does not."""

    reason = "REDIS_EVICTS"
    code = StatusCode.FAILED_PRECONDITION


class KafkaRefusedError(CallerError):
    """Kafka does not let us in: TLS, a user or a password is not what it wants."""

    reason = "KAFKA_REFUSED"
    code = StatusCode.FAILED_PRECONDITION


class KafkaVersionError(CallerError):
    """The brokers of Kafka are too old for what is needed of them, or too new to be understood."""

    reason = "KAFKA_VERSION_UNSUPPORTED"
    code = StatusCode.FAILED_PRECONDITION


class LatestNotKeptError(CallerError):
    """The coordinator does not keep the last messages of this topic."""

    reason = "LATEST_NOT_KEPT"
    code = StatusCode.FAILED_PRECONDITION


class ClosedError(CallerError):
    """The client, publisher or subscription is closed."""

    reason = "CLOSED"
    code = StatusCode.FAILED_PRECONDITION


# ---------------------------------------------------------------- a peer is at fault


class NoCapableAgentError(PeerError):
    """No live agent has the capability."""

    reason = "NO_CAPABLE_AGENT"


class AgentLostError(PeerError):
    """The agent went away before it answered; whether it did the work is unknown."""

    reason = "AGENT_LOST"
    retryable = False


class AgentFailedError(PeerError):
    """The agent answered with an error."""

    reason = "AGENT_FAILED"
    code = StatusCode.UNKNOWN
    retryable = False


class DrainingError(PeerError):
    """The server is about to go away; reconnect."""

    reason = "DRAINING"


class NotOwnerError(PeerError):
    """Another coordinator is to be asked; nothing was done here.

    Its metadata names the `owner`, an address, unless an election is under way. Where it is because of a topic, they
    name the `topic` and the `group` it belongs to.
    """

    reason = "NOT_OWNER"

    @property
    def owner(self) -> str:
        """Where the active coordinator is; empty = nobody knows yet."""
        return self.metadata.get("owner", "")

    @property
    def group(self) -> str:
        """The group of that coordinator; empty = it was not told."""
        return self.metadata.get("group", "")

    @property
    def topic(self) -> str:
        """The topic that another group owns; empty = it is the group itself that is served elsewhere."""
        return self.metadata.get("topic", "")


class DeadlineExceededError(PeerError):
    """The peer did not answer in time; whether it did the work is unknown."""

    reason = "DEADLINE_EXCEEDED"
    code = StatusCode.DEADLINE_EXCEEDED
    retryable = False


class StoreUnavailableError(PeerError):
    """What keeps the durable topics cannot be reached; start it, or try again."""

    reason = "STORE_UNAVAILABLE"


class RedisUnavailableError(PeerError):
    """Redis cannot be reached, or does not answer in time."""

    reason = "REDIS_UNAVAILABLE"


class StoreReadOnlyError(PeerError):
    """The store could not be written and is in doubt; nothing durable is accepted until a restart."""

    reason = "STORE_READ_ONLY"


class DataCorruptError(PeerError):
    """What was stored cannot be read back; `bellwire doctor` tells how much of it."""

    reason = "DATA_CORRUPT"
    code = StatusCode.DATA_LOSS
    retryable = False


# ---------------------------------------------------------------- a bound was reached


class TopicFullError(CapacityError):
    """A subscriber with policy BLOCK has not made room in the topic in time."""

    reason = "TOPIC_FULL"


class SlowSubscriberError(CapacityError):
    """The subscriber fell behind further than its overflow policy allows."""

    reason = "SLOW_SUBSCRIBER"


class StoreFullError(CapacityError):
    """The disk is full; nothing of the batch was stored. Free some space, and it goes on."""

    reason = "STORE_FULL"


class StoreBusyError(CapacityError):
    """More waits to be committed than may wait; slow down."""

    reason = "STORE_BUSY"


class AgentBusyError(CapacityError):
    """Every agent with the capability has as many calls in flight as it takes."""

    reason = "AGENT_BUSY"


_FALLBACK: Final[dict[int, type[BellwireError]]] = {
    StatusCode.INVALID_ARGUMENT: CallerError,
    StatusCode.NOT_FOUND: CallerError,
    StatusCode.ALREADY_EXISTS: CallerError,
    StatusCode.PERMISSION_DENIED: CallerError,
    StatusCode.FAILED_PRECONDITION: CallerError,
    StatusCode.OUT_OF_RANGE: CallerError,
    StatusCode.UNIMPLEMENTED: NotImplementedYetError,
    StatusCode.UNAUTHENTICATED: CallerError,
    StatusCode.UNAVAILABLE: PeerError,
    StatusCode.CANCELLED: PeerError,
    StatusCode.ABORTED: PeerError,
    StatusCode.DEADLINE_EXCEEDED: DeadlineExceededError,
    StatusCode.RESOURCE_EXHAUSTED: CapacityError,
    StatusCode.INTERNAL: InternalError,
    StatusCode.DATA_LOSS: InternalError,
}


def error_for(
    code: int,
    reason: str,
    message: str,
    metadata: dict[str, str] | None = None,
    retry_delay_seconds: float | None = None,
) -> BellwireError:
    """Rebuild the error a peer sent: the class is found by reason, else by status code.

    A reason or code that no class has stays on the instance, so that it can be read and passed on.
    """
    known = BellwireError._by_reason.get(reason)
    cls = known or _FALLBACK.get(code, BellwireError)
    error = cls.__new__(cls)
    BellwireError.__init__(
        error, message, metadata=metadata, retry_delay_seconds=retry_delay_seconds
    )
    if known is None:
        error.code = StatusCode(code) if 1 <= code <= max(StatusCode) else cls.code
        error.reason = reason or (cls.reason if error.code == cls.code else error.code.name)
    return error


def to_item_error(error: BellwireError) -> ItemError:
    """Put an error into a stream item; texts are cut to what the wire carries."""
    delay = error.retry_delay_seconds
    return ItemError(
        code=int(error.code),
        reason=_clipped(error.reason, REASON_BYTES_MAX),
        message=_clipped(error.message, MESSAGE_BYTES_MAX),
        metadata={
            _clipped(name, REASON_BYTES_MAX): _clipped(value, METADATA_BYTES_MAX)
            for name, value in islice(error.metadata.items(), METADATA_ENTRIES_MAX)
        },
        retry_delay_millis=0 if delay is None else max(1, round(delay * 1000)),
    )


def _clipped(text: str, bytes_max: int) -> str:
    data = text.encode(errors="replace")
    if len(data) > bytes_max:
        data = data[: bytes_max - len(_ELLIPSIS)].decode(errors="ignore").encode() + _ELLIPSIS
    return data.decode()


def from_item_error(item: ItemError) -> BellwireError:
    """Take an error out of a stream item."""
    delay = item.retry_delay_millis / 1000 if item.retry_delay_millis else None
    return error_for(item.code, item.reason, item.message, dict(item.metadata), delay)
