"""Where a coordinator listens, and how a second one, or a path it cannot have, is refused."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.coordinator.frames import dial, within

from bellwire.coordinator.config import CoordinatorSettings
from bellwire.coordinator.listen import ListenError, SocketLock
from bellwire.coordinator.server import Coordinator
from bellwire.transport.address import AddressError

pytestmark = pytest.mark.integration

SERVE = """
import asyncio, sys
from bellwire.coordinator.config import CoordinatorSettings
from bellwire.coordinator.server import Coordinator

async def main():
    async with Coordinator(CoordinatorSettings(listen=(sys.argv[1],))) as coordinator:
        print("READY", flush=True)
        await coordinator.wait_closed()

asyncio.run(main())
"""


def coordinator(*listen: str) -> Coordinator:
    """A coordinator that is not started yet."""
    return Coordinator(CoordinatorSettings(listen=listen))


def at(address: str, suffix: str = "") -> Path:
    """The file of an address."""
    return Path(address.removeprefix("unix://") + suffix)


def is_there(path: Path) -> bool:
    """Whether anything is at the path."""
    return path.exists()


def content(path: Path) -> str | None:
    """The text of a file; None of a folder."""
    return None if path.is_dir() else path.read_text()


def is_socket(path: Path) -> bool:
    """Whether a socket is at the path."""
    return path.is_socket()


async def start_refused(*listen: str) -> ListenError:
    """The error a start must end with."""
    with pytest.raises(ListenError) as caught:
        await within(coordinator(*listen).start())
    return caught.value


@pytest.fixture
def unix(tmp_path: Path) -> str:
    """An address of a socket that does not exist."""
    return f"unix://{tmp_path}/bus.sock"


@pytest.fixture
def other_process(unix: str) -> Iterator[subprocess.Popen[str]]:
    """A coordinator in a process of its own, listening at `unix`."""
    command = [sys.executable, "-c", SERVE, unix]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "READY\n"
            yield process
        finally:
            process.kill()


async def test_tcp_and_unix_are_served_at_once(unix: str):
    async with coordinator("127.0.0.1:0", unix) as running:
        tcp, path = running.addresses
        assert path == unix
        assert not tcp.endswith(":0")
        for address in running.addresses:
            async with dial(address) as bus:
                await bus.publish(b"x")


async def test_the_socket_and_a_new_folder_are_their_owners_alone(tmp_path: Path):
    folder = tmp_path / "new" / "deeper"
    async with coordinator(f"unix://{folder}/bus.sock"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "bus.sock").stat().st_mode) == 0o600


async def test_a_second_server_on_the_same_port_is_refused_in_words():
    async with coordinator("127.0.0.1:0") as first:
        (address,) = first.addresses
        error = await start_refused(address)
        port = address.rpartition(":")[2]
        assert error.message == (
            f"cannot listen at {address}: Address already in use (port {port}); "
            "stop who has it, or choose another port"
        )
        async with dial(address) as bus:
            assert await bus.publish(b"the first goes on") == [0]


async def test_a_port_of_somebody_else_is_refused_in_words():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        error = await start_refused(f"127.0.0.1:{taken.getsockname()[1]}")
        assert "Address already in use" in error.message


async def test_a_second_server_on_the_same_socket_is_refused_in_words(unix: str):
    async with coordinator(unix):
        error = await start_refused(unix)
        assert error.message == (
            f"cannot listen at {unix}: another coordinator listens there; stop it, or choose another path"
        )
        async with dial(unix) as bus:
            assert await bus.publish(b"the first goes on") == [0]


async def test_a_second_server_in_another_process_is_refused(unix: str, other_process):
    error = await start_refused(unix)
    assert "another coordinator listens there" in error.message
    async with dial(unix) as bus:
        assert await bus.publish(b"the first goes on") == [0]


async def test_the_socket_of_a_killed_server_is_taken_over(unix: str, other_process):
    os.kill(other_process.pid, signal.SIGKILL)
    other_process.wait(10)
    assert is_socket(at(unix))
    async with coordinator(unix), dial(unix) as bus:
        assert await bus.publish(b"x") == [0]


async def test_a_stale_socket_without_a_lock_is_taken_over(unix: str):
    path = unix.removeprefix("unix://")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    async with coordinator(unix), dial(unix) as bus:
        assert await bus.publish(b"x") == [0]


async def test_a_stopped_server_leaves_its_address_free(unix: str):
    for _ in range(2):
        async with coordinator(unix, "127.0.0.1:0") as running:
            tcp = running.addresses[1]
        async with coordinator(tcp):
            pass
    assert not is_there(at(unix))
    assert not is_there(at(unix, ".lock"))


@pytest.mark.parametrize("kind", ["file", "folder"])
async def test_a_path_that_is_no_socket_is_refused_and_left_alone(tmp_path: Path, kind: str):
    path = tmp_path / "bus.sock"
    path.write_text("precious") if kind == "file" else path.mkdir()
    error = await start_refused(f"unix://{path}")
    assert "the path exists and is no socket; choose another path" in error.message
    assert content(path) == ("precious" if kind == "file" else None)
    assert not is_there(tmp_path / "bus.sock.lock")


async def test_a_folder_that_cannot_be_made_is_refused_in_words(tmp_path: Path):
    (tmp_path / "file").write_text("")
    error = await start_refused(f"unix://{tmp_path}/file/bus.sock")
    assert "Not a directory" in error.message or "File exists" in error.message
    assert str(tmp_path / "file") in error.message


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
async def test_a_folder_that_cannot_be_written_is_refused_in_words(tmp_path: Path):
    os.chmod(tmp_path, 0o500)
    error = await start_refused(f"unix://{tmp_path}/bus.sock")
    assert "Permission denied" in error.message


async def test_a_folder_not_even_root_can_write_is_refused_in_words():
    error = await start_refused("unix:///proc/bellwire/bus.sock")
    assert "cannot listen at unix:///proc/bellwire/bus.sock" in error.message
    assert "/proc/bellwire" in error.message


async def test_a_host_nobody_knows_is_refused_in_words():
    error = await start_refused("no-such-host.invalid:7400")
    assert "host 'no-such-host.invalid' is not known" in error.message


@pytest.mark.parametrize("text", ["", "7400", "unix://relative", "127.0.0.1:99999"])
async def test_what_is_no_address_is_refused(text: str):
    with pytest.raises(AddressError):
        await within(coordinator(text).start())


async def test_one_bad_address_of_two_leaves_the_good_one_free(unix: str):
    error = await start_refused(unix, "no-such-host.invalid:7400")
    assert "not known" in error.message
    async with coordinator(unix), dial(unix) as bus:
        assert await bus.publish(b"x") == [0]


async def test_of_many_that_start_together_one_gets_the_socket(unix: str):
    starting = [coordinator(unix) for _ in range(5)]
    results = await within(
        asyncio.gather(*(one.start() for one in starting), return_exceptions=True)
    )
    started = [one for one, result in zip(starting, results, strict=True) if result is None]
    assert len(started) == 1
    assert all(isinstance(result, ListenError) for result in results if result is not None)
    async with dial(unix) as bus:
        assert await bus.publish(b"x") == [0]
    await started[0].close()


def test_a_lock_file_removed_by_its_last_holder_is_not_taken_for_a_lock(tmp_path, monkeypatch):
    path = str(tmp_path / "bus.sock")
    real_flock = fcntl.flock
    removals = iter([os.unlink])

    def flock(fd: int, operation: int) -> None:
        for remove in removals:  # Between the opening and the locking, once.
            remove(f"{path}.lock")
        real_flock(fd, operation)

    monkeypatch.setattr("bellwire.coordinator.listen.fcntl.flock", flock)
    first, second = SocketLock(path), SocketLock(path)
    first.acquire()
    with pytest.raises(ListenError, match="another coordinator listens there"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()
