"""What the feature code refuses."""

from bellwire.wire.errors import CallerError


class InvalidBarError(CallerError):
    """A bar holds a value no feature can be computed from."""

    reason = "BAR_INVALID"

    def __init__(self, field: str, found: float, expected: str, bar: int | None = None) -> None:
        self.field = field
        """open, high, low, close or volume."""
        self.found = found
        self.expected = expected
        self.bar = bar
        """Number of the bar, counted from 0 at the first one given; None if unknown."""
        where = "" if bar is None else f" of bar {bar}"
        super().__init__(
            f"{field}{where} is {found}, expected {expected}; drop or mend the bar",
            metadata={"field": field, "found": str(found)},
        )


class BarArraysError(CallerError):
    """The five arrays of a batch do not describe the same bars."""

    reason = "BAR_ARRAYS_INVALID"

    def __init__(self, shapes: tuple[tuple[int, ...], ...]) -> None:
        self.shapes = shapes
        super().__init__(
            f"open, high, low, close and volume have the shapes {shapes}; "
            "give five arrays of one dimension and equal length"
        )
