# ruff: noqa: ASYNC109 - `timeout` is the public name of a bound each method keeps by itself.
"""What looks after the bus, as tools depend on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

from bellwire.admin.v1.dead_letter_pb2 import (
    DeadLetter,
    DeadLetterFilter,
    PurgeDeadLettersResponse,
    RedriveDeadLettersResponse,
)
from bellwire.admin.v1.server_pb2 import GetServerInfoResponse
from bellwire.admin.v1.topic_pb2 import GetTopicStatsResponse, Topic
from bellwire.agent.v1.agent_pb2 import AgentStatus
from bellwire.bus.v1.message_pb2 import Position
from bellwire.bus.v1.subscriber_pb2 import StartPosition
from bellwire.client.results import ReachableTopics


class BusAdmin(Protocol):
    """Looks after topics, subscriptions and dead letters, and tells what runs."""

    async def create_topic(
        self, topic: Topic, *, request_id: str = "", timeout: float | None = None
    ) -> Topic:
        """Create a topic; the same settings again are no error."""
        ...

    async def update_topic(
        self, topic: Topic, *, request_id: str = "", timeout: float | None = None
    ) -> Topic:
        """Change the settings of a topic."""
        ...

    async def get_topic(self, name: str, *, timeout: float | None = None) -> Topic:
        """Look one topic up."""
        ...

    async def delete_topic(
        self, name: str, *, request_id: str = "", timeout: float | None = None
    ) -> None:
        """Delete a topic with its messages."""
        ...

    async def list_topics(self, pattern: str = "", *, timeout: float | None = None) -> list[Topic]:
        """List topics that match, ordered by name."""
        ...

    async def reachable_topics(
        self, pattern: str = "", *, timeout: float | None = None
    ) -> ReachableTopics:
        """List topics that match, and name the groups whose topics are missing in the list."""
        ...

    async def topic_stats(
        self, name: str, *, timeout: float | None = None
    ) -> GetTopicStatsResponse:
        """Count what happened in a topic since the coordinator started."""
        ...

    async def seek(
        self,
        subscription: str,
        position: StartPosition,
        *,
        topics: Sequence[str] = (),
        request_id: str = "",
        timeout: float | None = None,
    ) -> list[Position]:
        """Move a subscription; return the next offset to deliver, per partition."""
        ...

    async def delete_subscription(
        self, name: str, *, request_id: str = "", timeout: float | None = None
    ) -> None:
        """Delete a named subscription with its cursors."""
        ...

    def dead_letters(
        self,
        topic: str,
        filter: DeadLetterFilter | None = None,
        *,
        page_size: int = 100,
        timeout: float | None = None,
    ) -> AsyncIterator[DeadLetter]:
        """Return the dead letters of a topic, oldest first, page by page as they are asked for."""
        ...

    async def redrive(
        self,
        topic: str,
        filter: DeadLetterFilter | None = None,
        *,
        dry_run: bool = False,
        max_messages: int = 0,
        up_to_id: int = 0,
        request_id: str = "",
        timeout: float | None = None,
    ) -> RedriveDeadLettersResponse:
        """Redrive one page of dead letters."""
        ...

    async def redrive_all(
        self,
        topic: str,
        filter: DeadLetterFilter | None = None,
        *,
        limit: int | None = None,
        on_progress: Callable[[RedriveDeadLettersResponse], None] | None = None,
        timeout: float | None = None,
    ) -> RedriveDeadLettersResponse:
        """Redrive page after page until nothing that was there at the beginning remains."""
        ...

    async def purge(
        self,
        topic: str,
        filter: DeadLetterFilter | None = None,
        *,
        dry_run: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> PurgeDeadLettersResponse:
        """Delete dead letters."""
        ...

    async def list_agents(
        self, capability: str = "", *, timeout: float | None = None
    ) -> list[AgentStatus]:
        """List live agents, ordered by id."""
        ...

    async def server_info(self, *, timeout: float | None = None) -> GetServerInfoResponse:
        """Tell what runs at the other end, and how its store does."""
        ...
