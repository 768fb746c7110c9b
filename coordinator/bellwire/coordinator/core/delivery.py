"""Encodes handouts: the publisher's bytes where they serve, a new block where they do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bellwire.bus.v1.message_pb2 import (
    CODEC_LZ4_BLOCK,
    CODEC_NONE,
    CODEC_UNSPECIFIED,
    Batch,
    BatchHeader,
    Codec,
)
from bellwire.bus.v1.subscriber_pb2 import Delivery
from bellwire.coordinator.core.flight import Handout
from bellwire.coordinator.core.replay import Piece
from bellwire.coordinator.log.protocol import Entry
from bellwire.wire.batch import COMPRESS_ABOVE_BYTES, encode_batch
from bellwire.wire.errors import UnknownCodecError

NEVER_COMPRESS: Final = 1 << 62


def accepted_codecs(codecs: Sequence[Codec.ValueType]) -> frozenset[int]:
    """Return the codecs a client opens; empty = it wants plain messages.

    Raises:
        UnknownCodecError: It names one this server does not know.
    """
    for codec in codecs:
        if codec not in (CODEC_UNSPECIFIED, CODEC_NONE, CODEC_LZ4_BLOCK):
            raise UnknownCodecError(
                f"accepted codec {codec} is not known: use CODEC_NONE (1) or CODEC_LZ4_BLOCK (2)",
                metadata={"codec": str(codec)},
            )
    return frozenset(codecs) - {CODEC_UNSPECIFIED}


def encode_replayed(piece: Piece, accepted: frozenset[int]) -> Delivery:
    """Put a piece of a replay on the wire."""
    entry = piece.entry
    return Delivery(
        batch=_batch(entry, piece.first, piece.last, accepted),
        first_offset=entry.base_offset + piece.first,
        replayed=True,
        principal=entry.principal,
        admitted_time_unix_nano=entry.admitted_ns,
        log_id=piece.partition.log.log_id,
    )


def encode_delivery(handout: Handout, accepted: frozenset[int]) -> Delivery:
    """Put a handout on the wire."""
    delivery = Delivery()
    fill_delivery(delivery, handout, accepted)
    return delivery


def fill_delivery(delivery: Delivery, handout: Handout, accepted: frozenset[int]) -> None:
    """Put a handout into an empty delivery where it is to travel: one made apart is serialized and parsed there."""
    entry = handout.entry
    delivery.batch.CopyFrom(_batch(entry, handout.first, handout.last, accepted))
    delivery.first_delivery_tag = handout.first_tag
    delivery.first_offset = entry.base_offset + handout.first
    delivery.attempt = handout.attempt
    delivery.principal = entry.principal
    delivery.dropped_messages = handout.dropped
    delivery.admitted_time_unix_nano = entry.admitted_ns
    delivery.log_id = handout.cursor.partition.log.log_id


def _batch(entry: Entry, first: int, last: int, accepted: frozenset[int]) -> Batch:
    header = entry.batch.header
    if last - first == entry.count and header.codec in accepted:
        return entry.batch
    messages = entry.messages()[first:last]
    if accepted:
        above = COMPRESS_ABOVE_BYTES if CODEC_NONE in accepted else 0
        batch = encode_batch(
            header.topic,
            header.partition,
            messages,
            compress_above_bytes=above if CODEC_LZ4_BLOCK in accepted else NEVER_COMPRESS,
        )
        if batch.header.codec in accepted:
            # Whoever gets the producer's messages another way, too, puts them in order by these.
            batch.header.producer_id = header.producer_id
            batch.header.producer_epoch = header.producer_epoch
            batch.header.base_sequence = header.base_sequence + first
            batch.header.direct_routes.extend(header.direct_routes)
            return batch
        # What LZ4 cannot shrink goes in the form that everyone reads.
    plain = BatchHeader(topic=header.topic, partition=header.partition, message_count=len(messages))
    return Batch(header=plain, messages=messages)
