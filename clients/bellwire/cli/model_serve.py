"""`bellwire model serve`: a folder of models on the bus, and by the Open Inference Protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bellwire.cli.options import AddressOption, ConfigOption, JsonOption, SetOption

__all__ = ["ModelsOption", "serve"]

ModelsOption = Annotated[
    Path,
    typer.Option(
        "--models", "-m", metavar="DIR", help="Folder of models: <name>/<version>/model.json."
    ),
]


def serve(
    models: ModelsOption = Path("models"),
    model: Annotated[
        str,
        typer.Option(
            "--model",
            metavar="NAME",
            help="Called as infer.NAME, meant where a request names none; else the only one there is.",
        ),
    ] = "",
    chains: Annotated[
        list[str] | None,
        typer.Option(
            "--chain",
            metavar="NAME=STEP,…",
            help="Steps that answer for a name, 'hold' at last; may be repeated.",
        ),
    ] = None,
    versions: Annotated[
        str,
        typer.Option("--versions", metavar="POLICY", help="To be loaded: latest:1, all, or 1,3."),
    ] = "latest:1",
    refresh: Annotated[
        float,
        typer.Option("--refresh", metavar="SECONDS", help="How often the folder is looked at."),
    ] = 2.0,
    kserve_grpc: Annotated[
        str,
        typer.Option("--kserve-grpc", metavar="HOST:PORT", help="Serve KServe's gRPC here too."),
    ] = "",
    kserve_http: Annotated[
        str,
        typer.Option("--kserve-http", metavar="HOST:PORT", help="Serve KServe's REST here too."),
    ] = "",
    address: AddressOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Answer for a folder of models until SIGTERM or Ctrl-C, which finish what is being computed.

    For example: bellwire model serve --models models --chain tactical=tactical,tactical:parent,hold
    """
    from bellwire.cli.model_serving import ServePlan, run_server
    from bellwire.cli.session import read_target

    plan = ServePlan(
        models=models,
        model=model,
        chains=tuple(chains or ()),
        versions=versions,
        refresh_seconds=refresh,
        kserve_grpc=kserve_grpc,
        kserve_http=kserve_http,
    )
    run_server(plan, read_target(address, config, assignments), as_json=json)
