"""The dispatch of messages and watermarks, driven through the public harness."""

import logging

import pytest

from bellwire.bus.v1.message_pb2 import Message
from bellwire.runtime import (
    NO_CAUSE,
    Agent,
    AssignedPartition,
    Cause,
    MessageContext,
    Output,
    Outputs,
    Publication,
    on_watermark,
    subscribe,
    tool,
)
from bellwire.runtime.errors import (
    InvalidOutputError,
    InvalidToolArgumentsError,
    UndecodableError,
)
from bellwire.runtime.harness import AgentHarness
from bellwire.trading.v1.market_data_pb2 import Bar, Watermark
from bellwire.trading.v1.signal_pb2 import Signal

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Echo(Agent):
    """Publishes what its test puts into `answers`."""

    name = "echo"
    publishes = ("out",)
    stage = "echoed"

    def __init__(self) -> None:
        super().__init__()
        self.answers: Outputs = None
        self.extra: list[Output] = []
        self.seen: list[MessageContext] = []

    @subscribe("bars.1h", Bar)
    async def on_bar(self, bar: Bar, context: MessageContext) -> Outputs:
        """Answer as told."""
        self.seen.append(context)
        for output in self.extra:
            context.publish(output)
        return self.answers

    @tool()
    async def double(self, number: int) -> int:
        """Double."""
        return 2 * number

    async def on_start(self) -> Outputs:
        """Begin a trace."""
        return Publication("out", Bar(symbol="first"), key="K", time_unix_nano=9)


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def harness(echo: Echo) -> AgentHarness:
    return AgentHarness(echo)


async def test_bare_output_goes_to_the_only_topic_with_what_it_inherits(
    echo: Echo, harness: AgentHarness
) -> None:
    echo.answers = Signal(signal_id="s-1")
    cause = Cause("m-0", "tx-1", PARENT, "vendor=1")
    (out,) = await harness.feed(
        "bars.1h", Bar(), key="EURUSD", subject="EUR", time_unix_nano=5, cause=cause
    )
    context = echo.seen[0]
    assert (out.topic, out.payload) == ("out", Signal(signal_id="s-1"))
    message = out.message
    assert message.type == "bellwire.trading.v1.Signal"
    assert Signal.FromString(message.data) == out.payload
    assert (message.key, message.subject, message.time_unix_nano) == ("EURUSD", "EUR", 5)
    assert (message.source, message.causation_id) == ("agents/echo-0", context.message_id)
    assert (message.correlation_id, message.traceparent) == ("tx-1", PARENT)
    assert message.tracestate == "vendor=1"


async def test_message_that_began_a_transaction_gives_its_id_as_correlation(
    echo: Echo, harness: AgentHarness
) -> None:
    echo.answers = Signal()
    (out,) = await harness.feed("bars.1h", Bar())
    assert out.message.correlation_id == echo.seen[0].message_id


async def test_outputs_keep_their_order_extra_ones_first(echo: Echo, harness: AgentHarness) -> None:
    echo.extra = [Signal(signal_id="1"), Publication("out", Signal(signal_id="2"), key="other")]
    echo.answers = [Signal(signal_id="3"), Publication("", Signal(signal_id="4"))]
    published = await harness.feed("bars.1h", Bar(), key="K")
    signals = [out.payload for out in published]
    assert signals == [Signal(signal_id=str(n)) for n in (1, 2, 3, 4)]
    assert [out.message.key for out in published] == ["K", "other", "K", "K"]
    assert harness.published == published


async def test_same_input_gives_outputs_with_the_same_ids(
    echo: Echo, harness: AgentHarness
) -> None:
    echo.answers = [Signal(), Signal()]
    first = await harness.feed("bars.1h", Bar())
    again = await harness.feed("bars.1h", echo.seen[0].message, attempt=1)
    ids = [out.message.id for out in first]
    assert [out.message.id for out in again] == ids
    assert len(set(ids)) == 2
    assert echo.seen[1].attempt == 1
    assert [context.offset for context in echo.seen] == [0, 1]


async def test_publication_with_a_kept_cause_descends_from_that_message(
    echo: Echo, harness: AgentHarness
) -> None:
    kept = Cause("order-1", "tx-9", PARENT)
    echo.answers = [
        Publication("out", Signal(), cause=kept),
        Publication("out", Signal(), cause=NO_CAUSE),
    ]
    late, root = await harness.feed("bars.1h", Bar(), time_unix_nano=7)
    assert (late.message.causation_id, late.message.correlation_id) == ("order-1", "tx-9")
    assert (late.message.traceparent, late.message.time_unix_nano) == (PARENT, 7)
    assert (root.message.causation_id, root.message.traceparent) == ("", "")
    assert root.message.correlation_id == root.message.id


async def test_ready_bytes_are_published_with_their_type(echo: Echo, harness: AgentHarness) -> None:
    echo.answers = Publication("out", b"\x01", type="x.Y", attributes={"a": "b"})
    (out,) = await harness.feed("bars.1h", Bar())
    assert (out.message.data, out.message.type) == (b"\x01", "x.Y")
    assert dict(out.message.attributes) == {"a": "b"}


async def test_message_of_another_type_is_skipped_counted_and_logged_once(
    harness: AgentHarness, echo: Echo, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    for _ in range(3):
        assert await harness.feed("bars.1h", Signal()) == []
    assert harness.counters.skipped == 3
    assert echo.seen == []
    (record,) = caplog.records
    assert "bellwire.trading.v1.Signal" in record.getMessage()
    assert "bellwire.trading.v1.Bar" in record.getMessage()


async def test_payload_that_is_not_its_type_is_undecodable(harness: AgentHarness) -> None:
    broken = Message(id="m-1", type="bellwire.trading.v1.Bar", data=b"\xff\xff")
    with pytest.raises(UndecodableError, match=r"message m-1 at bars\.1h/0@0 is no bellwire"):
        await harness.feed("bars.1h", broken)


async def test_watermark_that_does_not_decode_is_undecodable(harness: AgentHarness) -> None:
    broken = Message(id="m-1", type="bellwire.trading.v1.Watermark", data=b"\xff\xff")
    with pytest.raises(UndecodableError, match=r"is no bellwire\.trading\.v1\.Watermark"):
        await harness.feed("bars.1h", broken)


async def test_topic_read_for_its_watermarks_alone_is_not_complained_about(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Clock(Agent):
        name = "clock"

        @on_watermark("bars.1h")
        async def on_mark(self, mark: Watermark, context: MessageContext) -> None:
            """Take the time."""

    harness = AgentHarness(Clock())
    await harness.feed("bars.1h", Bar())
    assert harness.counters.skipped == 1
    assert caplog.records == []


@pytest.mark.parametrize("answer", ["text", 5, [object()]])
async def test_output_that_is_no_message_is_refused(
    echo: Echo, harness: AgentHarness, answer: object
) -> None:
    echo.answers = answer  # type: ignore[assignment]  # that is the fault
    with pytest.raises((InvalidOutputError, TypeError)):
        await harness.feed("bars.1h", Bar())


async def test_output_to_a_topic_not_declared_is_refused(echo: Echo, harness: AgentHarness) -> None:
    echo.answers = Publication("elsewhere", Signal())
    with pytest.raises(InvalidOutputError, match=r"'elsewhere'.*not in its `publishes`"):
        await harness.feed("bars.1h", Bar())


async def test_handler_error_reaches_the_test_and_publishes_nothing() -> None:
    class Failing(Echo):
        @subscribe("bars.1h", Bar)
        async def on_bar(self, bar: Bar, context: MessageContext) -> Outputs:
            """Publish, then fail."""
            context.publish(Signal())
            raise ZeroDivisionError

    harness = AgentHarness(Failing())
    with pytest.raises(ZeroDivisionError):
        await harness.feed("bars.1h", Bar())
    assert harness.published == []


async def test_watermark_is_forwarded_under_the_agents_stage(harness: AgentHarness) -> None:
    (out,) = await harness.feed_watermark("bars.1h", "bars", "EURUSD", 9, end=True)
    assert out.topic == "out"
    assert out.payload == Watermark(
        stage="echoed", symbol="EURUSD", time_unix_nano=9, end_of_stream=True
    )
    assert (out.message.key, out.message.time_unix_nano) == ("EURUSD", 9)
    assert harness.counters.watermarks == 1


async def test_handled_watermark_is_not_forwarded() -> None:
    class Marking(Echo):
        def __init__(self) -> None:
            super().__init__()
            self.marks: list[Watermark] = []

        @on_watermark("bars.1h")
        async def on_mark(self, mark: Watermark, context: MessageContext) -> Outputs:
            """Keep it."""
            self.marks.append(mark)
            return None

    agent = Marking()
    assert await AgentHarness(agent).feed_watermark("bars.1h", "bars", "X", 3) == []
    assert agent.marks == [Watermark(stage="bars", symbol="X", time_unix_nano=3)]


async def test_agent_without_a_stage_forwards_nothing() -> None:
    class Silent(Echo):
        stage = ""

    assert await AgentHarness(Silent()).feed_watermark("bars.1h", "bars", "X", 3) == []


async def test_pattern_and_raw_handlers_see_every_message_but_watermarks() -> None:
    class Tap(Agent):
        name = "tap"

        def __init__(self) -> None:
            super().__init__()
            self.types: list[str] = []

        @subscribe("bars.>", Message)
        async def on_any(self, message: Message, context: MessageContext) -> None:
            """Note the type."""
            self.types.append(message.type)

    tap = Tap()
    harness = AgentHarness(tap)
    await harness.feed("bars.1h", Bar())
    await harness.feed("bars.5m.x", Message(id="m", type=""))
    await harness.feed_watermark("bars.1h", "bars", "X", 3)
    assert tap.types == ["bellwire.trading.v1.Bar", ""]


async def test_start_outputs_begin_a_transaction(harness: AgentHarness) -> None:
    (out,) = await harness.start()
    assert (out.message.key, out.message.time_unix_nano) == ("K", 9)
    assert (out.message.causation_id, out.message.correlation_id) == ("", out.message.id)
    assert await harness.stop() == []


async def test_output_of_one_agent_feeds_the_next(echo: Echo, harness: AgentHarness) -> None:
    (out,) = await harness.start()
    echo.answers = Signal()
    (answer,) = await harness.feed("bars.1h", out.message)
    assert answer.message.causation_id == out.message.id


async def test_tool_is_called_with_checked_arguments(harness: AgentHarness) -> None:
    assert await harness.call("double", {"number": 4}) == 8
    with pytest.raises(InvalidToolArgumentsError):
        await harness.call("double", {"number": "4"})
    with pytest.raises(KeyError):
        await harness.call("triple")


class Historian(Agent):
    """Reads back what was before its first message."""

    name = "historian"
    publishes = ("notes",)

    def __init__(self) -> None:
        super().__init__()
        self.assigned: list[tuple[str, int]] = []
        self.read: list[int] = []
        self.written: list[int] = []

    async def on_assigned(self, partition: AssignedPartition) -> None:
        self.assigned.append((partition.topic, partition.offset))
        self.read = [Bar.FromString(m.data).sequence for m in await partition.before(2)]
        newest = await partition.newest("notes", 1)
        self.written = [Bar.FromString(m.data).sequence for m in newest]

    @subscribe("bars.1h", Bar)
    async def on_bar(self, bar: Bar, context: MessageContext) -> Bar:
        return Bar(sequence=10 * bar.sequence)


async def test_a_harness_on_the_log_of_another_is_a_restart() -> None:
    before = AgentHarness(Historian())
    for sequence in (1, 2, 3):
        await before.feed("bars.1h", Bar(sequence=sequence))
    after = AgentHarness(agent := Historian(), log=before.log)
    await after.feed("bars.1h", Bar(sequence=4))
    await after.feed("bars.1h", Bar(sequence=5))
    assert agent.assigned == [("bars.1h", 3)]
    assert (agent.read, agent.written) == ([2, 3], [30])
    assert [Bar.FromString(m.data).sequence for m in after.log["notes"]] == [10, 20, 30, 40, 50]
    assert len(before.log["bars.1h"]) == 3


async def test_what_on_assigned_raises_reaches_the_caller_and_it_is_asked_again() -> None:
    class Refusing(Historian):
        async def on_assigned(self, partition: AssignedPartition) -> None:
            await super().on_assigned(partition)
            if len(self.assigned) == 1:
                raise OSError("not yet")

    harness = AgentHarness(agent := Refusing())
    with pytest.raises(OSError, match="not yet"):
        await harness.feed("bars.1h", Bar(sequence=1))
    await harness.feed("bars.1h", Bar(sequence=1))
    assert agent.assigned == [("bars.1h", 0), ("bars.1h", 0)]
