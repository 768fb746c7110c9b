"""The command line."""

import json

import pytest
from tests.benchmarks.command import main, select
from tests.unit.benchmarks.results import document, throughput


def test_only_selects_by_the_beginning_of_a_name():
    names = ["latency-1k", "latency-10k", "throughput-100"]
    assert select(names, ["latency"]) == ["latency-1k", "latency-10k"]


def test_only_takes_a_whole_name_for_itself_and_not_for_the_beginning_of_another():
    assert select(["throughput-100", "throughput-1000"], ["throughput-100"]) == ["throughput-100"]


def test_only_leaves_the_other_kind_of_name_whole():
    assert select(["nats", "grpc_unary"], ["latency"]) == ["nats", "grpc_unary"]


def test_a_name_that_matches_nothing_is_refused_with_the_names_there_are(capsys):
    with pytest.raises(SystemExit):
        main(["--only", "ants"])
    assert "--only ants matches nothing of: latency-1k" in capsys.readouterr().err


def test_an_earlier_result_is_shown_without_measuring(tmp_path, capsys):
    result = tmp_path / "result.json"
    result.write_text(json.dumps(document(throughput(1, "nats", 157_000))))
    assert main(["--show", str(result)]) == 0
    assert "157,000" in capsys.readouterr().out


def test_a_result_outside_the_repository_is_not_put_on_the_page(tmp_path, capsys):
    result = tmp_path / "result.json"
    result.write_text(json.dumps(document(throughput(1, "nats", 157_000))))
    assert main(["--markdown", str(result)]) == 2
    assert "put it into benchmarks/results/ first" in " ".join(capsys.readouterr().out.split())


def test_a_result_that_does_not_exist_is_named(capsys):
    assert main(["--show", "no-such-result.json"]) == 2
    assert "no-such-result.json" in capsys.readouterr().out


def test_a_system_under_a_scenario_it_is_not_measured_in_is_refused(capsys):
    assert main(["--only", "durable", "--only", "grpc_unary"]) == 2
    assert "leaves nothing to measure" in " ".join(capsys.readouterr().out.split())
