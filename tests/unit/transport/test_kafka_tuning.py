"""Whether aiokafka looks where its pace is set: another version may not."""

from __future__ import annotations

from types import SimpleNamespace

import cramjam
from aiokafka.errors import ConcurrentTransactions
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.producer.sender import AddPartitionsToTxnHandler

from bellwire.transport.kafka import BEGIN_AGAIN_SECONDS, LZ4_LEVEL

LZ4 = 3


def test_a_transaction_that_may_not_begin_yet_is_tried_again_at_our_pace():
    sender = SimpleNamespace(
        _retry_backoff=0.1, _txn_manager=SimpleNamespace(txn_partitions=frozenset())
    )
    refused = SimpleNamespace(errors=[("topic", [(0, ConcurrentTransactions.errno)])])
    handler = AddPartitionsToTxnHandler(sender, [])
    assert handler.handle_response(refused) == BEGIN_AGAIN_SECONDS


def test_batches_are_compressed_at_our_level():
    value = b"".join(f"{number * 7919 % 10_007}".encode() for number in range(50_000))
    builder = BatchBuilder(1 << 20, LZ4, is_transactional=False)
    assert builder.append(timestamp=1, key=None, value=value, headers=[]) is not None
    builder.close()
    sent = builder._build()
    fast, thorough = (len(bytes(cramjam.lz4.compress(value, level=at))) for at in (LZ4_LEVEL, 9))
    assert abs(len(sent) - fast) < abs(len(sent) - thorough)
