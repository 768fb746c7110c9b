"""What a handler may know of the message it handles."""

from google.protobuf.message import Message as ProtoMessage

from bellwire.bus.v1.message_pb2 import Message
from bellwire.runtime.publication import Cause, Output, Publication


class MessageContext:
    """The envelope and position of one delivered message, and a way to publish more.

    It stays valid after the handler returned, but `publish` then has no effect any more; keep
    `cause` instead and return a `Publication` from the later handler.
    """

    __slots__ = (
        "_extra",
        "_traceparent",
        "_tracestate",
        "attempt",
        "message",
        "offset",
        "partition",
        "replayed",
        "topic",
    )

    def __init__(
        self,
        message: Message,
        *,
        topic: str,
        partition: int = 0,
        offset: int = 0,
        attempt: int = 0,
        replayed: bool = False,
    ) -> None:
        self.message = message
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.attempt = attempt
        """Times this message was handed out before; 0 = first time."""
        self.replayed = replayed
        """True when this comes from a replay; such messages must never reach a real venue."""
        self._traceparent = message.traceparent
        self._tracestate = message.tracestate
        self._extra: list[Output] = []

    @property
    def message_id(self) -> str:
        """Id of the message being handled."""
        return self.message.id

    @property
    def key(self) -> str:
        """Partition key of the message being handled."""
        return self.message.key

    @property
    def event_time_unix_nano(self) -> int:
        """Event time, nanoseconds since the Unix epoch: what handlers read instead of the clock."""
        return self.message.time_unix_nano

    @property
    def correlation_id(self) -> str:
        """Business transaction of the message; its own id when it began one."""
        return self.message.correlation_id or self.message.id

    @property
    def cause(self) -> Cause:
        """What to keep in order to publish later as a consequence of this message."""
        return Cause(
            message_id=self.message.id,
            correlation_id=self.correlation_id,
            traceparent=self._traceparent,
            tracestate=self._tracestate,
        )

    def trace_under(self, traceparent: str, tracestate: str = "") -> None:
        """Make later publications children of this span; called by the runtime."""
        self._traceparent = traceparent
        self._tracestate = tracestate

    def publish(self, payload: ProtoMessage | Publication) -> None:
        """Publish besides what the handler returns: first these, in order, then the return value.

        Nothing is sent before the handler returns, and nothing at all when it raises.
        """
        self._extra.append(payload)

    def take_extra(self) -> list[Output]:
        """Return and forget what was handed to `publish`; called by the runtime."""
        extra, self._extra = self._extra, []
        return extra
