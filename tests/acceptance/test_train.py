"""bellwire train tactical, as a user runs it."""

from __future__ import annotations

import json
import signal

import pytest

pytest.importorskip("torch", reason="make test-torch installs it")

from bellwire.agents.drift import read_references
from bellwire.agents.inference import read_manifest

pytestmark = [pytest.mark.acceptance, pytest.mark.torch]

STEPS = "16384"  # two updates
END_SECONDS = 50  # torch alone takes seconds to import on a busy machine


async def train(bellwire, *arguments, model="tactical"):
    return await bellwire.run("train", model, *arguments, seconds=END_SECONDS)


async def test_it_writes_a_model_with_its_card_and_shows_the_comparison(bellwire):
    code, out, err = await train(bellwire, "--out", "model", "--steps", STEPS)
    assert code == 0, err
    assert "EURUSD 1h  tested on 2017-09-13T11:00:00Z … 2017-12-29T21:00:00Z" in out
    for line in ("trained", "buy and hold", "flat", "untrained, mean of 5"):
        assert line in out
    assert "train: 16,384 of 16,384 steps" in err
    found = {path.name for path in (bellwire.folder / "model").iterdir()}
    model = {"model.json", "model.onnx", "weights.npz", "drift.json"}
    assert found == model | {"card.json", "card.md", "checkpoint-1.npz"}


async def test_the_strategic_system_is_trained_with_the_settings_of_the_file(bellwire):
    text = "[train]\nlearning_rate = 0.001\n[split]\ntest_share = 0.2\n"
    (bellwire.folder / "bellwire.toml").write_text(text)
    flags = ("--steps", STEPS, "--set", "train.entropy_weight=0.01", "--json")
    code, out, err = await train(bellwire, "--models", "models", *flags, model="strategic")
    assert code == 0, err
    card = json.loads(out)
    mappo = card["mappo_settings"]
    assert (mappo["learning_rate"], mappo["entropy_weight"], mappo["clip"]) == (0.001, 0.01, 0.2)
    assert card["split_settings"]["test_share"] == 0.2
    folder = bellwire.folder / "models" / "strategic" / "1"
    assert read_manifest(folder).key == "strategic:1"


async def test_in_a_folder_of_models_it_writes_the_next_version_which_may_be_served(bellwire):
    (bellwire.folder / "models" / "tactical" / "4").mkdir(parents=True)
    code, _, err = await train(bellwire, "--models", "models", "--steps", STEPS)
    assert code == 0, err
    folder = bellwire.folder / "models" / "tactical" / "5"
    assert read_manifest(folder).key == "tactical:5"
    assert set(read_references(folder)) == {"EURUSD"}


async def test_a_training_refused_takes_no_version(bellwire):
    days = [f"2024-{month:02}-{day:02}" for month in range(1, 7) for day in range(1, 29)]
    rows = (f"{day},10,11,9,10.5,100" for day in days)
    text = "\n".join(("time,open,high,low,close,volume", *rows))
    (bellwire.folder / "short.csv").write_text(text)
    code, _, err = await train(bellwire, "--models", "models", "--data", "short.csv")
    assert (code, "short has 168 bars" in err) == (2, True), err
    assert list((bellwire.folder / "models" / "tactical").iterdir()) == []


async def test_ctrl_c_keeps_the_checkpoint_and_resume_goes_on(bellwire):
    arguments = ("--out", "model", "--steps", "100000")
    async with bellwire.started("train", "tactical", *arguments) as command:
        assert command.process.stderr is not None
        while b"steps" not in await command.process.stderr.readline():
            assert not command.process.stderr.at_eof()
        command.signal(signal.SIGINT)
        code, _, err = await command.end(END_SECONDS)
    assert code == 130
    assert "stopped; the checkpoint is kept: go on with --resume --out model" in err
    assert not (bellwire.folder / "model" / "card.json").exists()
    # What was made already is enough for these; so nothing is trained anew.
    code, out, err = await train(
        bellwire, "--resume", "--json", "--out", "model", "--steps", "9000"
    )
    assert code == 0, err
    made = json.loads(out)["steps"]
    assert made >= 25_000
    said = f"the checkpoint has {made:,} steps, 9,000 were asked for: nothing is left to train"
    assert said in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--data", "absent.csv"), "data 'absent.csv' is no file; give an OHLCV file or one of"),
        (("--data", "bad.csv"), "bad.csv, line 2, column 'close'"),
        (("--data", "short.csv"), "short has 3 bars, training and testing need at least"),
        (("--data", "ibm-1d", "--data", "ibm-1d"), "--data names IBM twice; one file a symbol"),
        (("--variant", "huge"), "variant is 'huge'; expected"),
        (("--resume",), "holds no checkpoint-1.npz, so there is no training to go on with"),
    ],
)
async def test_what_cannot_be_trained_on_is_refused_in_one_line(bellwire, arguments, words):
    bars = [f"2024-01-0{day},10,11,9,10.5,100" for day in (1, 2, 3)]
    header = "time,open,high,low,close,volume"
    (bellwire.folder / "short.csv").write_text("\n".join((header, *bars)))
    bad = (header, bars[0].replace("10.5", "high"), *bars[1:])
    (bellwire.folder / "bad.csv").write_text("\n".join(bad))
    code, out, err = await train(bellwire, "--out", "model", *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1
