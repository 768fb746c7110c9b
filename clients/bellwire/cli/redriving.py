"""Redrive dead letters, and say how far it came even when it ends early."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from bellwire.admin.v1.dead_letter_pb2 import RedriveDeadLettersResponse
from bellwire.cli.dead_letter_choice import Chosen
from bellwire.cli.faults import CommandError
from bellwire.cli.output import Style, console, error_console, print_json
from bellwire.cli.session import Target, connected
from bellwire.cli.units import count_text, counted_text
from bellwire.wire.errors import BellwireError

if TYPE_CHECKING:
    from bellwire.client import Client

__all__ = ["count_within", "range_texts", "redrive_all"]

RANGES_SHOWN_MAX: Final = 10  # What a person reads; --json has all.


class _Progress:
    """The totals so far; kept here because an error brings none."""

    def __init__(self) -> None:
        self.totals = RedriveDeadLettersResponse()

    def __call__(self, totals: RedriveDeadLettersResponse) -> None:
        """Take the totals after a page."""
        self.totals = totals

    @property
    def text(self) -> str:
        """Say how far it came."""
        redriven = counted_text(self.totals.messages, "dead letter")
        return f"{redriven} redriven, {count_text(self.totals.remaining_messages)} remain"


async def redrive_all(
    target: Target, chosen: Chosen, limit: int | None, *, dry_run: bool, as_json: bool
) -> None:
    """Redrive what was chosen and print how many, and how many remain.

    Raises:
        CommandError: It ended early; the text says how far it came.
    """
    async with connected(target) as client:
        if dry_run:
            answer = await client.admin.redrive(chosen.topic, chosen.filter, dry_run=True)
            done = count_within(answer, limit)
        else:
            done = await _redrive(client, chosen, limit)
    if as_json:
        print_json(_json(chosen, done, dry_run=dry_run))
    else:
        _print(chosen, done, dry_run=dry_run)


def count_within(
    answer: RedriveDeadLettersResponse, limit: int | None
) -> RedriveDeadLettersResponse:
    """Return what a redrive up to `limit` would do, of the answer to a dry run of its first page."""
    total = answer.messages + answer.remaining_messages
    messages = total if limit is None else min(total, limit)
    return RedriveDeadLettersResponse(messages=messages, remaining_messages=total - messages)


async def _redrive(client: Client, chosen: Chosen, limit: int | None) -> RedriveDeadLettersResponse:
    progress = _Progress()
    try:
        with _shown(progress) as on_progress:
            return await client.admin.redrive_all(
                chosen.topic, chosen.filter, limit=limit, on_progress=on_progress
            )
    except BellwireError as error:
        if not progress.totals.messages:
            raise
        raise CommandError(f"{error.message} (until then: {progress.text})") from error


@contextmanager
def _shown(progress: _Progress) -> Iterator[Callable[[RedriveDeadLettersResponse], None]]:
    """Give what takes the totals after each page, and shows them where a person looks."""
    out = error_console()
    if not out.is_terminal:
        yield progress
        return
    with out.status("redriving") as status:

        def tell(totals: RedriveDeadLettersResponse) -> None:
            progress(totals)
            status.update(progress.text)

        yield tell


def _json(chosen: Chosen, done: RedriveDeadLettersResponse, *, dry_run: bool) -> dict[str, object]:
    return {
        "topic": chosen.topic,
        "dry_run": dry_run,
        "messages": done.messages,
        "remaining_messages": done.remaining_messages,
        "positions": [
            {
                "topic": range_.topic,
                "partition": range_.partition,
                "first_offset": range_.first_offset,
                "last_offset": range_.last_offset,
            }
            for range_ in done.positions
        ],
    }


def _print(chosen: Chosen, done: RedriveDeadLettersResponse, *, dry_run: bool) -> None:
    out = console()
    if not (done.messages or done.remaining_messages):
        out.print(f"no dead letters {chosen.words}", style=Style.FAINT, markup=False)
        return
    verb = "would redrive" if dry_run else "redriven:"
    letters = counted_text(done.messages, "dead letter")
    out.print(f"{verb} {letters} {chosen.words}", markup=False, soft_wrap=True)
    for text in range_texts(done):
        out.print(f"    {text}", style=Style.NAME, markup=False, soft_wrap=True)
    if done.remaining_messages:
        out.print(f"{count_text(done.remaining_messages)} remain", style=Style.WARN)


def range_texts(done: RedriveDeadLettersResponse) -> list[str]:
    """Return where the messages are now, as far as a person reads it."""
    texts = [
        f"{range_.topic}/{range_.partition}@{range_.first_offset}"
        + (f"..{range_.last_offset}" if range_.last_offset > range_.first_offset else "")
        for range_ in done.positions[:RANGES_SHOWN_MAX]
    ]
    hidden = len(done.positions) - len(texts)
    return [*texts, f"and {counted_text(hidden, 'range')} more"] if hidden else texts
