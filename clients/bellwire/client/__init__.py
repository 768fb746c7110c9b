"""The client of the bus: `async with connect("unix:///…" | "host:port") as client`."""

from bellwire.bus.v1.message_pb2 import Message
from bellwire.client.agent_events import CallCancelled, IncomingCall
from bellwire.client.client import Client, connect
from bellwire.client.errors import BufferFullError, UnreachableError
from bellwire.client.publisher import Publisher
from bellwire.client.received import Batch, ReceivedMessage
from bellwire.client.replay import Replay
from bellwire.client.results import CallReply, PublishedRange, PublishResult, ToolReply
from bellwire.client.settings import ClientSettings
from bellwire.client.settle_failure import SettleFailure
from bellwire.client.start import EARLIEST, LATEST, at_positions, at_time
from bellwire.client.subscription import Subscription
from bellwire.transport.address import AddressError
from bellwire.wire.errors import (
    AgentBusyError,
    AgentExistsError,
    AgentFailedError,
    AgentLostError,
    BellwireError,
    CallerError,
    CapacityError,
    ClosedError,
    DeadlineExceededError,
    IdempotencyKeyReusedError,
    InternalError,
    InvalidTopicNameError,
    LeaseExpiredError,
    NoCapableAgentError,
    NotImplementedYetError,
    NotOwnerError,
    OffsetOutOfRangeError,
    PayloadTooLargeError,
    PeerError,
    ProducerFencedError,
    SlowSubscriberError,
    StoreBusyError,
    StoreFullError,
    StoreReadOnlyError,
    SubscriptionMismatchError,
    TopicExistsError,
    TopicFullError,
    UnknownDeliveryTagError,
    UnknownSubscriptionError,
    UnknownToolError,
    UnknownTopicError,
)
from bellwire.wire.message import new_message

__all__ = [
    "EARLIEST",
    "LATEST",
    "AddressError",
    "AgentBusyError",
    "AgentExistsError",
    "AgentFailedError",
    "AgentLostError",
    "Batch",
    "BellwireError",
    "BufferFullError",
    "CallCancelled",
    "CallReply",
    "CallerError",
    "CapacityError",
    "Client",
    "ClientSettings",
    "ClosedError",
    "DeadlineExceededError",
    "IdempotencyKeyReusedError",
    "IncomingCall",
    "InternalError",
    "InvalidTopicNameError",
    "LeaseExpiredError",
    "Message",
    "NoCapableAgentError",
    "NotImplementedYetError",
    "NotOwnerError",
    "OffsetOutOfRangeError",
    "PayloadTooLargeError",
    "PeerError",
    "ProducerFencedError",
    "PublishResult",
    "PublishedRange",
    "Publisher",
    "ReceivedMessage",
    "Replay",
    "SettleFailure",
    "SlowSubscriberError",
    "StoreBusyError",
    "StoreFullError",
    "StoreReadOnlyError",
    "Subscription",
    "SubscriptionMismatchError",
    "ToolReply",
    "TopicExistsError",
    "TopicFullError",
    "UnknownDeliveryTagError",
    "UnknownSubscriptionError",
    "UnknownToolError",
    "UnknownTopicError",
    "UnreachableError",
    "at_positions",
    "at_time",
    "connect",
    "new_message",
]
