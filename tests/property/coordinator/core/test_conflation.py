"""A reader with policy CONFLATE gets what a model that looks at every message gives it."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.coordinator.core.stage import TOPIC, Stage

from bellwire.bus.v1.subscriber_pb2 import OVERFLOW_POLICY_CONFLATE
from bellwire.coordinator.core import freshness
from bellwire.wire.batch import encode_batch
from bellwire.wire.message import new_message

OTHER, ANYBODY = "another subscription", ""
BATCHES = st.tuples(
    st.sampled_from([ANYBODY, ANYBODY, ANYBODY, OTHER]),
    st.text("ab_", min_size=1, max_size=4),  # A key each; _ = none.
)
TAKE = st.integers(1, 3)


@pytest.mark.parametrize("others_max", [0, 2, freshness.OTHERS_MAX])
@pytest.mark.parametrize("keys_min", [1, freshness.KEYS_MIN])
@given(steps=st.lists(BATCHES | TAKE, max_size=40))
def test_what_is_delivered_is_what_has_no_later_message_of_its_key(others_max, keys_min, steps):
    with (
        patch.object(freshness, "OTHERS_MAX", others_max),
        patch.object(freshness, "KEYS_MIN", keys_min),
    ):
        stage = Stage()
        member = stage.join(stage.subscribe(overflow=OVERFLOW_POLICY_CONFLATE))
        log: list[str | None] = []  # Its key; None = for somebody else.
        delivered: list[int] = []
        expected: list[int] = []
        next_offset = 0
        for step in [*steps, 100]:
            if isinstance(step, tuple):
                only, keys = step
                batch = encode_batch(
                    TOPIC, 0, [new_message(data=b"x", key=key.strip("_")) for key in keys]
                )
                batch.header.only_subscription = only
                stage.topic.partitions[0].append(batch, stage.now_ns)
                log += [None if only else key.strip("_") for key in keys]
                continue
            wanted = step
            while wanted:
                handout = stage.take(member, wanted)
                if handout is None:
                    if member.retry_at is None:
                        break
                    continue
                base = handout.entry.base_offset
                delivered += range(base + handout.first, base + handout.last)
                wanted -= handout.last - handout.first
            while next_offset < len(log) and len(expected) < len(delivered) + wanted:
                key = log[next_offset]
                if key is not None and (not key or key not in log[next_offset + 1 :]):
                    expected.append(next_offset)
                next_offset += 1
            assert delivered == expected
        dropped = stage.topic.stats.dropped["conflated"]
        assert dropped == sum(key is not None for key in log) - len(delivered)
