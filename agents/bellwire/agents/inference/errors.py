"""What inference refuses, and how it fails."""

from bellwire.wire.errors import BellwireError, CallerError, InternalError, PeerError, StatusCode


class InvalidTensorError(CallerError):
    """A tensor does not fit what the model takes."""

    reason = "TENSOR_INVALID"

    def __init__(self, name: str, found: str, expected: str) -> None:
        self.name = name
        """Of the tensor."""
        self.found = found
        self.expected = expected
        super().__init__(
            f"tensor {name!r} is {found}, expected {expected}", metadata={"tensor": name}
        )


class InvalidDeadlineError(CallerError):
    """A deadline is no time that a caller can mean."""

    reason = "DEADLINE_INVALID"

    def __init__(self, deadline_unix_nano: int) -> None:
        self.deadline_unix_nano = deadline_unix_nano
        super().__init__(
            f"deadline_unix_nano is {deadline_unix_nano}, which was before 2001; expected nanoseconds"
            " since 1970, or 0 for none",
            metadata={"deadline_unix_nano": str(deadline_unix_nano)},
        )


class UnknownModelError(CallerError):
    """No such model, or not in that version."""

    reason = "MODEL_UNKNOWN"
    code = StatusCode.NOT_FOUND

    def __init__(self, model: str, version: str, known: tuple[str, ...]) -> None:
        """Name what was asked for and what there is, each as "name" or "name:version"."""
        self.model = model
        self.version = version
        self.known = known
        asked = f"{model}:{version}" if version else model
        super().__init__(
            f"model {asked!r} is unknown; there are {', '.join(known) or 'none'}",
            metadata={"model": model, "version": version},
        )


class InvalidModelError(CallerError):
    """The files of a model cannot be used: absent, damaged, or not what their manifest says."""

    reason = "MODEL_INVALID"
    code = StatusCode.FAILED_PRECONDITION

    def __init__(self, path: str, found: str, expected: str) -> None:
        self.path = path
        self.found = found
        self.expected = expected
        super().__init__(f"model file {path!r}: {found}; expected {expected}")


class EngineFailedError(InternalError):
    """The engine raised while it computed; the model may serve the next request."""

    reason = "ENGINE_FAILED"

    def __init__(self, model: str, cause: str) -> None:
        self.model = model
        self.cause = cause
        super().__init__(f"model {model!r} failed: {cause}", metadata={"model": model})


class EngineTimeoutError(PeerError):
    """The engine did not answer in time; what it computes still is thrown away."""

    reason = "ENGINE_TIMEOUT"

    def __init__(self, model: str, seconds: float) -> None:
        self.model = model
        self.seconds = seconds
        super().__init__(
            f"model {model!r} did not answer within {seconds:g} s", metadata={"model": model}
        )


class EngineMissingError(BellwireError):
    """A package or a device that the engine needs is not there."""

    reason = "ENGINE_MISSING"
    code = StatusCode.FAILED_PRECONDITION

    def __init__(self, engine: str, missing: str, remedy: str) -> None:
        self.engine = engine
        self.missing = missing
        super().__init__(f"engine {engine!r} needs {missing}; {remedy}")


class GateFailedError(CallerError):
    """The model's quantization changed more than its gate allows, or no gate has looked at it."""

    reason = "MODEL_GATE_FAILED"
    code = StatusCode.FAILED_PRECONDITION

    def __init__(self, model: str, reasons: tuple[str, ...], parent: str = "") -> None:
        """Name the model, why it was refused, and the model it was quantized from, where that is known."""
        self.model = model
        self.reasons = reasons
        self.parent = parent
        remedy = f"serve {parent}" if parent else "serve the model it was quantized from"
        super().__init__(
            f"model {model!r} must not be served: {'; '.join(reasons)}; {remedy}, or quantize it another way",
            metadata={"model": model},
        )
