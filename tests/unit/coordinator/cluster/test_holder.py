"""What is written into Redis, and what is read there."""

from __future__ import annotations

import pytest

from bellwire.coordinator.cluster.holder import Holder, LeaseValueError, lease_key


def test_a_holder_comes_back_as_it_was_written() -> None:
    holder = Holder("[::1]:7400", "a" * 32, 1_790_000_000_000_000_000)
    assert Holder.decode(lease_key("g"), holder.encode()) == holder


@pytest.mark.parametrize(
    "value",
    [
        b"garbage",
        b"[]",
        b"{}",
        b'{"address":1,"id":"x","since_ns":1}',
        b'{"address":"a:1","id":"","since_ns":1}',
        b'{"address":"a:1","id":"x","since_ns":"now"}',
        b" " * 5_000,
    ],
)
def test_something_else_is_refused_with_its_key(value: bytes) -> None:
    with pytest.raises(LeaseValueError, match="bellwire:owner:g"):
        Holder.decode(lease_key("g"), value)
