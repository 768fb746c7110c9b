"""Dispositions on their way to the coordinator: ranges, as few as possible."""

from __future__ import annotations

from typing import Final

from bellwire.bus.v1.subscriber_pb2 import (
    DISPOSITION_ACCEPT,
    DISPOSITION_RENEW,
    Disposition,
    Settle,
    Settlement,
)

RANGES_MAX: Final = 1_000  # In one frame, by contract.


class Settlements:
    """Gathers dispositions until it is time to send them.

    ACCEPT ranges that touch become one. They leave when the oldest has waited `linger_seconds`, when
    `urgent_messages` have gathered, and at once for anything but ACCEPT: somebody waits for that.

    Attributes:
        messages: Messages whose disposition waits.
        urgent: True when they should leave at once.
    """

    __slots__ = (
        "_accepted",
        "_linger_seconds",
        "_others",
        "_since",
        "_urgent_messages",
        "messages",
        "urgent",
    )

    def __init__(self, linger_seconds: float, urgent_messages: int) -> None:
        self._linger_seconds = linger_seconds
        self._urgent_messages = max(1, urgent_messages)
        self._accepted: list[list[int]] = []  # [first, last] tags, in the order they were settled
        self._others: list[Settlement] = []
        self._since = 0.0
        self.urgent = False
        self.messages = 0

    def add(
        self,
        first_tag: int,
        last_tag: int,
        disposition: Disposition.ValueType,
        delay_millis: int,
        reason: str,
        now: float,
    ) -> bool:
        """Take one disposition; True when the sender should look again."""
        first_of_tick = not self.messages
        if first_of_tick:
            self._since = now
        self.messages += last_tag - first_tag + 1
        if disposition == DISPOSITION_ACCEPT:
            accepted = self._accepted
            if accepted and accepted[-1][1] + 1 == first_tag:
                accepted[-1][1] = last_tag
            else:
                accepted.append([first_tag, last_tag])
        else:
            self._others.append(
                Settlement(
                    first_tag=first_tag,
                    last_tag=last_tag,
                    disposition=disposition,
                    delay_millis=delay_millis,
                    reason=reason,
                )
            )
            self.urgent = True
        if not self.urgent and self.messages >= self._urgent_messages:
            self.urgent = True
            return True
        return first_of_tick or bool(self._others)

    def due_at(self) -> float | None:
        """Return when they should leave; None when there are none."""
        if not self.messages:
            return None
        return self._since if self.urgent else self._since + self._linger_seconds

    def take(self) -> tuple[Settle, int]:
        """Return the next frame's worth and the messages it ends; at least one must be waiting."""
        self._merge()
        others, self._others = self._others[:RANGES_MAX], self._others[RANGES_MAX:]
        room = RANGES_MAX - len(others)
        accepted, self._accepted = self._accepted[:room], self._accepted[room:]
        settlements = others + [
            Settlement(first_tag=first, last_tag=last, disposition=DISPOSITION_ACCEPT)
            for first, last in accepted
        ]
        count = ended = 0
        for item in settlements:
            length = item.last_tag - item.first_tag + 1
            count += length
            ended += length if item.disposition != DISPOSITION_RENEW else 0
        self.messages -= count
        self.urgent = bool(self.messages)
        return Settle(settlements=settlements), ended

    def clear(self) -> None:
        """Forget everything: the lease has ended."""
        self._accepted.clear()
        self._others.clear()
        self.urgent = False
        self.messages = 0

    def _merge(self) -> None:
        """Join ranges that touch; dispositions may have come in any order."""
        if len(self._accepted) < 2:
            return
        merged: list[list[int]] = []
        for first, last in sorted(self._accepted):
            if merged and merged[-1][1] + 1 == first:
                merged[-1][1] = last
            else:
                merged.append([first, last])
        self._accepted = merged
