"""Who listens at an address: real sockets of this very process."""

import os
import socket
from contextlib import closing

import pytest

from bellwire.cli.listeners import listener_pid, listening_inodes
from bellwire.transport.address import Address


def listening(family, where):
    found = socket.socket(family)
    found.bind(where)
    found.listen()
    return closing(found)


@pytest.mark.parametrize(
    ("family", "bound", "asked"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
        (socket.AF_INET, "127.0.0.1", "localhost"),
        (socket.AF_INET, "0.0.0.0", "127.0.0.1"),
        (socket.AF_INET6, "::1", "::1"),
        (socket.AF_INET6, "::", "127.0.0.1"),
        (socket.AF_INET6, "::ffff:127.0.0.1", "127.0.0.1"),  # As gRPC binds it.
    ],
)
def test_a_port_belongs_to_who_listens_there(family, bound, asked):
    try:
        opened = listening(family, (bound, 0))
    except OSError as error:
        pytest.skip(f"no {bound} here: {error}")
    with opened as server:
        address = Address(host=asked, port=server.getsockname()[1])
        assert listener_pid(address) == os.getpid()
    assert listener_pid(address) is None


def test_a_wildcard_listener_does_not_pass_for_another_machine():
    with listening(socket.AF_INET, ("0.0.0.0", 0)) as server:
        # TEST-NET-1 (RFC 5737): nobody has this address.
        assert listening_inodes(Address(host="192.0.2.1", port=server.getsockname()[1])) == []


def test_a_connection_at_the_port_is_no_listener():
    with listening(socket.AF_INET, ("127.0.0.1", 0)) as server:
        address = Address(host="127.0.0.1", port=server.getsockname()[1])
        with closing(socket.create_connection(server.getsockname())) as connection:
            inode = os.fstat(server.fileno()).st_ino
            assert listening_inodes(address) == [inode]
            assert os.fstat(connection.fileno()).st_ino != inode


def test_a_path_belongs_to_who_listens_there_also_with_spaces_and_by_a_link(tmp_path):
    folder = tmp_path / "a b"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    with listening(socket.AF_UNIX, str(folder / "s")):
        assert listener_pid(Address(path=str(folder / "s"))) == os.getpid()
        assert listener_pid(Address(path=str(tmp_path / "link" / "s"))) == os.getpid()
        assert listener_pid(Address(path=str(folder / "t"))) is None
