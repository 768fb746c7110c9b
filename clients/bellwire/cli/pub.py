"""`bellwire pub`: put messages on a topic."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bellwire.cli.options import AddressOption, ConfigOption, JsonOption, SetOption

__all__ = ["Ack", "pub"]


class Ack(StrEnum):
    """How far a message must have come before it counts as published."""

    RECEIVED = "received"
    """In the coordinator's memory."""
    PERSISTED = "persisted"
    """Synced to the coordinator's disk."""
    REPLICATED = "replicated"
    """On all in-sync replicas."""


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
    ack: Annotated[
        Ack | None, typer.Option("--ack", help="How far it must have come; else the topic's way.")
    ] = None,
    not_before: Annotated[
        str | None,
        typer.Option("--not-before", metavar="TIME", help="Not delivered before: +10m, or a time."),
    ] = None,
    expire: Annotated[
        str | None,
        typer.Option("--expire", metavar="TIME", help="Not delivered after: +30s, or a time."),
    ] = None,
    request_id: Annotated[
        str,
        typer.Option(
            "--request-id", metavar="ID", help="Publish once, however often this is called with it."
        ),
    ] = "",
    address: AddressOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Publish one message, or one per line of standard input."""
    import time

    from bellwire.cli.faults import UsageFault
    from bellwire.cli.payload import check_type
    from bellwire.cli.publishing import Publication, Template, moment_of, payloads_of, publish_all
    from bellwire.cli.session import read_target, run_async

    check_type(message_type)
    if request_id and stdin is not None:
        raise UsageFault("--request-id names one message: give it with --data or --file")
    now_ns = time.time_ns()
    template = Template(
        type=message_type,
        subject=subject,
        key=key,
        source=source,
        attributes=Template.parse_attributes(attribute or ()),
        not_before_ns=moment_of(not_before, now_ns, "--not-before"),
        expire_ns=moment_of(expire, now_ns, "--expire"),
    )
    payloads = payloads_of(data, file, stdin)
    target = read_target(address, config, assignments)
    publication = Publication(topic, template, ack, request_id)
    run_async(lambda: publish_all(target, publication, payloads, as_json=json))
