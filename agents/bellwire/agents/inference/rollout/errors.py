"""What a rollout refuses."""

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
