from tests.unit.execution.paper.venue import HOUR, T0, bar, order

from bellwire.execution.adapters.paper import PaperAdapter
from bellwire.runtime import Cause
from bellwire.runtime.harness import AgentHarness
from bellwire.trading.v1 import order_pb2
from bellwire.trading.v1.order_pb2 import OrderCancelRequest
from bellwire.wire.message import new_message

BARS, ORDERS = "bars.1h", "orders.paper"
VENUE = {"participation": "0.1", "price_tick": "0.01", "spread_bps": 20}
ORDER_CAUSE = Cause("signal-message", "signal-o1", "00-" + "1" * 32 + "-" + "2" * 16 + "-01")
BAR_CAUSE = Cause("", "", "00-" + "3" * 32 + "-" + "4" * 16 + "-01")


def adapter():
    return AgentHarness(PaperAdapter({"venue": VENUE}))


async def feed_bar(harness, the_bar):
    return await harness.feed(
        BARS, the_bar, key="X", time_unix_nano=the_bar.close_time_unix_nano, cause=BAR_CAUSE
    )


async def feed_order(harness, request):
    return await harness.feed(
        ORDERS, request, key="X", time_unix_nano=request.arrival_time_unix_nano, cause=ORDER_CAUSE
    )


async def test_a_fill_on_a_later_bar_is_a_consequence_of_its_order():
    harness = adapter()
    (ack,) = await feed_order(harness, order(qty="150"))
    (fill,) = await feed_bar(harness, bar(0))
    (last,) = await feed_bar(harness, bar(1))
    for item in (ack, fill, last):
        assert item.topic == "executions.paper"
        assert item.message.correlation_id == "signal-o1"
        assert item.message.causation_id == ack.message.causation_id
        assert item.message.traceparent == ORDER_CAUSE.traceparent
        assert item.message.key == "X"
    assert fill.message.time_unix_nano == T0 + HOUR  # known when the bar has closed
    assert ack.message.time_unix_nano == T0
    assert last.payload.ord_status == order_pb2.ORD_STATUS_FILLED
    assert harness.agent._causes == {}


async def test_a_rejection_is_a_consequence_of_its_order():
    harness = adapter()
    (report,) = await feed_order(harness, order(qty="0"))
    assert report.payload.exec_type == order_pb2.EXEC_TYPE_REJECTED
    assert report.message.correlation_id == "signal-o1"
    assert harness.agent._causes == {}


async def test_bars_and_orders_end_in_their_own_promises():
    harness = adapter()
    (matched,) = await harness.feed_watermark(BARS, "bars", "X", T0)
    (accepted,) = await harness.feed_watermark(ORDERS, "orders", "X", T0)
    assert (matched.payload.stage, accepted.payload.stage) == (
        "executions.matched",
        "executions.accepted",
    )
    assert matched.payload.time_unix_nano == accepted.payload.time_unix_nano == T0


async def test_the_end_of_the_stream_expires_open_orders_before_the_last_promise():
    harness = adapter()
    await feed_order(harness, order(qty="150"))
    await feed_bar(harness, bar(0))
    (matched,) = await harness.feed_watermark(BARS, "bars", "X", T0 + HOUR, end=True)
    assert matched.payload.end_of_stream
    expired, accepted = await harness.feed_watermark(ORDERS, "orders", "X", T0 + HOUR, end=True)
    assert expired.payload.exec_type == order_pb2.EXEC_TYPE_EXPIRED
    assert expired.message.correlation_id == "signal-o1"
    assert accepted.payload.end_of_stream


async def test_a_cancel_takes_the_order_back():
    harness = adapter()
    await feed_order(harness, order())
    cancel = OrderCancelRequest(cl_ord_id="c", orig_cl_ord_id="o1", symbol="X")
    (report,) = await harness.feed(ORDERS, cancel, key="X")
    assert report.payload.exec_type == order_pb2.EXEC_TYPE_CANCELED
    assert report.message.correlation_id == "signal-o1"
    assert await feed_bar(harness, bar(0)) == []


async def test_what_is_delivered_again_is_answered_with_the_same_messages():
    harness = adapter()
    messages = [
        (topic, new_message(data=p.SerializeToString(), type=p.DESCRIPTOR.full_name, key="X"))
        for topic, p in [(ORDERS, order(qty="150")), (BARS, bar(0))]
    ]
    first = [await harness.feed(topic, message) for topic, message in messages]
    again = [await harness.feed(topic, message, attempt=1) for topic, message in messages]
    assert [[item.message for item in items] for items in first] == [
        [item.message for item in items] for items in again
    ]
    assert all(first)
    assert harness.agent.venue.counters.duplicate_orders == 0


async def test_replayed_orders_are_taken_because_nothing_real_can_happen():
    harness = adapter()
    (ack,) = await harness.feed(ORDERS, order(), key="X", replayed=True)
    assert ack.payload.exec_type == order_pb2.EXEC_TYPE_NEW
