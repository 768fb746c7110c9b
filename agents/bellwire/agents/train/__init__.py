"""Training of both systems: data, environment, MAPPO, evaluation and an honest model card.

A `System` says what agents see and what their actions do to the position, in numpy; a `Task` adds the
networks, in torch. What evaluates needs numpy alone: only `task`, the networks and what imports them bring torch.
"""

from bellwire.agents.train.data import KNOWN_DATA, BarArrays, load_bars
from bellwire.agents.train.errors import CheckpointError, TooFewBarsError, UnknownDataError
from bellwire.agents.train.evaluate import Evaluation, buy_and_hold, evaluate
from bellwire.agents.train.policy import Policy, policy_of
from bellwire.agents.train.settings import MappoSettings, SplitSettings, TrainSettings
from bellwire.agents.train.synthetic import SyntheticSettings
from bellwire.agents.train.tape import Tape, record
from bellwire.agents.train.walk_forward import Split, walk_forward

__all__ = [
    "KNOWN_DATA",
    "BarArrays",
    "CheckpointError",
    "Evaluation",
    "MappoSettings",
    "Policy",
    "Split",
    "SplitSettings",
    "SyntheticSettings",
    "Tape",
    "TooFewBarsError",
    "TrainSettings",
    "UnknownDataError",
    "buy_and_hold",
    "evaluate",
    "load_bars",
    "policy_of",
    "record",
    "walk_forward",
]
