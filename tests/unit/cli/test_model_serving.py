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
        (("--model", "actr"), "--model is 'actr'; expected one of those in {models}: actor, other"),
        (("--chain", "a=actor", "--model", "actr"), "in {models}: a, actor, other"),
        (("--model", "actor", "--chain", "actor"), "--chain is 'actor'; expected NAME=STEP,STEP"),
        (
            ("--model", "actor", "--chain", "a=b,b"),
            "--chain is 'a=b,b'; expected 1 to 16 steps, each once, and 'hold' only behind them",
        ),
        (
            ("--model", "actor", "--chain", "a=b", "--chain", "a=c"),
            "--chain is 'a=b, a=c'; expected one chain for each name, and 'a' has 2",
        ),
        (("--model", "actor", "--refresh", "0"), "--refresh is 0.0; expected float 0.05"),
        (("--model", "actor", "--versions", "newest"), "--versions is 'newest'; expected"),
        (("--model", "act or"), "--model is 'act or'"),
        (
            ("--model", "actor", "--kserve-http", "8000"),
            "--kserve-http: '8000' cannot be served: it is no HOST:PORT",
        ),
        (
            ("--model", "actor", "--kserve-grpc", "here:99999"),
            "--kserve-grpc: 'here:99999' cannot be served: port '99999' is no number",
        ),
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


def test_a_model_that_is_named_may_come_into_a_folder_that_is_empty(tmp_path):
    assert plan_of(tmp_path, "actor").settings().model == "actor"
