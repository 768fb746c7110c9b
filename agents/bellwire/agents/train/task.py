"""What the trainer must know of the networks it trains, beside what their `System` says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import torch

from bellwire.agents.train.policy import Policy
from bellwire.agents.train.settings import TrainSettings
from bellwire.agents.train.system import System

W = TypeVar("W")
"""Weights of one kind of networks, in numpy."""
Made = TypeVar("Made", covariant=True)
Taken = TypeVar("Taken", contravariant=True)


class Networks(Protocol[Made]):
    """Three actors and their critic in torch."""

    @property
    def parameters(self) -> Mapping[str, torch.Tensor]:
        """What is trained, by name; updated in place."""

    def __call__(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return log-probabilities, (n, 3, 3), and values, (n,)."""

    def weights(self) -> Made:
        """Return a copy of the weights as they are now."""


class ModelWriter(Protocol[Taken]):
    """Writes the model that serves."""

    def __call__(
        self,
        folder: Path,
        weights: Taken,
        *,
        name: str,
        version: int,
        metadata: Mapping[str, object],
    ) -> object:
        """Write graph and manifest; errors as of `write_model` of the system."""


@dataclass(frozen=True, slots=True)
class Task(Generic[W]):
    """One system's networks: how they begin, are trained, used and kept."""

    system: System
    variant: Callable[[TrainSettings], str]
    """What the card calls the networks."""
    beginning: Callable[[TrainSettings, float], W]
    """Settings (variant and seed) and the gain of the last layer to untrained weights."""
    networks: Callable[[W], Networks[W]]
    policy: Callable[[W], Policy]
    save: Callable[[Path, W], None]
    write: ModelWriter[W]
    code: tuple[str, ...]
    """Source files that decide about the weights, from the folder of all agents."""
    has_drift: bool
    """Whether the distributions of its training bars can be written, for `drift.json`."""
