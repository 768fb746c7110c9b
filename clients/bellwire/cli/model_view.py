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
    quantization: str = ""
    size_bytes: int = 0
    problem: str = ""
    """Why it cannot be served; empty = it may be."""


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
    refusal = _refusal(manifest)
    if as_json:
        values = json.loads(manifest.to_json())
        print_json({**values, "bytes": size_bytes, "servable": not refusal})
        return
    console().print(model_table(manifest, size_bytes, refusal))


def model_table(manifest: ModelManifest, size_bytes: int, refusal: str) -> Table:
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
    served = Text(harmless(refusal), Style.BAD) if refusal else Text("yes", Style.GOOD)
    table.add_row("may be served", served)
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
        "servable": not listed.problem,
        "problem": listed.problem,
    }


def _versions_table(versions: list[ListedVersion]) -> Table:
    table = plain_table("model", "quantization", "bytes", "may be served", right=(2,))
    for each in versions:
        table.add_row(
            Text(harmless(each.place), Style.NAME),
            harmless(each.quantization),
            bytes_text(each.size_bytes) if each.size_bytes else "-",
            Text(harmless(each.problem), Style.BAD) if each.problem else Text("yes", Style.GOOD),
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
        return ListedVersion(place, problem=error.message)
    return ListedVersion(place, manifest.quantization, size_bytes, _refusal(manifest))


def _size_bytes(folder: Path, manifest: ModelManifest) -> int:
    """Return the size of the model's file, which must be the one that the manifest names."""
    from bellwire.agents.inference.engines.model_file import read_model_file

    return len(read_model_file(folder, manifest).content)


def _refusal(manifest: ModelManifest) -> str:
    """Return why it must not be served; empty = it may be."""
    from bellwire.agents.inference import GateFailedError, check_gate

    try:
        check_gate(manifest)
    except GateFailedError as error:
        return f"no: {'; '.join(error.reasons)}"
    return ""


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
