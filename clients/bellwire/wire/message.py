"""Messages: CloudEvents-named protobuf objects, made once and never changed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

from bellwire.bus.v1.message_pb2 import Message
from bellwire.wire.id_run import COUNTER_HEX, COUNTER_MAX, IdRun, IdSpan


class MessageIds:
    """Generates UUIDv7 texts (RFC 9562 §5.7), strictly increasing within the generator.

    The 48-bit millisecond time and a 12-bit counter give the order (§6.2 method 1); when the counter is
    used up, or the clock jumps back, the time part runs ahead of the clock by the milliseconds needed.
    The 62 random bits are drawn once per generator: two generators differ in them.
    """

    __slots__ = ("_clock", "_counter", "_millis", "_prefix", "_tail")

    def __init__(
        self,
        clock: Callable[[], int] = time.time_ns,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        bits = int.from_bytes(entropy(8), "big") & ((1 << 62) - 1) | (0b10 << 62)
        digits = f"{bits:016x}"
        self._tail = f"-{digits[:4]}-{digits[4:]}"
        self._clock = clock
        self._millis = -1
        self._counter = COUNTER_MAX
        self._prefix = ""

    def next(self) -> str:
        """Return the next id."""
        return self.at(self._clock())

    def at(self, time_unix_nano: int) -> str:
        """Return the next id, for a caller that has read the clock already."""
        now = time_unix_nano // 1_000_000
        if now > self._millis:
            self._start(now)
        elif self._counter == COUNTER_MAX:
            self._start(self._millis + 1)
        self._counter += 1
        return f"{self._prefix}{COUNTER_HEX[self._counter]}{self._tail}"

    def many(self, time_unix_nano: int, count: int) -> IdRun:
        """Return the next `count` ids, without a text for each."""
        now = time_unix_nano // 1_000_000
        if count and now > self._millis:
            self._start(now)
        spans: list[IdSpan] = []
        while count:
            if self._counter == COUNTER_MAX:
                self._start(self._millis + 1)
            first = self._counter + 1
            fresh = min(count, COUNTER_MAX - self._counter)
            self._counter += fresh
            spans.append(IdSpan(self._prefix, first, fresh))
            count -= fresh
        return IdRun(spans, self._tail)

    def _start(self, millis: int) -> None:
        self._millis = millis
        self._counter = -1  # The one given out last.
        digits = f"{millis:012x}"
        self._prefix = f"{digits[:8]}-{digits[8:]}-7"


_ids = MessageIds()
os.register_at_fork(after_in_child=lambda: _ids.__init__())  # type: ignore[misc]  # fresh random bits


def uuid7() -> str:
    """Return a new UUIDv7, strictly increasing within this process."""
    return _ids.next()


def message_ids(time_unix_nano: int, count: int) -> IdRun:
    """Return `count` new ids at once, for a time of about now."""
    return _ids.many(time_unix_nano, count)


def new_message(
    *,
    data: bytes,
    type: str = "",
    subject: str = "",
    key: str = "",
    source: str = "",
    time_unix_nano: int | None = None,
    expire_time_unix_nano: int = 0,
    not_before_time_unix_nano: int = 0,
    correlation_id: str = "",
    causation_id: str = "",
    traceparent: str = "",
    tracestate: str = "",
    attributes: Mapping[str, str] | None = None,
) -> Message:
    """Make a message with a new id.

    Args:
        data: Payload, opaque to the bus.
        type: Full protobuf name of the payload.
        subject: Instrument or entity.
        key: Partition key; empty = no order asked.
        source: Who made it, for example "agents/rules-0".
        time_unix_nano: Event time; None = now.
        expire_time_unix_nano: Wall-clock time after which it is dropped; 0 = never.
        not_before_time_unix_nano: Wall-clock time before which it is not delivered; 0 = at once.
        correlation_id: Business transaction.
        causation_id: Id of the message that caused this one.
        traceparent: W3C creation context.
        tracestate: W3C tracestate.
        attributes: Small filterable properties, at most 64.
    """
    now = time.time_ns()
    # Setting only what is given costs less than any keyword argument: most fields are empty.
    message = Message()
    message.id = _ids.at(now)
    message.time_unix_nano = now if time_unix_nano is None else time_unix_nano
    message.data = data
    if type:
        message.type = type
    if key:
        message.key = key
    if subject:
        message.subject = subject
    if source:
        message.source = source
    if correlation_id:
        message.correlation_id = correlation_id
    if causation_id:
        message.causation_id = causation_id
    if traceparent:
        message.traceparent = traceparent
    if tracestate:
        message.tracestate = tracestate
    if expire_time_unix_nano:
        message.expire_time_unix_nano = expire_time_unix_nano
    if not_before_time_unix_nano:
        message.not_before_time_unix_nano = not_before_time_unix_nano
    if attributes:
        message.attributes.update(attributes)
    return message
