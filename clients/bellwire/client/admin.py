# ruff: noqa: ASYNC109 - `timeout` is the public name of a bound each method keeps by itself.
"""Looks after topics and tells what runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bellwire.admin.v1.server_pb2 import GetServerInfoRequest, GetServerInfoResponse
from bellwire.admin.v1.server_pb2_grpc import ServerServiceStub
from bellwire.admin.v1.topic_pb2 import (
    CreateTopicRequest,
    DeleteTopicRequest,
    GetTopicStatsRequest,
    GetTopicStatsResponse,
    ListTopicsRequest,
    Topic,
)
from bellwire.admin.v1.topic_pb2_grpc import TopicServiceStub
from bellwire.agent.v1.agent_pb2 import AgentStatus, ListAgentsRequest
from bellwire.agent.v1.agent_pb2_grpc import AgentServiceStub
from bellwire.client._unary import request
from bellwire.transport.channel import ChannelPool

if TYPE_CHECKING:
    from bellwire.admin.v1.server_pb2_grpc import ServerServiceAsyncStub
    from bellwire.admin.v1.topic_pb2_grpc import TopicServiceAsyncStub
    from bellwire.agent.v1.agent_pb2_grpc import AgentServiceAsyncStub

__all__ = ["Admin"]

PAGE_SIZE: Final = 1_000  # The largest page: one round trip for nearly everyone.


class Admin:
    """The administrative requests; `Client.admin`."""

    def __init__(self, pool: ChannelPool, timeout_seconds: float) -> None:
        self._pool = pool
        self._timeout_seconds = timeout_seconds

    async def create_topic(self, topic: Topic, *, timeout: float | None = None) -> Topic:
        """Create a topic and return it; the same settings again are no error.

        Raises:
            TopicExistsError: It exists with other settings.
            InvalidTopicNameError: No topic can be named so.
        """
        stub: TopicServiceAsyncStub = TopicServiceStub(self._pool.first())
        response = await request(
            stub.CreateTopic,
            CreateTopicRequest(topic=topic),
            self._seconds(timeout),
            f"creating topic {topic.name!r} at {self._pool.address}",
        )
        return response.topic

    async def delete_topic(self, name: str, *, timeout: float | None = None) -> None:
        """Delete a topic with its messages.

        Raises:
            UnknownTopicError: There is none of that name.
        """
        stub: TopicServiceAsyncStub = TopicServiceStub(self._pool.first())
        await request(
            stub.DeleteTopic,
            DeleteTopicRequest(name=name),
            self._seconds(timeout),
            f"deleting topic {name!r} at {self._pool.address}",
        )

    async def list_topics(self, pattern: str = "", *, timeout: float | None = None) -> list[Topic]:
        """List topics that match the pattern, ordered by name; empty = all."""
        stub: TopicServiceAsyncStub = TopicServiceStub(self._pool.first())
        topics: list[Topic] = []
        token = ""
        while True:
            page = await request(
                stub.ListTopics,
                ListTopicsRequest(page_size=PAGE_SIZE, page_token=token, pattern=pattern),
                self._seconds(timeout),
                f"the topics of {self._pool.address}",
            )
            topics += page.topics
            token = page.next_page_token
            if not token:
                return topics

    async def topic_stats(
        self, name: str, *, timeout: float | None = None
    ) -> GetTopicStatsResponse:
        """Count what happened in a topic since the coordinator started.

        Raises:
            UnknownTopicError: There is no such topic.
        """
        stub: TopicServiceAsyncStub = TopicServiceStub(self._pool.first())
        return await request(
            stub.GetTopicStats,
            GetTopicStatsRequest(name=name),
            self._seconds(timeout),
            f"the counters of topic {name!r} at {self._pool.address}",
        )

    async def list_agents(
        self, capability: str = "", *, timeout: float | None = None
    ) -> list[AgentStatus]:
        """List live agents that have the capability, ordered by id; empty = all."""
        stub: AgentServiceAsyncStub = AgentServiceStub(self._pool.first())
        agents: list[AgentStatus] = []
        token = ""
        while True:
            page = await request(
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
        """Tell what runs at the other end."""
        stub: ServerServiceAsyncStub = ServerServiceStub(self._pool.first())
        return await request(
            stub.GetServerInfo,
            GetServerInfoRequest(),
            self._seconds(timeout),
            f"the server information of {self._pool.address}",
        )

    def _seconds(self, timeout: float | None) -> float:
        return self._timeout_seconds if timeout is None else timeout
