"""What becomes of deliveries that were not accepted: they come again, or are given up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Protocol

from bellwire.admin.v1.dead_letter_pb2 import DEAD_LETTER_CAUSE_MAX_ATTEMPTS, DeadLetterCause
from bellwire.coordinator.core.cursor import Cursor
from bellwire.coordinator.core.flight import Handout
from bellwire.coordinator.core.part import Run
from bellwire.wire.errors import BellwireError


class Graveyard(Protocol):
    """Where messages go that are given up."""

    def check_open(self) -> None:
        """Refuse what could not be kept.

        Raises:
            StoreReadOnlyError: The store is in doubt.
        """

    def bury(
        self,
        handout: Handout,
        first: int,
        last: int,
        cause: DeadLetterCause.ValueType,
        reason: str,
        undo: Callable[[int, int], None],
    ) -> None:
        """Keep messages `first..last` (indexes into the entry); `undo` is called for those that were not kept."""


class Redelivery:
    """Brings messages back to their cursors, or to the graveyard.

    Args:
        has_name: Whether the subscription has; of one without, what is given up is only counted.
        max_attempts: Failures after which a message is given up; 0 = never.
        graveyard: Where it goes; None = nothing is given up.
        on_ready: Told of each cursor that has something to deliver again.

    Attributes:
        dead_lettered: Messages given up, by topic.
    """

    def __init__(
        self,
        *,
        has_name: bool,
        max_attempts: int,
        graveyard: Graveyard | None,
        on_ready: Callable[[Cursor], None],
    ) -> None:
        self._has_name = has_name
        self._max_attempts = max_attempts
        self._graveyard = graveyard
        self._on_ready = on_ready
        self.dead_lettered: Counter[str] = Counter()

    def check_open(self) -> None:
        """Refuse to give up what could not be kept.

        Raises:
            StoreReadOnlyError: The store is in doubt.
        """
        if self._graveyard is not None:
            self._graveyard.check_open()

    def bring_back(
        self,
        handout: Handout,
        first: int,
        last: int,
        *,
        failed: bool,
        lost_by: str = "",
        not_before: float = 0.0,
    ) -> None:
        """Have messages delivered again, or give them up when they have failed too often."""
        if not handout.is_current:
            return
        failures = handout.failures + failed
        if failed and 0 < self._max_attempts <= failures and self._can_bury():
            reason = f"not accepted in {failures} attempts"
            self.bury(handout, first, last, DEAD_LETTER_CAUSE_MAX_ATTEMPTS, reason)
            return
        suspect = handout.suspect + bool(lost_by)
        self._release(handout, first, last, failures, suspect, not_before, lost_by)

    def _release(
        self,
        handout: Handout,
        first: int,
        last: int,
        failures: int,
        suspect: int = 0,
        not_before: float = 0.0,
        lost_by: str = "",
    ) -> None:
        base, cursor = handout.entry.base_offset, handout.cursor
        cursor.release(
            Run(
                base + first,
                base + last,
                handout.attempt + 1,
                failures,
                suspect,
                not_before,
                # Where the log holds it for this cursor memory need not: releases may be delayed for minutes.
                None if cursor.is_durable else handout.entry,
                lost_by,
            )
        )
        self._on_ready(cursor)

    def _can_bury(self) -> bool:
        if self._graveyard is None:
            return False
        try:
            self._graveyard.check_open()
        except BellwireError:
            return False
        return True

    def bury(
        self,
        handout: Handout,
        first: int,
        last: int,
        cause: DeadLetterCause.ValueType,
        reason: str,
    ) -> None:
        """Give messages up; the dead letters and the cursor travel in one group.

        Those of an ephemeral subscription are only counted: there is nobody to redrive them for.
        """
        if self._graveyard is None or not handout.is_current:
            return
        if not self._has_name:
            handout.cursor.count_dropped(last - first, "rejected")
            return
        topic = handout.cursor.partition.topic.name

        def undo(first: int, last: int) -> None:
            self.dead_lettered[topic] -= last - first
            if handout.is_current:
                self._release(handout, first, last, handout.failures, handout.suspect)

        self.dead_lettered[topic] += last - first
        self._graveyard.bury(handout, first, last, cause, reason, undo)
        handout.cursor.mark()
