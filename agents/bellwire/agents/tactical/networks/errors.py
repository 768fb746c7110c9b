"""What the networks refuse."""

from bellwire.wire.errors import CallerError


class InvalidWeightsError(CallerError):
    """The weights of a network do not fit its definition."""

    reason = "WEIGHTS_INVALID"

    def __init__(self, name: str, found: str, expected: str) -> None:
        self.name = name
        """Of the array, for example "fvg.hidden", or of the file."""
        self.found = found
        self.expected = expected
        super().__init__(f"weights {name!r} are {found}, expected {expected}")
