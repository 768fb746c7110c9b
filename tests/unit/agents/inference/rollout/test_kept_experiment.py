"""An experiment's sums on the disk: by whom they are found again, and what a disk that refuses costs."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellwire.agents.inference.rollout import ExperimentSums, Rollout, Side, Stage
from bellwire.agents.inference.rollout.experiment_file import ExperimentKey, ExperimentSlot
from bellwire.agents.inference.rollout.kept_experiment import KeptExperiment
from bellwire.agents.inference.rollout.significance import Moments
from bellwire.agents.inference.rollout.state import Author
from bellwire.wire.errors import CapacityError

KEY = ExperimentKey("actor", 1, 2, 0.5, 7)
OBSERVATIONS = st.lists(st.floats(-1e6, 1e6), max_size=30)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of models with one in it."""
    (tmp_path / "actor").mkdir()
    return tmp_path


def synced(kept: KeptExperiment) -> KeptExperiment:
    """Write and look, as the server does it."""
    kept.see(kept.sync(kept.experiment.sums))
    return kept


def opened(root: Path, key: ExperimentKey = KEY) -> KeptExperiment:
    return synced(KeptExperiment(root, key))


def observe(kept: KeptExperiment, *returns: float) -> None:
    for value in returns:
        kept.experiment.record_return(Side.CANDIDATE, value)
        kept.experiment.record_agreement(Side.SERVING, agrees=value > 0)


def counts(kept: KeptExperiment) -> tuple[int, int]:
    """Returns of the candidate, and comparisons of the version in service, in all processes."""
    report = kept.report()
    return report.returns.candidate_count, report.agreement.serving_count


def test_what_was_seen_is_found_again_to_the_last_digit(root: Path) -> None:
    first = opened(root)
    observe(first, 0.1, -0.3, 1e-17)
    first.close(first.experiment.sums)
    again = opened(root)
    assert again.experiment.sums == first.experiment.sums
    assert again.others == ExperimentSums()


def test_without_an_end_what_was_written_last_is_found(root: Path) -> None:
    killed = opened(root)
    observe(killed, 1, 2)
    synced(killed)
    observe(killed, 3)
    assert killed._slot is not None
    killed._slot.close()  # As the kernel does.
    assert counts(opened(root)) == (2, 2)


def test_several_servers_are_one_experiment_and_count_nothing_twice(root: Path) -> None:
    one, two = opened(root), opened(root)
    observe(one, 1, 2)
    observe(two, 3)
    synced(one)
    synced(two)
    synced(one)
    assert counts(one) == counts(two) == (3, 3)
    assert one.report() == two.report()
    for each in (one, two):
        each.close(each.experiment.sums)
    alone = opened(root)
    assert counts(alone) == (3, 3), "what the other had seen is gone with it"
    second = opened(root)
    assert counts(second) == (3, 3)


@pytest.mark.parametrize(
    "other",
    [
        ExperimentKey("actor", 1, 3, 0.5, 7),
        ExperimentKey("actor", 1, 2, 0.6, 7),
        ExperimentKey("actor", 1, 2, 0.5, 8),
    ],
)
def test_another_experiment_begins_with_nothing(root: Path, other: ExperimentKey) -> None:
    first = opened(root)
    observe(first, 1)
    first.close(first.experiment.sums)
    second = opened(root, other)
    assert counts(second) == (0, 0)
    observe(second, 2, 3)
    synced(second)
    assert counts(opened(root, other)) == (2, 2)


DAMAGE = [
    b"",
    b"{",
    b"[]",
    b"\xff",
    b'{"experiment": {}}' + b" " * 20_000,
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_sums_are_set_aside_and_said_and_the_experiment_begins_again(
    root: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    first = opened(root)
    observe(first, 1)
    first.close(first.experiment.sums)
    file = root / "actor" / "experiment" / "0.json"
    file.write_bytes(damage)
    again = opened(root)
    assert (counts(again), again.problem) == ((0, 0), "")
    assert file.with_name("0.json.damaged").read_bytes() == damage
    (record,) = caplog.records
    assert "experiment of actor begins again" in record.getMessage()
    assert "0.json.damaged" in record.getMessage()
    observe(again, 2)
    again.close(again.experiment.sums)
    assert counts(opened(root)) == (1, 1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"compared": 1', '"compared": -1'),
        ('"compared": 1', '"compared": 0'),
        ('"compared": 1', '"compared": true'),
        ('"compared": 1', '"compared": 1e999'),
        ('"mean": 1.0', '"mean": NaN'),
        ('"mean": 1.0', '"mean": "1"'),
        ('"squares": 0.0', '"squares": -1.0'),
        ('"count": 1', '"count": 99999999999999999999'),
    ],
)
def test_numbers_that_cannot_be_are_damage(root: Path, old: str, new: str) -> None:
    first = opened(root)
    observe(first, 1)
    first.close(first.experiment.sums)
    file = root / "actor" / "experiment" / "0.json"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    assert counts(opened(root)) == (0, 0)
    assert file.with_name("0.json.damaged").exists()


def test_damaged_sums_of_another_are_a_problem_until_they_are_gone(root: Path) -> None:
    one = opened(root)
    observe(one, 1)
    other = root / "actor" / "experiment" / "5.json"
    other.write_text("{")
    assert "not counted" in synced(one).problem
    assert "5.json" in one.problem
    assert counts(one) == (1, 1)
    other.unlink()
    assert synced(one).problem == ""


def test_a_disk_that_refuses_costs_no_observation(root: Path) -> None:
    place = root / "actor" / "experiment"
    place.write_text("no folder")
    kept = opened(root)
    assert kept.problem.startswith("its sums are not kept: ")
    observe(kept, 1)
    assert counts(synced(kept)) == (1, 1)
    place.unlink()
    assert (synced(kept).problem, counts(kept)) == ("", (1, 1))
    kept.close(kept.experiment.sums)
    assert counts(opened(root)) == (1, 1)


def test_a_place_that_is_free_later_brings_what_lies_there(root: Path) -> None:
    first = opened(root)
    observe(first, 1)
    first.close(first.experiment.sums)
    file = root / "actor" / "experiment" / "0.json"
    content = file.read_bytes()
    file.unlink()
    file.mkdir()  # It cannot be read.
    kept = opened(root)
    observe(kept, 2)
    assert kept.problem
    file.rmdir()
    file.write_bytes(content)
    assert counts(synced(kept)) == (2, 2)
    kept.close(kept.experiment.sums)
    assert counts(opened(root)) == (2, 2)


def test_no_more_servers_than_there_are_places(root: Path) -> None:
    slots = [ExperimentSlot.take(root, "actor") for _ in range(64)]
    assert [slot.number for slot in slots] == list(range(64))
    with pytest.raises(CapacityError, match="64 servers keep an experiment of 'actor'"):
        ExperimentSlot.take(root, "actor")
    assert "that is the limit" in opened(root).problem
    slots[17].close()
    taken = ExperimentSlot.take(root, "actor")
    assert taken.number == 17
    for slot in (*slots[:17], *slots[18:], taken):
        slot.close()


def test_a_rollout_is_in_an_experiment_from_the_step_that_gave_it_its_share() -> None:
    ada = Author("ada", "why")
    rollout = Rollout("actor", 1)
    assert ExperimentKey.of(rollout) is None
    canary = rollout.start(2, Stage.CANARY, 0.1, ada, 5)
    assert ExperimentKey.of(canary) is None
    begun = canary.move(Stage.AB, 0.1, ada, 6)
    assert ExperimentKey.of(begun) == ExperimentKey("actor", 1, 2, 0.1, 6)
    assert ExperimentKey.of(begun.move(Stage.AB, 0.5, ada, 7)) == KEY
    assert ExperimentKey.of(begun.promote(ada, 8)) is None


@given(OBSERVATIONS, OBSERVATIONS)
def test_merged_moments_are_those_of_all_observations(one: list[float], two: list[float]) -> None:
    def of(values: list[float]) -> Moments:
        moments = Moments()
        for value in values:
            moments = moments.add(value)
        return moments

    merged, whole = of(one).merged(of(two)), of(one + two)
    assert merged.count == whole.count
    assert merged.mean == pytest.approx(whole.mean, rel=1e-9, abs=1e-6)
    assert merged.squares == pytest.approx(whole.squares, rel=1e-9, abs=1e-2)
