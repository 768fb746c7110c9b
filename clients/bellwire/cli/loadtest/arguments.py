"""From what the command line said to the plan of a load test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bellwire.bus.v1.subscriber_pb2 import OverflowPolicy
from bellwire.cli.faults import UsageFault
from bellwire.cli.loadtest.ack import LoadAck
from bellwire.cli.loadtest.levels import parse_rate, parse_seconds, parse_tps
from bellwire.cli.loadtest.limits import parse_limits, parse_size
from bellwire.cli.loadtest.plan import Level, LoadPlan, Recording
from bellwire.cli.loadtest.recording_file import offsets_of, read_recording
from bellwire.cli.loadtest.settings import LoadTestSettings
from bellwire.cli.loadtest.stamp import STAMP_BYTES
from bellwire.cli.settings import Request, load_settings
from bellwire.cli.topic_words import Overflow, overflow_policy
from bellwire.client import ClientSettings
from bellwire.transport.address import AddressError, parse_address

__all__ = ["LoadArguments", "plan_load"]

SECONDS_DEFAULT: Final = "30"
TPS_DEFAULT: Final = "1000"
PAYLOAD_BYTES_MAX: Final = 512 << 10  # The coordinator's default for one message.
NANOSECONDS_PER_SECOND: Final = 1e9


@dataclass(frozen=True, slots=True)
class LoadArguments:
    """What the command line said."""

    tps: str | None
    seconds: str | None
    publishers: int
    subscribers: int
    size: str
    ack: LoadAck
    topic: str | None
    partitions: int
    overflow: Overflow | None
    limits: str | None
    replay: Path | None
    rate: str | None
    soak: str | None
    server: str | None
    data: Path | None
    config: Path | None
    assignments: Sequence[str]


def plan_load(arguments: LoadArguments) -> LoadPlan:
    """Return the plan.

    Raises:
        UsageFault, ConfigError: What was asked for cannot be.
    """
    _check_together(arguments)
    tree = load_settings(
        Request(
            config=arguments.config,
            assignments=arguments.assignments,
            sections=("command", "client", "loadtest"),
        )
    )
    settings = tree.of(LoadTestSettings)
    levels, recording = _levels(arguments, settings)
    return LoadPlan(
        levels=levels,
        publishers=arguments.publishers,
        subscribers=arguments.subscribers,
        payload_bytes=_payload_bytes(arguments.size),
        ack_level=f"ACK_LEVEL_{arguments.ack.name}",
        overflow_policy=OverflowPolicy.Name(overflow_policy(arguments.overflow)),
        topic=arguments.topic,
        partitions=arguments.partitions,
        limits=parse_limits(arguments.limits),
        settings=settings,
        client=tree.of(ClientSettings),
        server=_server(arguments.server),
        data=arguments.data,
        recording=recording,
        is_soak=arguments.soak is not None,
        config=arguments.config,
        assignments=arguments.assignments,
    )


def _check_together(arguments: LoadArguments) -> None:
    """Refuse options that contradict each other.

    Raises:
        UsageFault: Naming both.
    """
    replays, soaks = arguments.replay is not None, arguments.soak is not None
    wrong = (
        (replays and arguments.tps is not None, "--replay has a pace of its own: use --rate, not --tps"),
        (replays and soaks, "--replay ends with its recording: it does not go with --soak"),
        (not replays and arguments.rate is not None, "--rate is for a recording: give --replay FILE, or --tps"),
        (soaks and arguments.seconds is not None, "--soak is the length of the level: leave --seconds out"),
        (
            arguments.server is not None and arguments.data is not None,
            "--data is for a coordinator of its own: it does not go with --server",
        ),
    )  # fmt: skip
    for is_wrong, text in wrong:
        if is_wrong:
            raise UsageFault(text)


def _levels(
    arguments: LoadArguments, settings: LoadTestSettings
) -> tuple[tuple[Level, ...], Recording | None]:
    if arguments.replay is not None:
        level, recording = _recorded_level(arguments, arguments.replay, settings)
        return (level,), recording
    rates = parse_tps(arguments.tps or TPS_DEFAULT)
    if arguments.soak is not None:
        seconds = parse_seconds(arguments.soak, "--soak")
        if len(rates) > 1:
            raise UsageFault(f"--soak takes one level; --tps has {len(rates)}")
    else:
        seconds = parse_seconds(arguments.seconds or SECONDS_DEFAULT, "--seconds")
    warm_up = settings.warm_up_seconds
    return tuple(
        Level(number, tps, seconds, max(1, round(tps * (warm_up + seconds))), warm_up)
        for number, tps in enumerate(rates)
    ), None


def _recorded_level(
    arguments: LoadArguments, path: Path, settings: LoadTestSettings
) -> tuple[Level, Recording]:
    rate = parse_rate(arguments.rate or "1x")
    messages = read_recording(path, settings.replay_messages_max)
    offsets_ns = offsets_of(messages, messages[0].time_ns)
    if arguments.seconds is not None:
        most_ns = parse_seconds(arguments.seconds, "--seconds") * rate * NANOSECONDS_PER_SECOND
        offsets_ns = [offset for offset in offsets_ns if offset <= most_ns]
    count = len(offsets_ns)
    seconds = offsets_ns[-1] / rate / NANOSECONDS_PER_SECOND
    # A recording of one moment has no pace: all of it is offered within a millisecond.
    seconds = max(seconds, 0.001)
    return Level(0, count / seconds, seconds, count, 0.0, rate), Recording(path, count)


def _payload_bytes(text: str) -> int:
    size = parse_size(text, "--size")
    if not STAMP_BYTES <= size <= PAYLOAD_BYTES_MAX:
        raise UsageFault(
            f"--size is {text!r}; expected {STAMP_BYTES} to {PAYLOAD_BYTES_MAX} bytes: "
            f"{STAMP_BYTES} hold number and time of the message"
        )
    return size


def _server(text: str | None) -> str | None:
    if text is not None:
        try:
            parse_address(text)
        except AddressError as error:
            raise UsageFault(f"--server: {error.message}") from None
    return text
