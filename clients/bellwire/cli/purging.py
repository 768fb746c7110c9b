"""Purge dead letters: count, ask, delete."""

from __future__ import annotations

from bellwire.cli.asking import check_somebody_is_there, confirm
from bellwire.cli.dead_letter_choice import Chosen
from bellwire.cli.output import Style, console, print_json
from bellwire.cli.session import Target, connected, run_async
from bellwire.cli.units import counted_text

__all__ = ["purge_all"]


def purge_all(target: Target, chosen: Chosen, *, dry_run: bool, sure: bool, as_json: bool) -> None:
    """Delete what was chosen and print how many.

    Raises:
        UsageFault: Nobody is there to be asked, and `sure` was not given.
        CommandError: The answer was no.
    """
    if not (dry_run or sure):
        check_somebody_is_there(", or --dry-run to count")
        found = run_async(lambda: _purge(target, chosen, dry_run=True))
        if found:
            confirm(f"{counted_text(found, 'dead letter')} {chosen.words}")
    messages = run_async(lambda: _purge(target, chosen, dry_run=dry_run))
    if as_json:
        print_json({"topic": chosen.topic, "dry_run": dry_run, "messages": messages})
        return
    verb = "would delete" if dry_run else "deleted"
    console().print(
        f"{verb} {counted_text(messages, 'dead letter')} {chosen.words}",
        style=None if messages else Style.FAINT,
        markup=False,
        soft_wrap=True,
    )


async def _purge(target: Target, chosen: Chosen, *, dry_run: bool) -> int:
    async with connected(target) as client:
        response = await client.admin.purge(chosen.topic, chosen.filter, dry_run=dry_run)
    return response.messages
