"""`bellwire subscriptions`: who reads, how far behind they are, and how to be rid of one."""

from __future__ import annotations

from typing import Annotated

import typer

from bellwire.cli.options import AddressOption, ConfigOption, JsonOption, SetOption, YesOption

__all__ = ["app"]

app = typer.Typer(help="List and delete named subscriptions.", no_args_is_help=True)


@app.command("list")
def list_subscriptions(
    pattern: Annotated[
        str, typer.Argument(metavar="[PATTERN]", help="Only what they read of these topics.")
    ] = "",
    address: AddressOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """List named subscriptions with what waits for them, over all their topics."""
    from bellwire.cli.session import read_target, run_async
    from bellwire.cli.subscription_view import show_subscriptions

    target = read_target(address, config, assignments)
    run_async(lambda: show_subscriptions(target, pattern, as_json=json))


@app.command()
def delete(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Subscription.")],
    yes: YesOption = False,
    address: AddressOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Delete a subscription with its cursors, so that topics need keep nothing for it; refused while it has members."""
    from bellwire.cli.session import read_target
    from bellwire.cli.subscription_view import delete_subscription

    delete_subscription(read_target(address, config, assignments), name, sure=yes, as_json=json)
