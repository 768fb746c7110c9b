"""`bellwire profile`: where a running coordinator or agent spends its time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bellwire.cli.options import AddressOption, ConfigOption, JsonOption, SetOption
from bellwire.cli.profile_format import (
    RATE_DEFAULT,
    RATE_MAX,
    SECONDS_DEFAULT,
    SECONDS_MAX,
    ProfileFormat,
)

__all__ = ["profile"]


def profile(
    process: Annotated[
        str,
        typer.Argument(
            metavar="PID|NAME",
            help="Process id, listen address, data folder, or an agent's id or name.",
            show_default=False,
        ),
    ],
    seconds: Annotated[
        int, typer.Option("--seconds", "-s", min=1, max=SECONDS_MAX, help="How long to sample.")
    ] = SECONDS_DEFAULT,
    rate: Annotated[
        int, typer.Option("--rate", "-r", min=1, max=RATE_MAX, help="Samples per second.")
    ] = RATE_DEFAULT,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Default: profile-PID.svg, here."),
    ] = None,
    output_format: Annotated[
        ProfileFormat, typer.Option("--format", "-f", help="What to write.")
    ] = ProfileFormat.FLAMEGRAPH,
    native: Annotated[
        bool, typer.Option("--native", help="Also the frames of C code: gRPC, uvloop, protobuf.")
    ] = False,
    idle: Annotated[
        bool, typer.Option("--idle", help="Also threads that wait; else only those that run.")
    ] = False,
    address: AddressOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Write a flamegraph of a running process on this machine; Ctrl-C writes what there is."""
    from bellwire.cli.process_search import find_process
    from bellwire.cli.profiling import run_profile
    from bellwire.cli.sampler import SamplePlan
    from bellwire.cli.session import read_target

    found = find_process(process, lambda: read_target(address, config, assignments))
    plan = SamplePlan(
        found.pid,
        seconds,
        rate,
        output_format,
        output or Path(f"profile-{found.pid}{output_format.suffix}"),
        native=native,
        idle=idle,
    )
    run_profile(found, plan, as_json=json)
