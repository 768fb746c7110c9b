"""Columns through a real coordinator, over TCP and over a Unix socket."""

from __future__ import annotations

import numpy as np
import pytest

from bellwire.client import connect
from bellwire.client.columns import Column, Columns, columns_of, publish_columns
from bellwire.testing import running_coordinator

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("lane", ["tcp", "unix"])
async def test_what_is_published_is_what_is_read(lane: str) -> None:
    rng = np.random.default_rng(5)
    sent = Columns(
        "l2",
        [
            Column("price", rng.integers(-(2**63), 2**63 - 1, 50_000), 8),
            Column("size", rng.integers(0, 10, 50_000)),  # Compresses well; the other does not.
        ],
    )
    async with (
        running_coordinator() as running,
        connect(getattr(running, lane)) as client,
        client.subscribe("l2") as subscription,
    ):
        await publish_columns(client.publisher("feed"), "l2", sent, key="BTCUSDT")
        parts: list[Columns] = []
        async for batch in subscription.batches():
            parts += map(columns_of, batch.messages)
            if sum(map(len, parts)) == len(sent):
                break
    for name in sent:
        assert (np.concatenate([part[name] for part in parts]) == sent[name]).all()
    assert parts[-1].scale("price") == 8
