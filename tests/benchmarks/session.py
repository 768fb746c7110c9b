"""A run: every system under every scenario, in alternating rounds."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.benchmarks import machine
from tests.benchmarks.conductor import MeasurementError, measure
from tests.benchmarks.disk import describe_disk, probe_sync
from tests.benchmarks.payload import PAYLOAD_BYTES
from tests.benchmarks.peers import load_server
from tests.benchmarks.scenario import SCENARIOS, Beside, Durations
from tests.benchmarks.studies import Plot, load_study
from tests.benchmarks.summary import Document, Measurement
from tests.benchmarks.tables import studies_of

RESULT_FORMAT: Final = 1  # Raised when a reader of older results would misread new ones.
# At most so many systems between one and the next measurement of the reference they are divided by.
REFERENCE_EVERY: Final = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run measures, and how often."""

    scenarios: Sequence[str]
    peers: Sequence[str]
    rounds: int
    durations: Durations
    folder: Path | None = None
    """Where brokers keep their files; None = the system's folder for temporary files."""
    profile_directory: Path | None = None

    def steps(self) -> Iterator[tuple[int, str, str]]:
        """Give (round, scenario, peer) in order.

        Systems take turns within a scenario, so that the machine's slow minutes hit all of them;
        each round begins with another one, so that none always follows the same neighbour. The
        reference that others are divided by comes again and again, so that each finds it nearby.
        """
        for round_number in range(1, self.rounds + 1):
            for scenario in self.scenarios:
                peers = self.peers_of(scenario)
                turn = (round_number - 1) % max(len(peers), 1)
                order = [*peers[turn:], *peers[:turn]]
                for peer in with_reference(order, SCENARIOS[scenario].suite.reference):
                    yield round_number, scenario, peer

    def peers_of(self, scenario: str) -> list[str]:
        """Give those of the plan's systems that the scenario is for."""
        return [peer for peer in SCENARIOS[scenario].suite.peers if peer in self.peers]

    @property
    def durable(self) -> bool:
        """Whether anything of it writes to a disk."""
        return any(
            isinstance(SCENARIOS[name], Beside) or SCENARIOS[name].suite.durable
            for name in self.scenarios
            if self.peers_of(name)
        )

    @property
    def measurements(self) -> int:
        """How many there will be."""
        return sum(1 for _ in self.steps())


def split_missing(peers: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Part the systems that can be measured here from the others, with the reason for each."""
    missing = {
        name: reason for name in peers if (reason := load_server(name).missing()) is not None
    }
    return [name for name in peers if name not in missing], missing


def with_reference(order: Sequence[str], reference: str | None) -> Iterator[str]:
    """Give the systems in order, the reference once more wherever it would be too far away."""
    since = 0
    for peer in order:
        if reference in order and peer != reference and since == REFERENCE_EVERY:
            yield str(reference)
            since = 0
        yield peer
        since = 0 if peer == reference else since + 1


async def run_session(
    plan: Plan, missing: dict[str, str], on_measured: Callable[[Measurement], None]
) -> Document:
    """Carry out the plan and give the result document; a failed measurement is part of it."""
    document = _document(plan, missing)
    round_before = 0
    for turn, (round_number, scenario, peer) in enumerate(plan.steps()):
        if plan.durable and round_number != round_before:
            document["disk"]["sync_probes"].append(probe_sync(_folder(plan)))
        round_before = round_number
        measurement: Measurement = {
            "round": round_number,
            "turn": turn,
            "scenario": scenario,
            "peer": peer,
        }
        try:
            measurement |= await measure(
                peer,
                SCENARIOS[scenario],
                plan.durations,
                folder=plan.folder,
                profile_directory=plan.profile_directory,
            )
        except MeasurementError as error:
            measurement["error"] = str(error)
        document["measurements"].append(measurement)
        on_measured(measurement)
    if plots := _plots(document):
        document["plots"] = plots
    return document


def _plots(document: Document) -> dict[str, list[Plot]]:
    """Give the lines of diagrams of each study, medians over the rounds."""
    good = {
        name: [each for each in measurements if "error" not in each]
        for name, measurements in studies_of(document).items()
    }
    return {name: load_study(name).plots(found) for name, found in good.items() if found}


def _document(plan: Plan, missing: dict[str, str]) -> Document:
    versions = machine.describe_versions()
    for name in plan.peers:
        versions |= load_server(name).versions()
    document: Document = {
        "format": RESULT_FORMAT,
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": machine.describe_command(),
        "commit": machine.describe_commit(),
        "machine": machine.describe_machine(),
        "versions": versions,
        "missing": missing,
        "settings": {
            "rounds": plan.rounds,
            "warm_up_seconds": plan.durations.warm_up_seconds,
            "load_seconds": plan.durations.load_seconds,
            "payload_bytes": PAYLOAD_BYTES,
        },
        "measurements": [],
    }
    if plan.durable:
        document["disk"] = {**describe_disk(_folder(plan)), "sync_probes": []}
    return document


def _folder(plan: Plan) -> Path:
    return plan.folder or Path(tempfile.gettempdir())
