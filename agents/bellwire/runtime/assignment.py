"""A partition that an agent begins to read, and what may be read back of the time before."""

from collections.abc import Sequence
from typing import Final, Protocol, TypeAlias

from google.protobuf.message import Message as ProtoMessage

from bellwire.bus.v1.message_pb2 import Message
from bellwire.wire.errors import CallerError

MESSAGES_MAX: Final = (
    1_000_000  # of one look back: what a handler's process can take apart in a minute
)

PayloadType: TypeAlias = type[ProtoMessage] | str | None
"""A class, or a full name such as "bellwire.trading.v1.Signal"; None = all there are."""


class HistoryRequestError(CallerError):
    """More of the past is asked for than may be, or less than nothing."""

    reason = "HISTORY_REQUEST_INVALID"

    def __init__(self, messages_max: int) -> None:
        self.messages_max = messages_max
        super().__init__(
            f"{messages_max} messages are asked for, 0 to {MESSAGES_MAX:,} may be; 0 = none"
        )


class History(Protocol):
    """What was published before: the bus's log, or a test's list. Topics that keep nothing are empty."""

    async def before(
        self, topic: str, partition: int, offset: int, messages_max: int, type_name: str = ""
    ) -> Sequence[Message]:
        """Return the newest messages of a type in a partition below an offset, the oldest first; empty = all."""
        ...

    async def newest(self, topic: str, messages_max: int, type_name: str = "") -> Sequence[Message]:
        """Return the newest messages of a type in a topic; those of one partition in their order."""
        ...


class AssignedPartition:
    """A partition whose first message waits; what `Agent.on_assigned` is given.

    Attributes:
        topic: Topic.
        partition: 0-based.
        offset: Of the message that waits; -1 = it has none.
    """

    __slots__ = ("_history", "offset", "partition", "topic")

    def __init__(self, topic: str, partition: int, offset: int, history: History) -> None:
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self._history = history

    async def before(self, messages_max: int, *, type: PayloadType = None) -> Sequence[Message]:
        """Return the newest messages of this partition before the one that waits, the oldest first.

        Args:
            messages_max: 0 … 1,000,000; fewer are found where the log has no more. A memory topic returns
                what it still keeps, a topic that is not there nothing.
            type: Only messages of this payload are counted and returned, however many others, such as
                watermarks, lie between; at most `runtime.look_messages_max` are looked through.

        Raises:
            HistoryRequestError: The number is out of its range.
            BellwireError: The bus does not answer.
        """
        if not _is_some(messages_max) or self.offset <= 0:
            return ()
        return await self._history.before(
            self.topic, self.partition, self.offset, messages_max, _full_name(type)
        )

    async def newest(
        self, topic: str, messages_max: int, *, type: PayloadType = None
    ) -> Sequence[Message]:
        """Return the newest messages of any topic, such as one this agent writes; as `before`.

        Each partition is asked for an equal share, and for more where others have less. Messages of one
        partition come in their order, those of several roughly in that of their times.
        """
        if not _is_some(messages_max) or not topic:
            return ()
        return await self._history.newest(topic, messages_max, _full_name(type))


def _full_name(payload: PayloadType) -> str:
    if payload is None or isinstance(payload, str):
        return payload or ""
    return payload.DESCRIPTOR.full_name


def _is_some(messages_max: int) -> bool:
    if not 0 <= messages_max <= MESSAGES_MAX:
        raise HistoryRequestError(messages_max)
    return messages_max > 0
