"""The `bellwire loadtest` verb."""

from __future__ import annotations

import typer

from bellwire.cli.loadtest.ack import LoadAck
from bellwire.cli.loadtest.options import (
    AckOption,
    DataOption,
    LimitsOption,
    OverflowOption,
    PartitionsOption,
    PublishersOption,
    RateOption,
    ReplayOption,
    SecondsOption,
    ServerOption,
    SizeOption,
    SoakOption,
    SubscribersOption,
    TopicOption,
    TpsOption,
)
from bellwire.cli.options import ConfigOption, JsonOption, SetOption

__all__ = ["loadtest"]


def loadtest(
    tps: TpsOption = None,
    seconds: SecondsOption = None,
    publishers: PublishersOption = 1,
    subscribers: SubscribersOption = 1,
    size: SizeOption = "200",
    ack: AckOption = LoadAck.RECEIVED,
    topic: TopicOption = None,
    partitions: PartitionsOption = 1,
    overflow: OverflowOption = None,
    limits: LimitsOption = None,
    replay: ReplayOption = None,
    rate: RateOption = None,
    soak: SoakOption = None,
    server: ServerOption = None,
    data: DataOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Offer load by a fixed schedule, level after level; say what arrived, how late, and what was in the way."""
    from bellwire.cli.loadtest.arguments import LoadArguments, plan_load
    from bellwire.cli.loadtest.run import run_loadtest

    plan = plan_load(
        LoadArguments(
            tps=tps,
            seconds=seconds,
            publishers=publishers,
            subscribers=subscribers,
            size=size,
            ack=ack,
            topic=topic,
            partitions=partitions,
            overflow=overflow,
            limits=limits,
            replay=replay,
            rate=rate,
            soak=soak,
            server=server,
            data=data,
            config=config,
            assignments=tuple(assignments or ()),
        )
    )
    status = run_loadtest(plan, as_json=json)
    if status:
        raise typer.Exit(status)
