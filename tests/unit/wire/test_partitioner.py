"""bellwire.wire.partitioner: Kafka's own test vectors, so that keys stay where Kafka would put them."""

from __future__ import annotations

import pytest

from bellwire.wire.partitioner import murmur2, partition_for_key

VECTORS = {
    # org.apache.kafka.common.utils.UtilsTest.testMurmur2, as signed 32-bit integers
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}


@pytest.mark.parametrize(("text", "signed"), VECTORS.items())
def test_murmur2_gives_kafkas_value(text, signed):
    assert murmur2(text.encode()) == signed & 0xFFFFFFFF


@pytest.mark.parametrize(("text", "signed"), VECTORS.items())
def test_the_partition_is_the_positive_part_modulo_the_count(text, signed):
    assert partition_for_key(text, 12) == (signed & 0x7FFFFFFF) % 12


def test_every_length_of_the_tail_hashes():
    assert len({murmur2(b"x" * length) for length in range(9)}) == 9


def test_a_key_is_hashed_as_utf8():
    assert partition_for_key("€", 1000) == (murmur2("€".encode()) & 0x7FFFFFFF) % 1000
