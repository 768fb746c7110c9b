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
from bellwire.coordinator.cache.info import cache_info
from bellwire.coordinator.core.subscription import Subscription
from bellwire.coordinator.core.topic import PriorityClass, Topic, TopicSettings, log_kind
from bellwire.coordinator.log.store import DeadLetterQuery
from bellwire.coordinator.services.once import once
from bellwire.coordinator.services.paging import page_of
from bellwire.coordinator.state import CoordinatorState, default_topic
from bellwire.transport.serving.status import ServicerContext
from bellwire.wire.errors import CallerError
from bellwire.wire.topic import TopicPattern

SERVICE: Final = "bellwire.admin.v1.TopicService"
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class TopicService:
    """Creates, lists and counts topics."""

    def __init__(self, state: CoordinatorState) -> None:
        self._state = state

    async def CreateTopic(
        self, request: pb.CreateTopicRequest, context: ServicerContext
    ) -> pb.CreateTopicResponse:
        """Create a topic."""

        async def carry_out() -> pb.CreateTopicResponse:
            settings = self._settings(request.topic)
            topic = self._state.bus.create_topic(request.topic.name, settings, time.time_ns())
            return pb.CreateTopicResponse(topic=self._described(topic))

        rpc = f"{SERVICE}/CreateTopic"
        return await once(self._state, rpc, request, pb.CreateTopicResponse, carry_out)

    async def UpdateTopic(
        self, request: pb.UpdateTopicRequest, context: ServicerContext
    ) -> pb.UpdateTopicResponse:
        """Change a topic's settings; what is 0 or unset stays."""

        async def carry_out() -> pb.UpdateTopicResponse:
            bus = self._state.bus
            wanted = bus.existing_topic(request.topic.name).describe()
            wanted.MergeFrom(request.topic)
            topic = bus.update_topic(request.topic.name, self._settings(wanted))
            return pb.UpdateTopicResponse(topic=self._described(topic))

        rpc = f"{SERVICE}/UpdateTopic"
        return await once(self._state, rpc, request, pb.UpdateTopicResponse, carry_out)

    async def GetTopic(
        self, request: pb.GetTopicRequest, context: ServicerContext
    ) -> pb.GetTopicResponse:
        """Describe one topic."""
        return pb.GetTopicResponse(
            topic=self._described(self._state.bus.existing_topic(request.name))
        )

    async def ListTopics(
        self, request: pb.ListTopicsRequest, context: ServicerContext
    ) -> pb.ListTopicsResponse:
        """List topics, ordered by name."""
        topics = self._state.bus.served
        names = sorted(topics)
        if request.pattern:
            pattern = TopicPattern(request.pattern)
            names = [name for name in names if pattern.matches(name)]
        page, token = page_of(names, str, request.page_size, request.page_token)
        return pb.ListTopicsResponse(
            topics=[self._described(topics[name]) for name in page], next_page_token=token
        )

    async def DeleteTopic(
        self, request: pb.DeleteTopicRequest, context: ServicerContext
    ) -> pb.DeleteTopicResponse:
        """Delete a topic and its messages."""

        async def carry_out() -> pb.DeleteTopicResponse:
            self._state.delete_topic(request.name)
            return pb.DeleteTopicResponse()

        rpc = f"{SERVICE}/DeleteTopic"
        return await once(self._state, rpc, request, pb.DeleteTopicResponse, carry_out)

    async def GetTopicStats(
        self, request: pb.GetTopicStatsRequest, context: ServicerContext
    ) -> pb.GetTopicStatsResponse:
        """Count what happened in one topic."""
        topic = self._state.bus.existing_topic(request.name)
        query = DeadLetterQuery(topic.name)
        found = await self._state.committer.read(
            lambda: self._state.store.count_dead_letters(query)
        )
        return _stats(topic, self._state.bus.subscriptions(), found[0])

    def _described(self, topic: Topic) -> pb.Topic:
        found = topic.describe()
        if found.log == pb.LOG_KIND_KAFKA:
            found.kafka_cluster = self._state.store.kafka_cluster
        return found

    def _settings(self, topic: pb.Topic) -> TopicSettings:
        engine = self._state.engine
        kind = log_kind(topic.log, engine.settings.default_settings.log, engine.durable_log)
        defaults = default_topic(self._state.settings, kind)
        if topic.priority_class not in pb.PriorityClass.values():
            raise CallerError(f"priority class {topic.priority_class} is not known: use 1 to 5")
        if topic.overflow_policy not in OverflowPolicy.values():
            raise CallerError(f"overflow policy {topic.overflow_policy} is not known")
        if topic.direct_policy not in pb.DirectPolicy.values():
            raise CallerError(f"direct policy {topic.direct_policy} is not known: use 1 or 2")
        return TopicSettings(
            topic.partition_count or defaults.partition_count,
            topic.retention_messages or defaults.retention_messages,
            topic.retention_bytes or defaults.retention_bytes,
            topic.overflow_policy,
            PriorityClass(topic.priority_class or defaults.priority_class),
            kind,
            topic.retention_seconds,
            topic.tenant,
            topic.account,
            topic.direct_policy or pb.DIRECT_POLICY_ALLOW,
        )


def _stats(
    topic: Topic, subscriptions: Iterable[Subscription], dead_letters: int
) -> pb.GetTopicStatsResponse:
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
                next_offset=partition.log.end_offset,
                high_watermark=partition.log.high_watermark,
                stored_bytes=partition.log.stored_bytes,
            )
            for partition in topic.partitions
        ],
        subscriptions=[
            _subscription_stats(subscription, topic)
            for subscription in subscriptions
            if subscription.matches(topic.name)
        ],
        dead_letters=dead_letters,
    )


def _subscription_stats(subscription: Subscription, topic: Topic) -> pb.SubscriptionStats:
    cursors = [c for c in subscription.cursors if c.partition.topic is topic]
    dropped = dict(subscription.dropped_in(topic.name))
    return pb.SubscriptionStats(
        subscription=subscription.name,
        members=len(subscription.members),
        backlog_messages=sum(cursor.backlog for cursor in cursors),
        in_flight_messages=sum(cursor.in_flight for cursor in cursors),
        dropped_messages=sum(dropped.values()),
        dropped_by_reason=dropped,
        redelivery_messages=sum(cursor.redelivery_messages for cursor in cursors),
        dead_lettered_messages=subscription.dead_lettered[topic.name],
    )


class ServerService:
    """The coordinator itself, while it serves."""

    def __init__(self, state: CoordinatorState) -> None:
        self._state = state

    async def GetServerInfo(
        self, request: server_pb2.GetServerInfoRequest, context: ServicerContext
    ) -> server_pb2.GetServerInfoResponse:
        """Describe this process."""
        state = self._state
        stats = [topic.stats for topic in state.bus.topics.values()]
        response = process_info(state.started_ns, state.addresses)
        response.MergeFrom(
            server_pb2.GetServerInfoResponse(
                workers=len(state.engine.workers),
                received_batch_bytes=sum(s.published_bytes for s in stats),
                admitted_batches=sum(s.published_batches for s in stats),
                admitted_messages=sum(s.published_messages for s in stats),
                delivered_messages=sum(s.delivered_messages for s in stats),
                open_streams=len(state.streams),
                draining=state.draining,
                store=await _store_info(state) if state.store.durable else None,
                cache=cache_info(state.cache, state.latest),
                cluster=state.cluster() if state.cluster is not None else None,
            )
        )
        return response


def process_info(started_ns: int, addresses: Iterable[str]) -> server_pb2.GetServerInfoResponse:
    """Describe this process, whatever it does."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return server_pb2.GetServerInfoResponse(
        version=version("bellwire"),
        pid=os.getpid(),
        start_time_unix_nano=started_ns,
        addresses=addresses,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        rss_bytes=_rss_bytes(),
    )


async def _store_info(state: CoordinatorState) -> server_pb2.StoreInfo:
    broken = state.engine.journal.broken
    median, p99 = state.committer.commit_micros()
    outage = state.store.outage
    return server_pb2.StoreInfo(
        path=state.store.path,
        read_only=broken is not None,
        read_only_reason=broken.message if broken is not None else "",
        commits=state.committer.commits,
        commit_p50_micros=median,
        commit_p99_micros=p99,
        # The reader may be waiting for a Kafka that is away, whose disks are none of ours.
        disk_bytes=0
        if state.store.kafka_cluster
        else await state.committer.read(state.store.disk_bytes),
        recovery=recovery_report(state),
        unanswered_since_unix_nano=outage.since_ns if outage is not None else 0,
        unanswered_reason=outage.reason if outage is not None else "",
    )


def recovery_report(state: CoordinatorState) -> server_pb2.RecoveryReport:
    """Return what was found at the start."""
    found = state.snapshot
    return server_pb2.RecoveryReport(
        duration_millis=state.recovery_millis,
        topics=len(found.topics),
        partitions=sum(len(topic.log_ids) for topic in found.topics),
        messages=sum(s.next_offset - s.base_offset for s in found.segments),
        stored_bytes=sum(segment.stored_bytes for segment in found.segments),
        subscriptions=len(found.subscriptions),
        dead_letters=sum(found.dead_letters.values()),
        after_crash=found.after_crash,
    )


def _rss_bytes() -> int:
    """Return the resident set now; getrusage only knows its peak."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE_BYTES
