import pytest

from bellwire.agents.train.settings import ROLLOUT_STEPS_MAX, MappoSettings
from bellwire.wire.settings import SettingsError


def test_a_minibatch_of_one_step_which_would_teach_nothing_is_refused():
    with pytest.raises(SettingsError, match="minibatch is 1"):
        MappoSettings(minibatch=1)


def test_a_rollout_that_no_memory_holds_is_refused():
    bars = 1_000
    MappoSettings(environments=ROLLOUT_STEPS_MAX // bars, episode_bars=bars)
    with pytest.raises(SettingsError, match=r"environments is 1001; expected at most 1,000,000"):
        MappoSettings(environments=ROLLOUT_STEPS_MAX // bars + 1, episode_bars=bars)
