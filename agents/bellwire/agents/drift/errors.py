"""What cannot be compared with."""

from bellwire.wire.errors import CallerError, StatusCode


class DriftReferenceError(CallerError):
    """The distributions of the training bars are absent or damaged."""

    reason = "DRIFT_REFERENCE_INVALID"
    code = StatusCode.FAILED_PRECONDITION

    def __init__(self, place: str, found: str, expected: str) -> None:
        self.place = place
        """File, or column of a reference."""
        self.found = found
        self.expected = expected
        super().__init__(
            f"drift reference {place}: {found}, expected {expected}; "
            "`bellwire train tactical` writes one beside the model",
            metadata={"place": place},
        )
