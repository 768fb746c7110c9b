"""A partition that an agent begins to read, and what may be read back of the time before."""

from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

from bellwire.bus.v1.message_pb2 import Message
from bellwire.wire.errors import CallerError

MESSAGES_MAX: Final = (
    1_000_000  # of one look back: what a handler's process can take apart in a minute
)
BYTES_MAX: Final = (
    256 * 1024 * 1024
)  # of payload in one look back; DROP_OLDEST, and fewer are returned


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
        self, topic: str, partition: int, offset: int, messages_max: int
    ) -> Sequence[Message]:
        """Return the newest messages of a partition below an offset, the oldest first."""
        ...

    async def newest(self, topic: str, messages_max: int) -> Sequence[Message]:
        """Return the newest messages of a topic; those of one partition in their order."""
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

    async def before(self, messages_max: int) -> Sequence[Message]:
        """Return the newest messages of this partition before the one that waits, the oldest first.

        Args:
            messages_max: 0 … 1,000,000; where offsets have gaps (Kafka's logs) fewer are found. A memory
                topic returns what it still keeps, a topic that is not there nothing.

        Raises:
            HistoryRequestError: The number is out of its range.
            BellwireError: The bus does not answer.
        """
        if not _is_some(messages_max) or self.offset <= 0:
            return ()
        return await self._history.before(self.topic, self.partition, self.offset, messages_max)

    async def newest(self, topic: str, messages_max: int) -> Sequence[Message]:
        """Return the newest messages of any topic, such as one this agent writes; as `before`.

        Messages of one partition come in their order, those of several roughly in that of their times.
        """
        if not _is_some(messages_max) or not topic:
            return ()
        return await self._history.newest(topic, messages_max)


class Tail:
    """Keeps the newest messages of those it is shown; bounded by number and bytes, DROP_OLDEST."""

    def __init__(self, messages_max: int, bytes_max: int = BYTES_MAX) -> None:
        self._messages: deque[Message] = deque()
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        self._bytes = 0

    def add(self, message: Message) -> None:
        """Take the next one."""
        self._messages.append(message)
        self._bytes += len(message.data)
        while len(self._messages) > self._messages_max or self._bytes > self._bytes_max:
            self._bytes -= len(self._messages.popleft().data)

    def messages(self) -> Sequence[Message]:
        """Return those kept, the oldest first."""
        return tuple(self._messages)


def _is_some(messages_max: int) -> bool:
    if not 0 <= messages_max <= MESSAGES_MAX:
        raise HistoryRequestError(messages_max)
    return messages_max > 0
