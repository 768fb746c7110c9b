"""What a study offers to the run, the tables, the targets and whoever draws its plots."""

from collections.abc import Sequence
from typing import Protocol, TypedDict

from tests.benchmarks.figure import Figure
from tests.benchmarks.process import Reply, Workplace
from tests.benchmarks.scenario import Durations
from tests.benchmarks.summary import Measurement
from tests.benchmarks.tables import Table


class Plot(TypedDict):
    """One line of a diagram; x and y have the same length."""

    name: str
    x_label: str
    y_label: str
    x: list[float]
    y: list[float]


class StudyModule(Protocol):
    """One study. Of several rounds each gives a measurement; the rest is made of all of them."""

    async def measure(self, peer: str, durations: Durations, workplace: Workplace) -> Reply:
        """Carry out one round of it.

        Raises:
            MeasurementError: A process failed, or something was lost that must not be.
        """

    def headline(self, measurement: Measurement) -> str:
        """Give a few words on one round."""

    def tables(self, title: str, measurements: Sequence[Measurement]) -> list[Table]:
        """Give tables of the rounds that did not fail; there is at least one."""

    def figures(self, measurements: Sequence[Measurement]) -> list[Figure]:
        """Give what targets ask for."""

    def plots(self, measurements: Sequence[Measurement]) -> list[Plot]:
        """Give medians over the rounds as plain lists."""
