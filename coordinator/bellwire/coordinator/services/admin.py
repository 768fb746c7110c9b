"""TopicService and ServerService: what there is, and what happens in it."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Final

from bellwire.admin.v1 import server_pb2
from bellwire.admin.v1 import topic_pb2 as pb
from bellwire.bus.v1.subscriber_pb2 import OverflowPolicy
from bellwire.coordinator.core.subscription import Subscription
from bellwire.coordinator.core.topic import PriorityClass, Topic, TopicSettings, check_log_kind
from bellwire.coordinator.services.paging import page_of
from bellwire.coordinator.services.publisher import refuse_request_id
from bellwire.coordinator.services.status import ServicerContext
from bellwire.coordinator.state import CoordinatorState
from bellwire.wire.errors import CallerError
from bellwire.wire.topic import TopicPattern

PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class TopicService:
    """Creates, lists and counts topics."""

    def __init__(self, state: CoordinatorState) -> None:
        self._state = state

    async def CreateTopic(
        self, request: pb.CreateTopicRequest, context: ServicerContext
    ) -> pb.CreateTopicResponse:
        """Create a topic."""
        refuse_request_id(request.request_id)
        settings = self._settings(request.topic)
        topic = self._state.bus.create_topic(request.topic.name, settings, time.time_ns())
        return pb.CreateTopicResponse(topic=_describe(topic))

    async def GetTopic(
        self, request: pb.GetTopicRequest, context: ServicerContext
    ) -> pb.GetTopicResponse:
        """Describe one topic."""
        return pb.GetTopicResponse(topic=_describe(self._state.bus.existing_topic(request.name)))

    async def ListTopics(
        self, request: pb.ListTopicsRequest, context: ServicerContext
    ) -> pb.ListTopicsResponse:
        """List topics, ordered by name."""
        topics = self._state.bus.topics
        names = sorted(topics)
        if request.pattern:
            pattern = TopicPattern(request.pattern)
            names = [name for name in names if pattern.matches(name)]
        page, token = page_of(names, str, request.page_size, request.page_token)
        return pb.ListTopicsResponse(
            topics=[_describe(topics[name]) for name in page], next_page_token=token
        )

    async def DeleteTopic(
        self, request: pb.DeleteTopicRequest, context: ServicerContext
    ) -> pb.DeleteTopicResponse:
        """Delete a topic and its messages."""
        refuse_request_id(request.request_id)
        self._state.delete_topic(request.name)
        return pb.DeleteTopicResponse()

    async def GetTopicStats(
        self, request: pb.GetTopicStatsRequest, context: ServicerContext
    ) -> pb.GetTopicStatsResponse:
        """Count what happened in one topic."""
        topic = self._state.bus.existing_topic(request.name)
        return _stats(topic, self._state.bus.subscriptions())

    def _settings(self, topic: pb.Topic) -> TopicSettings:
        check_log_kind(topic.log)
        defaults = self._state.bus.default_settings
        if topic.priority_class not in pb.PriorityClass.values():
            raise CallerError(f"priority class {topic.priority_class} is not known: use 1 to 5")
        if topic.overflow_policy not in OverflowPolicy.values():
            raise CallerError(f"overflow policy {topic.overflow_policy} is not known")
        return TopicSettings(
            topic.partition_count or defaults.partition_count,
            topic.retention_messages or defaults.retention_messages,
            topic.retention_bytes or defaults.retention_bytes,
            topic.overflow_policy,
            PriorityClass(topic.priority_class or defaults.priority_class),
        )


def _describe(topic: Topic) -> pb.Topic:
    settings = topic.settings
    return pb.Topic(
        name=topic.name,
        partition_count=settings.partition_count,
        log=pb.LOG_KIND_MEMORY,
        retention_messages=settings.retention_messages,
        retention_bytes=settings.retention_bytes,
        overflow_policy=settings.overflow_policy,
        priority_class=pb.PriorityClass.ValueType(settings.priority_class),
        create_time_unix_nano=topic.created_ns,
    )


def _stats(topic: Topic, subscriptions: Iterable[Subscription]) -> pb.GetTopicStatsResponse:
    stats = topic.stats
    return pb.GetTopicStatsResponse(
        name=topic.name,
        published_messages=stats.published_messages,
        published_batches=stats.published_batches,
        published_bytes=stats.published_bytes,
        published_uncompressed_bytes=stats.published_uncompressed_bytes,
        delivered_messages=stats.delivered_messages,
        dropped_messages=stats.dropped,
        refused_batches=stats.refused,
        partitions=[
            pb.PartitionStats(
                partition=partition.index,
                low_offset=partition.log.low_offset,
                next_offset=partition.log.next_offset,
                stored_bytes=partition.log.stored_bytes,
            )
            for partition in topic.partitions
        ],
        subscriptions=[
            _subscription_stats(subscription, topic)
            for subscription in subscriptions
            if subscription.matches(topic.name)
        ],
    )


def _subscription_stats(subscription: Subscription, topic: Topic) -> pb.SubscriptionStats:
    cursors = [c for c in subscription.cursors if c.partition.topic is topic]
    return pb.SubscriptionStats(
        subscription=subscription.name,
        members=len(subscription.members),
        backlog_messages=sum(cursor.backlog for cursor in cursors),
        in_flight_messages=sum(cursor.in_flight for cursor in cursors),
        dropped_messages=subscription.dropped,
    )


class ServerService:
    """The coordinator itself."""

    def __init__(self, state: CoordinatorState) -> None:
        self._state = state

    async def GetServerInfo(
        self, request: server_pb2.GetServerInfoRequest, context: ServicerContext
    ) -> server_pb2.GetServerInfoResponse:
        """Describe this process."""
        state = self._state
        stats = [topic.stats for topic in state.bus.topics.values()]
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return server_pb2.GetServerInfoResponse(
            version=version("bellwire"),
            pid=state.pid,
            start_time_unix_nano=state.started_ns,
            addresses=state.addresses,
            workers=len(state.workers),
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            rss_bytes=_rss_bytes(),
            received_batch_bytes=sum(s.published_bytes for s in stats),
            admitted_batches=sum(s.published_batches for s in stats),
            admitted_messages=sum(s.published_messages for s in stats),
            delivered_messages=sum(s.delivered_messages for s in stats),
            open_streams=len(state.streams),
            draining=state.draining,
        )


def _rss_bytes() -> int:
    """Return the resident set now; getrusage only knows its peak."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE_BYTES
