"""The strategic networks in torch, to compute their gradients; everything else has them in numpy."""

from typing import Final

import torch

from bellwire.agents.strategic.features import MLMI, MMD, NWRQK
from bellwire.agents.strategic.networks import AGENTS, StrategicWeights
from bellwire.agents.tactical.networks.layers import Layer

_SEES: Final = dict(zip(AGENTS, (MLMI, NWRQK, MMD), strict=True))
_LAYERS: Final = ("hidden", "output")


class StrategicNetworks:
    """Three actors, each on its own features, and a critic that sees all of them."""

    __slots__ = ("parameters",)

    def __init__(self, weights: StrategicWeights) -> None:
        """Copy the weights."""
        self.parameters: dict[str, torch.Tensor] = {
            f"{name}.{part}{end}": torch.from_numpy(array.copy()).requires_grad_()
            for name, layers in {**weights.actors, "critic": weights.critic}.items()
            for part, layer in zip(_LAYERS, layers, strict=True)
            for end, array in (("", layer.weight), ("_bias", layer.bias))
        }
        """By name; updated in place by the optimiser."""

    def __call__(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return log-probabilities, (n, 3, 3), and values, (n,), of inputs (n, 13)."""
        logits = [self._through(name, inputs[:, columns]) for name, columns in _SEES.items()]
        values = self._through("critic", inputs)[:, 0]  # (n,)
        return torch.log_softmax(torch.stack(logits, dim=1), dim=2), values

    def weights(self) -> StrategicWeights:
        """Return a copy of the weights as they are now."""
        return StrategicWeights(*(self._layers(name) for name in (*AGENTS, "critic")))

    def _through(self, name: str, inputs: torch.Tensor) -> torch.Tensor:
        given = self.parameters
        hidden = inputs @ given[f"{name}.hidden"] + given[f"{name}.hidden_bias"]
        return hidden.clamp(min=0.0) @ given[f"{name}.output"] + given[f"{name}.output_bias"]

    def _layers(self, name: str) -> tuple[Layer, ...]:
        arrays = {key: each.detach().numpy() for key, each in self.parameters.items()}
        return tuple(
            Layer(arrays[f"{name}.{part}"], arrays[f"{name}.{part}_bias"]) for part in _LAYERS
        )
