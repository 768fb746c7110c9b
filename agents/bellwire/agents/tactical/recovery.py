"""The memory of series, rebuilt from what the log still has: bars, and the agent's own signals.

As Kafka Streams restores a task's state from its changelog before it handles the first record. The log of
signals is the changelog of the positions; features are computed from the bars again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias, TypeVar

from google.protobuf.message import DecodeError
from google.protobuf.message import Message as ProtoMessage

from bellwire.agents.tactical.series import Series
from bellwire.bus.v1.message_pb2 import Message
from bellwire.trading.v1.market_data_pb2 import Bar
from bellwire.trading.v1.signal_pb2 import Signal
from bellwire.wire.errors import BellwireError

SignalLog: TypeAlias = Mapping[tuple[str, str], Sequence[Signal]]
"""Signals by symbol and strategy, its interval included; each by decision time."""
NOTHING: Final[Sequence[Signal]] = ()
_Payload = TypeVar("_Payload", bound=ProtoMessage)


def read_signals(messages: Iterable[Message], strategy: str) -> SignalLog:
    """Return the signals of a strategy, in whatever interval.

    A bar that was delivered twice may have had its signal published twice: the first one counts, as it
    does for the risk gateway.
    """
    found: dict[tuple[str, str], dict[int, Signal]] = {}
    for signal in decoded(messages, Signal):
        if signal.strategy_id.startswith(f"{strategy}-"):
            by_time = found.setdefault((signal.symbol, signal.strategy_id), {})
            by_time.setdefault(signal.decision_time_unix_nano, signal)
    return {key: [by_time[time] for time in sorted(by_time)] for key, by_time in found.items()}


def replay_bar(
    bar: Bar, series: dict[tuple[str, str], Series], begin: Callable[[str, str], Series]
) -> None:
    """Take a bar of before the start: nothing is decided, what was decided then is gone by.

    Bars that no feature could be computed from then are passed by again.
    """
    key = bar.symbol, bar.interval
    known = series.get(key) or begin(*key)
    if bar.close_time_unix_nano <= known.newest_close:
        return
    try:
        known.push(bar)
    except (BellwireError, ValueError):
        return
    series[key] = known
    known.settle(known.take_logged(bar.close_time_unix_nano))


def decoded(messages: Iterable[Message], kind: type[_Payload]) -> Iterator[_Payload]:
    """Yield the payloads of one type; others, and what only claims to be of it, are passed by."""
    name = kind.DESCRIPTOR.full_name
    for message in messages:
        if message.type == name:
            try:
                yield kind.FromString(message.data)
            except DecodeError:
                continue
