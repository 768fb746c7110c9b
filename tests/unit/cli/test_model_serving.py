"""bellwire.cli.model_serving: what cannot be served is told before anything is tried."""

from __future__ import annotations

from pathlib import Path

import pytest

from bellwire.cli.app import run
from bellwire.cli.faults import UsageFault
from bellwire.cli.model_serving import ServePlan


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with two models, of which nothing is read."""
    for place in ("actor/1", "actor/2", "other/1"):
        (tmp_path / place).mkdir(parents=True)
    return tmp_path


def plan_of(models: Path, model: str = "", *chains: str) -> ServePlan:
    return ServePlan(models, model, chains, "latest:2", 3.0, "127.0.0.1:1", "127.0.0.1:2")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--models", "nowhere"), "'nowhere': No such file"),
        ((), "name one with --model; in {models} there are: actor, other"),
        (("--model", "actor", "--chain", "actor"), "not NAME=STEP"),
        (("--model", "actor", "--refresh", "0"), "refresh_seconds is 0.0; expected float 0.05"),
        (("--model", "actor", "--versions", "newest"), '"latest:N", "all", or numbers'),
    ],
)
def test_what_cannot_be_served_is_one_line_and_a_wrong_use(models, capsys, arguments, words):
    status = run(["model", "serve", "--models", str(models), *arguments])
    told = capsys.readouterr()
    assert (status, told.out, told.err.count("\n")) == (2, "", 1)
    assert words.format(models=models) in told.err


def test_the_only_model_or_the_only_chain_is_meant(models):
    assert plan_of(models, "", "safe=actor,hold").settings().model == "safe"
    (models / "other" / "1").rmdir()
    assert plan_of(models).settings().model == "actor"


def test_two_chains_leave_open_who_is_meant(models):
    with pytest.raises(UsageFault, match="there are: a, b"):
        plan_of(models, "", "a=actor", "b=other").settings()


def test_options_reach_the_server(models):
    settings = plan_of(models, "other", "safe=actor,hold").settings()
    assert (settings.model, settings.models) == ("other", str(models))
    assert (settings.server.refresh_seconds, settings.server.chains) == (3.0, ("safe=actor,hold",))
    assert settings.server.repository.versions == "latest:2"
    assert settings.server.repository.warm_batches == (1, 256)
    assert (settings.kserve_grpc, settings.kserve_http) == ("127.0.0.1:1", "127.0.0.1:2")
