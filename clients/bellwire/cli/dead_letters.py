"""`bellwire dead-letters`: what was given up, and what becomes of it."""

from __future__ import annotations

from typing import Annotated

import typer

from bellwire.cli.options import AddressOption, ConfigOption, JsonOption, SetOption, YesOption

__all__ = ["app"]

app = typer.Typer(
    help="Look into messages that were given up, redrive or purge them.", no_args_is_help=True
)

TopicArgument = Annotated[str, typer.Argument(metavar="TOPIC", help="Topic they came from.")]
SubscriptionOption = Annotated[
    str,
    typer.Option("--subscription", "-s", metavar="NAME", help="Only those this one gave up."),
]
ReasonOption = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Only those whose reason contains this.")
]
KeyOption = Annotated[str, typer.Option("--key", "-k", help="Only those with this message key.")]
BeforeOption = Annotated[
    str | None,
    typer.Option("--before", metavar="TIME", help="Only those given up before: a time, or -1h."),
]
IdOption = Annotated[
    list[int] | None, typer.Option("--id", min=1, help="Only this one; may be repeated.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Count them and change nothing.")]


@app.command("list")
def list_letters(
    topic: TopicArgument,
    subscription: SubscriptionOption = "",
    reason: ReasonOption = "",
    key: KeyOption = "",
    before: BeforeOption = None,
    ids: IdOption = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="Show at most so many, oldest first.")
    ] = 100,
    address: AddressOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """List dead letters, oldest first: where each was, who gave it up, why, and what it says."""
    from bellwire.cli.dead_letter_choice import choose
    from bellwire.cli.dead_letter_view import show_letters
    from bellwire.cli.session import read_target, run_async

    chosen = choose(topic, subscription, reason, key, before, ids)
    target = read_target(address, config, assignments)
    run_async(lambda: show_letters(target, chosen, limit, as_json=json))


@app.command()
def redrive(
    topic: TopicArgument,
    subscription: SubscriptionOption = "",
    reason: ReasonOption = "",
    key: KeyOption = "",
    before: BeforeOption = None,
    ids: IdOption = None,
    dry_run: DryRunOption = False,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=1, help="Redrive at most so many.")
    ] = None,
    address: AddressOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Append dead letters to their topic again, for the subscription that gave them up alone."""
    from bellwire.cli.dead_letter_choice import choose
    from bellwire.cli.redriving import redrive_all
    from bellwire.cli.session import read_target, run_async

    chosen = choose(topic, subscription, reason, key, before, ids)
    target = read_target(address, config, assignments)
    run_async(lambda: redrive_all(target, chosen, limit, dry_run=dry_run, as_json=json))


@app.command()
def purge(
    topic: TopicArgument,
    subscription: SubscriptionOption = "",
    reason: ReasonOption = "",
    key: KeyOption = "",
    before: BeforeOption = None,
    ids: IdOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    address: AddressOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Delete dead letters for good; asks before it does."""
    from bellwire.cli.dead_letter_choice import choose
    from bellwire.cli.purging import purge_all
    from bellwire.cli.session import read_target

    chosen = choose(topic, subscription, reason, key, before, ids)
    target = read_target(address, config, assignments)
    purge_all(target, chosen, dry_run=dry_run, sure=yes, as_json=json)
