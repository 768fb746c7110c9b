"""The tactical networks as something to train."""

from typing import Final

from bellwire.agents.tactical.networks import DenseWeights, Variant, save_weights
from bellwire.agents.tactical.onnx_graph import write_model
from bellwire.agents.train.actor_critic import ActorCritic
from bellwire.agents.train.beginning import beginning
from bellwire.agents.train.card import CODE
from bellwire.agents.train.policy import policy_of
from bellwire.agents.train.settings import TrainSettings
from bellwire.agents.train.system import TACTICAL
from bellwire.agents.train.task import Task


def _beginning(settings: TrainSettings, output_gain: float) -> DenseWeights:
    return beginning(Variant(settings.variant), settings.seed, output_gain)


TACTICAL_TASK: Final[Task[DenseWeights]] = Task(
    system=TACTICAL,
    variant=lambda settings: settings.variant,
    beginning=_beginning,
    networks=ActorCritic,
    policy=policy_of,
    save=save_weights,
    write=write_model,
    code=CODE,
    has_drift=True,
)
