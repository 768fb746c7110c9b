"""Receive and print until the count is reached or Ctrl-C: the loop of `sub` and `tail`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bellwire.cli.output import Style, console, encodable, error_console, harmless, print_json
from bellwire.cli.record import LineWriter, Received, record_json
from bellwire.cli.session import Target, connected, run_async

if TYPE_CHECKING:
    from bellwire.bus.v1.subscriber_pb2 import StartPosition
    from bellwire.client import ReceivedMessage, SettleFailure, Subscription

__all__ = ["Following", "LinePrinter", "follow", "print_record"]


@dataclass(frozen=True, slots=True)
class Following:
    """What to receive, how to print it, and how it ends."""

    topics: tuple[str, ...]
    subscription: str
    start: StartPosition | None
    count: int | None  # None = until Ctrl-C
    form: Literal["line", "payload"]
    max_attempts: int = 0  # 0 = the server's default
    lease_seconds: float | None = None  # None = as long as the stream lives
    reject_reason: str | None = None  # None = accept


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
            start=following.start,
            window_messages=_window(following.count, target.client.subscribe.window_messages),
            max_attempts=following.max_attempts,
            lease_seconds=following.lease_seconds,
            settle="manual",
            on_settle_failure=_complain,
        )
        async with subscription:
            async for message in subscription:
                show(message)
                received += 1
                if received == following.count:
                    # Before room is made: what came now would count as tried.
                    await subscription.pause()
                await _settle(subscription, message, following.reject_reason)
                if received == following.count:
                    return


async def _settle(
    subscription: Subscription, message: ReceivedMessage, reject_reason: str | None
) -> None:
    if reject_reason is None:
        await subscription.accept(message)
    else:
        await subscription.reject(message, reason=reject_reason)


def _complain(failure: SettleFailure) -> None:
    """Say that a message was printed and will come again all the same."""
    error_console().print(
        f"not settled: {harmless(failure.error.message)}", style=Style.WARN, markup=False
    )


def _window(count: int | None, default: int) -> int:
    """Take no more than will be printed, so that a shared cursor does not run ahead."""
    return default if count is None else min(count, default)


def print_record(received: Received) -> None:
    """Print one delivery as a JSON line."""
    print_json(record_json(received))


def _printer(form: Literal["line", "payload"]) -> Callable[[Received], None]:
    return _print_payload if form == "payload" else LinePrinter()


class LinePrinter:
    """One decoded, aligned line per message."""

    def __init__(self) -> None:
        self._lines = LineWriter()
        self._console = console()
        self._is_terminal = self._console.is_terminal

    def __call__(self, received: Received) -> None:
        """Print one delivery."""
        line = self._lines.line(received)
        if not self._is_terminal:
            # A pipe has no width: cutting there would lose what grep looks for.
            sys.stdout.write(f"{line.plain}\n")
            sys.stdout.flush()
            return
        self._console.print(line)


def _print_payload(received: Received) -> None:
    """Print the payload itself: text as it is, known types as JSON, other bytes as hex."""
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
