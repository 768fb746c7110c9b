"""A consumer that a poison message kills with SIGKILL, each time; all others it accepts and records."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from pathlib import Path
from typing import Final

from tests.crash.patience import PATIENT
from tests.crash.recording import Recorder

from bellwire.bus.v1.subscriber_pb2 import Ordering
from bellwire.client import connect

POISON: Final = b"poison"
"""How the payload of a message begins that kills."""


async def run(arguments: argparse.Namespace) -> None:
    """Consume until killed."""
    recorder = Recorder(arguments.record)
    async with (
        connect(arguments.address, PATIENT) as client,
        client.subscribe(
            arguments.topic,
            subscription=arguments.subscription,
            settle="manual",
            ordering=Ordering.Value(f"ORDERING_{arguments.ordering}"),
        ) as opened,
    ):
        async for message in opened:
            if message.data.startswith(POISON):
                recorder.note("poisoned", data=message.data.decode(), attempt=message.attempt)
                os.kill(os.getpid(), signal.SIGKILL)
            recorder.note("done", data=message.data.decode(), attempt=message.attempt)
            await opened.accept(message)


def arguments() -> argparse.ArgumentParser:
    """Return what the process may be told."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", required=True)
    parser.add_argument("--record", required=True, type=Path)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--subscription", required=True)
    parser.add_argument("--ordering", choices=("PARTITION", "NONE"), default="PARTITION")
    return parser


if __name__ == "__main__":
    asyncio.run(run(arguments().parse_args()))
