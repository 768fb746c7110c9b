"""Strategic weights as a file: numpy's `.npz`, one array a name such as "mlmi.0.weight"."""

from pathlib import Path

from bellwire.agents.strategic.networks import AGENTS, VARIANT, StrategicWeights
from bellwire.agents.tactical.networks import InvalidWeightsError
from bellwire.agents.tactical.networks.storage import layers_named, read_named, write_named

_LAYERS = 2  # of each network


def save_strategic_weights(path: Path, weights: StrategicWeights) -> None:
    """Write the weights; the same weights give the same bytes."""
    write_named(path, VARIANT, weights)


def load_strategic_weights(path: Path) -> StrategicWeights:
    """Read strategic weights; nothing in the file is executed.

    Raises:
        InvalidWeightsError: Absent, too large, no such file, of other networks, or arrays that do not fit.
    """
    variant, arrays = read_named(path)
    if variant != VARIANT:
        raise InvalidWeightsError(str(path), f"of variant {variant}", VARIANT)
    parts = (layers_named(name, arrays, _LAYERS) for name in (*AGENTS, "critic"))
    return StrategicWeights(*parts)
