"""Errors of the agent runtime."""

from bellwire.wire.errors import CallerError, InternalError, PeerError, StatusCode


class AgentDefinitionError(CallerError):
    """The agent class is declared wrongly."""

    reason = "AGENT_DEFINITION"


class AgentSettingsError(CallerError):
    """The agent was given a setting it does not have."""

    reason = "AGENT_SETTINGS"


class InvalidToolArgumentsError(CallerError):
    """The arguments of a tool call do not fit the tool's schema."""

    reason = "INVALID_TOOL_ARGUMENTS"


class UndecodableError(CallerError):
    """The payload of a message is not what its type says."""

    reason = "UNDECODABLE"


class InvalidOutputError(CallerError):
    """A handler returned something that cannot be published."""

    reason = "INVALID_OUTPUT"


class ProcessStartError(PeerError):
    """A process ended, or stayed silent, before it was ready."""

    reason = "PROCESS_START_FAILED"
    retryable = False


class IllegalTransitionError(InternalError):
    """A state machine was asked for a step its state does not allow."""

    reason = "ILLEGAL_TRANSITION"


class OutputBlockedError(PeerError):
    """A watermark waits: an output before it was refused and its input is on its way back."""

    reason = "OUTPUT_BLOCKED"


class OutputLostError(PeerError):
    """The bus took no outputs for too long; the process ends and its inputs come again."""

    reason = "OUTPUT_LOST"
    retryable = False


class AssignTimeoutError(PeerError):
    """An agent that takes a partition up heard nothing for too long; the partition waits and is tried again."""

    reason = "ASSIGN_TIMEOUT"

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(
            f"on_assigned is not done, and no message arrived for {seconds:g} s; "
            "raise runtime.assign_timeout_seconds, or have it read back less"
        )


class ProcessFailedError(PeerError):
    """A process used its restart budget up and is given up."""

    reason = "PROCESS_FAILED"
    retryable = False


class InvalidDeviceError(CallerError):
    """A device is not written as "cpu", "cpu:2,3" or "cuda:0"."""

    reason = "DEVICE_INVALID"

    def __init__(self, device: str, found: str) -> None:
        self.device = device
        self.found = found
        super().__init__(
            f"device {device!r}: {found}; write 'cpu', 'cpu:2,3', 'cpu:0-3' or 'cuda:0'",
            metadata={"device": device},
        )


class MissingDeviceError(CallerError):
    """The machine does not have the device that a spec asks for."""

    reason = "DEVICE_MISSING"
    code = StatusCode.FAILED_PRECONDITION

    def __init__(self, device: str, found: str) -> None:
        self.device = device
        self.found = found
        super().__init__(
            f"device {device!r} is not there: {found}; "
            "correct the spec, or set on_missing_device = 'degrade' to run on what is there",
            metadata={"device": device},
        )


class LaunchBlockingError(CallerError):
    """CUDA_LAUNCH_BLOCKING=1 makes a process wait for each GPU kernel; it is for debugging."""

    reason = "CUDA_LAUNCH_BLOCKING"
