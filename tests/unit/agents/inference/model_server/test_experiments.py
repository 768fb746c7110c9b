"""A/B over a folder that is served: who may record, what is reported, and what ends an experiment."""

import asyncio
import json
import os
from pathlib import Path

import pytest
from tests.unit.agents.inference.model_server.conftest import (
    Publish,
    answer_of,
    settings_of,
    until,
)

from bellwire.agents.inference.model_server import ModelServer
from bellwire.agents.inference.model_server.agent import statistics_json
from bellwire.agents.inference.model_server.experiments import Experiments
from bellwire.agents.inference.rollout import (
    Author,
    ExperimentReport,
    InvalidOutcomeError,
    NoExperimentError,
    Rollout,
    RolloutFile,
    Side,
    Stage,
    is_candidates,
)
from bellwire.agents.inference.rollout.experiment_file import ExperimentSlot

ADA = Author("ada", "which is better?")
KEYS = [f"symbol-{number}" for number in range(400)]


@pytest.fixture
def rollout(tmp_path: Path, publish: Publish) -> RolloutFile:
    """Two versions, of which the second has half of the keys in an experiment."""
    publish(1)
    publish(2)
    file = RolloutFile(tmp_path, "actor")
    file.take(lambda before: before.start(2, Stage.AB, 0.5, ADA, 1), serving=1)
    return file


def report_of(server: ModelServer) -> ExperimentReport | None:
    (found,) = server.statistics().rollouts
    return found.experiment


def seen_by(server: ModelServer) -> tuple[int, int]:
    """Returns of both sides, in all servers."""
    report = report_of(server)
    assert report is not None
    return report.returns.serving_count, report.returns.candidate_count


def record_all(server: ModelServer) -> tuple[int, int]:
    """Record an outcome for each key: the candidate earns more. Returns how many each side has."""
    sides = [
        server.record_outcome(
            "actor", key, returned=float(is_candidates("actor", key, 0.5)) + number % 3
        )
        for number, key in enumerate(KEYS)
    ]
    return sides.count(Side.SERVING), sides.count(Side.CANDIDATE)


class HungFile:
    """A file that holds up whoever reads it, as a disk may; here a pipe."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._path = path
        self._writer = -1

    async def read_by_somebody(self) -> None:
        """Wait until somebody is held up."""
        await until(self._is_read)

    def __enter__(self) -> "HungFile":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.let_go()

    def let_go(self) -> None:
        """End the file, and have nobody held up again; safe to call twice."""
        if self._path.exists():
            waking = os.open(self._path, os.O_RDWR | os.O_NONBLOCK)
            self._path.unlink()
            os.close(waking)
        writer, self._writer = self._writer, -1
        if writer >= 0:
            os.close(writer)

    def _is_read(self) -> bool:
        try:
            self._writer = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # Nobody reads.
            return False
        return True


async def test_a_start_that_is_called_off_costs_nothing_that_was_seen(
    tmp_path: Path, rollout: RolloutFile
) -> None:
    async with ModelServer(tmp_path, settings_of()) as server:
        counts = record_all(server)
    with HungFile(tmp_path / "actor" / "experiment" / "1.json") as disk:
        start = asyncio.create_task(ModelServer(tmp_path, settings_of()).__aenter__())
        await disk.read_by_somebody()
        start.cancel()
        await asyncio.sleep(0)  # Have it cancelled while the disk hangs.
    await asyncio.wait([start])
    assert start.cancelled()
    async with ModelServer(tmp_path, settings_of()) as server:
        assert seen_by(server) == counts


async def test_a_refresh_that_is_called_off_costs_nothing_that_was_seen(
    tmp_path: Path, rollout: RolloutFile
) -> None:
    async with ModelServer(tmp_path, settings_of()) as server:
        counts = record_all(server)
        rollout.take(lambda before: before.move(Stage.AB, 0.6, ADA, 2))
        with HungFile(tmp_path / "actor" / "experiment" / "1.json") as disk:
            refresh = asyncio.create_task(server.refresh())
            await disk.read_by_somebody()
            refresh.cancel()
            await asyncio.sleep(0)  # Have it cancelled while the disk hangs.
        await asyncio.wait([refresh])
        await server.refresh()
        server.record_outcome("actor", "a", returned=1.0)
        assert sum(seen_by(server)) == 1
    assert sum(counts) == len(KEYS)
    async with ModelServer(tmp_path, settings_of()) as server:
        assert sum(seen_by(server)) == 1


async def test_a_disk_that_hangs_keeps_no_candidate_in_service(
    tmp_path: Path, rollout: RolloutFile
) -> None:
    key = next(key for key in KEYS if is_candidates("actor", key, 0.5))
    async with ModelServer(tmp_path, settings_of(experiment_seconds=0.05)) as server:
        assert await answer_of(server, key=key) == 2
        with HungFile(tmp_path / "actor" / "experiment" / "1.json") as disk:
            await disk.read_by_somebody()
            rollout.take(lambda before: before.rollback(ADA, 2))
            refresh = asyncio.create_task(server.refresh())
            async with asyncio.timeout(3):
                while await answer_of(server, key=key) != 1:  # noqa: ASYNC110 - a thread sets no event of ours
                    await asyncio.sleep(0.005)
            assert not refresh.done()
        await refresh


async def test_a_write_that_fails_for_a_reason_nobody_knows_keeps_no_place_and_no_other_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for model in ("actor", "critic"):
        (tmp_path / model).mkdir()
    experiments = Experiments(tmp_path, 3_600.0)
    steps = (Rollout(model, 1).start(2, Stage.AB, 0.5, ADA, 1) for model in ("actor", "critic"))
    await experiments.follow(steps)
    for model in ("actor", "critic"):
        experiments.record(model, "a", 1.0, None)
    monkeypatch.setattr(os, "fsync", none_knows_why)
    with pytest.raises(RuntimeError, match="nobody knows why"):
        await experiments.close()
    for model in ("actor", "critic"):
        slot = ExperimentSlot.take(tmp_path, model)
        assert slot.number == 0
        slot.close()


def none_knows_why(_descriptor: int) -> None:
    """Fail as nothing is expected to."""
    raise RuntimeError("nobody knows why")


async def test_outcomes_of_both_sides_are_reported(tmp_path: Path, rollout: RolloutFile) -> None:
    async with ModelServer(tmp_path, settings_of()) as server:
        counts = record_all(server)
        assert seen_by(server) == counts
        assert min(counts) > 100
        report = report_of(server)
        assert report is not None
        assert report.returns.verdict == "CANDIDATE_BETTER"
        told = json.dumps(statistics_json(server.statistics()), allow_nan=False)
        assert "CANDIDATE_BETTER" in told


async def test_a_server_that_starts_again_goes_on_with_what_was_seen(
    tmp_path: Path, rollout: RolloutFile
) -> None:
    async with ModelServer(tmp_path, settings_of()) as server:
        counts = record_all(server)
    async with ModelServer(tmp_path, settings_of()) as server:
        assert seen_by(server) == counts
        server.record_outcome("actor", "", returned=1.0)  # Without a key: the version in service.
        assert seen_by(server) == (counts[0] + 1, counts[1])


async def test_two_servers_of_one_folder_report_what_both_have_seen(
    tmp_path: Path, rollout: RolloutFile
) -> None:
    settings = settings_of(experiment_seconds=0.05)
    async with ModelServer(tmp_path, settings) as one, ModelServer(tmp_path, settings) as two:
        counts = record_all(one)
        assert record_all(two) == counts
        both = (2 * counts[0], 2 * counts[1])
        await until(lambda: seen_by(one) == seen_by(two) == both)
    async with ModelServer(tmp_path, settings) as alone:
        assert seen_by(alone) == both


async def test_sums_are_written_while_it_runs_and_not_without_news(
    tmp_path: Path, rollout: RolloutFile
) -> None:
    file = tmp_path / "actor" / "experiment" / "0.json"
    async with ModelServer(tmp_path, settings_of(experiment_seconds=0.05)) as server:
        assert not file.exists()
        server.record_outcome("actor", "a", agrees=True)
        await until(file.exists)
        written = file.stat()
        await server.refresh()
    assert file.stat().st_mtime_ns == written.st_mtime_ns


async def test_another_share_begins_another_experiment_and_a_promotion_ends_it(
    tmp_path: Path, rollout: RolloutFile
) -> None:
    async with ModelServer(tmp_path, settings_of()) as server:
        record_all(server)
        rollout.take(lambda before: before.move(Stage.AB, 0.6, ADA, 2))
        await server.refresh()
        assert seen_by(server) == (0, 0)
        rollout.take(lambda before: before.promote(ADA, 3))
        await server.refresh()
        assert report_of(server) is None
        with pytest.raises(
            NoExperimentError, match=r"'actor' is in no experiment.*by its agent_id"
        ):
            server.record_outcome("actor", "a", returned=1.0)


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        ({}, "neither a return nor a comparison"),
        ({"returned": float("nan")}, "not finite"),
        ({"returned": 1e300}, "above 1e\\+100"),
    ],
)
async def test_an_outcome_that_says_nothing_is_refused_and_not_counted(
    tmp_path: Path, rollout: RolloutFile, outcome: dict[str, float], says: str
) -> None:
    async with ModelServer(tmp_path, settings_of()) as server:
        with pytest.raises(InvalidOutcomeError, match=says):
            server.record_outcome("actor", "a", **outcome)  # type: ignore[arg-type]  # of this test
        assert seen_by(server) == (0, 0)


async def test_damaged_sums_are_said_and_the_server_stays_up(
    tmp_path: Path, rollout: RolloutFile, caplog: pytest.LogCaptureFixture
) -> None:
    async with ModelServer(tmp_path, settings_of()) as server:
        record_all(server)
    (tmp_path / "actor" / "experiment" / "0.json").write_text('{"experiment":')
    async with ModelServer(tmp_path, settings_of()) as server:
        assert seen_by(server) == (0, 0)
        counts = record_all(server)
    assert "experiment of actor begins again" in caplog.text
    async with ModelServer(tmp_path, settings_of()) as server:
        assert seen_by(server) == counts


async def test_sums_that_cannot_be_kept_are_a_problem_and_the_experiment_goes_on(
    tmp_path: Path, rollout: RolloutFile
) -> None:
    place = tmp_path / "actor" / "experiment"
    place.write_text("no folder")
    async with ModelServer(tmp_path, settings_of()) as server:
        assert "sums are not kept" in server.problems["experiment of actor"]
        counts = record_all(server)
        assert seen_by(server) == counts
