"""The strategic networks as something to train."""

from typing import Final

from bellwire.agents.strategic.networks import VARIANT, StrategicWeights
from bellwire.agents.strategic.onnx_graph import write_strategic_model
from bellwire.agents.strategic.storage import save_strategic_weights
from bellwire.agents.train.beginning import strategic_beginning
from bellwire.agents.train.card import STRATEGIC_CODE
from bellwire.agents.train.policy import strategic_policy_of
from bellwire.agents.train.settings import TrainSettings
from bellwire.agents.train.strategic_networks import StrategicNetworks
from bellwire.agents.train.system import STRATEGIC
from bellwire.agents.train.task import Task


def _beginning(settings: TrainSettings, output_gain: float) -> StrategicWeights:
    return strategic_beginning(settings.seed, output_gain)


STRATEGIC_TASK: Final[Task[StrategicWeights]] = Task(
    system=STRATEGIC,
    variant=lambda settings: VARIANT,
    beginning=_beginning,
    networks=StrategicNetworks,
    policy=strategic_policy_of,
    save=save_strategic_weights,
    write=write_strategic_model,
    code=STRATEGIC_CODE,
    has_drift=False,  # The watch knows the tactical columns.
)
