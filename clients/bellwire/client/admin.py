# ruff: noqa: ASYNC109 - `timeout` is the public name of a bound each method keeps by itself, `filter` the contract's.
"""Looks after topics, subscriptions and dead letters, and tells what runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Final

from bellwire.admin.v1.dead_letter_pb2 import (
    DeadLetter,
    DeadLetterFilter,
    PurgeDeadLettersRequest,
    PurgeDeadLettersResponse,
    RedriveDeadLettersRequest,
    RedriveDeadLettersResponse,
)
from bellwire.admin.v1.server_pb2 import GetServerInfoRequest, GetServerInfoResponse
from bellwire.admin.v1.server_pb2_grpc import ServerServiceStub
from bellwire.admin.v1.topic_pb2 import (
    CreateTopicRequest,
    DeleteTopicRequest,
    GetTopicRequest,
    GetTopicStatsRequest,
    GetTopicStatsResponse,
    ListTopicsRequest,
    Topic,
    UpdateTopicRequest,
)
from bellwire.admin.v1.topic_pb2_grpc import TopicServiceStub
from bellwire.agent.v1.agent_pb2 import AgentStatus, ListAgentsRequest
from bellwire.agent.v1.agent_pb2_grpc import AgentServiceStub
from bellwire.bus.v1.message_pb2 import Position
from bellwire.bus.v1.subscriber_pb2 import DeleteSubscriptionRequest, SeekRequest, StartPosition
from bellwire.bus.v1.subscriber_pb2_grpc import SubscriberServiceStub
from bellwire.client._dead_letters import DeadLetters, Progress
from bellwire.client._unary import read, request
from bellwire.client.results import ReachableTopics
from bellwire.transport.channel import ChannelPool

if TYPE_CHECKING:
    from bellwire.admin.v1.server_pb2_grpc import ServerServiceAsyncStub
    from bellwire.admin.v1.topic_pb2_grpc import TopicServiceAsyncStub
    from bellwire.agent.v1.agent_pb2_grpc import AgentServiceAsyncStub
    from bellwire.bus.v1.subscriber_pb2_grpc import SubscriberServiceAsyncStub

__all__ = ["Admin"]

PAGE_SIZE: Final = 1_000  # The largest page: one round trip for nearly everyone.
DEAD_LETTERS_PAGE: Final = 100  # They carry payloads, and most people look at the first few.


class Admin:
    """The administrative requests; `Client.admin`.

    Those that change something take a `request_id` of at most 128 bytes. The same request again under the
    same id gets the stored answer for a day, and another one is refused with `IdempotencyKeyReusedError`.
    """

    def __init__(self, pool: ChannelPool, timeout_seconds: float) -> None:
        self._pool = pool
        self._timeout_seconds = timeout_seconds
        self._letters = DeadLetters(pool)

    # ------------------------------------------------------------ topics

    async def create_topic(
        self, topic: Topic, *, request_id: str = "", timeout: float | None = None
    ) -> Topic:
        """Create a topic and return it; the same settings again are no error.

        Raises:
            TopicExistsError: It exists with other settings.
            InvalidTopicNameError: No topic can be named so.
        """
        stub: TopicServiceAsyncStub = TopicServiceStub(self._pool.first())
        response = await request(
            stub.CreateTopic,
            CreateTopicRequest(topic=topic, request_id=request_id),
            self._seconds(timeout),
            f"creating topic {topic.name!r} at {self._pool.address}",
        )
        return response.topic

    async def update_topic(
        self, topic: Topic, *, request_id: str = "", timeout: float | None = None
    ) -> Topic:
        """Change the settings of a topic to those given, and return it.

        Raises:
            UnknownTopicError: There is none of that name.
            CallerError: A setting cannot be changed; the text says which.
        """
        stub: TopicServiceAsyncStub = TopicServiceStub(self._pool.first())
        response = await request(
            stub.UpdateTopic,
            UpdateTopicRequest(topic=topic, request_id=request_id),
            self._seconds(timeout),
            f"updating topic {topic.name!r} at {self._pool.address}",
        )
        return response.topic

    async def get_topic(self, name: str, *, timeout: float | None = None) -> Topic:
        """Look one topic up.

        Raises:
            UnknownTopicError: There is none of that name.
        """
        stub: TopicServiceAsyncStub = TopicServiceStub(self._pool.first())
        response = await read(
            stub.GetTopic,
            GetTopicRequest(name=name),
            self._seconds(timeout),
            f"topic {name!r} of {self._pool.address}",
        )
        return response.topic

    async def delete_topic(
        self, name: str, *, request_id: str = "", timeout: float | None = None
    ) -> None:
        """Delete a topic with its messages.

        Raises:
            UnknownTopicError: There is none of that name.
        """
        stub: TopicServiceAsyncStub = TopicServiceStub(self._pool.first())
        await request(
            stub.DeleteTopic,
            DeleteTopicRequest(name=name, request_id=request_id),
            self._seconds(timeout),
            f"deleting topic {name!r} at {self._pool.address}",
        )

    async def list_topics(self, pattern: str = "", *, timeout: float | None = None) -> list[Topic]:
        """List topics that match the pattern, ordered by name; empty = all."""
        stub: TopicServiceAsyncStub = TopicServiceStub(self._pool.first())
        topics: list[Topic] = []
        token = ""
        while True:
            page = await read(
                stub.ListTopics,
                ListTopicsRequest(page_size=PAGE_SIZE, page_token=token, pattern=pattern),
                self._seconds(timeout),
                f"the topics of {self._pool.address}",
            )
            topics += page.topics
            token = page.next_page_token
            if not token:
                return topics

    async def reachable_topics(
        self, pattern: str = "", *, timeout: float | None = None
    ) -> ReachableTopics:
        """List topics that match, and name the groups of coordinators whose topics are missing in the list.

        Raises:
            BellwireError: No group answers.
        """
        return ReachableTopics(await self.list_topics(pattern, timeout=timeout), {})

    async def topic_stats(
        self, name: str, *, timeout: float | None = None
    ) -> GetTopicStatsResponse:
        """Count what happened in a topic since the coordinator started.

        Raises:
            UnknownTopicError: There is no such topic.
        """
        stub: TopicServiceAsyncStub = TopicServiceStub(self._pool.first())
        return await read(
            stub.GetTopicStats,
            GetTopicStatsRequest(name=name),
            self._seconds(timeout),
            f"the counters of topic {name!r} at {self._pool.address}",
        )

    # ------------------------------------------------------------ subscriptions

    async def seek(
        self,
        subscription: str,
        position: StartPosition,
        *,
        topics: Sequence[str] = (),
        request_id: str = "",
        timeout: float | None = None,
    ) -> list[Position]:
        """Move a named subscription; what is in flight is void, and what it skips is counted as dropped.

        Args:
            subscription: Its name.
            position: Where to, from `bellwire.client.start`.
            topics: Only partitions of these; empty = all it reads.
            request_id: See `Admin`.
            timeout: Seconds; None = `ClientSettings.timeout_seconds`.

        Returns:
            The next offset to deliver, per partition.

        Raises:
            OffsetOutOfRangeError: The log does not hold that offset; nothing was moved.
            UnknownSubscriptionError: There is none of that name.
        """
        stub: SubscriberServiceAsyncStub = SubscriberServiceStub(self._pool.first())
        response = await request(
            stub.Seek,
            SeekRequest(
                subscription=subscription, position=position, request_id=request_id, topics=topics
            ),
            self._seconds(timeout),
            f"moving subscription {subscription!r} at {self._pool.address}",
        )
        return list(response.positions)

    async def delete_subscription(
        self, name: str, *, request_id: str = "", timeout: float | None = None
    ) -> None:
        """Delete a named subscription with its cursors.

        Raises:
            UnknownSubscriptionError: There is none of that name.
            CallerError: It has members.
        """
        stub: SubscriberServiceAsyncStub = SubscriberServiceStub(self._pool.first())
        await request(
            stub.DeleteSubscription,
            DeleteSubscriptionRequest(subscription=name, request_id=request_id),
            self._seconds(timeout),
            f"deleting subscription {name!r} at {self._pool.address}",
        )

    # ------------------------------------------------------------ dead letters

    def dead_letters(
        self,
        topic: str,
        filter: DeadLetterFilter | None = None,
        *,
        page_size: int = DEAD_LETTERS_PAGE,
        timeout: float | None = None,
    ) -> AsyncIterator[DeadLetter]:
        """Return what subscriptions of a topic gave up, oldest first, page by page as it is asked for.

        Args:
            topic: Topic they came from.
            filter: All its conditions must hold; None = all of them.
            page_size: 1..1,000.
            timeout: Seconds per page; None = `ClientSettings.timeout_seconds`.
        """
        return self._letters.list(topic, filter, page_size, self._seconds(timeout))

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
        """Append dead letters to their topic again, only for the subscription that gave them up.

        Args:
            topic: Topic they came from.
            filter: All its conditions must hold; None = all of them.
            dry_run: Count them and change nothing.
            max_messages: Stop after this many, at most 1,000; 0 = 1,000.
            up_to_id: That of the previous answer, to leave alone what was given up since; 0 = all.
            request_id: See `Admin`.
            timeout: Seconds; None = `ClientSettings.timeout_seconds`.

        Raises:
            CapacityError: The topic has no room; its readers must read on.
        """
        message = RedriveDeadLettersRequest(
            topic=topic,
            filter=filter,
            dry_run=dry_run,
            max_messages=max_messages,
            up_to_id=up_to_id,
            request_id=request_id,
        )
        return await self._letters.redrive(message, self._seconds(timeout))

    async def redrive_all(
        self,
        topic: str,
        filter: DeadLetterFilter | None = None,
        *,
        limit: int | None = None,
        on_progress: Progress | None = None,
        timeout: float | None = None,
    ) -> RedriveDeadLettersResponse:
        """Redrive page after page until nothing that was there at the beginning remains.

        Each page is one transaction: whatever ends this early, no letter is lost or appended twice.

        Args:
            topic: Topic they came from.
            filter: All its conditions must hold; None = all of them.
            limit: Stop after this many; None = no bound.
            on_progress: Told the totals after each page.
            timeout: Seconds per page, waiting for room in the topic included; None =
                `ClientSettings.timeout_seconds`.

        Returns:
            The totals.
        """
        return await self._letters.redrive_all(
            topic, filter, limit, on_progress, self._seconds(timeout)
        )

    async def purge(
        self,
        topic: str,
        filter: DeadLetterFilter | None = None,
        *,
        dry_run: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> PurgeDeadLettersResponse:
        """Delete dead letters for good; `dry_run` only counts them."""
        message = PurgeDeadLettersRequest(
            topic=topic, filter=filter, dry_run=dry_run, request_id=request_id
        )
        return await self._letters.purge(message, self._seconds(timeout))

    # ------------------------------------------------------------ agents and the server

    async def list_agents(
        self, capability: str = "", *, timeout: float | None = None
    ) -> list[AgentStatus]:
        """List live agents that have the capability, ordered by id; empty = all."""
        stub: AgentServiceAsyncStub = AgentServiceStub(self._pool.first())
        agents: list[AgentStatus] = []
        token = ""
        while True:
            page = await read(
                stub.ListAgents,
                ListAgentsRequest(page_size=PAGE_SIZE, page_token=token, capability=capability),
                self._seconds(timeout),
                f"the agents of {self._pool.address}",
            )
            agents += page.agents
            token = page.next_page_token
            if not token:
                return agents

    async def server_info(self, *, timeout: float | None = None) -> GetServerInfoResponse:
        """Tell what runs at the other end; `store` is set where it keeps anything on disk."""
        stub: ServerServiceAsyncStub = ServerServiceStub(self._pool.first())
        return await read(
            stub.GetServerInfo,
            GetServerInfoRequest(),
            self._seconds(timeout),
            f"the server information of {self._pool.address}",
        )

    def _seconds(self, timeout: float | None) -> float:
        return self._timeout_seconds if timeout is None else timeout
