"""Binds addresses so that a second server on the same one is refused, in clear words."""

from __future__ import annotations

import fcntl
import os
import socket
from errno import EAGAIN
from pathlib import Path
from typing import Final

import grpc

from bellwire.transport.address import Address, parse_address
from bellwire.wire.errors import CallerError, StatusCode

LOCK_ATTEMPTS_MAX: Final = 10  # Each needs another server to have stopped in just that moment.
FOLDER_MODE: Final = 0o700  # Whoever reaches the socket may trade: only its owner may.


class ListenError(CallerError):
    """The address cannot be listened at."""

    reason = "LISTEN_FAILED"
    code = StatusCode.FAILED_PRECONDITION

    def __init__(self, address: str, why: str) -> None:
        """Name the address and the cause."""
        self.address = address
        super().__init__(f"cannot listen at {address}: {why}", metadata={"address": address})


class SocketLock:
    """Holds a Unix socket path for this process.

    gRPC unlinks whatever stands at the path before it binds, and would silently take the path of a
    running server; a locked file beside the socket tells who is alive, and the lock ends with its holder.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(f"{path}.lock")
        self._socket = Path(path)
        self._fd = -1

    def acquire(self) -> None:
        """Take the path.

        Raises:
            ListenError: The folder cannot be made or written, the path is no socket, or it is taken.
        """
        address = f"unix://{self._socket}"
        try:
            self._socket.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            self._fd = self._locked_file()
        except BlockingIOError:
            raise ListenError(
                address, "another coordinator listens there; stop it, or choose another path"
            ) from None
        except OSError as error:
            raise ListenError(address, f"{error.strerror} ({error.filename})") from None
        if self._socket.exists() and not self._socket.is_socket():
            self.release()
            raise ListenError(address, "the path exists and is no socket; choose another path")

    def _locked_file(self) -> int:
        """Return the lock file, opened and locked.

        Its last holder may remove it between our opening and our locking it; such a lock would keep
        nobody out, so whoever holds one that is not at the path any more takes the next.
        """
        for _ in range(LOCK_ATTEMPTS_MAX):
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(fd), os.stat(self._path)):
                    return fd
            except FileNotFoundError:
                pass
            except OSError:
                os.close(fd)
                raise
            os.close(fd)
        raise BlockingIOError(EAGAIN, "the lock file is removed again and again", str(self._path))

    def release(self) -> None:
        """Give the path up and remove both files."""
        if self._fd >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = -1


def bind(server: grpc.aio.Server, text: str, locks: list[SocketLock]) -> str:
    """Bind one address and return it as it is reached: port 0 becomes the port chosen.

    Raises:
        AddressError: The text is no address.
        ListenError: It cannot be listened at.
    """
    address = parse_address(text)
    if address.is_unix:
        lock = SocketLock(address.path)
        lock.acquire()
        locks.append(lock)
    else:
        _check_free(address)
    try:
        port = server.add_insecure_port(address.target)
    except RuntimeError as error:
        raise ListenError(text, str(error)) from None
    if port == 0:
        raise ListenError(text, "gRPC could not bind it")
    if address.is_unix:
        os.chmod(address.path, 0o600)
        return text
    return str(Address(host=address.host, port=port))


def _check_free(address: Address) -> None:
    """Try the port ourselves first: gRPC's own error does not say why."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except OSError as error:
            why = error.strerror or str(error)
            if isinstance(error, socket.gaierror):
                why = f"host {address.host!r} is not known"
            elif address.port:
                why = f"{why} (port {address.port}); stop who has it, or choose another port"
            raise ListenError(str(address), why) from None
