"""Coordinators of one group or of several on loopback, with a Kafka and a Redis of their own: `make cluster`.

For trying out what happens when an active one goes away; a coordinator that was killed is started again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from bellwire.testing.kafka import KafkaMissingError, running_kafka
from bellwire.testing.redis import RedisMissingError, running_redis

__all__ = ["main"]

MEMBERS: Final = 3
MEMBERS_OF_SEVERAL: Final = 2  # Of each group where there are several.
FIRST_PORT: Final = 7400
RESTART_SECONDS: Final = 2.0  # So that one that cannot start does not try without a pause.
STOP_SECONDS: Final = 15.0


@dataclass
class Group:
    """What all coordinators are started with, and what they have said.

    Attributes:
        name: Said with each role; empty = there is one group.
        arguments: Of `bellwire serve`.
        ports: Of 127.0.0.1, one for each.
        roles: By address.
    """

    name: str
    arguments: tuple[str, ...]
    ports: tuple[int, ...]
    roles: dict[str, str] = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=dict)
    is_stopping: bool = False

    async def run(self) -> None:
        """Keep all running until cancelled."""
        try:
            await asyncio.gather(*(self._keep(f"127.0.0.1:{port}") for port in self.ports))
        finally:
            self.is_stopping = True
            await asyncio.shield(self._stop())

    async def _keep(self, address: str) -> None:
        """Run one coordinator, again and again."""
        while not self.is_stopping:
            process = self.processes[address] = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bellwire.cli", "serve", "--json", "--listen", address),
                *self.arguments,
                stdout=PIPE,
                start_new_session=True,  # Ctrl-C is ours: all are stopped in order.
            )
            assert process.stdout is not None
            while line := await process.stdout.readline():
                self._hear(address, process.pid, line)
            status = await process.wait()
            self.roles.pop(address, None)
            if not self.is_stopping:
                print(f"{address} ended with status {status}; it is started again", flush=True)
                await asyncio.sleep(RESTART_SECONDS)

    def _hear(self, address: str, pid: int, line: bytes) -> None:
        event = json.loads(line)
        if event.get("event") != "role":
            return
        role = event["role"]
        if role != self.roles.get(address):
            self.roles[address] = role
            what = "ACTIVE" if role == "active" else role
            where = f" in group {self.name}" if self.name else ""
            print(f"{address} (pid {pid}) is {what}{where}", flush=True)

    async def _stop(self) -> None:
        for process in self.processes.values():
            with suppress(ProcessLookupError):
                process.terminate()
        for process in self.processes.values():
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


def groups_of(text: str, first_port: int, arguments: tuple[str, ...]) -> list[Group]:
    """Return the groups to run.

    Args:
        text: "NAME=TOPIC,… NAME=…": names and topics, no topics = all others; empty = one group of three.
        first_port: Of the first coordinator; the others follow.
        arguments: Of all coordinators.

    Raises:
        ValueError: The text cannot be read.
    """
    if not text.strip():
        return [Group("", arguments, tuple(range(first_port, first_port + MEMBERS)))]
    groups: list[Group] = []
    for word in text.split():
        name, equals, topics = word.partition("=")
        if not name or not equals:
            raise ValueError(
                f"{word!r} names no group: write NAME=TOPIC,… for each, NAME= for the one of all other topics"
            )
        own = ("--group", name, *(("--topics", topics) if topics else ()))
        first = first_port + len(groups) * MEMBERS_OF_SEVERAL
        groups.append(
            Group(name, (*arguments, *own), tuple(range(first, first + MEMBERS_OF_SEVERAL)))
        )
    return groups


async def _run(groups: list[Group]) -> None:
    await asyncio.gather(*(group.run() for group in groups))


def main(arguments: list[str]) -> int:
    """Run groups in the foreground; give the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bellwire.testing.cluster", description=__doc__)
    parser.add_argument("--port", type=int, default=FIRST_PORT, help="of the first coordinator")
    parser.add_argument(
        "--groups",
        default="",
        metavar="'NAME=TOPIC,… NAME='",
        help="several groups of two; the one without topics has all others",
    )
    options = parser.parse_args(arguments)
    try:
        groups_of(options.groups, options.port, ())
    except ValueError as error:
        parser.error(str(error))
    # As Ctrl-C: else what was started would be left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with running_kafka() as kafka, running_redis() as redis:
            wanted = ("--kafka", kafka.bootstrap, "--default-log", "kafka", "--redis", redis.url)
            groups = groups_of(options.groups, options.port, wanted)
            ports = [port for group in groups for port in group.ports]
            addresses = ",".join(f"127.0.0.1:{port}" for port in ports)
            print(f"Kafka {kafka.bootstrap}, Redis {redis.address}; Ctrl-C ends all of it")
            print(f"coordinators: {addresses}")
            print(f"try: bellwire tail '>' -a {addresses}", flush=True)
            asyncio.run(_run(groups))
    except (KafkaMissingError, RedisMissingError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    os.environ.pop("BELLWIRE_COORDINATOR__LISTEN", None)
    sys.exit(main(sys.argv[1:]))
