"""`bellwire info`: what runs at the other end."""

from __future__ import annotations

from bellwire.cli.options import AddressOption, ConfigOption, JsonOption, SetOption

__all__ = ["info"]


def info(
    address: AddressOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Show the coordinator: version, load, and the state of its durable store."""
    from bellwire.cli.info_view import show_info
    from bellwire.cli.session import read_target, run_async

    target = read_target(address, config, assignments)
    run_async(lambda: show_info(target, as_json=json))
