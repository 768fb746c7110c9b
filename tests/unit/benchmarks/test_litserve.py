"""LitServe as a system of the benchmark."""

import pytest
from tests.benchmarks.peers import PEERS, interpreter_of, load_server
from tests.benchmarks.peers.server_process import ServerError
from tests.benchmarks.scenario import SCENARIOS, Study
from tests.benchmarks.tables import title_of


async def test_without_a_model_there_is_nothing_to_serve(tmp_path):
    with pytest.raises(ServerError, match=r"there is no model\.onnx"):
        async with load_server("litserve").serve(tmp_path):
            pass


def test_it_runs_in_an_environment_of_its_own_and_has_a_name():
    assert interpreter_of("litserve").endswith(".venv-bench-litserve/bin/python")
    assert title_of("litserve") == "LitServe"


def test_it_carries_no_messages_and_stands_in_no_table_but_its_study_s():
    assert "litserve" not in PEERS
    beside = [name for name, each in SCENARIOS.items() if "litserve" in each.suite.peers]
    assert beside == ["inference-bus"]
    assert isinstance(SCENARIOS["inference-bus"], Study)
