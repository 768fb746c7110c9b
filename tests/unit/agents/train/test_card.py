"""bellwire.agents.train.card and card_page: the figures, and what they allow to be said."""

import json

import pytest

from bellwire.agents.train.card import (
    AGENTS_FOLDER,
    CODE,
    Card,
    Data,
    Figures,
    Result,
    Run,
    code_sha256,
    figures,
)
from bellwire.agents.train.card_page import comparison, page, verdict
from bellwire.agents.train.evaluate import Evaluation

NO_ACTIONS = ((1, 2, 3), (4, 5, 6), (7, 8, 9))
DATA = Data("X", "1h", "x.csv", "ab" * 32, 500, "t1", "t2", "t3", "t4")


def earned(gross, turnover, fee_bp=0.2):
    return figures(Evaluation(100, gross, 0.01, turnover, NO_ACTIONS), fee_bp)


def card(trained, *, held=0.0, untrained=(0.0,), fee_bp=0.2):
    result = Result(
        "X",
        1,
        DATA,
        earned(trained[0], trained[1], fee_bp),
        earned(held, 1.0, fee_bp),
        tuple(earned(gross, 0.0, fee_bp) for gross in untrained),
    )
    return Card(
        model="tactical",
        variant="tiny",
        steps=8_192,
        seed=0,
        fee_bp=fee_bp,
        mappo_settings={},
        split_settings={"embargo_bars": 80},
        code_version="0",
        code_sha256="cd" * 32,
        weights_sha256="ef" * 32,
        untrained_seeds=(1,),
        results=(result,),
        run=Run("t0", 12.0, 700.0),
    )


def test_net_returns_are_told_at_the_usual_fees_and_at_that_of_the_training():
    found = earned(0.05, 100.0, fee_bp=5.0)
    assert list(found.net_log_return) == ["0", "0.2", "1", "2", "5"]
    assert found.net_log_return["5"] == pytest.approx(0.05 - 5e-4 * 100)


@pytest.mark.parametrize(
    ("trained", "others"),
    [
        # 0.1 % gross, 0.2 % of fees: better than the others, worse than staying flat.
        ((0.001, 100.0), {"held": -0.1, "untrained": (-0.1,)}),
        ((0.10, 1.0), {"held": 0.2}),
        ((0.10, 1.0), {"untrained": (0.0, 0.2)}),  # one lucky untrained network is enough
    ],
)
def test_what_does_not_beat_every_alternative_has_no_edge(trained, others):
    assert verdict(card(trained, **others)).startswith("**No edge found**")


def test_what_beats_them_all_is_said_with_its_limits():
    assert "on **1 of 1** tests. That is no promise" in verdict(card((0.1, 1.0)))


def test_an_edge_before_costs_only_is_no_edge():
    assert "No edge" not in verdict(card((0.01, 50.0), fee_bp=1.0))
    assert "No edge" in verdict(card((0.01, 50.0), fee_bp=2.0))


def test_the_table_has_a_line_for_each_alternative():
    (result,) = card((0.05, 10.0), held=0.01, untrained=(-0.02, 0.03)).results
    header, *rows = comparison(result)
    assert header == ["policy", "gross %", "±", "0.2 bp %", "1 bp %", "2 bp %", "turnover"]
    assert rows == [
        ["trained", "+5.00", "1.00", "+4.98", "+4.90", "+4.80", "10"],
        ["buy and hold", "+1.00", "1.00", "+1.00", "+0.99", "+0.98", "1"],
        ["flat", "+0.00", "0.00", "+0.00", "+0.00", "+0.00", "0"],
        ["untrained, mean of 2", "+0.50", "", "+0.50", "+0.50", "+0.50", "0"],
        ["untrained, best", "+3.00", "1.00", "+3.00", "+3.00", "+3.00", "0"],
    ]


def test_the_page_names_data_dates_seeds_and_digests():
    text = page(card((0.05, 10.0)))
    for fact in (*("t1", "t2", "t3", "t4"), "x.csv", "ab" * 32, "cd" * 32, "ef" * 32, "tiny"):
        assert fact in text
    assert "fvg 1 / 2 / 3, momentum 4 / 5 / 6, entry 7 / 8 / 9" in text


def test_the_card_is_json():
    values = json.loads(card((0.05, 10.0)).to_json())
    assert values["results"][0]["trained"]["gross_log_return"] == 0.05


def test_the_digest_of_the_code_changes_with_each_file_that_decides(tmp_path, monkeypatch):
    for name in CODE:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((AGENTS_FOLDER / name).read_bytes())
    before = code_sha256()
    monkeypatch.setattr("bellwire.agents.train.card.AGENTS_FOLDER", tmp_path)
    assert code_sha256() == before
    seen = {before}
    for name in CODE:
        (tmp_path / name).write_text("changed")
        seen.add(code_sha256())
    assert len(seen) == 1 + len(CODE)


def test_figures_of_a_benchmark_have_no_actions():
    found: Figures = figures(Evaluation(10, 0.1, 0.0, 1.0, ()), 0.0)
    assert found.actions == ()
