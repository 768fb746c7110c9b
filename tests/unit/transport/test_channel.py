"""The channel pool: each channel a connection of its own, made when first used."""

import pytest

from bellwire.transport.address import Address
from bellwire.transport.channel import ChannelPool, TransportSettings, channel_options
from bellwire.wire.errors import ClosedError
from bellwire.wire.settings import SettingsError

ADDRESS = Address(path="/tmp/never-connected.sock")


async def test_channels_are_made_when_first_used_and_then_taken_in_turn() -> None:
    pool = ChannelPool(ADDRESS, TransportSettings(pool_size=2))
    assert len(pool) == 0
    one, two = pool.next(), pool.next()
    assert one is not two
    assert {id(pool.next()), id(pool.next())} == {id(one), id(two)}
    assert len(pool) == 2
    await pool.close()


async def test_unary_requests_share_the_first_channel() -> None:
    pool = ChannelPool(ADDRESS, TransportSettings())
    first = pool.first()
    pool.next()
    assert pool.first() is first
    await pool.close()


async def test_control_topics_have_a_channel_that_nothing_else_uses() -> None:
    pool = ChannelPool(ADDRESS, TransportSettings(pool_size=1))
    control = pool.control()
    assert pool.control() is control
    assert control not in (pool.first(), pool.next())
    await pool.close()


async def test_a_closed_pool_gives_no_channels() -> None:
    pool = ChannelPool(ADDRESS, TransportSettings())
    pool.next()
    await pool.close()
    for take in (pool.next, pool.first, pool.control):
        with pytest.raises(ClosedError, match=r"never-connected.sock are closed"):
            take()


def test_options_keep_connections_apart_and_alive() -> None:
    settings = TransportSettings(keepalive_seconds=30, keepalive_timeout_seconds=7)
    options = dict(channel_options(settings))
    assert options["grpc.use_local_subchannel_pool"] == 1
    assert options["grpc.keepalive_time_ms"] == 30_000
    assert options["grpc.keepalive_timeout_ms"] == 7_000
    assert options["grpc.http2.ping_timeout_ms"] == 7_000
    assert options["grpc.keepalive_permit_without_calls"] == 1
    assert options["grpc.http2.max_pings_without_data"] == 0
    assert options["grpc.enable_http_proxy"] == 0


def test_settings_out_of_range_are_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="pool_size is 0"):
        TransportSettings(pool_size=0)
