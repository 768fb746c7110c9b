"""Object pools: messages used again beside fresh ones, in the step that encodes a batch."""

import gc
import time
from collections.abc import Callable
from typing import Final

from tests.benchmarks.payload import PayloadMaker

from bellwire.bus.v1.message_pb2 import Message, MessageBlock
from bellwire.wire.message import uuid7

NAME: Final = "object_pool"
TITLE: Final = "a pool of protobuf messages instead of fresh ones"
SOURCE: Final = "bench/publisher"
BATCH_MESSAGES: Final = 100
BATCHES: Final = 300


def time_pair(*, pooled_first: bool) -> tuple[float, float]:
    """Give µs a batch without and with the pool, measured one after the other."""
    payloads = PayloadMaker().make_many(0, BATCH_MESSAGES, time.monotonic_ns())
    pool = [Message() for _ in range(BATCH_MESSAGES)]
    works: list[Callable[[], object]] = [lambda: fresh(payloads), lambda: pooled(payloads, pool)]
    times = [0.0, 0.0]
    for index in (1, 0) if pooled_first else (0, 1):
        times[index] = _time(works[index])
    return times[0], times[1]


def fresh(payloads: list[bytes]) -> bytes:
    """Build and serialize a block from new messages."""
    return _block([_filled(Message(), payload) for payload in payloads])


def pooled(payloads: list[bytes], pool: list[Message]) -> bytes:
    """Build and serialize the same block from messages that were used before."""
    for message in pool:
        message.Clear()
    return _block(list(map(_filled, pool, payloads)))


def _filled(message: Message, payload: bytes) -> Message:
    message.id = uuid7()
    message.time_unix_nano = time.time_ns()
    message.data = payload
    message.source = SOURCE
    return message


def _block(messages: list[Message]) -> bytes:
    return MessageBlock(messages=messages).SerializeToString()


def _time(work: Callable[[], object]) -> float:
    work()
    gc.collect()
    began = time.perf_counter_ns()
    for _ in range(BATCHES):
        work()
    return (time.perf_counter_ns() - began) / BATCHES / 1e3
