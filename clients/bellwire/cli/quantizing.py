"""The life of `bellwire model quantize`: read data, quantize, show what it costs and what it saves."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from bellwire.cli.faults import CommandError, ExitCode, UsageFault
from bellwire.cli.output import Style, console, harmless, plain_table, print_json
from bellwire.cli.units import bytes_text, count_text
from bellwire.wire.errors import CallerError, InternalError

if TYPE_CHECKING:
    from bellwire.agents.quantize import Outcome, Speed
    from bellwire.cli.settings import Request

__all__ = [
    "SECTIONS",
    "QuantizeFlags",
    "comparison_table",
    "outcome_json",
    "run_quantize",
    "verdict",
]


SECTIONS: Final = ("quantize", "gate")


@dataclass(frozen=True, slots=True)
class QuantizeFlags:
    """What the command line says."""

    folder: Path
    method: str
    calibrate: str
    out: Path
    held_out: str = ""


def run_quantize(flags: QuantizeFlags, request: Request, *, as_json: bool) -> ExitCode:
    """Quantize and print the comparison; FAILURE when the gate failed.

    Args:
        flags: What the command line says.
        request: Of the sections `quantize` and `gate`; a fee that nothing sets is what the model was
            trained to pay.
        as_json: Print one object instead of a table.

    Raises:
        UsageFault: A flag, the model, the data or the folder cannot be used.
        CommandError: The quantizer failed.
        EngineMissingError: A package is not installed.
    """
    try:
        outcome = _quantize(flags, request)
    except CallerError as error:
        raise UsageFault(error.message) from error
    except InternalError as error:
        raise CommandError(error.message) from error
    except OSError as error:
        raise UsageFault(f"--out {flags.out}: {error.strerror or error}") from error
    if as_json:
        print_json(outcome_json(outcome))
    else:
        out = console()
        out.print(comparison_table(outcome))
        out.print(verdict(outcome), soft_wrap=True)
    return ExitCode.OK if outcome.report.passed else ExitCode.FAILURE


def _quantize(flags: QuantizeFlags, request: Request) -> Outcome:
    from bellwire.agents.drift import carry_references
    from bellwire.agents.inference.model import read_manifest
    from bellwire.agents.quantize import (
        CalibrationSettings,
        GateSettings,
        Job,
        Method,
        quantize_model,
        read_data,
        training_of,
    )
    from bellwire.cli.settings import load_settings

    method = Method.named(flags.method)
    tree = load_settings(request)
    training = training_of(read_manifest(flags.folder), flags.folder)
    gate, settings = tree.of(GateSettings), tree.of(CalibrationSettings)
    if tree.settings["gate.fee_bp"].kind == "default":
        gate = replace(gate, fee_bp=training.fee_bp)
    data = read_data(flags.calibrate, flags.held_out, settings, training)
    outcome = quantize_model(Job(flags.folder, flags.out, method, data, gate))
    carry_references(flags.folder, outcome.folder)
    return outcome


def comparison_table(outcome: Outcome) -> Table:
    """Return both models side by side, and what is between them."""
    report, agreement = outcome.report, outcome.report.agreement
    before, after = outcome.speed_before, outcome.speed_after
    table = plain_table("", outcome.parent.key, outcome.manifest.key, "", right=(1, 2, 3))
    full, made = outcome.parent.quantization, outcome.manifest.quantization
    table.add_row("quantization", "fp32" if full == "none" else full, made, "")
    sizes = outcome.bytes_before, outcome.bytes_after
    table.add_row("bytes", *map(bytes_text, sizes), f"{sizes[0] / sizes[1]:.2f} : 1")
    earned = report.return_before, report.return_after
    table.add_row(
        f"return, fee {report.settings.fee_bp:g} bp",
        *(f"{each:+.4f}" for each in earned),
        f"{earned[1] - earned[0]:+.4f}",
    )
    _add_speed(table, "p50 at batch 1", before, after, "one_us_p50")
    _add_speed(table, "obs/s at batch 64", before, after, "per_second_64")
    _add_speed(table, "obs/s at batch 256", before, after, "per_second_256")
    for name, share in agreement.shares.items():
        table.add_row(f"agreement, {name}", "", f"{share:.2%}", "")
    largest, mean = agreement.probability_difference_max, agreement.probability_difference_mean
    table.add_row("prob. difference, max", "", f"{largest:.4f}", "")
    table.add_row("prob. difference, mean", "", f"{mean:.5f}", "")
    table.add_row("held-out bars", "", count_text(agreement.rows), "")
    return table


def _add_speed(table: Table, what: str, before: Speed, after: Speed, figure: str) -> None:
    old, new = getattr(before, figure), getattr(after, figure)
    is_time = figure.endswith("us_p50")
    texts = [f"{value:.1f} µs" if is_time else count_text(round(value)) for value in (old, new)]
    table.add_row(what, *texts, f"{old / new if is_time else new / old:.2f} × as fast")


def verdict(outcome: Outcome) -> Text:
    """Return the last lines: where it is, and whether it may be served."""
    place = f"{outcome.manifest.key} in {harmless(str(outcome.folder))}"
    if outcome.report.passed:
        return Text.assemble(("gate passed", Style.GOOD), f": {place}")
    reasons = "\n".join(f"  {reason}" for reason in outcome.report.reasons)
    return Text.assemble(
        ("gate failed", Style.BAD), f": {place} is kept, and never served\n{reasons}"
    )


def outcome_json(outcome: Outcome) -> dict[str, object]:
    """Return the comparison as one object."""
    return {
        "parent": outcome.parent.key,
        "model": outcome.manifest.key,
        "folder": str(outcome.folder),
        "quantization": outcome.manifest.quantization,
        "bytes_before": outcome.bytes_before,
        "bytes_after": outcome.bytes_after,
        "ratio": outcome.bytes_before / outcome.bytes_after,
        "gate": outcome.manifest.metadata["gate"],
        "speed_before": asdict(outcome.speed_before),
        "speed_after": asdict(outcome.speed_after),
    }
