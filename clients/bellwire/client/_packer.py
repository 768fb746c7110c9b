"""Makes batches of a lane: encoded, and never larger than what may be sent."""

from __future__ import annotations

from collections.abc import Callable

from bellwire.client._lane import Lane
from bellwire.client._segment import OutBatch, Segment
from bellwire.client.settings import PublishSettings
from bellwire.wire.batch import encode_batch
from bellwire.wire.errors import BellwireError, CapacityError, PayloadTooLargeError
from bellwire.wire.window import Window


class Packer:
    """Turns pending segments into batches, one at a time, as late as possible.

    Args:
        settings: Bounds of a batch.
        forget: Told of segments nobody waits for any more.
        refuse: Told of segments that can never be sent, and why.
    """

    def __init__(
        self,
        settings: PublishSettings,
        forget: Callable[[list[Segment]], None],
        refuse: Callable[[list[Segment], BellwireError], None],
    ) -> None:
        self._settings = settings
        self._forget = forget
        self._refuse = refuse

    def head(self, lane: Lane, window: Window) -> OutBatch | None:
        """Return the lane's next batch, encoded and small enough to ever fit the window; or None."""
        messages_max = min(self._settings.batch_messages_max, window.messages_max)
        bytes_max = min(self._settings.batch_bytes_max, window.bytes_max)
        while True:
            if not lane.ready:
                segments, abandoned = lane.take_pending(messages_max, bytes_max)
                self._forget(abandoned)
                if not segments:
                    return None
                lane.ready.append(OutBatch(lane, segments))
            out = lane.ready[0]
            if out.batch is None and not self._encode(out):
                continue
            if out.size_bytes <= bytes_max and out.count <= messages_max:
                return out
            self._shrink(out, bytes_max)

    def _encode(self, out: OutBatch) -> bool:
        lane = out.lane
        try:
            out.batch = encode_batch(
                lane.topic,
                lane.partition,
                out.messages(),
                compress_above_bytes=self._settings.compress_above_bytes,
            )
        except BellwireError as error:
            lane.ready.popleft()
            self._refuse(out.segments, error)
            return False
        out.batch.header.direct_routes.extend(out.direct_routes)
        out.size_bytes = out.batch.header.uncompressed_bytes
        return True

    def _shrink(self, out: OutBatch, bytes_max: int) -> None:
        """Cut a batch that is too large, or refuse what cannot be cut."""
        lane = out.lane
        lane.ready.popleft()
        if out.fixed:
            self._refuse(out.segments, _outgrown(out))
        elif out.count > 1:
            lane.ready.extendleft(reversed(out.halves()))
        else:
            self._refuse(out.segments, _too_large(out, bytes_max))


def _outgrown(out: OutBatch) -> CapacityError:
    topic = out.lane.topic
    return CapacityError(
        f"batch of {out.count} messages on {topic!r} does not fit the smaller window the coordinator "
        "granted after a reconnect; whether it was appended before is unknown",
        metadata={"topic": topic, "messages": str(out.count)},
    )


def _too_large(out: OutBatch, bytes_max: int) -> PayloadTooLargeError:
    topic = out.lane.topic
    return PayloadTooLargeError(
        f"message of {out.size_bytes} bytes on {topic!r} is too large, limit is {bytes_max}: "
        "send a reference to the data instead",
        metadata={"topic": topic, "bytes": str(out.size_bytes), "limit": str(bytes_max)},
    )
