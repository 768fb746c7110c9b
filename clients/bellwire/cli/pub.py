"""`bellwire pub`: put messages on a topic."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bellwire.cli.options import AddressOption, ConfigOption, JsonOption, SetOption

__all__ = ["pub"]


def pub(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="For example signals.tactical.")],
    stdin: Annotated[
        str | None,
        typer.Argument(metavar="[-]", help="A dash: one message per line of standard input."),
    ] = None,
    data: Annotated[str | None, typer.Option("--data", "-d", help="Payload as text.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", metavar="FILE", help="Payload from a file.")
    ] = None,
    key: Annotated[str, typer.Option("--key", "-k", help="Partition key.")] = "",
    message_type: Annotated[
        str,
        typer.Option(
            "--type",
            "-t",
            help="Type of the payload; a JSON object of a known protobuf type is encoded as such.",
        ),
    ] = "",
    subject: Annotated[str, typer.Option("--subject", help="Instrument or entity.")] = "",
    attribute: Annotated[
        list[str] | None,
        typer.Option("--attr", metavar="KEY=VALUE", help="Attribute; may be repeated."),
    ] = None,
    source: Annotated[str, typer.Option("--source", help="Who publishes.")] = "cli/pub",
    address: AddressOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Publish one message, or one per line of standard input."""
    from bellwire.cli.publishing import Template, payloads_of, publish_all
    from bellwire.cli.session import read_target, run_async

    template = Template(
        type=message_type,
        subject=subject,
        key=key,
        source=source,
        attributes=Template.parse_attributes(attribute or ()),
    )
    payloads = payloads_of(data, file, stdin)
    target = read_target(address, config, assignments)
    run_async(lambda: publish_all(target, topic, template, payloads, as_json=json))
