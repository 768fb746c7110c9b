"""What quantization refuses, and how it fails."""

from bellwire.wire.errors import CallerError, InternalError, StatusCode


class UnknownMethodError(CallerError):
    """No such way to quantize a model."""

    reason = "QUANTIZATION_UNKNOWN"

    def __init__(self, method: str, known: tuple[str, ...]) -> None:
        self.method = method
        self.known = known
        super().__init__(f"method {method!r} is unknown; choose {', '.join(known)}")


class CalibrationError(CallerError):
    """The data to calibrate or to hold out cannot be used."""

    reason = "CALIBRATION_INVALID"

    def __init__(self, source: str, found: str, expected: str) -> None:
        """Name the file or series, what is wrong with it, and what it should be."""
        self.source = source
        self.found = found
        self.expected = expected
        super().__init__(f"data {source!r}: {found}; expected {expected}")


class NotQuantizableError(CallerError):
    """The model cannot be quantized in this way."""

    reason = "MODEL_NOT_QUANTIZABLE"
    code = StatusCode.FAILED_PRECONDITION

    def __init__(self, model: str, method: str, found: str, remedy: str) -> None:
        self.model = model
        self.method = method
        self.found = found
        self.remedy = remedy
        super().__init__(f"model {model!r} cannot be quantized by {method}: {found}; {remedy}")


class QuantizationFailedError(InternalError):
    """The quantizer raised, or made a model that cannot be computed; nothing was written."""

    reason = "QUANTIZATION_FAILED"

    def __init__(self, model: str, method: str, cause: str) -> None:
        self.model = model
        self.method = method
        self.cause = cause
        super().__init__(f"model {model!r}: {method} failed: {cause}; try another method")
