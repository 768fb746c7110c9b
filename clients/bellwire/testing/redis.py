"""Redis servers on loopback, for tests: one of either kind that Bellwire uses, or a cluster of three.

Each is a process of its own with its own folder and password, apart from any Redis of this machine, and can be
killed, hung and started again under the same address::

    with running_redis(policy="allkeys-lru") as server:
        client = redis.asyncio.from_url(server.url)
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from random import SystemRandom
from typing import Final, Literal

from bellwire.testing._resp import ReplyError, ask

__all__ = [
    "EvictionPolicy",
    "RedisMissingError",
    "RunningRedis",
    "redis_binary",
    "running_redis",
    "running_redis_cluster",
]

EvictionPolicy = Literal["noeviction", "allkeys-lru"]
SEARCH_PATH_ADDED: Final = "/usr/sbin"  # Not on everybody's PATH.
READY_SECONDS: Final = 15.0
LOOK_SECONDS: Final = 1.0  # For one command to a server that may be starting.
STOP_SECONDS: Final = 10.0
POLL_SECONDS: Final = 0.02
LOG_CHARACTERS_MAX: Final = 2_000  # Of a log in an error.
MEMORY_BYTES: Final = 64 << 20
CLUSTER_NODES: Final = 3
CLUSTER_NODE_TIMEOUT_MILLIS: Final = 2_000
SLOTS: Final = 16_384
# Below what the kernel gives to outgoing connections: a client that tries to reach a killed server would
# otherwise, once in some thousand tries, be connected to itself and hold the port.
PORTS: Final = (10_000, 30_000)
PORT_TRIES_MAX: Final = 100


class RedisMissingError(Exception):
    """There is no Redis server to start, or it does not start; says why."""


def redis_binary() -> str:
    """Return the path of `redis-server`.

    Raises:
        RedisMissingError: It is not installed.
    """
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), SEARCH_PATH_ADDED))
    found = shutil.which("redis-server", path=path)
    if found is None:
        raise RedisMissingError(
            "redis-server is not installed (Debian: apt-get install redis-server)"
        )
    return found


class RunningRedis:
    """A server of this test, and its folder.

    `start`, `kill` and `stop` block for a fraction of a second; in an event loop that serves others they belong
    into `asyncio.to_thread`.

    Attributes:
        port: Of 127.0.0.1, the same after a restart.
        password: Of the default user; empty = none is asked for.
    """

    def __init__(
        self,
        folder: Path,
        *,
        policy: EvictionPolicy = "noeviction",
        memory_bytes: int = MEMORY_BYTES,
        password: str = "",
        appendonly: bool = False,
        cluster: bool = False,
    ) -> None:
        """Prepare a server; `start` starts it.

        Args:
            folder: Of its log and data; it must exist.
            policy: What it does when its memory is full.
            memory_bytes: Its memory.
            password: Asked of clients; empty = none.
            appendonly: Whether it keeps its data over `kill` and `start`, as fresh as the last second.
            cluster: Whether it is a node of a cluster; `running_redis_cluster` makes whole ones.
        """
        self._binary = redis_binary()
        self._log = folder / "redis.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()
        self.password = password
        self.cluster_port = _free_port() if cluster else 0
        self._options = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(folder),
            "maxmemory": str(memory_bytes),
            "maxmemory-policy": policy,
            "save": "",
            "appendonly": "yes" if appendonly else "no",
            **({"requirepass": password} if password else {}),
        }
        if cluster:
            self._options |= {
                "cluster-enabled": "yes",
                "cluster-port": str(self.cluster_port),
                "cluster-node-timeout": str(CLUSTER_NODE_TIMEOUT_MILLIS),
            }

    @property
    def address(self) -> str:
        """HOST:PORT of it."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """What clients are given; holds the password."""
        return f"redis://{f':{self.password}@' if self.password else ''}{self.address}"

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            RedisMissingError: It ends at once or does not answer; with the end of its log.
        """
        assert self._process is None, "it runs already"
        arguments = [part for key, value in self._options.items() for part in (f"--{key}", value)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([self._binary, *arguments], stdout=log, stderr=log)
        deadline = time.monotonic() + READY_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RedisMissingError(f"redis-server does not start: {self._tail()}")
            time.sleep(POLL_SECONDS)

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Shut it down in order, or with SIGKILL when that takes too long; does nothing when it does not run."""
        self._end(signal.SIGTERM)

    def hang(self) -> None:
        """Have it take connections and answer nobody, until `resume`."""
        assert self._process is not None, "it does not run"
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Have it answer again, also what it was asked while it hung."""
        assert self._process is not None, "it does not run"
        self._process.send_signal(signal.SIGCONT)

    def ask(self, *words: str) -> str:
        """Send one command and return the reply as text: to look at the server, not to load it.

        Raises:
            OSError: It does not answer.
        """
        return ask(self.port, *words, password=self.password, seconds=LOOK_SECONDS)

    def _answers(self) -> bool:
        try:
            return self.ask("PING") == "PONG"
        except (OSError, ReplyError):
            return False

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        process.send_signal(signal.SIGCONT)  # A process that hangs hears of SIGTERM only then.
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _tail(self) -> str:
        with suppress(OSError):
            said = self._log.read_text(errors="replace")[-LOG_CHARACTERS_MAX:].strip()
            return said or "it said nothing"
        return "it left no log"


@contextmanager
def running_redis(
    *,
    policy: EvictionPolicy = "noeviction",
    memory_bytes: int = MEMORY_BYTES,
    password: str = "",
    appendonly: bool = False,
) -> Iterator[RunningRedis]:
    """Run one server until the block ends; its folder goes with it. For the arguments see `RunningRedis`.

    Raises:
        RedisMissingError: It is not installed, or does not start.
    """
    with tempfile.TemporaryDirectory(prefix="bellwire-redis-") as folder:
        server = RunningRedis(
            Path(folder),
            policy=policy,
            memory_bytes=memory_bytes,
            password=password,
            appendonly=appendonly,
        )
        try:
            server.start()
            yield server
        finally:
            server.stop()


@contextmanager
def running_redis_cluster(
    *, policy: EvictionPolicy = "allkeys-lru", password: str = ""
) -> Iterator[list[RunningRedis]]:
    """Run a cluster of three nodes without replicas until the block ends; any of them is asked first.

    Raises:
        RedisMissingError: Redis is not installed, or does not become a cluster.
    """
    with tempfile.TemporaryDirectory(prefix="bellwire-redis-") as folder:
        nodes: list[RunningRedis] = []
        try:
            for index in range(CLUSTER_NODES):
                own = Path(folder) / str(index)
                own.mkdir()
                nodes.append(RunningRedis(own, policy=policy, password=password, cluster=True))
                nodes[-1].start()
            _join(nodes)
            yield nodes
        finally:
            for node in nodes:
                node.stop()


def _join(nodes: Sequence[RunningRedis]) -> None:
    """Deal the slots out, introduce the nodes to the first, and wait until all agree."""
    share = -(-SLOTS // len(nodes))
    for index, node in enumerate(nodes):
        first, last = index * share, min(SLOTS, (index + 1) * share) - 1
        node.ask("CLUSTER", "SET-CONFIG-EPOCH", str(index + 1))
        node.ask("CLUSTER", "ADDSLOTSRANGE", str(first), str(last))
    for node in nodes[1:]:
        bus = (str(nodes[0].port), str(nodes[0].cluster_port))
        node.ask("CLUSTER", "MEET", "127.0.0.1", *bus)
    deadline = time.monotonic() + READY_SECONDS
    while not all(_agrees(node, len(nodes)) for node in nodes):
        if time.monotonic() > deadline:
            said = nodes[0].ask("CLUSTER", "INFO")[:LOG_CHARACTERS_MAX]
            raise RedisMissingError(f"{len(nodes)} nodes do not become a cluster: {said}")
        time.sleep(POLL_SECONDS)


def _agrees(node: RunningRedis, count: int) -> bool:
    told = node.ask("CLUSTER", "INFO").split()
    return {"cluster_state:ok", f"cluster_known_nodes:{count}", f"cluster_slots_ok:{SLOTS}"} <= {
        *told
    }


def _free_port() -> int:
    random = SystemRandom()
    for _ in range(PORT_TRIES_MAX):
        port = random.randrange(*PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RedisMissingError(f"no port of 127.0.0.1 is free among {PORT_TRIES_MAX} tried")
