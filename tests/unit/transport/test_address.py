"""Addresses: what is read, and what is refused in which words."""

import pytest

from bellwire.transport.address import Address, AddressError, parse_address, parse_addresses


@pytest.mark.parametrize(
    ("text", "address", "target"),
    [
        ("127.0.0.1:7400", Address(host="127.0.0.1", port=7400), "127.0.0.1:7400"),
        ("bus.internal:0", Address(host="bus.internal", port=0), "bus.internal:0"),
        ("[::1]:7400", Address(host="::1", port=7400), "[::1]:7400"),
        ("unix:///tmp/bw.sock", Address(path="/tmp/bw.sock"), "unix:/tmp/bw.sock"),
    ],
)
def test_an_address_is_read_and_written_back(text: str, address: Address, target: str) -> None:
    parsed = parse_address(text)
    assert parsed == address
    assert parsed.target == target
    assert str(parsed) == text
    assert parsed.is_unix == text.startswith("unix:")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is malformed"),
        ("localhost", "is malformed"),
        (":7400", "is malformed"),
        ("localhost:", "is malformed"),
        ("local host:1", "is malformed"),
        ("http://localhost:7400", "is malformed"),
        ("::1:7400", "is malformed"),
        ("localhost:65536", "has port 65536, above 65535"),
        ("unix://relative.sock", "names no absolute file path"),
        ("unix:///", "names no absolute file path"),
        ("unix:///tmp/a\0b", "names no absolute file path"),
        ("unix:///" + "x" * 107, "has a path of 108 bytes, above 107"),
    ],
)
def test_a_malformed_address_is_refused_with_what_to_write_instead(text: str, why: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_address(text)
    assert why in caught.value.message
    assert "use 'host:port'" in caught.value.message
    assert caught.value.address == text


def test_the_longest_path_a_socket_can_have_is_allowed() -> None:
    assert parse_address("unix:///" + "x" * 106).path == "/" + "x" * 106


def test_several_addresses_are_read_once_each_in_order() -> None:
    read = parse_addresses("a:1, unix:///run/b.sock,a:1")
    assert [str(address) for address in read] == ["a:1", "unix:///run/b.sock"]


@pytest.mark.parametrize("text", ["a:1,", ",", "a:1,b", ",".join(f"a:{n}" for n in range(1, 18))])
def test_a_bad_list_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        parse_addresses(text)
