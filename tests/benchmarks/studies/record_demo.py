"""Plays the demo and keeps what went over its bus: `python -m tests.benchmarks.studies.record_demo FILE BARS`."""

import asyncio
import json
import sys
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Iterable
from pathlib import Path

from bellwire.bus.v1.message_pb2 import Message
from bellwire.cli.demo.json_size import message_json
from bellwire.cli.demo.market_data import choose_market_data
from bellwire.cli.demo.plan import DemoOptions, DemoPlan
from bellwire.cli.demo.progress import PlayProgress
from bellwire.cli.demo.recording import Recorded
from bellwire.cli.demo.run import _play
from bellwire.cli.demo.run_directory import new_run
from bellwire.cli.payload import protobuf_of
from bellwire.cli.settings import load_settings


def record_demo(bars: int) -> list[Recorded]:
    """Play so many bars in lockstep; give bars, watermarks, signals, decisions, orders and executions.

    They stand as the recorder got them, so that topics alternate as they did in time.
    """
    options = DemoOptions(lockstep=True, seed=0, config=None, assignments=())
    data = choose_market_data(None, None, bars)
    with tempfile.TemporaryDirectory(prefix="demo-") as folder, PlayProgress(data.bars) as progress:
        plan = DemoPlan(data, new_run(Path(folder)), options, load_settings())
        return asyncio.run(_play(plan, progress)).recording.messages


def write_recording(path: Path, messages: Iterable[Recorded]) -> None:
    """Write one line of JSON for each message: its topic, itself, and what it is as a REST body."""
    with path.open("w") as file:
        for recorded in messages:
            line = {
                "topic": recorded.topic,
                "message": b64encode(recorded.message.SerializeToString()).decode(),
                "json": message_json(recorded).decode(),
            }
            file.write(json.dumps(line) + "\n")


def read_messages(path: Path) -> list[tuple[str, Message]]:
    """Give (topic, message) in the order recorded."""
    return [
        (line["topic"], Message.FromString(b64decode(line["message"])))
        for line in map(json.loads, path.read_text().splitlines())
    ]


def read_json(path: Path) -> list[tuple[str, bytes]]:
    """Give (topic, body of a REST request) in the order recorded."""
    return [
        (line["topic"], line["json"].encode())
        for line in map(json.loads, path.read_text().splitlines())
    ]


def message_of(recorded_topic: str, message: Message) -> Recorded:
    """Make a recorded message of one that was not recorded; for tests."""
    return Recorded(recorded_topic, 0, 0, message, protobuf_of(message.type, message.data))


if __name__ == "__main__":
    write_recording(Path(sys.argv[1]), record_demo(int(sys.argv[2])))
