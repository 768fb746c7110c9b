"""Models on disk as tables and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from bellwire.cli.faults import UsageFault
from bellwire.cli.model_trial import Trial, try_version
from bellwire.cli.output import Style, console, harmless, plain_table, print_json
from bellwire.cli.units import bytes_text
from bellwire.wire.errors import CallerError

if TYPE_CHECKING:
    from bellwire.agents.inference import ModelManifest, TensorSpec
    from bellwire.agents.inference.repository import FoundVersion

__all__ = ["ListedVersion", "found_versions", "list_versions", "model_table", "show_model"]

VERSIONS_MAX: Final = 1_000  # lines nobody reads; each is a file that is opened


@dataclass(frozen=True, slots=True)
class ListedVersion:
    """One line of the list."""

    place: str
    """Where it lies in the folder of models: "tactical/3"."""
    trial: Trial
    quantization: str = ""
    size_bytes: int = 0


def show_model(folder: Path, *, as_json: bool) -> None:
    """Print one version, its file checked against its manifest.

    Raises:
        UsageFault: Files are absent or damaged.
    """
    from bellwire.agents.inference import read_manifest

    try:
        manifest = read_manifest(folder)
        size_bytes = _size_bytes(folder, manifest)
    except CallerError as error:
        raise UsageFault(error.message) from error
    trial = try_version(folder, manifest)
    if as_json:
        values = json.loads(manifest.to_json())
        print_json({**values, "bytes": size_bytes, **_trial_json(trial)})
        return
    console().print(model_table(manifest, size_bytes, trial))


def model_table(manifest: ModelManifest, size_bytes: int, trial: Trial) -> Table:
    """Return a version, one property a line."""
    table = plain_table("", "")
    table.show_header = False
    table.add_row("model", Text(manifest.key, Style.NAME))
    table.add_row("engine", harmless(manifest.engine))
    table.add_row("quantization", harmless(manifest.quantization))
    table.add_row("file", f"{harmless(manifest.file)}, {bytes_text(size_bytes)}")
    table.add_row("sha256", manifest.sha256)
    for side, specs in (("input", manifest.inputs), ("output", manifest.outputs)):
        for spec in specs:
            table.add_row(side, _spec_text(spec))
    for name, value in _shown_metadata(manifest):
        table.add_row(name, Text(harmless(value)))
    table.add_row("may be served", _verdict(trial))
    return table


def list_versions(models: Path, *, as_json: bool) -> None:
    """Print every version in a folder of models.

    Raises:
        UsageFault: It is no folder, or cannot be read.
    """
    try:
        versions = found_versions(models)
    except CallerError as error:
        raise UsageFault(error.message) from error
    if as_json:
        for each in versions:
            print_json(_listed_json(models, each))
    elif versions:
        console().print(_versions_table(versions))
    else:
        console().print("no models yet", style=Style.FAINT)


def _listed_json(models: Path, listed: ListedVersion) -> dict[str, object]:
    return {
        "folder": str(models / listed.place),
        "quantization": listed.quantization,
        "bytes": listed.size_bytes,
        **_trial_json(listed.trial),
    }


def _trial_json(trial: Trial) -> dict[str, object]:
    return {"servable": not trial.problem, "problem": trial.problem, "untried": trial.untried}


def _verdict(trial: Trial) -> Text:
    if trial.problem:
        return Text(trial.verdict, Style.BAD)
    return Text(trial.verdict, Style.WARN if trial.untried else Style.GOOD)


def _versions_table(versions: list[ListedVersion]) -> Table:
    table = plain_table("model", "quantization", "bytes", "may be served", right=(2,))
    for each in versions:
        table.add_row(
            Text(harmless(each.place), Style.NAME),
            harmless(each.quantization),
            bytes_text(each.size_bytes) if each.size_bytes else "-",
            _verdict(each.trial),
        )
    return table


def found_versions(models: Path) -> list[ListedVersion]:
    """Return every version, by name and number; what is damaged says so.

    Raises:
        InvalidModelError: The folder cannot be read.
    """
    from bellwire.agents.inference.repository import scan

    return [_listed(version) for version in scan(models)[:VERSIONS_MAX]]


def _listed(found: FoundVersion) -> ListedVersion:
    place = f"{found.name}/{found.version}"
    try:
        manifest = found.read_manifest()
        size_bytes = _size_bytes(found.folder, manifest)
    except CallerError as error:
        return ListedVersion(place, Trial(error.message))
    trial = try_version(found.folder, manifest)
    return ListedVersion(place, trial, manifest.quantization, size_bytes)


def _size_bytes(folder: Path, manifest: ModelManifest) -> int:
    """Return the size of the model's file, which must be the one that the manifest names."""
    from bellwire.agents.inference.engines.model_file import read_model_file

    return len(read_model_file(folder, manifest).content)


def _spec_text(spec: TensorSpec) -> str:
    return f"{harmless(spec.name)} {spec.dtype} {spec.shape_text}"


def _shown_metadata(manifest: ModelManifest) -> list[tuple[str, str]]:
    """Return metadata a line each; of what lies deeper than one level, JSON."""
    lines = []
    for name, value in manifest.metadata.items():
        parts = value.items() if isinstance(value, Mapping) else [("", value)]
        for part, inner in parts:
            text = inner if isinstance(inner, str) else json.dumps(inner)
            lines.append((f"{harmless(name)} {harmless(str(part))}".rstrip(), text))
    return lines
