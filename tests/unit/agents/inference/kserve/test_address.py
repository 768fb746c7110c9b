"""Where doors are opened, as people write it."""

import socket

import pytest

from bellwire.agents.inference.kserve.address import Address, check_free, parse_address
from bellwire.agents.inference.kserve.errors import KserveListenError


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:0", "127.0.0.1", 0),
        ("localhost:65535", "localhost", 65_535),
        ("[::1]:8000", "::1", 8_000),
    ],
)
def test_address_is_read_and_written_as_it_was(text: str, host: str, port: int) -> None:
    assert parse_address(text) == Address(host, port)
    assert str(parse_address(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "127.0.0.1",
        ":0",
        "[]:0",
        " :0",
        "host :1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:99999",
        "127.0.0.1:-1",
        "127.0.0.1:8_0",
        "127.0.0.1:٣",
        "127.0.0.1:" + "9" * 5_000,
        "::1:80",
        "[localhost]:80",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(KserveListenError, match="cannot be served"):
        parse_address(text)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="there is no IPv6")
def test_all_addresses_are_not_free_where_ipv4_has_the_port() -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(KserveListenError, match=f"port {port} is taken"):
            check_free(f"[::]:{port}")
    check_free(f"[::]:{port}")
