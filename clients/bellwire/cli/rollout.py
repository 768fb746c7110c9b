"""`bellwire model rollout`: which version serves, and who decided that."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bellwire.cli.model_serve import ModelsOption
from bellwire.cli.options import JsonOption

__all__ = ["app"]

app = typer.Typer(
    help="Look at a new version as a shadow or a canary, promote it, or roll it back.",
    no_args_is_help=True,
)

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="Name of a model.")]
VersionArgument = Annotated[int, typer.Argument(metavar="VERSION", min=1, help="Of that model.")]
StageOption = Annotated[str, typer.Option("--stage", metavar="STAGE", help="shadow, canary or ab.")]
ShareOption = Annotated[
    float, typer.Option("--share", metavar="0…1", help="Of the keys, in canary and ab.")
]
ReasonOption = Annotated[str, typer.Option("--reason", "-r", help="Why; goes into the records.")]
AuthorOption = Annotated[
    str, typer.Option("--author", metavar="NAME", help="Who; else the user of this shell.")
]
DEFAULT_MODELS = Path("models")


@app.command()
def show(
    model: ModelArgument, models: ModelsOption = DEFAULT_MODELS, json: JsonOption = False
) -> None:
    """Show which versions answer, and every step that led there."""
    from bellwire.cli.rollout_steps import Place
    from bellwire.cli.rollout_view import show_rollout

    show_rollout(Place(models, model), as_json=json)


@app.command()
def pin(
    model: ModelArgument,
    version: VersionArgument,
    reason: ReasonOption,
    author: AuthorOption = "",
    models: ModelsOption = DEFAULT_MODELS,
    json: JsonOption = False,
) -> None:
    """Let a version serve until a step says otherwise; without it the newest one serves as it comes."""
    from bellwire.cli.rollout_steps import Place, take_pin

    take_pin(Place(models, model), version, (author, reason), as_json=json)


@app.command()
def start(
    model: ModelArgument,
    version: VersionArgument,
    reason: ReasonOption,
    stage: Annotated[
        str,
        typer.Option(
            "--stage",
            metavar="STAGE",
            help="shadow, canary or ab; else canary with a --share, and shadow without.",
        ),
    ] = "",
    share: ShareOption = 0.0,
    serving: Annotated[
        int | None,
        typer.Option(
            "--serving",
            metavar="VERSION",
            min=1,
            help="Version in service, for a first step; else the newest before it that loads.",
        ),
    ] = None,
    author: AuthorOption = "",
    models: ModelsOption = DEFAULT_MODELS,
    json: JsonOption = False,
) -> None:
    """Begin to look at a version.

    For example: bellwire model rollout start tactical 2 --stage canary --share 0.1 -r 'gate passed'
    """
    from bellwire.cli.rollout_steps import Place, take_start

    place = Place(models, model)
    split = (stage or ("canary" if share else "shadow"), share)
    take_start(place, (version, serving or 0), split, (author, reason), as_json=json)


@app.command()
def move(
    model: ModelArgument,
    reason: ReasonOption,
    stage: StageOption = "canary",
    share: ShareOption = 0.0,
    author: AuthorOption = "",
    models: ModelsOption = DEFAULT_MODELS,
    json: JsonOption = False,
) -> None:
    """Give the candidate another stage or share."""
    from bellwire.cli.rollout_steps import Place, take_move

    take_move(Place(models, model), (stage, share), (author, reason), as_json=json)


@app.command()
def promote(
    model: ModelArgument,
    reason: ReasonOption,
    author: AuthorOption = "",
    models: ModelsOption = DEFAULT_MODELS,
    json: JsonOption = False,
) -> None:
    """Let the candidate serve."""
    from bellwire.cli.rollout_steps import Place, take_promote

    take_promote(Place(models, model), (author, reason), as_json=json)


@app.command()
def rollback(
    model: ModelArgument,
    reason: ReasonOption,
    author: AuthorOption = "",
    models: ModelsOption = DEFAULT_MODELS,
    json: JsonOption = False,
) -> None:
    """Drop the candidate; without one, let the version before serve again."""
    from bellwire.cli.rollout_steps import Place, take_rollback

    take_rollback(Place(models, model), (author, reason), as_json=json)
