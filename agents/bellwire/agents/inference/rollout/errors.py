"""What a rollout refuses."""

from bellwire.agents.inference.errors import InvalidModelError
from bellwire.wire.errors import CallerError, StatusCode


class RolloutStepError(CallerError):
    """There is no such step from where the rollout is."""

    reason = "ROLLOUT_STEP_INVALID"
    code = StatusCode.FAILED_PRECONDITION

    def __init__(self, model: str, stage: str, step: str, wrong: str) -> None:
        self.model = model
        self.stage = stage
        """Where the rollout is."""
        self.step = step
        """What was asked for."""
        self.wrong = wrong
        super().__init__(
            f"model {model!r} is in stage {stage}; {step} is not possible: {wrong}",
            metadata={"model": model, "stage": stage, "step": step},
        )


class UndecidedModelError(InvalidModelError):
    """A model's rollout cannot be read, so that nobody knows which of its versions shall answer."""

    reason = "MODEL_UNDECIDED"

    def __init__(self, model: str, cause: InvalidModelError) -> None:
        """Name the model, and what is wrong with its rollout."""
        self.model = model
        expected = f"{cause.expected}; mend it, or name a version of {model!r}"
        super().__init__(cause.path, cause.found, expected)


class NoExperimentError(CallerError):
    """A model is in no A/B experiment."""

    reason = "NO_EXPERIMENT"
    code = StatusCode.FAILED_PRECONDITION

    def __init__(self, model: str, running: tuple[str, ...]) -> None:
        """Name the model, and those that are in one."""
        self.model = model
        self.running = running
        super().__init__(
            f"model {model!r} is in no experiment, of those that are there are: {', '.join(running) or 'none'};"
            f" `bellwire model rollout start {model} VERSION --stage ab --share SHARE` begins one;"
            " where it is in one in another folder, call that folder's server by its agent_id",
            metadata={"model": model},
        )


class InvalidOutcomeError(CallerError):
    """What came of a decision cannot be counted."""

    reason = "OUTCOME_INVALID"

    def __init__(self, model: str, found: str) -> None:
        self.model = model
        self.found = found
        super().__init__(
            f"the outcome for {model!r} is {found}; expected a finite return, whether the action agreed, or both",
            metadata={"model": model},
        )
