"""How a model was trained, as far as its manifest tells: what the gate must hold out, and charge."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from bellwire.agents.bars.bar import NANOS_PER_SECOND
from bellwire.agents.inference.errors import InvalidModelError
from bellwire.agents.inference.model import MANIFEST, ModelManifest
from bellwire.agents.quantize.settings import GateSettings
from bellwire.agents.train.settings import SplitSettings, TrainSettings
from bellwire.wire.errors import CallerError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Training:
    """By default as the trainer trains when nothing is asked of it."""

    fee_bp: float = TrainSettings().fee_bp
    """Basis points of the value traded; what the model was trained to pay."""
    split: SplitSettings = field(default_factory=SplitSettings)
    """How bars are parted that it was not trained on."""
    tested_from: Mapping[str, int] = field(default_factory=dict)
    """Of each series it was trained on, by its sha256: the first close that it has not seen, nanoseconds since
    1970-01-01 UTC."""


def training_of(manifest: ModelManifest, folder: Path) -> Training:
    """Return what the manifest in `folder` tells of the training; what it leaves out is as by default.

    Raises:
        InvalidModelError: It tells what cannot be.
    """
    metadata = manifest.metadata
    try:
        split = SplitSettings(**metadata.get("split", {}))
        gate = GateSettings(fee_bp=metadata.get("fee_bp", Training().fee_bp))
        times = dict(metadata.get("tested_from", {}))
        return Training(gate.fee_bp, split, {name: _nanos(text) for name, text in times.items()})
    except (ValueError, TypeError, AttributeError, OverflowError, CallerError) as error:
        expected = "fee_bp, split and tested_from as the trainer writes them"
        raise InvalidModelError(str(folder / MANIFEST), f"metadata: {error}", expected) from error


def _nanos(text: str) -> int:
    return (datetime.fromisoformat(text) - _EPOCH) // _SECOND * NANOS_PER_SECOND
