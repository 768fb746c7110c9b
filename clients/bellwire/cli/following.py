"""Receive and print until the count is reached or Ctrl-C: the loop of `sub` and `tail`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bellwire.cli.output import console, encodable, print_json
from bellwire.cli.record import LineWriter, Received, record_json
from bellwire.cli.session import Target, connected, run_async

if TYPE_CHECKING:
    from bellwire.bus.v1.subscriber_pb2 import StartPosition
    from bellwire.cli.sub import Begin

__all__ = ["Following", "follow"]


@dataclass(frozen=True, slots=True)
class Following:
    """What to receive and how to print it."""

    topics: tuple[str, ...]
    subscription: str
    begin: Begin | None
    count: int | None  # None = until Ctrl-C
    form: Literal["line", "payload"]


def follow(target: Target, following: Following, *, as_json: bool) -> None:
    """Print messages as they come; Ctrl-C is the usual end when no count was asked for."""
    try:
        run_async(lambda: _follow(target, following, as_json))
    except KeyboardInterrupt:
        if following.count is not None:
            raise


async def _follow(target: Target, following: Following, as_json: bool) -> None:
    show = print_record if as_json else _printer(following.form)
    received = 0
    async with connected(target) as client:
        subscription = client.subscribe(
            *following.topics,
            subscription=following.subscription,
            start=_start(following.begin),
            window_messages=_window(following.count, target.client.subscribe.window_messages),
            settle="manual",
        )
        async with subscription:
            async for message in subscription:
                show(message)
                await subscription.accept(message)
                received += 1
                if received == following.count:
                    return


def _window(count: int | None, default: int) -> int:
    """Take no more than will be printed, so that a shared cursor does not run ahead."""
    return default if count is None else min(count, default)


def _start(begin: Begin | None) -> StartPosition | None:
    from bellwire.client.start import EARLIEST, LATEST

    return None if begin is None else {"earliest": EARLIEST, "latest": LATEST}[begin.value]


def print_record(received: Received) -> None:
    """Print one delivery as a JSON line."""
    print_json(record_json(received))


def _printer(form: Literal["line", "payload"]) -> _Printer:
    return _PayloadPrinter() if form == "payload" else _LinePrinter()


class _LinePrinter:
    """One decoded, aligned line per message."""

    def __init__(self) -> None:
        self._lines = LineWriter()
        self._console = console()
        self._is_terminal = self._console.is_terminal

    def __call__(self, received: Received) -> None:
        line = self._lines.line(received)
        if not self._is_terminal:
            # A pipe has no width: cutting there would lose what grep looks for.
            sys.stdout.write(f"{line.plain}\n")
            sys.stdout.flush()
            return
        self._console.print(line)


class _PayloadPrinter:
    """The payload itself: text as it is, known types as JSON, other bytes as hex."""

    def __call__(self, received: Received) -> None:
        import json

        from bellwire.cli.payload import decode_payload

        payload = decode_payload(received.message.type, received.message.data)
        if payload.kind in ("protobuf", "json"):
            text = json.dumps(payload.value, ensure_ascii=False)
        elif payload.kind == "binary":
            text = payload.value.hex()
        else:
            text = payload.value or ""
        sys.stdout.write(f"{encodable(text)}\n")
        sys.stdout.flush()


_Printer = _LinePrinter | _PayloadPrinter
