"""What is said of a Redis whose URL cannot be read."""

from __future__ import annotations

import pytest

from bellwire.coordinator.cluster.errors import LeaseRefusedError
from bellwire.coordinator.cluster.lease_redis import LeaseRedis


@pytest.mark.asyncio
async def test_a_url_that_cannot_be_read_does_not_show_the_password() -> None:
    redis = LeaseRedis("redis://:secret/word@host:6379", 0.5)
    with pytest.raises(LeaseRefusedError) as caught:
        await redis.ask(lambda client: client.get("x"))
    assert "secret" not in str(caught.value)
