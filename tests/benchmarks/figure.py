"""What a study found, in the form that targets are compared with."""

from typing import NamedTuple


class Figure(NamedTuple):
    """One number that a target may ask for."""

    key: str
    """What `Target.study_figure` calls it."""
    lane: str
    value: float | None
    """None = not measured."""
