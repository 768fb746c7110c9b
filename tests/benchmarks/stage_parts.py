"""The way of one batch as functions of the product, step by step.

The only module of `stages` that knows the product: when a step of the hot path is rebuilt, it changes
here. A step takes the number of a batch and works on what the steps before left in its slots: the input is
fresh each time, because the coordinator refuses a batch that comes twice.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tests.benchmarks.payload import PayloadMaker

from bellwire.bus.v1.message_pb2 import CODEC_LZ4_BLOCK, CODEC_NONE, Message, MessageBlock, Window
from bellwire.bus.v1.publisher_pb2 import (
    ACK_LEVEL_RECEIVED,
    PublishBatches,
    PublishStart,
    PublishStreamRequest,
)
from bellwire.bus.v1.subscriber_pb2 import (
    DISPOSITION_ACCEPT,
    OVERFLOW_POLICY_DROP_OLDEST,
    Settle,
    Settlement,
    SubscribeRequest,
    SubscribeResponse,
    SubscribeStart,
)
from bellwire.client import new_message
from bellwire.client.received import Batch as ReceivedBatch
from bellwire.coordinator.core.admission import admit_batch
from bellwire.coordinator.core.engine import Engine, EngineSettings
from bellwire.coordinator.core.publish_session import PublishSession
from bellwire.coordinator.core.subscribe_session import SubscribeSession
from bellwire.transport.lane.frames import Kind, Splitter, encode
from bellwire.wire.batch import COMPRESS_ABOVE_BYTES, encode_batch, open_batch
from bellwire.wire.codec import lz4

TOPIC: Final = "stages"
SOURCE: Final = "bench/publisher"
FRAME_BYTES_MAX: Final = 4 << 20
WINDOW_MESSAGES: Final = 1_000_000  # The largest a subscriber may grant: settling is no stage here.
WINDOW_BYTES: Final = 1 << 30
# What the product measured end to end stands on.
TRANSPORT_OF: Final = {
    "bellwire_direct": "floor_unix_direct",
    "bellwire_socket": "floor_unix_relayed",
    "bellwire_unix": "floor_grpc_relayed",
    "bellwire_tcp": "floor_grpc_relayed",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the way."""

    name: str
    where: str
    """Process it runs in: "publisher", "coordinator" or "subscriber"."""
    run: Callable[[int], object]
    """Takes the number of a batch."""
    part_of: str = ""
    """The step that contains it and is counted instead; empty = counted itself."""
    waited_for: bool = True
    """Whether the message waits for it; else it costs CPU only, behind the message."""


class Way:
    """One publisher, one coordinator in memory, one subscriber; no sockets between them."""

    def __init__(self, batch_messages: int, batches: int) -> None:
        """Prepare slots for `batches` batches of `batch_messages` messages each; `payloads` holds theirs."""
        self._size = batch_messages
        maker, now_ns = PayloadMaker(), time.monotonic_ns()
        self.payloads = [
            maker.make_many(number * batch_messages, batch_messages, now_ns)
            for number in range(batches)
        ]
        self._slots: dict[str, list[Any]] = {}
        self._count = batches
        self._engine = Engine(EngineSettings(), clock_ns=time.time_ns)
        self._publishing = PublishSession(self._engine, _nothing)
        self._subscribing = SubscribeSession(self._engine, _nothing)
        self._producer = self._open_streams()
        self._here, self._there = Splitter(FRAME_BYTES_MAX), Splitter(FRAME_BYTES_MAX)

    def steps(self) -> list[Step]:
        """Give the steps in the order in which a batch takes them; each needs the ones before."""
        publisher, coordinator, subscriber = "publisher", "coordinator", "subscriber"
        batch, session, opened = "encode the batch", "take the frame", "open the batch"
        return [
            Step("build the messages", publisher, self._keep("messages", self._build)),
            Step("serialize", publisher, self._keep("data", self._serialize), batch),
            Step("LZ4", publisher, self._compress, batch),
            Step(batch, publisher, self._keep("batch", self._encode)),
            Step("frame the request", publisher, self._keep("request", self._frame_request)),
            Step("parse the request", coordinator, self._keep("parsed", self._parse_request)),
            Step("admit: decompress, parse, verify", coordinator, self._admit, session),
            Step("dedupe, append, tell members", coordinator, self._append, session),
            Step(session, coordinator, self._take),
            Step(
                "deliver: choose, fit the window",
                coordinator,
                self._keep("response", self._deliver),
            ),
            Step("frame the delivery", coordinator, self._keep("delivery", self._frame_delivery)),
            Step("acknowledge", coordinator, self._acknowledge, waited_for=False),
            Step("parse the delivery", subscriber, self._keep("arrived", self._parse_delivery)),
            Step(opened, subscriber, self._keep("opened", self._open)),
            Step("hand over", subscriber, self._hand_over),
            Step("settle", coordinator, self._settle, waited_for=False),
        ]

    def frame_bytes(self) -> dict[str, int]:
        """Give the sizes on the wire of the last batch: towards the coordinator, and from it."""
        return {
            "request": len(self._slots["request"][-1]),
            "delivery": len(self._slots["delivery"][-1]),
        }

    def _keep(self, slot: str, work: Callable[[int], object]) -> Callable[[int], object]:
        slots = self._slots[slot] = [None] * self._count

        def run(number: int) -> None:
            slots[number] = work(number)

        return run

    # ------------------------------------------------------------ publisher

    def _build(self, number: int) -> list[Message]:
        return [new_message(data=payload, source=SOURCE) for payload in self.payloads[number]]

    def _serialize(self, number: int) -> bytes:
        return MessageBlock(messages=self._slots["messages"][number]).SerializeToString()

    def _compress(self, number: int) -> None:
        data: bytes = self._slots["data"][number]
        if len(data) > COMPRESS_ABOVE_BYTES:
            lz4.pack(data)

    def _encode(self, number: int) -> object:
        producer_id, epoch = self._producer
        return encode_batch(
            TOPIC,
            0,
            self._slots["messages"][number],
            producer_id=producer_id,
            producer_epoch=epoch,
            base_sequence=number * self._size,
        )

    def _frame_request(self, number: int) -> bytes:
        batches = PublishBatches(
            frame_sequence=number + 1,
            ack_level=ACK_LEVEL_RECEIVED,
            batches=[self._slots["batch"][number]],
        )
        return encode(Kind.DATA, PublishStreamRequest(batches=batches).SerializeToString())

    # ------------------------------------------------------------ coordinator

    def _parse_request(self, number: int) -> PublishStreamRequest:
        ((_, body),) = self._here.feed(self._slots["request"][number])
        return PublishStreamRequest.FromString(body)

    def _admit(self, number: int) -> None:
        topic = self._engine.bus.topics[TOPIC]
        batch = self._slots["parsed"][number].batches.batches[0]
        admit_batch(batch, topic, self._engine.settings.limits, "", time.time_ns())

    def _append(self, number: int) -> None:
        # Behind this the session takes the frame for a repeated one: on this walk its time is not kept.
        batch = self._slots["parsed"][number].batches.batches[0]
        partition = self._engine.bus.topics[TOPIC].partitions[0]
        position = self._engine.workers.owner(partition).append_now(partition, batch, [])
        assert position is not None, f"batch {number} found no room"

    def _take(self, number: int) -> None:
        request = self._slots["parsed"][number]
        self._publishing.on_frame(request, time.monotonic(), time.time_ns())

    def _deliver(self, number: int) -> SubscribeResponse:
        frame = self._subscribing.next_frame(time.monotonic(), time.time_ns())
        assert frame is not None, f"batch {number} was not delivered"
        return frame

    def _frame_delivery(self, number: int) -> bytes:
        return encode(Kind.DATA, self._slots["response"][number].SerializeToString())

    def _acknowledge(self, _: int) -> None:
        frame = self._publishing.next_frame()
        if frame is not None:
            encode(Kind.DATA, frame.SerializeToString())

    # ------------------------------------------------------------ subscriber

    def _parse_delivery(self, number: int) -> SubscribeResponse:
        ((_, body),) = self._there.feed(self._slots["delivery"][number])
        return SubscribeResponse.FromString(body)

    def _open(self, number: int) -> object:
        delivery = _delivery_of(self._slots["arrived"][number])
        return open_batch(delivery.batch)

    def _hand_over(self, number: int) -> list[bytes]:
        delivery = _delivery_of(self._slots["arrived"][number])
        batch = ReceivedBatch(
            self._slots["opened"][number],
            TOPIC,
            0,
            delivery.first_offset,
            _NO_SETTLER,
            first_tag=delivery.first_delivery_tag,
        )
        return [message.data for message in batch.messages]

    def _settle(self, number: int) -> None:
        first = _delivery_of(self._slots["arrived"][number]).first_delivery_tag
        settlement = Settlement(
            first_tag=first,
            last_tag=first + self._size - 1,
            disposition=DISPOSITION_ACCEPT,
        )
        request = SubscribeRequest(settle=Settle(settlements=[settlement])).SerializeToString()
        frame = SubscribeRequest.FromString(request)
        self._subscribing.on_frame(frame, time.monotonic(), time.time_ns())

    # ------------------------------------------------------------ the two streams

    def _open_streams(self) -> tuple[int, int]:
        """Subscribe, then start publishing; give the producer's id and epoch."""
        now, now_ns = time.monotonic(), time.time_ns()
        start = SubscribeStart(
            topics=[TOPIC],
            window=Window(messages=WINDOW_MESSAGES, bytes=WINDOW_BYTES),
            accepted_codecs=(CODEC_NONE, CODEC_LZ4_BLOCK),
            overflow_policy=OVERFLOW_POLICY_DROP_OLDEST,
        )
        self._engine.bus.topic(TOPIC, now_ns)
        self._subscribing.on_frame(SubscribeRequest(start=start), now, now_ns)
        assert self._subscribing.next_frame(now, now_ns) is not None
        request = PublishStreamRequest(start=PublishStart(client_id=SOURCE))
        self._publishing.on_frame(request, now, now_ns)
        started = self._publishing.next_frame()
        assert started is not None
        return started.started.producer_id, started.started.producer_epoch


class _NoSettler:
    """A settler for batches nobody settles."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return _nothing


_NO_SETTLER: Final[Any] = _NoSettler()


def _delivery_of(response: SubscribeResponse) -> Any:
    return response.delivery if response.HasField("delivery") else response.deliveries.deliveries[0]


def _nothing(*_: object) -> None:
    """Do nothing: nobody waits here."""
