"""How bytes reach a coordinator: addresses, channels, status."""

from bellwire.transport.address import Address, AddressError, parse_address, parse_addresses
from bellwire.transport.channel import ChannelPool, TransportSettings, channel_options
from bellwire.transport.status import error_from_rpc

__all__ = [
    "Address",
    "AddressError",
    "ChannelPool",
    "TransportSettings",
    "channel_options",
    "error_from_rpc",
    "parse_address",
    "parse_addresses",
]
