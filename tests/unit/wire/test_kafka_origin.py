"""Where a record or a message came from."""

from __future__ import annotations

import pytest

from bellwire.wire.kafka_origin import BusOrigin, KafkaOrigin, bus_of, bus_origin

ORIGIN = BusOrigin("desk", "orders.paper", 2, 40)


def test_an_origin_is_read_from_its_own_headers() -> None:
    assert bus_origin([("other", b"x"), *ORIGIN.headers()]) == ORIGIN
    assert bus_of(ORIGIN.headers()) == "desk"


@pytest.mark.parametrize(
    "name", ["bellwire_bus", "bellwire_topic", "bellwire_partition", "bellwire_offset"]
)
@pytest.mark.parametrize("value", [b"", b"\xff\xfe", None])
def test_an_origin_that_is_not_whole_is_none(name: str, value: bytes | None) -> None:
    headers = [(each, value if each == name else text) for each, text in ORIGIN.headers()]
    found = bus_origin(headers)
    if value == b"\xff\xfe" and name in ("bellwire_bus", "bellwire_topic"):
        assert found is not None  # Names are only shown and compared.
    else:
        assert found is None


def test_kafkas_place_travels_in_attributes() -> None:
    assert KafkaOrigin("c1", "ticks", 0, 7).attributes() == {
        "kafka_cluster": "c1",
        "kafka_topic": "ticks",
        "kafka_partition": "0",
        "kafka_offset": "7",
    }
