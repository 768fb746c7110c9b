"""The dense networks in torch, to compute their gradients; everything else has them in numpy."""

from collections.abc import Iterable
from typing import Final

import numpy as np
import torch

from bellwire.agents.tactical.networks import (
    AGENTS,
    DenseNetwork,
    DenseWeights,
)
from bellwire.agents.tactical.networks.weights import Floats, tiled_attention

CRITIC: Final = "critic"


class ActorCritic:
    """Three actors in one matrix product, and a critic that sees what they see."""

    __slots__ = ("_attention", "_ceiling", "_columns", "_variant", "_width", "parameters")

    def __init__(self, weights: DenseWeights) -> None:
        """Copy the weights; the attention of the columns stays as it is, all else is trained."""
        self._variant = weights.variant
        self._ceiling = weights.definition.ceiling
        self._width = weights.definition.actor_hidden
        self._columns = {name: each.attention for name, each in weights.networks.items()}
        tiled = [tiled_attention(actor.attention) for actor in weights.actors]
        folded = np.repeat(np.stack(tiled, axis=1), self._width, axis=1)  # (421, 3 * width)
        self._attention = torch.from_numpy(folded)
        self.parameters: dict[str, torch.Tensor] = {
            name: torch.from_numpy(array).requires_grad_()
            for name, array in _joined(weights).items()
        }
        """By name; updated in place by the optimiser."""

    def __call__(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return log-probabilities, (n, 3, 3), and values, (n,), of inputs (n, 421)."""
        given = self.parameters
        hidden = inputs @ (given["actors.hidden"] * self._attention)
        value = inputs @ given["critic.hidden"]
        if "actors.hidden_bias" in given:
            hidden = hidden + given["actors.hidden_bias"]
            value = value + given["critic.hidden_bias"]
        hidden = hidden.clamp(0.0, self._ceiling).reshape(-1, len(AGENTS), self._width)
        logits = torch.einsum("nah,aho->nao", hidden, given["actors.output"])  # (n, 3, 3)
        values = (value.clamp(0.0, self._ceiling) @ given["critic.output"])[:, 0]  # (n,)
        if "actors.output_bias" in given:
            logits = logits + given["actors.output_bias"]
            values = values + given["critic.output_bias"]
        return torch.log_softmax(logits, dim=2), values

    def weights(self) -> DenseWeights:
        """Return a copy of the weights as they are now."""
        arrays = {name: each.detach().numpy() for name, each in self.parameters.items()}
        networks = {CRITIC: self._network(CRITIC, _part(arrays, CRITIC))}
        for index, agent in enumerate(AGENTS):
            columns = slice(index * self._width, (index + 1) * self._width)
            mine = {
                name: array[..., columns] if name.startswith("hidden") else array[index]
                for name, array in _part(arrays, "actors").items()
            }
            networks[agent] = self._network(agent, mine)
        return DenseWeights(self._variant, **networks)

    def _network(self, name: str, arrays: dict[str, Floats]) -> DenseNetwork:
        return DenseNetwork(self._columns[name], **arrays)


def _joined(weights: DenseWeights) -> dict[str, Floats]:
    """Return the arrays to train by name, those of the actors as one."""
    actors, critic = weights.actors, weights.critic
    joined = {
        "actors.hidden": np.concatenate([actor.hidden for actor in actors], axis=1),
        "actors.output": np.stack([actor.output for actor in actors]),  # (3, width, 3)
        "critic.hidden": critic.hidden.copy(),
        "critic.output": critic.output.copy(),
    }
    if critic.hidden_bias is not None and critic.output_bias is not None:
        joined["actors.hidden_bias"] = np.concatenate(_given(a.hidden_bias for a in actors))
        joined["actors.output_bias"] = np.stack(_given(a.output_bias for a in actors))  # (3, 3)
        joined["critic.hidden_bias"] = critic.hidden_bias.copy()
        joined["critic.output_bias"] = critic.output_bias.copy()
    return joined


def _given(biases: Iterable[Floats | None]) -> list[Floats]:
    """Return biases of networks that all have them, as their definition says."""
    return [bias for bias in biases if bias is not None]


def _part(arrays: dict[str, Floats], owner: str) -> dict[str, Floats]:
    start = f"{owner}."
    return {
        name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)
    }
