"""New versions on their way into service: shadow, canary, A/B, promotion and the way back."""

from bellwire.agents.inference.rollout.book import RolloutBook
from bellwire.agents.inference.rollout.comparison import Percentiles, ShadowReport
from bellwire.agents.inference.rollout.errors import (
    InvalidOutcomeError,
    NoExperimentError,
    RolloutStepError,
    UndecidedModelError,
)
from bellwire.agents.inference.rollout.experiment import (
    Experiment,
    ExperimentReport,
    ExperimentSums,
    Measure,
    Side,
    Verdict,
)
from bellwire.agents.inference.rollout.rollout_endpoint import RolloutEndpoint
from bellwire.agents.inference.rollout.rollout_file import RolloutFile
from bellwire.agents.inference.rollout.shadow import Shadow, ShadowSettings
from bellwire.agents.inference.rollout.significance import Difference, two_proportions, welch
from bellwire.agents.inference.rollout.split import is_candidates, position_of
from bellwire.agents.inference.rollout.state import Author, Rollout, Stage, StepKind, StepRecord

__all__ = [
    "Author",
    "Difference",
    "Experiment",
    "ExperimentReport",
    "ExperimentSums",
    "InvalidOutcomeError",
    "Measure",
    "NoExperimentError",
    "Percentiles",
    "Rollout",
    "RolloutBook",
    "RolloutEndpoint",
    "RolloutFile",
    "RolloutStepError",
    "Shadow",
    "ShadowReport",
    "ShadowSettings",
    "Side",
    "Stage",
    "StepKind",
    "StepRecord",
    "UndecidedModelError",
    "Verdict",
    "is_candidates",
    "position_of",
    "two_proportions",
    "welch",
]
