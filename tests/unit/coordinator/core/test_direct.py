"""bellwire.coordinator.core.direct: what a subscriber is told that has messages past the coordinator."""

from __future__ import annotations

from tests.unit.coordinator.core.stage import TOPIC, Stage

from bellwire.bus.v1 import subscriber_pb2 as pb
from bellwire.bus.v1.subscriber_pb2 import OVERFLOW_POLICY_DROP_OLDEST
from bellwire.coordinator.core.direct import DirectReader, DirectWriter, Route
from bellwire.coordinator.core.flight import Routed
from bellwire.wire.batch import encode_batch
from bellwire.wire.message import new_message


def untraced(routed: Routed) -> None:
    raise AssertionError(f"nothing is sampled, but {routed} was to be traced")


def publish(stage: Stage, producer_id: int, sequence: int, *routes: Route) -> None:
    batch = encode_batch(
        TOPIC, 0, [new_message(data=b"x")], producer_id=producer_id, base_sequence=sequence
    )
    batch.header.direct_routes.extend(route.route_id for route in routes)
    partition = stage.topic.partitions[0]
    assert partition.make_room()
    partition.append(batch, stage.now_ns)


def test_after_a_gap_each_producer_s_next_direct_batch_tells_what_not_to_wait_for():
    stage = Stage(retention_messages=3)
    subscription = stage.subscribe("", overflow=OVERFLOW_POLICY_DROP_OLDEST)
    member = stage.join(subscription)
    said: list[pb.SubscribeResponse] = []
    reader = DirectReader(1, said.append, untraced)
    subscription.take_directly(reader)
    partition = stage.topic.partitions[0]
    routes = []
    for producer_id in (1, 2):
        route = stage.engine.direct.open(
            reader, DirectWriter(stage.engine.direct, 1, lambda _: None)
        )
        header = encode_batch(TOPIC, 0, [new_message(data=b"x")], producer_id=producer_id).header
        reader.add(route, partition, header)
        routes.append(route)
    said.clear()
    publish(stage, 1, 0)  # By the coordinator, and gone before the subscriber has it.
    publish(stage, 2, 0, routes[1])
    publish(stage, 1, 1, routes[0])
    publish(stage, 1, 2, routes[0])
    assert stage.take_all(member) == []
    skips = [(f.direct_skip.producer_id, f.direct_skip.next_sequence) for f in said]
    assert skips == [(2, 0), (1, 1)]


def test_only_the_process_of_a_stream_fetches_its_end_once_and_the_publisher_s_comes_second():
    routes = Stage().engine.direct
    reader = DirectReader(11, lambda _: None, untraced)
    writer = DirectWriter(routes, 12, lambda _: None)
    route = routes.open(reader, writer)
    assert routes.claim(route.reader_token, 12) is None
    assert routes.claim(route.writer_token, 12) is None, "the subscriber has no end yet"
    assert routes.claim(route.reader_token, 11) is route
    assert routes.claim(route.reader_token, 11) is None
    routes.opened(route)
    assert routes.claim(route.writer_token, 11) is None
    assert routes.claim(route.writer_token, 12) is route


def test_what_came_directly_is_stepped_over_and_the_rest_delivered():
    stage = Stage()
    subscription = stage.subscribe("")
    member = stage.join(subscription)
    reader = DirectReader(1, lambda _: None, untraced)
    subscription.take_directly(reader)
    routes = stage.engine.direct
    route = routes.open(reader, DirectWriter(routes, 1, lambda _: None))
    header = encode_batch(TOPIC, 0, [new_message(data=b"x")], producer_id=1).header
    reader.add(route, stage.topic.partitions[0], header)
    publish(stage, 1, 0)
    publish(stage, 1, 1, route)
    publish(stage, 1, 2)
    assert [handout.entry.base_offset for handout in stage.take_all(member)] == [0, 2]
