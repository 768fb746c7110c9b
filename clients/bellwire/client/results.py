"""What the client's requests return."""

from __future__ import annotations

import json
from dataclasses import dataclass

from bellwire.admin.v1.topic_pb2 import Topic
from bellwire.agent.v1.invocation_pb2 import CACHE_LEVEL_UNSPECIFIED, CacheLevel
from bellwire.bus.v1.message_pb2 import Message
from bellwire.bus.v1.publisher_pb2 import ACK_LEVEL_UNSPECIFIED, AckLevel
from bellwire.mcp.v1.mcp_pb2 import CallToolResponse
from bellwire.wire.errors import AgentFailedError, BellwireError

__all__ = [
    "CallReply",
    "LatestMessage",
    "PublishResult",
    "PublishedRange",
    "ReachableTopics",
    "ToolReply",
]


@dataclass(frozen=True, slots=True)
class PublishResult:
    """Where one message is now."""

    topic: str
    partition: int
    offset: int
    duplicate: bool = False
    """True when a lost connection made the client send it twice; this is its first position."""
    ack_level: AckLevel.ValueType = ACK_LEVEL_UNSPECIFIED
    """How far it has come: RECEIVED in the coordinator's memory, PERSISTED on its disk."""


@dataclass(frozen=True, slots=True)
class PublishedRange:
    """Where consecutive messages of one partition are now; both offsets inclusive."""

    topic: str
    partition: int
    first_offset: int
    last_offset: int
    duplicate: bool = False
    """True when a lost connection made the client send them twice; this is their first position."""
    ack_level: AckLevel.ValueType = ACK_LEVEL_UNSPECIFIED
    """How far they have come: RECEIVED in the coordinator's memory, PERSISTED on its disk."""

    def __len__(self) -> int:
        return self.last_offset - self.first_offset + 1


@dataclass(frozen=True, slots=True)
class LatestMessage:
    """The last message of a key, and where it is in its topic."""

    message: Message
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class ReachableTopics:
    """Topics of the groups that answered, ordered by name, and why the others did not, by name of the group."""

    topics: list[Topic]
    missing: dict[str, BellwireError]


@dataclass(frozen=True, slots=True)
class CallReply:
    """What an agent answered."""

    result: bytes
    content_type: str
    is_error: bool
    """True when the capability itself failed; `result` tells why."""
    agent_id: str
    duration_micros: int = 0
    """From dispatch to result as the coordinator saw it, µs."""
    replayed: bool = False
    """True when this is the stored answer to an earlier call with the same request_id."""
    cache_level: CacheLevel.ValueType = CACHE_LEVEL_UNSPECIFIED
    """Where the answer came from when the capability is cacheable and no agent was called for this."""

    def json(self) -> object:
        """Return the decoded result.

        Raises:
            AgentFailedError: The result is not JSON.
        """
        return _decoded(self.result, self.agent_id)


@dataclass(frozen=True, slots=True)
class ToolReply:
    """What a tool answered, in the terms of MCP."""

    response: CallToolResponse

    @property
    def is_error(self) -> bool:
        """True when the tool itself failed; `text` tells why."""
        return self.response.is_error

    @property
    def agent_id(self) -> str:
        """Which agent answered."""
        return self.response.agent_id

    @property
    def replayed(self) -> bool:
        """True when this is the stored answer to an earlier call with the same request_id."""
        return self.response.replayed

    @property
    def cached(self) -> bool:
        """True when no agent was called for this: an equal call was answered before, or was under way."""
        return self.response.cached

    @property
    def text(self) -> str:
        """The text blocks of the result, joined by line breaks."""
        blocks = (_decoded(block.content_json, self.agent_id) for block in self.response.content)
        return "\n".join(
            str(block.get("text", ""))
            for block in blocks
            if isinstance(block, dict) and block.get("type") == "text"
        )

    def json(self) -> object:
        """Return the decoded structured content, or None when there is none.

        Raises:
            AgentFailedError: It is not JSON.
        """
        content = self.response.structured_content_json
        return _decoded(content, self.agent_id) if content else None


def _decoded(data: bytes, agent_id: str) -> object:
    try:
        decoded: object = json.loads(data)
    except ValueError as error:
        raise AgentFailedError(
            f"agent {agent_id!r} answered {len(data)} bytes that are no JSON: {error}",
            metadata={"agent_id": agent_id},
        ) from None
    return decoded
